//! A click decoder fitted to rows of which it is known whether a click was meant: a linear discriminant, how long clicks last,
//! and the threshold at which too few presses are false.

mod discriminant;
mod settings;
mod threshold;

use kalmind_filter::{ClickParameters, ClickSettings, TrainingData};
use serde::{Deserialize, Serialize};

use self::{
    discriminant::discriminant,
    threshold::{CrossFitted, RELEASE_PART, choose},
};
pub use self::{settings::ClickFitSettings, threshold::HeldOutClicks};

/// Fewest acts, and fewest rows of each kind, to learn from.
const FEWEST_ACTS: usize = 4;
const FEWEST_ROWS: usize = 20;
/// Probabilities of a change a bin are kept within these.
const LEAST_CHANGE: f64 = 1e-4;
const GREATEST_CHANGE: f64 = 0.5;

/// A fitted click decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedClick {
    /// What the model file holds.
    pub parameters: ClickParameters,
    /// What the fit found.
    pub report: ClickReport,
}

/// What the fit of a click decoder found and chose; stored in the model's report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClickReport {
    /// Rows in which a click was meant, and in which none was.
    pub rows: [usize; 2],
    /// Acts.
    pub acts: usize,
    /// How far the covariance was moved toward a diagonal one, 0 to 1.
    pub shrinkage: f64,
    /// How presses came on rows that were held out, at the threshold chosen.
    pub held_out: HeldOutClicks,
    /// Things to know, each a sentence.
    pub warnings: Vec<String>,
}

/// Why there is no click decoder.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClickFitError {
    /// There is one label a row.
    #[error("{labels} labels of clicks for {rows} rows of features: give one a row")]
    RowsDiffer {
        /// Labels.
        labels: usize,
        /// Rows.
        rows: usize,
    },
    /// Too little to learn from.
    #[error("{found} {what}, but a click decoder needs at least {needed}: calibrate longer")]
    TooFew {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// A value is NaN or infinite.
    #[error("features: {value} in row {row}, column {column} (counted from 0)")]
    NotFinite {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// No feature moves.
    #[error("no feature moves within the rows with a click or within those without, so nothing can be told")]
    NothingMoves,
}

/// Fits a click decoder to the features of `data`, as the decoder will see them; `meant` says of each row whether a click was
/// meant in it, and is none where that is not known: such a row teaches nothing. States are not looked at.
///
/// The discriminant has one covariance, of the rows about the mean of their kind, moved toward its diagonal by as much as
/// Ledoit and Wolf (J. Multivariate Analysis 88, 2004) find best. How often clicks begin and end a bin follows from how long
/// they and the rest last. The threshold is the lowest at which presses on held-out fifths of the rows are false no more often
/// than the settings want, unless that costs too many of those that are meant. Cost: six times rows * n^2.
///
/// # Errors
/// [`ClickFitError`].
pub fn fit_click(
    data: &TrainingData,
    meant: &[Option<bool>],
    settings: &ClickFitSettings,
) -> Result<FittedClick, ClickFitError> {
    check(data, meant)?;
    let of = |kind: bool| (0..meant.len()).filter(|row| meant[*row] == Some(kind)).count();
    let rows = [of(true), of(false)];
    let acts = acts(data, meant);
    let too_few = |what, found: usize, needed: usize| ClickFitError::TooFew { what, found, needed };
    for (what, found, needed) in [
        ("acts of clicking", acts, FEWEST_ACTS),
        ("bins in which a click was meant", rows[0], FEWEST_ROWS),
        ("bins in which none was meant", rows[1], FEWEST_ROWS),
    ] {
        if found < needed {
            return Err(too_few(what, found, needed));
        }
    }
    let all: Vec<usize> = (0..meant.len()).collect();
    let fitted = discriminant(&data.features, meant, &all).ok_or(ClickFitError::NothingMoves)?;
    // clicks last their rows over their number on average, and the rest lasts its own
    let change = |rows: usize| (acts as f64 / rows as f64).clamp(LEAST_CHANGE, GREATEST_CHANGE);
    let chain = ClickSettings {
        begin: change(rows[1]),
        end: change(rows[0]),
        threshold: 0.5,
        release: 0.25,
        hold_ms: settings.hold_ms,
        refractory_ms: settings.refractory_ms,
    };
    let cross_fitted = CrossFitted::new(data, meant, chain, settings);
    let (threshold, held_out) = choose(&cross_fitted, settings);
    let mut warnings = Vec::new();
    if held_out.false_per_minute > settings.false_per_minute {
        warnings.push(format!(
            "on held-out rows {:.1} presses a minute are false, and {:.1} are wanted: calibrate clicks longer, or \
             select by dwelling",
            held_out.false_per_minute, settings.false_per_minute
        ));
    }
    if 2 * held_out.pressed < held_out.acts {
        warnings.push(format!(
            "on held-out rows only {} of {} clicks that were meant are presses: calibrate clicks longer, or select \
             by dwelling",
            held_out.pressed, held_out.acts
        ));
    }
    Ok(FittedClick {
        parameters: ClickParameters {
            weights: fitted.weights,
            intercept: fitted.intercept,
            settings: ClickSettings { threshold, release: RELEASE_PART * threshold, ..chain },
        },
        report: ClickReport { rows, acts, shrinkage: fitted.shrinkage, held_out, warnings },
    })
}

fn check(data: &TrainingData, meant: &[Option<bool>]) -> Result<(), ClickFitError> {
    let rows = data.rows();
    if meant.len() != rows {
        return Err(ClickFitError::RowsDiffer { labels: meant.len(), rows });
    }
    for row in 0..rows {
        for (column, value) in data.features.row(row).iter().enumerate() {
            if !value.is_finite() {
                return Err(ClickFitError::NotFinite { row, column, value: *value });
            }
        }
    }
    Ok(())
}

/// Runs of rows in which a click was meant; rows of which nothing is known neither end nor begin one.
fn acts(data: &TrainingData, meant: &[Option<bool>]) -> usize {
    let mut acts = 0;
    for segment in data.segments() {
        let mut before = false;
        for label in meant[segment].iter().flatten() {
            acts += usize::from(*label && !before);
            before = *label;
        }
    }
    acts
}
