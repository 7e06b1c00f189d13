//! How good a decoder is, by rows that it was not fitted to: what a model says of itself before it may control.
//!
//! The figures are computed where decoders are fitted.

use core::fmt;

use kalmind_types::{Cause, MAX_COMPONENTS};
use serde::{Deserialize, Serialize};

/// Part of the held-out steps above which a decoder that falls back is not what was asked for.
const MOST_FALLBACKS: f64 = 0.5;
/// Bytes of what a test against chance may say of itself.
const LONGEST_TEXT: usize = 1000;

/// How well a decoder did on rows that it was not fitted to, beside what knowing nothing achieves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitQuality {
    /// How rows were held out.
    pub held_out: Folds,
    /// Rows scored: those that may train the measurement model.
    pub rows: usize,
    /// Root of the squared error over the squared truth, pooled over the components.
    pub nrmse: f64,
    /// The same of a decoder that always says the mean of the scored rows, the best that one value can do.
    pub nrmse_of_mean: f64,
    /// Part of the variance about that mean that is explained: `1 - (nrmse / nrmse_of_mean)^2`, below 0 where the mean is
    /// closer.
    pub r2: f64,
    /// Correlation of each component; none where one side never moves.
    pub correlation: Vec<Option<f64>>,
    /// Mean angle between decoded and true vector in radians, rows with zero truth left out; none for one component.
    /// Directions that know nothing of each other differ by pi / 2 on average.
    pub maae: Option<f64>,
    /// Steps of the held-out run with features.
    pub steps: usize,
    /// Those in which the filter's own update did not apply, so that it took another form or none.
    pub fallback_steps: usize,
    /// What a test says of the decoder against chance.
    pub chance: AgainstChance,
    /// Whether the figures on held-out rows are those of an earlier fit of the same decoder, to fewer rows of the same
    /// calibration, which this one keeps hyperparameters of. The test against chance may be newer.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub of_earlier_fit: bool,
}

/// How rows are held out: contiguous in time, each fold decoded by what was learnt of the other rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folds {
    /// What a fold is made of.
    pub of: FoldsOf,
    /// How many.
    pub count: usize,
}

/// What folds are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoldsOf {
    /// Whole trials that follow each other.
    Trials,
    /// Rows that follow each other.
    Rows,
    /// The rows at the end.
    LastRows,
}

/// The result of a test against chance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum AgainstChance {
    /// Better than chance.
    Better(ChanceFigures),
    /// Not told from chance.
    NotBetter(ChanceFigures),
    /// Not tested.
    NotTested {
        /// Why not.
        why: String,
    },
}

/// What a test against chance found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChanceFigures {
    /// What was compared, in words.
    pub test: String,
    /// Its score: about 0 at chance, 1 at best.
    pub score: f64,
    /// How often what knows nothing scores at least as well.
    pub p: f64,
    /// Better than chance is what has a p of at most this.
    pub p_limit: f64,
}

impl FitQuality {
    /// What a fit report says of it; none where it says nothing that can be read, or more than anybody would show.
    #[must_use]
    pub fn of_report(report: &serde_json::Value) -> Option<Self> {
        Self::deserialize(report.get("quality")?).ok().filter(Self::can_be_shown)
    }

    /// Whether it is as short as every fit writes it: clients are sent it, whatever file it comes from.
    fn can_be_shown(&self) -> bool {
        let text = match &self.chance {
            AgainstChance::Better(figures) | AgainstChance::NotBetter(figures) => &figures.test,
            AgainstChance::NotTested { why } => why,
        };
        text.len() <= LONGEST_TEXT && self.correlation.len() <= MAX_COMPONENTS
    }

    /// Why control with this decoder needs a person's confirmation; none where it does not.
    #[must_use]
    pub fn doubt(&self) -> Option<Cause> {
        match self.chance {
            AgainstChance::NotBetter(_) => Some(Cause::DecoderAtChance),
            AgainstChance::NotTested { .. } => Some(Cause::DecoderNotTested),
            AgainstChance::Better(_) if self.is_no_better_than_the_mean() => {
                Some(Cause::DecoderNoBetterThanMean)
            }
            AgainstChance::Better(_) => self.mostly_falls_back().then_some(Cause::DecoderMostlyFallsBack),
        }
    }

    fn is_no_better_than_the_mean(&self) -> bool {
        // nor is an error that is no number
        self.r2.is_nan() || self.r2 <= 0.0
    }

    fn mostly_falls_back(&self) -> bool {
        self.fallback_steps as f64 > MOST_FALLBACKS * self.steps as f64
    }

    /// What speaks against the decoder, a sentence each: what is so, and what to do.
    ///
    /// The test against chance comes first.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let what_to_do = "check the streams, channels and labels, then calibrate again for longer";
        match &self.chance {
            AgainstChance::Better(_) => {}
            AgainstChance::NotBetter(figures) => {
                warnings.push(format!("the decoder is no better than chance ({figures}): {what_to_do}"));
            }
            AgainstChance::NotTested { why } => {
                warnings.push(format!(
                    "whether the decoder is better than chance was not tested: {why}; {what_to_do}"
                ));
            }
        }
        if self.mostly_falls_back() {
            warnings.push(format!(
                "in {} of {} held-out steps the decoder had to use its fallback update: the features carry too little \
                 information about the states; calibrate for longer, or use another decoder or `form`",
                self.fallback_steps, self.steps
            ));
        }
        if self.is_no_better_than_the_mean() {
            warnings.push(format!(
                "on held-out rows the error (nRMSE {:.3}) is no smaller than that of always predicting the mean ({:.3})",
                self.nrmse, self.nrmse_of_mean
            ));
        }
        warnings
    }
}

impl fmt::Display for FitQuality {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nrmse, nrmse_of_mean, r2, steps, fallback_steps, .. } = self;
        write!(
            formatter,
            "nRMSE {nrmse:.4} (predicting the mean: {nrmse_of_mean:.4}), R2 {r2:.3}, correlation"
        )?;
        for correlation in &self.correlation {
            match correlation {
                Some(correlation) => write!(formatter, " {correlation:.3}")?,
                None => formatter.write_str(" -")?,
            }
        }
        if let Some(angle) = self.maae {
            write!(formatter, ", angle {:.1} degrees (chance: 90)", angle.to_degrees())?;
        }
        if *fallback_steps > 0 {
            write!(formatter, ", {fallback_steps} of {steps} steps fell back")?;
        }
        if self.of_earlier_fit {
            formatter.write_str("; of an earlier fit")?;
        }
        write!(formatter, "; {}", self.held_out)
    }
}

impl fmt::Display for Folds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            FoldsOf::Trials => write!(formatter, "{} folds of trials", self.count),
            FoldsOf::Rows => write!(formatter, "{} folds of consecutive rows", self.count),
            FoldsOf::LastRows => formatter.write_str("the last rows"),
        }
    }
}

impl fmt::Display for AgainstChance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Better(figures) => write!(formatter, "better than chance ({figures})"),
            Self::NotBetter(figures) => write!(formatter, "no better than chance ({figures})"),
            Self::NotTested { why } => write!(formatter, "not tested: {why}"),
        }
    }
}

impl fmt::Display for ChanceFigures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { test, score, p, p_limit } = self;
        // as many digits as tell it from zero
        let digits = if *p_limit < 1e-3 { 6 } else { 4 };
        write!(formatter, "{test}: {score:.3}, p = {p:.digits$}, limit {p_limit:.digits$}")
    }
}
