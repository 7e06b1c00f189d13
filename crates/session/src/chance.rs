//! Whether decoding is better than chance: a permutation test over whole trials that may be looked at again and again while
//! calibration goes on.
//!
//! What is tested is the features, by a linear read-out of the direction to the target: each trial is decoded by a fit to
//! the other trials, and the statistic is how well decoded and true directions agree. The null hypothesis is that features
//! do not depend on where targets are; its distribution comes from rearranging the targets among the trials, in the ways in
//! which the task could have ordered them. Only directions count: the speed of a label is locked to the trial and can be
//! decoded from a clock.

mod order;
mod readout;
mod trials;

use kalmind_filter::TrainingData;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use order::TargetOrder;
use readout::Readout;
use trials::Trials;

/// Probability, over a whole calibration and all its looks, that features without any direction pass.
pub const CHANCE_LEVEL: f64 = 0.005;
/// Scored trials at the first look.
const FIRST_LOOK: usize = 12;
/// Trials at a look over those at the look before.
const GROWTH: f64 = 1.25;
/// Rearrangements drawn at least.
const DRAWS: usize = 999;

/// How often a test is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Once,
    Repeatedly,
}

/// The test, across the looks of one calibration. Slow side.
///
/// [`look`](Self::look) may be called after every refit with all rows gathered so far; it looks only when enough trials have
/// come since the look before, and gives the newest result otherwise. Once passed, a test stays passed: the level holds for
/// all looks together.
#[derive(Clone, Debug)]
pub struct ChanceTest {
    schedule: Looks,
    seed: u64,
    looks: usize,
    next_look: usize,
    result: Option<ChanceResult>,
}

/// What the newest look gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChanceResult {
    /// Trials that were scored.
    pub trials: usize,
    /// Looks so far, this one included.
    pub looks: usize,
    /// Mean cosine of the angle between decoded and true direction over trials, each decoded by a fit to the others: 1 is
    /// perfect, about 0 is chance. None where nothing could be tested.
    pub mean_cosine: Option<f64>,
    /// The part of the rearranged orders that decode at least as well, the true one included. None where nothing could be tested.
    pub p_value: Option<f64>,
    /// What `p_value` must not exceed at this look, so that `level` holds over all looks together.
    pub p_limit: f64,
    /// Probability over all looks that features without any direction pass.
    pub level: f64,
    /// Whether this look or one before found decoding better than chance.
    pub better_than_chance: bool,
    /// Why nothing could be tested; none where something was.
    pub untestable: Option<Untestable>,
}

/// Why there is no answer (yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Untestable {
    /// No row has a target.
    #[error(
        "no row has a target, so there is no direction to decode: give --task, or calibrate with a task that shows targets"
    )]
    NoTargets,
    /// Too few trials can be scored.
    #[error("{trials} trials can be scored, too few to tell from chance: it takes at least {needed}")]
    TooFewTrials {
        /// Trials that can be scored.
        trials: usize,
        /// How many it takes.
        needed: usize,
    },
    /// The targets could hardly have come in another order.
    #[error(
        "the targets could have come in {orders} orders only, too few to tell decoding from chance: use more targets, or a random order"
    )]
    TooFewOrders {
        /// How many.
        orders: u64,
    },
}

impl ChanceTest {
    /// A test that is looked at once: of a recording or a table.
    #[must_use]
    pub fn once(seed: u64) -> Self {
        Self::new(Looks::Once, seed)
    }

    /// A test that is looked at again and again while trials come.
    #[must_use]
    pub fn repeatedly(seed: u64) -> Self {
        Self::new(Looks::Repeatedly, seed)
    }

    fn new(schedule: Looks, seed: u64) -> Self {
        Self { schedule, seed, looks: 0, next_look: FIRST_LOOK, result: None }
    }

    /// Looks at all rows so far. Rows with a true `assisted` are never scored: there the cursor was helped, so the label
    /// follows the features.
    pub fn look(&mut self, data: &TrainingData, assisted: Option<&[bool]>) -> ChanceResult {
        let trials = match Trials::of(data, assisted) {
            Ok(trials) => trials,
            Err(reason) => return self.untestable(0, reason),
        };
        let scored = trials.scored();
        if scored < self.next_look {
            return match &self.result {
                Some(result) => result.clone(),
                None => {
                    self.untestable(scored, Untestable::TooFewTrials { trials: scored, needed: FIRST_LOOK })
                }
            };
        }
        let limit = self.limit(self.looks + 1);
        let order = TargetOrder::of(&trials);
        let orders = order.count();
        if (orders as f64) < 2.0 / limit {
            return self.untestable(scored, Untestable::TooFewOrders { orders });
        }
        self.looks += 1;
        self.next_look = (scored as f64 * GROWTH).ceil() as usize;
        let readout = Readout::of(&trials);
        let mean_cosine = readout.mean_cosine(&order.directions());
        let p_value = self.p_value(&readout, order, limit);
        let before = self.result.as_ref().is_some_and(|result| result.better_than_chance);
        let result = ChanceResult {
            trials: scored,
            looks: self.looks,
            mean_cosine: Some(mean_cosine),
            p_value: Some(p_value),
            p_limit: limit,
            level: CHANCE_LEVEL,
            better_than_chance: before || p_value <= limit,
            untestable: None,
        };
        self.result = Some(result.clone());
        result
    }

    /// The newest result, if there was a look.
    #[must_use]
    pub fn result(&self) -> Option<&ChanceResult> {
        self.result.as_ref()
    }

    /// What is spent of the level at a look.
    fn limit(&self, look: usize) -> f64 {
        match self.schedule {
            Looks::Once => CHANCE_LEVEL,
            Looks::Repeatedly => CHANCE_LEVEL / (look * (look + 1)) as f64,
        }
    }

    fn p_value(&self, readout: &Readout, mut order: TargetOrder, limit: f64) -> f64 {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(self.looks as u64);
        let observed = readout.statistic(&order.directions());
        let draws = DRAWS.max((2.0 / limit).ceil() as usize);
        let mut hub = order.clone();
        hub.rearrange(&mut generator);
        let (mut drawn, mut as_good) = (0, 0);
        while drawn < draws {
            order.clone_from(&hub);
            order.rearrange(&mut generator);
            drawn += 1;
            as_good += usize::from(readout.statistic(&order.directions()) >= observed);
            if drawn >= DRAWS && (1 + as_good) as f64 > limit * (1 + draws) as f64 {
                break;
            }
        }
        (1 + as_good) as f64 / (1 + drawn) as f64
    }

    fn untestable(&self, trials: usize, reason: Untestable) -> ChanceResult {
        match &self.result {
            Some(result) => result.clone(),
            None => ChanceResult {
                trials,
                looks: self.looks,
                mean_cosine: None,
                p_value: None,
                p_limit: self.limit(self.looks + 1),
                level: CHANCE_LEVEL,
                better_than_chance: false,
                untestable: Some(reason),
            },
        }
    }
}
