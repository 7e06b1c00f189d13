//! What a decoder says of rows that it was not fitted to, and how good that is.
//!
//! Every fit leaves this behind: the discriminative filters cross-fit f and Q anyhow, the others are fitted once more without
//! each fold for the factor on their covariance. Hyperparameters that a fit chooses, and the state model of a discriminative
//! filter, have seen all rows; the regression has not.

use nalgebra::DMatrix;

use super::Fitted;
use super::refit::what_it_decodes;
use crate::chance::against_shifted_states;
use crate::quality::held_out_quality;
use kalmind_filter::{AgainstChance, DecoderSpec, Folds, TrainingData};

/// What a decoder said of held-out rows.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// How they were held out.
    pub folds: Folds,
    /// The rows scored, ascending.
    pub rows: Vec<usize>,
    /// What was decoded at each, rows x d.
    pub means: DMatrix<f64>,
    /// Steps with features.
    pub steps: usize,
    /// Those in which the filter took another form, or no measurement.
    pub fallback_steps: usize,
}

/// How good a fit is, put into its report with what speaks against it: run it once after [`fit`](super::fit), with the same
/// data. `trials` is the result of a test against chance that exchanges the targets of trials; without one the states are
/// shifted in time.
///
/// Cost: without trials up to rows^2 * components.
pub fn judge(spec: &DecoderSpec, data: &TrainingData, trials: Option<AgainstChance>, fitted: &mut Fitted) {
    let Some(held) = fitted.held_out.take().filter(|held| !held.rows.is_empty()) else {
        fitted.report.warnings.push(NOT_JUDGED.to_owned());
        return;
    };
    let truth = what_it_decodes(spec, data);
    let chance = trials.unwrap_or_else(|| against_shifted_states(&truth, &held));
    let quality = held_out_quality(&truth, &held, chance);
    fitted.report.warnings.extend(quality.warnings());
    fitted.report.quality = Some(quality);
}

const NOT_JUDGED: &str = "how good the decoder is could not be told from held-out rows";
