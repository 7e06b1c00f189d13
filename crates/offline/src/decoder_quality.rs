//! What a fit says of its decoder: the test against chance by trials, and the report that goes into the model.

use kalmind_filter::{AgainstChance, ChanceFigures, DecoderSpec, TrainingData};
use kalmind_fitting::{FitProgress, Fitted, judge};
use kalmind_session::{ChanceResult, ChanceTest, Untestable};

/// Puts into a fit's report how good the decoder is on rows that it was not fitted to, and warns where it is no good: by
/// trials where the rows have targets, by states shifted in time where they have none. Trials with a row in which the decoder
/// moved the cursor (`decoder_moved`, one value a row) are not scored.
///
/// Cost: see [`judge`], and about a thousand linear read-outs of the trials for the test.
pub(crate) fn judge_fit(
    spec: &DecoderSpec,
    data: &TrainingData,
    decoder_moved: Option<&[bool]>,
    test: &mut ChanceTest,
    fitted: &mut Fitted,
    progress: &mut dyn FnMut(FitProgress),
) {
    progress(FitProgress::new("chance", 0.0));
    let trials = match &data.task {
        Some(_) => of_trials(&test.look(data, decoder_moved)),
        None => None,
    };
    judge(spec, data, trials, fitted);
}

/// The result of a test by trials; none where there are no targets.
fn of_trials(result: &ChanceResult) -> Option<AgainstChance> {
    match (result.untestable, result.mean_cosine, result.p_value) {
        (Some(Untestable::NoTargets), ..) => None,
        (None, Some(score), Some(p)) => {
            let test = format!(
                "cosine between decoded and true direction of {} trials, against rearranged targets",
                result.trials
            );
            let figures = ChanceFigures { test, score, p, p_limit: result.p_limit };
            Some(if result.better_than_chance {
                AgainstChance::Better(figures)
            } else {
                AgainstChance::NotBetter(figures)
            })
        }
        (reason, ..) => {
            let why = reason.map_or_else(|| "nothing was scored".to_owned(), |reason| reason.to_string());
            Some(AgainstChance::NotTested { why })
        }
    }
}
