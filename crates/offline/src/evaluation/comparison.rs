//! Decoders compared: every fit, its run over the test rows, and the figures with their intervals.

use std::ops::Range;

use kalmind_filter::DecoderSpec;
use kalmind_fitting::{
    FitReport, accuracy,
    bootstrap::{self, Bootstrap, Interval, ScoredRun},
    chance_level::{Scores, level},
    scores::{self, Accuracy, Figures, RowScore},
    sensitivity,
    uncertainty::{self, ErrorByUncertainty},
};
use kalmind_types::CovarianceKind;
use nalgebra::DMatrix;

use crate::{
    evaluation::{
        chance::Chance,
        channels::{
            ChannelFacts, Errors, Influence, Perturbation, PerturbedChannel, mean_influences, mean_perturbed,
        },
        decode::Decoded,
        split::{Scheme, Splits},
    },
    model::IdentifiedModel,
    tables::Tables,
};

/// Part of the resamples that an interval holds.
pub const LEVEL: f64 = 0.95;

/// Everything that an evaluation found.
#[derive(Debug)]
pub struct Comparison {
    /// The recordings, by their files.
    pub recordings: Vec<Recording>,
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
    /// Whether any test row is known to be from a closed loop.
    pub closed_loop: bool,
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

/// A recording, or a pair of tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Its file.
    pub file: String,
    /// Its name without the folder; with it where two would be the same.
    pub name: String,
    /// Its first row among those of all.
    pub first_row: usize,
}

impl Recording {
    /// Those of tables.
    #[must_use]
    pub fn all(tables: &Tables) -> Vec<Self> {
        let stem =
            |at: usize| tables.parts[at].file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let places = 0..tables.parts.len();
        places
            .clone()
            .map(|at| {
                let twice = places.clone().any(|other| other != at && stem(other) == stem(at));
                let file = tables.file_name(at);
                let name = stem(at).filter(|_| !twice).unwrap_or_else(|| file.clone());
                Self { name, file, first_row: tables.parts[at].rows.start }
            })
            .collect()
    }
}

/// One decoder.
#[derive(Debug)]
pub struct Compared {
    /// What it is.
    pub spec: DecoderSpec,
    /// One run a split and seed; one a split where no seed changes the fit.
    pub runs: Vec<Run>,
}

impl Compared {
    fn chances(&self) -> impl Iterator<Item = &Chance> {
        self.runs.iter().filter_map(|run| run.chance.as_ref())
    }

    /// Figures as they are compared with chance, means over the runs; `None` where they were not asked for.
    #[must_use]
    pub fn scores(&self) -> Option<Scores> {
        let scores: Vec<Scores> = self.chances().map(|chance| chance.scores).collect();
        (!scores.is_empty()).then(|| Scores::mean(&scores))
    }

    /// R squared of each component, means over the runs.
    #[must_use]
    pub fn r_squared(&self) -> Vec<f64> {
        let runs: Vec<&Vec<f64>> = self.chances().map(|chance| &chance.r_squared).collect();
        let components = runs.first().map_or(0, |run| run.len());
        (0..components)
            .map(|component| runs.iter().map(|run| run[component]).sum::<f64>() / runs.len() as f64)
            .collect()
    }

    /// The chance level of the means over the runs: every shift is made in all runs at once, so that the spread is that of
    /// the means.
    #[must_use]
    pub fn chance_level(&self) -> Option<[Scores; 2]> {
        let runs: Vec<&[Scores]> = self.chances().map(|chance| chance.shifted.as_slice()).collect();
        let shifts = runs.iter().map(|run| run.len()).min().filter(|shifts| *shifts > 0)?;
        let means: Vec<Scores> = (0..shifts)
            .map(|shift| Scores::mean(&runs.iter().map(|run| run[shift]).collect::<Vec<_>>()))
            .collect();
        Some(level(&means))
    }

