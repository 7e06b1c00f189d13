//! A thread beside each data thread: measures the sender's clock and looks for a replacement, off the data path.
//!
//! LSL's first clock measurement blocks for 0.6 s and a search for 0.3 s; neither may hold up samples. The companion
//! opens a second inlet to the same outlet, never for data. It finds the outlet anew by its identifier, because LSL's
//! handles cannot move between threads.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use kalmind_types::{ClockOffset, Seconds};
use lsl::{StreamInfo, StreamInlet};

use crate::monitor::StreamMonitor;
use crate::offset::SharedOffset;
use crate::search::resolve::find_uid;

/// How often the companion looks up while nothing is ordered. LSL itself measures every 2 s.
const LOOK_UP: Duration = Duration::from_millis(500);
/// How long one clock measurement may block the companion, and so its end.
const MEASURE: f64 = 0.5;
/// How long a search may take. Outlets answer in a few milliseconds, but with LSL's own settings some of this machine are
/// asked only after half a second.
const SEARCH: f64 = 0.8;
/// An outlet that does not answer this many searches in a row is taken for dead.
const SILENT_SEARCHES: u32 = 2;

/// What the two threads of a stream tell each other without waiting.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The newest clock measurement of the outlet connected.
    pub(crate) offset: SharedOffset,
    /// Data thread: the stream is silent or refused, look whether another outlet stands in for it.
    pub(crate) search_wanted: AtomicBool,
    /// Data thread: the number of the outlet connected, or of the time since it is gone.
    followed: AtomicU64,
    /// Companion: there is an outlet that the data thread has not seen; search anew.
    replacement_seen: Finding,
    /// Companion: the outlet connected does not answer.
    unanswered: Finding,
    /// Companion: the outlet connected answered the newest search. Written before `replacement_seen`.
    answering: Finding,
}

impl Watch {
    /// Whether there is an outlet that the data thread has not seen. Told once.
    pub(crate) fn take_replacement(&self) -> bool {
        self.replacement_seen.0.swap(Finding::NONE, Ordering::AcqRel) == self.followed()
    }

    /// Whether the outlet connected does not answer.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.unanswered.is_so(self.followed())
    }

    /// Whether the outlet connected answered the newest search.
    pub(crate) fn is_answering(&self) -> bool {
        self.answering.is_so(self.followed())
    }

    /// Forgets what was found so far.
    pub(crate) fn forget_findings(&self) {
        for finding in [&self.replacement_seen, &self.unanswered] {
            finding.0.store(Finding::NONE, Ordering::Relaxed);
        }
    }

    /// What a search found of the outlet of this number.
    pub(crate) fn found(&self, number: u64, answering: bool, unanswered: bool, replaced: bool) {
        self.answering.note(number, answering);
        self.unanswered.note(number, unanswered);
        if replaced {
            self.replacement_seen.note(number, true);
        }
    }

    fn followed(&self) -> u64 {
        self.followed.load(Ordering::Relaxed)
    }
}

/// Something that was found of an outlet: its number, where it is so. A search that was under way when the data thread went
/// on to another outlet says nothing of that one.
#[derive(Debug)]
struct Finding(AtomicU64);

impl Finding {
    /// The number of no outlet.
    const NONE: u64 = u64::MAX;

    fn note(&self, number: u64, is_so: bool) {
        self.0.store(if is_so { number } else { Self::NONE }, Ordering::Release);
    }

    fn is_so(&self, number: u64) -> bool {
        self.0.load(Ordering::Acquire) == number
    }
}

impl Default for Finding {
    fn default() -> Self {
        Self(AtomicU64::new(Self::NONE))
    }
}

/// What the data thread orders.
enum Order {
    /// Another outlet is connected.
    Follow {
        /// Its number among those that were connected.
        number: u64,
        /// Its identifier.
        uid: String,
        /// Its host, which owns the clock.
        hostname: String,
        /// Outlets that the data thread has seen and not chosen.
        passed_over: Vec<String>,
    },
    /// None is connected.
    Forget,
}

/// The data thread's handle. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Companion {
    orders: Option<Sender<Order>>,
    watch: Arc<Watch>,
    thread: Option<JoinHandle<()>>,
}

