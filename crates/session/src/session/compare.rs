//! Two to four decoders against each other: fitted to the same rows, in blocks of random, counterbalanced order, without anybody
//! knowing which one moves the cursor until the end.

use rand::{RngExt as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{
    preset::{BlockPlan, ComparePlan},
    score::ScoreStatus,
};
use crate::quantile;

/// Draws of the bootstrap.
const DRAWS: usize = 2000;

/// The comparison as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparisonStatus {
    /// Whether nobody is told yet which is which.
    pub hidden: bool,
    /// What is compared: bits per second where a wrong target can be selected, else targets acquired a minute.
    pub measure: &'static str,
    /// The decoders, in an order that says nothing.
    pub decoders: Vec<ComparedStatus>,
    /// Each against the first, paired by round; empty until the end.
    pub differences: Vec<DifferenceStatus>,
}

/// One of the decoders.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedStatus {
    /// `A`, `B`, ...
    pub label: char,
    /// Its decoder with options, once it is told.
    pub decoder: Option<String>,
    /// What is measured, of each of its blocks that ran to the end; empty until it is told.
    pub figures: Vec<f64>,
}

/// What one decoder does better than another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DifferenceStatus {
    /// Labels: the second one's figure minus the first one's.
    pub between: [char; 2],
    /// Mean over the rounds.
    pub mean: f64,
    /// Ends of its interval of 95 %, by bootstrap over the rounds; none with fewer than three.
    pub interval: Option<[f64; 2]>,
    /// Rounds.
    pub rounds: usize,
}

/// A comparison that runs.
#[derive(Debug)]
pub(super) struct Comparison {
    plan: ComparePlan,
    seed: u64,
    /// The decoders' places in the plan, in the order of their labels.
    labels: Vec<usize>,
    /// The label's place of each block, in order.
    order: Vec<usize>,
    /// Of each decoder, by round; none of a round that was skipped.
    figures: Vec<Vec<Option<f64>>>,
    has_bit_rate: bool,
}

impl Comparison {
    /// Labels and order are drawn by the seed.
    pub(super) fn new(plan: ComparePlan, seed: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let count = plan.decoders.len();
        let mut labels: Vec<usize> = (0..count).collect();
        labels.shuffle(&mut generator);
        let mut order = Vec::with_capacity(count * plan.rounds);
        let mut round: Vec<usize> = (0..count).collect();
        for number in 0..plan.rounds {
            if number % 2 == 0 {
                round.shuffle(&mut generator);
            } else {
                round.reverse();
            }
            order.extend_from_slice(&round);
        }
        Self { figures: vec![vec![None; plan.rounds]; count], plan, seed, labels, order, has_bit_rate: false }
    }

    /// Its blocks, which say nothing of the decoder.
    pub(super) fn blocks(&self) -> impl Iterator<Item = BlockPlan> {
        (1..=self.order.len()).map(|number| BlockPlan {
            title: format!("{} ({number} of {})", self.plan.block.title, self.order.len()),
            ..self.plan.block.clone()
        })
    }

    /// How many blocks it has.
    pub(super) fn count(&self) -> usize {
        self.order.len()
    }

    /// Its decoders with options, in the order of their labels.
    pub(super) fn decoders(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().filter_map(|&place| self.plan.decoders.get(place)).map(String::as_str)
    }

    /// Which one moves the cursor in a block, by the place of its label.
    pub(super) fn decoder_of(&self, block: usize) -> Option<usize> {
        self.order.get(block).copied()
    }

    /// A block is over.
    pub(super) fn note(&mut self, block: usize, score: &ScoreStatus) {
        let a_minute = score.acquired as f64 * 60.0 / self.plan.block.seconds;
        let figure = score.bit_rate.unwrap_or(a_minute);
        self.has_bit_rate = score.bit_rate.is_some();
        let round = block / self.figures.len().max(1);
        let figures = self.decoder_of(block).and_then(|label| self.figures.get_mut(label));
        if let Some(place) = figures.and_then(|figures| figures.get_mut(round)) {
            *place = Some(figure);
        }
    }

    /// What there is to show; which is which only once it `is_over`.
    pub(super) fn status(&self, is_over: bool) -> ComparisonStatus {
        let label = |place: usize| char::from(b'A' + place as u8);
        let decoders = self.decoders().zip(&self.figures).enumerate();
        ComparisonStatus {
            hidden: !is_over,
            measure: if self.has_bit_rate { "bit_rate" } else { "targets_a_minute" },
            decoders: decoders
                .map(|(place, (decoder, figures))| ComparedStatus {
                    label: label(place),
                    decoder: is_over.then(|| decoder.to_owned()),
                    figures: figures.iter().filter(|_| is_over).filter_map(|figure| *figure).collect(),
                })
                .collect(),
            differences: (1..self.figures.len())
                .filter(|_| is_over)
                .filter_map(|place| self.difference(0, place, [label(0), label(place)]))
                .collect(),
        }
    }

