//! Decoders compared: every fit, its run over the test rows, and the figures with their intervals.

use kalmind_filter::{
    DecoderSpec, FitReport,
    accuracy::{self, Accuracy},
    bootstrap::{self, Bootstrap, Interval, ScoredRun},
    scores::{self, Figures, RowScore},
    sensitivity,
};
use nalgebra::DMatrix;

use crate::{
    evaluation::{
        channels::{
            ChannelFacts, Errors, Influence, Perturbation, PerturbedChannel, mean_influences, mean_perturbed,
        },
        decode::Decoded,
        split::Splits,
    },
    model::IdentifiedModel,
};

/// Part of the resamples that an interval holds.
pub const LEVEL: f64 = 0.95;

/// Everything that an evaluation found.
#[derive(Debug)]
pub struct Comparison {
    /// Which rows.
    pub splits: Splits,
    /// States of each split's test rows.
    pub truth: Vec<DMatrix<f64>>,
    /// Names of the intent's components.
    pub components: Vec<String>,
    /// Milliseconds from row to row.
    pub bin_ms: f64,
    /// What was assumed of the files and left out.
    pub remarks: Vec<String>,
    /// Names of the channels.
    pub channel_names: Vec<String>,
    /// Of each split.
    pub channel_facts: Vec<ChannelFacts>,
    /// Offsets asked for.
    pub perturbations: Vec<Perturbation>,
    /// Limit on features, in standard deviations.
    pub saturate: Option<f64>,
    /// Seeds asked for.
    pub seeds: Vec<u64>,
    /// The decoders, in the order given.
    pub decoders: Vec<Compared>,
}

/// One decoder.
#[derive(Debug)]
pub struct Compared {
    /// What it is.
    pub spec: DecoderSpec,
    /// One run a split and seed; one a split where no seed changes the fit.
    pub runs: Vec<Run>,
}

/// One fit at work on the test rows of one split.
#[derive(Debug)]
pub struct Run {
    /// Index of the split.
    pub split: usize,
    /// Seed of the fit.
    pub seed: u64,
    /// The model.
    pub model: IdentifiedModel,
    /// What the fit said; what a model file says of it.
    pub report: Option<FitReport>,
    /// Seconds that the fit took.
    pub fit_seconds: Option<f64>,
    /// What it gave.
    pub decoded: Decoded,
    /// Every row judged.
    pub rows: Vec<RowScore>,
    /// All rows judged.
    pub accuracy: Accuracy,
    /// Of what each bin says alone, where the decoder knows it.
    pub unfiltered: Option<Errors>,
    /// For each perturbation.
    pub perturbed: Vec<Vec<PerturbedChannel>>,
    /// For each channel, where asked for.
    pub influences: Option<Vec<Influence>>,
}

/// How far figures spread between folds, or between seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Sample standard deviations, in the order of [`Figures::values`].
    pub deviations: Figures,
}

impl Compared {
    /// The mean of a figure over the runs.
    pub fn mean(&self, of: impl Fn(&Run) -> f64) -> f64 {
        self.runs.iter().map(of).sum::<f64>() / self.runs.len() as f64
    }

    /// The mean of a figure over the runs that have it.
    pub fn mean_of_some(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.runs.iter().filter_map(of).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// All figures, means over the runs.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let figures: Vec<Figures> = self.runs.iter().map(Run::figures).collect();
        Figures::mean(&figures)
    }

    /// The figures of each fold, means over the seeds.
    #[must_use]
    pub fn folds(&self) -> Vec<Figures> {
        self.grouped(|run| run.split as u64).into_iter().map(|(_, figures)| figures).collect()
    }

    /// The figures of each seed, means over the folds.
    #[must_use]
    pub fn seeds(&self) -> Vec<(u64, Figures)> {
        self.grouped(|run| run.seed)
    }

    fn grouped(&self, key: impl Fn(&Run) -> u64) -> Vec<(u64, Figures)> {
        let mut groups: Vec<(u64, Vec<Figures>)> = Vec::new();
        for run in &self.runs {
            let key = key(run);
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, figures)) => figures.push(run.figures()),
                None => groups.push((key, vec![run.figures()])),
            }
        }
        groups.into_iter().map(|(key, figures)| (key, Figures::mean(&figures))).collect()
    }

    /// Perturbation `index`, channel by channel, means over the runs.
    #[must_use]
    pub fn perturbed(&self, index: usize) -> Vec<PerturbedChannel> {
        let runs: Vec<&[PerturbedChannel]> =
            self.runs.iter().filter_map(|run| run.perturbed.get(index)).map(Vec::as_slice).collect();
        mean_perturbed(&runs)
    }

    /// What each channel means, means over the runs; empty where it was not asked for.
    #[must_use]
    pub fn influences(&self) -> Vec<Influence> {
        let runs: Vec<&[Influence]> = self.runs.iter().filter_map(|run| run.influences.as_deref()).collect();
        mean_influences(&runs)
    }

    /// Of what each bin says alone, means over the runs.
    #[must_use]
    pub fn unfiltered(&self) -> Option<Errors> {
        let errors: Option<Vec<Errors>> = self.runs.iter().map(|run| run.unfiltered).collect();
        errors.map(|errors| Errors::mean(&errors))
    }

    /// The runs of the first seed, in the order of the splits.
    pub fn shown(&self) -> impl Iterator<Item = &Run> {
        let seed = self.runs.first().map(|run| run.seed);
        self.runs.iter().filter(move |run| Some(run.seed) == seed)
    }
}

