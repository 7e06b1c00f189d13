//! Many simulated sessions on several threads, one a thread.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use kalmind_fitting::FitPool;

use super::{
    figures::SessionFigures,
    run::{SimulationSettings, simulate},
};
use crate::host::Host;

/// A session to simulate.
#[derive(Clone, Copy, Debug)]
pub struct SimulationJob<'a> {
    /// Its settings.
    pub settings: &'a SimulationSettings,
    /// Its seed.
    pub seed: u64,
}

/// Simulates sessions on so many threads, each with its fits on one further thread while it waits for them; figures come in
/// the order of the jobs. `ended` is called after each, by any thread.
///
/// # Errors
/// The first that cannot be simulated.
pub fn simulate_all(
    jobs: &[SimulationJob<'_>],
    threads: usize,
    host: &dyn Host,
    ended: &(dyn Fn(&SessionFigures) + Sync),
) -> anyhow::Result<Vec<SessionFigures>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(jobs.len()));
    let clock = host.clock();
    let work = || -> anyhow::Result<()> {
        let fits = FitPool::new(1, || {})?;
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(place) else { return Ok(()) };
            let figures = simulate(job.settings, job.seed, &fits, clock, &mut ())
                .map_err(|error| error.context(format!("seed {}", job.seed)))?;
            ended(&figures);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((place, figures));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_panic| Err(anyhow::anyhow!("a simulated session panicked")))
        })
    })?;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(place, _)| *place);
    Ok(results.into_iter().map(|(_, figures)| figures).collect())
}