    fn difference(&self, first: usize, second: usize, between: [char; 2]) -> Option<DifferenceStatus> {
        let (first, second) = (self.figures.get(first)?, self.figures.get(second)?);
        let pairs: Vec<f64> = first
            .iter()
            .zip(second)
            .filter_map(|(first, second)| first.zip(*second))
            .map(|(first, second)| second - first)
            .collect();
        let rounds = pairs.len();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        (rounds > 0).then(|| DifferenceStatus {
            between,
            mean: mean(&pairs),
            interval: (rounds >= 3).then(|| self.interval(&pairs)).flatten(),
            rounds,
        })
    }

    /// Percentiles of the mean over rounds drawn anew, with replacement (Efron and Tibshirani 1993, section 13.3).
    fn interval(&self, pairs: &[f64]) -> Option<[f64; 2]> {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        let means: Vec<f64> = (0..DRAWS)
            .map(|_| {
                let drawn = (0..pairs.len()).map(|_| pairs[generator.random_range(0..pairs.len())]);
                drawn.sum::<f64>() / pairs.len() as f64
            })
            .collect();
        Some([quantile(&means, 0.025)?, quantile(&means, 0.975)?])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kalmind_types::TaskBlock;

    use super::*;

    fn plan(decoders: &[&str], rounds: usize) -> ComparePlan {
        ComparePlan {
            decoders: decoders.iter().map(|name| (*name).to_owned()).collect(),
            rounds,
            block: BlockPlan {
                block: TaskBlock::Evaluation,
                title: "Grid".to_owned(),
                instruction: String::new(),
                task: Some("grid".to_owned()),
                options: BTreeMap::new(),
                seconds: 60.0,
                rest_s: 0.0,
                assistance: Vec::new(),
                gather: None,
                refit_every_s: None,
                fit_after: None,
                fit_decoder: None,
                until_good_enough: false,
            },
        }
    }

    fn score(bit_rate: f64) -> ScoreStatus {
        ScoreStatus {
            presented: 10,
            acquired: 8,
            incorrect: 1,
            time_to_target_s: Some(2.0),
            bit_rate: Some(bit_rate),
            ..ScoreStatus::default()
        }
    }

    #[test]
    fn each_decoder_comes_early_as_often_as_late() {
        for seed in 0..20 {
            for count in 2..=4 {
                let names = &["kalman", "dkf-nw", "wiener", "ole"][..count];
                let comparison = Comparison::new(plan(names, 6), seed);
                let mut places = vec![0; count];
                for (at, label) in comparison.order.iter().enumerate() {
                    places[*label] += at;
                }
                assert!(places.iter().all(|sum| *sum == places[0]), "{:?}", comparison.order);
            }
        }
    }

    #[test]
    fn which_is_which_is_told_at_the_end_with_differences_paired_by_round() {
        let mut comparison = Comparison::new(plan(&["kalman", "dkf-nw"], 4), 3);
        // the second in the plan is better by 0.5 in every round, and rounds differ more than that
        for block in 0..8 {
            let label = comparison.decoder_of(block).unwrap();
            let is_better = comparison.labels[label] == 1;
            let round = block / 2;
            comparison.note(block, &score(round as f64 + if is_better { 0.5 } else { 0.0 }));
        }
        let before = comparison.status(false);
        assert!(before.hidden && before.differences.is_empty());
        assert!(before.decoders.iter().all(|one| one.decoder.is_none() && one.figures.is_empty()));
        let told = comparison.status(true);
        let sign = if told.decoders[0].decoder.as_deref() == Some("kalman") { 1.0 } else { -1.0 };
        let difference = &told.differences[0];
        assert_eq!((difference.rounds, difference.between), (4, ['A', 'B']));
        assert!((difference.mean - 0.5 * sign).abs() < 1e-12);
        let [low, high] = difference.interval.unwrap();
        assert!((low - 0.5 * sign).abs() < 1e-12 && (high - 0.5 * sign).abs() < 1e-12);
    }

    #[test]
    fn the_interval_is_that_of_the_bootstrap() {
        // of (0, 1, 2, 3) the mean of four drawn with replacement has the deviation sqrt(1.25 / 4) = 0.559: the exact
        // percentiles of its 35 values are 0.5 and 2.5
        let mut comparison = Comparison::new(plan(&["kalman", "dkf-nw"], 4), 3);
        for block in 0..8 {
            let label = comparison.decoder_of(block).unwrap();
            comparison.note(block, &score(if label == 1 { (block / 2) as f64 } else { 0.0 }));
        }
        let difference = comparison.status(true).differences[0].clone();
        assert!((difference.mean - 1.5).abs() < 1e-12);
        let [low, high] = difference.interval.unwrap();
        assert!((low - 0.5).abs() <= 0.25 && (high - 2.5).abs() <= 0.25, "{low} {high}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(plan(&["kalman", "dkf-nw"], 4).check(), Ok(()));
        assert!(plan(&["kalman"], 4).check().unwrap_err().contains("two to four"));
        assert!(plan(&["kalman", "kalman"], 4).check().unwrap_err().contains("twice"));
        assert!(plan(&["kalman", "dkf-nw"], 0).check().unwrap_err().contains("rounds"));
        let mut helped = plan(&["kalman", "dkf-nw"], 4);
        helped.block.block = TaskBlock::ClosedLoop;
        assert!(helped.check().unwrap_err().contains("nothing is gathered"));
    }
}
