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
pub use trials::Untestable;

/// Probability, over a whole calibration and all its looks, that features without any direction pass.
pub const CHANCE_LEVEL: f64 = 0.005;
/// Scored trials at the first look.
const FIRST_LOOK: usize = 12;
/// Trials at a look over those at the look before.
const GROWTH: f64 = 1.25;
/// Orders drawn that decode as well as the true one, after which no more are drawn where the limit cannot be met.
const ENOUGH_AS_GOOD: usize = 20;
/// How many times as many orders there have to be, and are drawn, as the limit needs.
const MORE_ORDERS: f64 = 2.0;
/// The part of random orders that is taken for a predictable one.
const PREDICTABLE: f64 = 0.005;

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
            Err(reason) => return self.unknown(0, reason),
        };
        let scored = trials.scored();
        if scored < self.next_look {
            return self.unknown(scored, Untestable::TooFewTrials { trials: scored, needed: FIRST_LOOK });
        }
        let limit = self.limit(self.looks + 1);
        let order = TargetOrder::of(&trials);
        let (orders, needed) = (order.count(), (MORE_ORDERS / limit).ceil() as u64);
        if orders < needed {
            return self.unknown(scored, Untestable::TooFewOrders { orders, needed });
        }
        self.looks += 1;
        self.next_look = (scored as f64 * GROWTH).ceil() as usize;
        let mut readout = Readout::of(&trials.features);
        let mean_cosine = readout.mean_cosine(order.directions());
        let draws = self.draw(&mut readout, &order, limit);
        let passed = !draws.predictable && draws.p_value <= limit;
        let before = self.result.as_ref().is_some_and(|result| result.better_than_chance);
        let result = ChanceResult {
            trials: scored,
            looks: self.looks,
            mean_cosine: Some(mean_cosine),
            p_value: Some(draws.p_value),
            p_limit: limit,
            level: CHANCE_LEVEL,
            better_than_chance: before || passed,
            untestable: draws.predictable.then_some(Untestable::PredictableOrder),
        };
        self.result = Some(result.clone());
        result
    }

    /// How many scored trials the next look takes: before there are as many trials, a look gives the newest result.
    #[must_use]
    pub fn next_look(&self) -> usize {
        self.next_look
    }

    /// Looks so far.
    #[must_use]
    pub fn looks(&self) -> usize {
        self.looks
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

    /// Draws other orders, independent of each other and all reached from one place as the true one is, which makes the
    /// p-value exact however far they move (the parallel method of Besag and Clifford 1989). Stops early once the limit
    /// cannot be met and the p-value is known well enough to be shown.
    fn draw(&self, readout: &mut Readout, order: &TargetOrder, limit: f64) -> Draws {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(self.looks as u64);
        let agreement = readout.agreement(order.directions());
        let alikeness = order.alikeness();
        let most = (MORE_ORDERS / limit).ceil() as usize;
        let mut hub = order.clone();
        hub.rearrange(&mut generator);
        let (mut drawn, mut as_good, mut more_alike, mut less_alike) = (0, 0, 0, 0);
        let share = |count: usize, drawn: usize| (1 + count) as f64 / (1 + drawn) as f64;
        while drawn < most && (as_good < ENOUGH_AS_GOOD || share(as_good, most) <= limit) {
            let mut other = hub.clone();
            other.rearrange(&mut generator);
            drawn += 1;
            as_good += usize::from(readout.agreement(other.directions()) >= agreement);
            more_alike += usize::from(other.alikeness() >= alikeness);
            less_alike += usize::from(other.alikeness() <= alikeness);
        }
        let predictable = share(more_alike.min(less_alike), drawn) <= PREDICTABLE / 2.0;
        Draws { p_value: share(as_good, drawn), predictable }
    }

    /// The newest result, or that there is none for this reason.
    fn unknown(&self, trials: usize, reason: Untestable) -> ChanceResult {
        self.result.clone().unwrap_or(ChanceResult {
            trials,
            looks: self.looks,
            mean_cosine: None,
            p_value: None,
            p_limit: self.limit(self.looks + 1),
            level: CHANCE_LEVEL,
            better_than_chance: false,
            untestable: Some(reason),
        })
    }
}

/// What the drawn orders say.
#[derive(Clone, Copy, Debug)]
struct Draws {
    p_value: f64,
    /// The true order is hardly one of those that chance would give.
    predictable: bool,
}