impl Run {
    fn figures(&self) -> Figures {
        let Accuracy { nrmse, maae, nees, coverage, log_score, .. } = self.accuracy;
        Figures { nrmse, maae, nees, coverage, log_score }
    }
}

impl Spread {
    /// Of at least two sets of figures.
    #[must_use]
    pub fn of(figures: &[Figures]) -> Option<Self> {
        if figures.len() < 2 {
            return None;
        }
        let mean = Figures::mean(figures).values();
        let mut squares = [0.0; 7];
        for figures in figures {
            for ((square, value), mean) in squares.iter_mut().zip(figures.values()).zip(mean) {
                *square += (value - mean).powi(2);
            }
        }
        let deviations = squares.map(|square| (square / (figures.len() - 1) as f64).sqrt());
        Some(Self { deviations: Figures::from_values(deviations) })
    }
}

impl Comparison {
    /// Rows left out of the angles because the truth is zero.
    #[must_use]
    pub fn rows_left_out(&self) -> usize {
        self.decoders.first().map_or(0, |decoder| decoder.shown().map(|run| run.accuracy.rows_left_out).sum())
    }

    /// The channels of highest signal-to-noise ratio, means over the splits.
    #[must_use]
    pub fn top_channels(&self) -> Vec<usize> {
        let mut ratios = vec![0.0; self.channel_names.len()];
        for facts in &self.channel_facts {
            for (ratio, of_split) in ratios.iter_mut().zip(&facts.signal_to_noise) {
                *ratio += of_split / self.channel_facts.len() as f64;
            }
        }
        sensitivity::top_channels(&ratios)
    }

    /// The median speed of a split's training states; infinite without training rows.
    #[must_use]
    pub fn least_speed(states: Option<&DMatrix<f64>>) -> f64 {
        states.map_or(f64::INFINITY, accuracy::median_speed)
    }
}

/// Figures of every decoder with their intervals.
#[derive(Clone, Debug)]
pub struct Intervals {
    /// How they came about.
    pub bootstrap: Bootstrap,
    /// One a decoder, in order.
    pub decoders: Vec<DecoderIntervals>,
}

/// Intervals of one decoder.
#[derive(Clone, Debug)]
pub struct DecoderIntervals {
    /// Of each figure, in the order of [`Figures::values`].
    pub figures: [Interval; 7],
    /// Of each figure's difference to the first decoder; `None` for that one.
    pub differences: Option<[Interval; 7]>,
}

impl Intervals {
    /// Resamples the rows of a comparison.
    #[must_use]
    pub fn of(comparison: &Comparison, resamples: u32, seed: u64) -> Self {
        let decoders: Vec<Vec<ScoredRun>> = comparison
            .decoders
            .iter()
            .map(|decoder| {
                let runs = decoder.runs.iter();
                runs.map(|run| ScoredRun { split: run.split, rows: run.rows.clone() }).collect()
            })
            .collect();
        let rows: Vec<usize> = comparison.truth.iter().map(DMatrix::nrows).collect();
        let block_rows = bootstrap::common_block_length(&decoders);
        let bootstrap = Bootstrap { resamples, block_rows, seed };
        let dimension = comparison.components.len();
        let resampled = bootstrap::resampled_figures(&decoders, &rows, dimension, &bootstrap);
        let intervals = |of: &dyn Fn(&[Figures]) -> [f64; 7]| {
            let values: Vec<[f64; 7]> = resampled.iter().map(|figures| of(figures)).collect();
            core::array::from_fn(|figure| {
                let figure: Vec<f64> = values.iter().map(|values| values[figure]).collect();
                bootstrap::percentile_interval(&figure, LEVEL)
            })
        };
        let decoders = (0..decoders.len())
            .map(|index| DecoderIntervals {
                figures: intervals(&|figures| figures[index].values()),
                differences: (index > 0).then(|| {
                    intervals(&|figures| {
                        let (own, first) = (figures[index].values(), figures[0].values());
                        core::array::from_fn(|figure| own[figure] - first[figure])
                    })
                }),
            })
            .collect();
        Self { bootstrap, decoders }
    }
}

/// Every row of a run judged.
#[must_use]
pub fn judge(truth: &DMatrix<f64>, decoded: &Decoded, least_speed: f64) -> (Vec<RowScore>, Accuracy) {
    (scores::row_scores(truth, &decoded.intents), Accuracy::of(truth, &decoded.intents, least_speed))
}
