//! A stretch of rest on its way to whoever learns from it.

use std::sync::{Arc, atomic::AtomicBool};

use crossbeam_channel::{Receiver, Sender};
use kalmind_fitting::FitPool;
use kalmind_session::ReferenceStatus;
use kalmind_types::{GenerationId, LslTime};

/// A stretch of rest to learn from.
#[derive(Debug)]
pub struct Stretch {
    /// When it was, on the LSL clock.
    pub times: [LslTime; 2],
    /// Threads for what takes long; they give way to everything else.
    pub pool: Arc<FitPool>,
    /// Whether nobody waits any more for what comes of it.
    pub nobody_waits: Arc<AtomicBool>,
    /// Which stages came into force since it began to be learnt from, and which were refused, and why.
    pub changes: Receiver<(GenerationId, Result<(), String>)>,
}

/// Learns from a stretch of rest, and has what it says put in force.
#[derive(Clone)]
pub struct Learner(pub Arc<Learn>);

/// What learns from a stretch: what there is to say of it, or why nothing was learnt, in words.
type Learn = dyn Fn(&Stretch) -> Result<ReferenceStatus, String> + Send + Sync;

impl core::fmt::Debug for Learner {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("Learner")
    }
}

/// The stretch that is being learnt from.
#[derive(Debug)]
pub(super) struct Learning {
    pub(super) number: u64,
    pub(super) nobody_waits: Arc<AtomicBool>,
    pub(super) changes: Sender<(GenerationId, Result<(), String>)>,
}