impl Companion {
    /// Starts the thread; `predicate` is what the stream is searched by.
    pub(crate) fn spawn(name: &str, predicate: String, monitor: Arc<StreamMonitor>) -> std::io::Result<Self> {
        let (orders, ordered) = unbounded();
        let watch = Arc::new(Watch::default());
        let shared = Arc::clone(&watch);
        let thread = std::thread::Builder::new()
            .name(format!("clock {name}"))
            .spawn(move || Follower::new(predicate, shared, monitor).run(&ordered))?;
        Ok(Self { orders: Some(orders), watch, thread: Some(thread) })
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Measures the clock of this outlet from now on.
    pub(crate) fn follow(&self, info: &StreamInfo, passed_over: Vec<String>) {
        let (number, hostname) = (self.quiet(), info.hostname());
        self.watch.offset.turn_to(&hostname);
        self.order(Order::Follow { number, uid: info.uid(), hostname, passed_over });
    }

    /// The outlet is gone.
    pub(crate) fn forget(&self) {
        let _nobody = self.quiet();
        self.order(Order::Forget);
    }

    /// From now on nothing is known; gives the number of what is followed from now on.
    fn quiet(&self) -> u64 {
        self.watch.search_wanted.store(false, Ordering::Relaxed);
        let number = self.watch.followed.fetch_add(1, Ordering::Relaxed) + 1;
        self.watch.forget_findings();
        number
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders
            && orders.send(order).is_err()
        {
            tracing::error!("the clock thread of a stream has ended");
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the clock thread of a stream panicked");
        }
    }
}

/// The outlet that is followed.
struct Followed {
    /// Never opened for data; `None` until it was found.
    inlet: Option<StreamInlet>,
    number: u64,
    uid: String,
    hostname: String,
    passed_over: Vec<String>,
    silent_searches: u32,
}

/// The thread's own state.
struct Follower {
    predicate: String,
    watch: Arc<Watch>,
    monitor: Arc<StreamMonitor>,
    followed: Option<Followed>,
    /// The machine whose clock was measured last.
    hostname: Option<String>,
}

impl Follower {
    fn new(predicate: String, watch: Arc<Watch>, monitor: Arc<StreamMonitor>) -> Self {
        Self { predicate, watch, monitor, followed: None, hostname: None }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(LOOK_UP) {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.measure();
            if self.watch.search_wanted.load(Ordering::Relaxed) {
                self.search();
            }
        }
    }

    fn obey(&mut self, order: Order) {
        self.followed = None;
        let Order::Follow { number, uid, hostname, passed_over } = order else { return };
        if self.hostname.as_ref() != Some(&hostname) {
            self.monitor.set_clock(None);
            self.hostname = Some(hostname.clone());
        }
        // tried again with every look-up until it is found
        self.followed =
            Some(Followed { inlet: None, number, uid, hostname, passed_over, silent_searches: 0 });
    }

    fn measure(&mut self) {
        let Some(followed) = &mut self.followed else { return };
        if followed.inlet.is_none() {
            // no recovery: LSL would follow a stranger of the same name
            followed.inlet =
                find_uid(&followed.uid, SEARCH).and_then(|info| StreamInlet::new(&info, 1, 0, false).ok());
        }
        let Some(inlet) = &followed.inlet else { return };
        // a timeout or a lost outlet keeps what was measured before; LSL goes on probing in the background
        if let Ok((offset, _, round_trip)) = inlet.time_correction_ex(MEASURE) {
            let measured =
                ClockOffset { offset: Seconds(offset), uncertainty: Seconds((round_trip / 2.0).max(0.0)) };
            if self.watch.offset.set(&followed.hostname, measured) {
                self.monitor.set_clock(Some(measured));
            }
        }
    }

    fn search(&mut self) {
        let Some(followed) = &mut self.followed else { return };
        // one more than is known: ends early only when there is something new
        let known = followed.passed_over.len() + 1;
        let Ok(found) =
            lsl::resolve_bypred(&self.predicate, i32::try_from(known + 1).unwrap_or(i32::MAX), SEARCH)
        else {
            return;
        };
        let answers = found.iter().any(|info| info.uid() == followed.uid);
        let stranger = found
            .iter()
            .any(|info| info.uid() != followed.uid && !followed.passed_over.contains(&info.uid()));
        followed.silent_searches = if answers { 0 } else { followed.silent_searches + 1 };
        let unanswered = followed.silent_searches >= SILENT_SEARCHES;
        self.watch.found(followed.number, answers, unanswered, stranger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_was_under_way_says_nothing_of_the_outlet_that_is_connected_since() {
        let (orders, _ordered) = unbounded();
        let companion = Companion { orders: Some(orders), watch: Arc::default(), thread: None };
        let watch = companion.watch();
        let before = companion.quiet();
        let now = companion.quiet();
        // the outlet connected is the replacement that was found
        watch.found(before, true, true, true);
        assert_eq!(
            (watch.is_answering(), watch.is_unanswered(), watch.take_replacement()),
            (false, false, false)
        );
        watch.found(now, true, true, true);
        assert_eq!(
            (watch.is_answering(), watch.is_unanswered(), watch.take_replacement()),
            (true, true, true)
        );
        assert!(!watch.take_replacement(), "told once");
    }
}
