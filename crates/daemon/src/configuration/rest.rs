//! `[reference]`: what a stretch of rest fixed of the stages.

use std::path::{Path, PathBuf};

use kalmind_offline::features::ReferenceDocument;

use super::{input::Stream, table::table};

table! {
    /// What a stretch of rest fixed of the stages, learnt by `kalmind reference`: thresholds of spikes, weights, quietest and
    /// dead channels, as one generation apart from any decoder.
    pub struct Reference {
        /// The file; a relative path starts at this file's folder. Its stages take the place of those of the streams, which have
        /// to be the same stages with other settings.
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
        stream.stages.clone_from(&of.stages.0);
    }
    Ok(())
}
