//! Fits beside a session: on threads of their own, fewer than the machine has cores.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Threads for fits. What is fitted on them is the same as anywhere else, to the last bit.
#[derive(Debug)]
pub struct FitPool {
    threads: ThreadPool,
}

impl FitPool {
    /// As many threads as leave one of `cores` free, but one at least. Each calls `begin` first, for what it has to ask of
    /// the system.
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub fn new(cores: usize, begin: impl Fn() + Send + Sync + 'static) -> Result<Self, ThreadPoolBuildError> {
        ThreadPoolBuilder::new()
            .num_threads(cores.saturating_sub(1).max(1))
            .thread_name(|number| format!("kalmind-fit-{number}"))
            .start_handler(move |_| begin())
            .build()
            .map(|threads| Self { threads })
    }

    /// Does `work` on the threads of the pool, and waits for it. Several callers share them.
    ///
    /// # Errors
    /// [`FitBroken`]; the threads go on.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, FitBroken> {
        catch_unwind(AssertUnwindSafe(|| self.threads.install(work)))
            .map_err(|ended| if ended.is::<Abandoned>() { FitBroken::Abandoned } else { FitBroken::Panicked })
    }
}

/// Why nothing came of a fit, for reasons of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitBroken {
    /// It panicked; what it said is in the log.
    #[error("an error inside Kalmind ended the fit; the log has more: report it, and calibrate again")]
    Panicked,
    /// Whoever heard of its progress [abandoned](abandon) it.
    #[error("nobody waited for the fit any more")]
    Abandoned,
}

struct Abandoned;

/// Ends the fit that calls it, for whoever hears of its progress and knows that nobody waits for it any more: the fit ends
/// between two steps, and [`FitPool::run`] gives [`FitBroken::Abandoned`].
pub fn abandon() -> ! {
    // unwinds as a panic does, and says nothing
    resume_unwind(Box::new(Abandoned))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[test]
    fn a_core_is_left_free_where_there_are_several() {
        for (cores, threads) in [(0, 1), (1, 1), (2, 1), (4, 3)] {
            let begun = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&begun);
            let begin = move || {
                counted.fetch_add(1, Ordering::Relaxed);
            };
            let pool = FitPool::new(cores, begin).unwrap();
            assert_eq!(pool.run(|| panic!("as asked for")), Err::<(), _>(FitBroken::Panicked));
            assert_eq!(pool.run(|| -> () { abandon() }), Err(FitBroken::Abandoned));
            assert_eq!(pool.run(rayon::current_num_threads), Ok(threads), "of {cores} cores");
            let named = pool.run(|| std::thread::current().name().map(str::to_owned)).unwrap();
            assert!(named.is_some_and(|name| name.starts_with("kalmind-fit-")));
            // whatever runs on one has begun
            pool.threads.broadcast(|_| {});
            assert_eq!(begun.load(Ordering::Relaxed), threads);
        }
    }
}