    /// Figures of the training mean as the only answer, means over the runs.
    #[must_use]
    pub fn constant(&self) -> Option<Scores> {
        let scores: Option<Vec<Scores>> = self.chances().map(|chance| chance.constant).collect();
        scores.filter(|scores| !scores.is_empty()).map(|scores| Scores::mean(&scores))
    }
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
    /// The same beside chance, where asked for.
    pub chance: Option<Chance>,
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

    /// Whether its covariance can say that it is unsure: whether that of any fit can.
    #[must_use]
    pub fn covariance(&self) -> CovarianceKind {
        let varies = |run: &Run| run.model.model.parameters.covariance() == CovarianceKind::Varying;
        if self.runs.iter().any(varies) { CovarianceKind::Varying } else { CovarianceKind::Constant }
    }

    /// How errors go with the published uncertainty, means over the runs that can tell; `None` for a constant covariance,
    /// which changes at starts alone.
    #[must_use]
    pub fn by_uncertainty(&self) -> Option<ErrorByUncertainty> {
        let mean = |of: fn(&ErrorByUncertainty) -> f64| {
            self.mean_of_some(|run| {
                let varies = run.model.model.parameters.covariance() == CovarianceKind::Varying;
                run.accuracy.by_uncertainty.as_ref().filter(|_| varies).map(of)
            })
        };
        Some(ErrorByUncertainty {
            decile_ratio: mean(|by| by.decile_ratio)?,
            rank_correlation: mean(|by| by.rank_correlation)?,
        })
    }

    /// Sentences on the ellipsoids whose coverage is far off, over the test rows of all splits.
    #[must_use]
    pub fn coverage_warnings(&self, dimension: usize) -> Vec<String> {
        let distances: Vec<f64> =
            self.shown().flat_map(|run| run.rows.iter().map(|row| row.squared_distance)).collect();
        uncertainty::coverage_warnings(&distances, dimension, "test rows")
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
    /// The figures that have intervals.
    #[must_use]
    pub fn figures(&self) -> Figures {
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
    /// The recording and the rows that a split tests, in words.
    #[must_use]
    pub fn described(&self, split: usize) -> String {
        let split = &self.splits.splits[split];
        let rows = self.own_rows(&split.test, split.recording);
        match self.recordings.as_slice() {
            [_alone] => format!("rows {}..{}", rows.start, rows.end),
            several => format!("{}, rows {}..{}", several[split.recording].file, rows.start, rows.end),
        }
    }

    /// Rows as they are counted in their recording.
    #[must_use]
    pub fn own_rows(&self, rows: &Range<usize>, recording: usize) -> Range<usize> {
        let first = self.recordings.get(recording).map_or(0, |recording| recording.first_row);
        rows.start - first..rows.end - first
    }

    /// Whether there is more to say of splits than which rows of one recording they are.
    #[must_use]
    pub fn across_recordings(&self) -> bool {
        self.recordings.len() > 1 || matches!(self.splits.scheme, Scheme::Files | Scheme::LeaveOneOut)
    }

    /// What figures are means of, where there are several splits.
    #[must_use]
    pub fn means_over(&self) -> String {
        let (splits, recordings) = (self.splits.splits.len(), self.recordings.len());
        match self.splits.scheme {
            Scheme::Folds { folds, .. } if recordings > 1 => {
                format!("{folds} folds of each of {recordings} recordings")
            }
            Scheme::Folds { .. } => format!("{splits} folds"),
            Scheme::Rows { .. } => format!("{splits} recordings"),
            Scheme::Files | Scheme::LeaveOneOut => {
                format!("{splits} recordings, each tested by a fit to others")
            }
        }
    }

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

    /// The speed above which a split's rows count as moving; infinite without training rows.
    #[must_use]
    pub fn least_speed(states: Option<&DMatrix<f64>>) -> f64 {
        states.map_or(f64::INFINITY, accuracy::least_speed)
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
