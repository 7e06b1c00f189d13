//! `[reference]`: what a stretch of rest fixed of the stages.

use std::path::{Path, PathBuf};

use kalmind_offline::features::{ReferenceDocument, unlearnt};

use super::{input::Stream, table::table};

table! {
    /// What a stretch of rest fixed of the stages, learnt by `kalmind reference`: thresholds of spikes, weights, quietest and
    /// dead channels, as one generation apart from any decoder.
    pub struct Reference {
        /// The file; a relative path starts at this file's folder. What it says of thresholds and references takes
        /// the place of what the streams' stages say; all else of these has to be as it was when that was learnt.
        file: Option<PathBuf> = None, or "settings under `stages` count as they stand";
    }
}

/// Reads what was learnt, and has it count for the streams.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(super) fn read_and_apply(file: &Path, streams: &mut [Stream]) -> Result<(), String> {
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    let learnt: ReferenceDocument = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if learnt.format != 1 {
        return Err(format!("it is of version {}, and this program reads version 1", learnt.format));
    }
    apply(&learnt, streams)
}

/// Puts what was learnt in the place of the streams' own stages.
fn apply(learnt: &ReferenceDocument, streams: &mut [Stream]) -> Result<(), String> {
    for of in &learnt.streams {
        let Some(stream) = streams.iter_mut().find(|stream| stream.key() == of.key) else {
            return Err(format!("it is of a stream \"{}\", which is not configured", of.key));
        };
        let names = |stages: &[kalmind_signal::StageSettings]| {
            stages.iter().map(kalmind_signal::StageSettings::name).collect::<Vec<_>>().join(", ")
        };
        let (configured, known) = (names(&stream.stages), names(&of.stages.0));
        if configured != known {
            return Err(format!(
                "stream \"{}\" has the stages {configured}, and it was learnt for {known}: learn it anew",
                of.key
            ));
        }
        let pairs = stream.stages.iter().zip(&of.stages.0).enumerate();
        for (place, (configured, known)) in pairs {
            if unlearnt(configured) != unlearnt(known) {
                return Err(format!(
                    "stage {} ({}) of stream \"{}\" has other settings than it was learnt for: learn it anew",
                    place + 1,
                    configured.name(),
                    of.key
                ));
            }
        }
        if stream.rate_hz.is_some_and(|rate_hz| (rate_hz - of.rate_hz).abs() > 1e-9 * rate_hz) {
            return Err(format!(
                "stream \"{}\" has another rate than the {} Hz that it was learnt for: learn it anew",
                of.key, of.rate_hz
            ));
        }
        stream.stages.clone_from(&of.stages.0);
    }
    Ok(())
}
