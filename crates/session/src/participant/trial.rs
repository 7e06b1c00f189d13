//! What a mismatched participant does in a trial.

use kalmind_types::{LslTime, Seconds, Target};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Drawn anew for a trial: when it reacts, in how many seconds it means to cover the error, how often it lapses, from which
/// moment.
const REACTION_S: [f64; 2] = [0.15, 0.45];
const TIME_CONSTANTS_S: [f64; 2] = [0.25, 0.7];
const LAPSES: f64 = 0.02;
const LAPSE_WITHIN_S: [f64; 2] = [0.0, 1.5];

/// What a mismatched participant does in a trial, drawn by its seed and the stamp of the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) told: LslTime,
    pub(super) target: Option<Target>,
    /// When it begins to move.
    pub(super) reacts: LslTime,
    pub(super) time_constant: f64,
    /// When it stops meaning anything for a while, if it does.
    pub(super) lapse: Option<LslTime>,
}

impl Trial {
    pub(super) fn draw(seed: u64, told: LslTime, target: Option<Target>, slower: Seconds) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        // no bin has a stream of these
        generator.set_stream(told.0.to_bits() | 1 << 63);
        let mut uniform = |[low, high]: [f64; 2]| low + (high - low) * generator.random::<f64>();
        let reacts = told + Seconds(uniform(REACTION_S)) + slower;
        let time_constant = uniform(TIME_CONSTANTS_S);
        let lapses = uniform([0.0, 1.0]) < LAPSES;
        let lapse = told + Seconds(uniform(LAPSE_WITHIN_S));
        Self { told, target, reacts, time_constant, lapse: lapses.then_some(lapse) }
    }
}
