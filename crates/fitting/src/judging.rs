//! How good a fit is: its figures on held-out rows, and the test against chance.

use kalmind_filter::{AgainstChance, DecoderSpec, TrainingData};

use crate::chance::against_shifted_states;
use crate::decoders;
use crate::quality::held_out_quality;
use crate::report::Fitted;

/// How good a fit is, put into its report with what speaks against it: run it once after [`fit`](crate::fit()), with the same
/// data. `trials` is the result of a test against chance that exchanges the targets of trials; without one the states are
/// shifted in time. A fit that kept the factor of an earlier one's covariance held nothing out: it keeps that one's figures, and
/// without `trials` its test.
///
/// Cost: without trials up to rows^2 * components.
pub fn judge(spec: &DecoderSpec, data: &TrainingData, trials: Option<AgainstChance>, fitted: &mut Fitted) {
    let held = fitted.held_out.take().filter(|held| !held.rows.is_empty());
    let Some(held) = held else {
        match &mut fitted.report.quality {
            Some(earlier) => {
                if let Some(trials) = trials {
                    earlier.chance = trials;
                }
                fitted.report.warnings.extend(earlier.warnings());
            }
            None => fitted.report.warnings.push(NOT_JUDGED.to_owned()),
        }
        return;
    };
    let truth = decoders::what_it_decodes(spec.decoder, data);
    let chance = trials.unwrap_or_else(|| against_shifted_states(&truth, &held));
    let quality = held_out_quality(&truth, &held, chance);
    fitted.report.warnings.extend(quality.warnings());
    fitted.report.quality = Some(quality);
}

const NOT_JUDGED: &str = "how good the decoder is could not be told from held-out rows";
