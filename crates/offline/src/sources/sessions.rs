//! Rows of several sessions to fit one decoder to.

use std::path::{Path, PathBuf};

use crate::{
    host::Host,
    model::SAME_WIDTH,
    recorded::{Gathered, SessionDocument, gather},
    tables::{RecordedTablesError, TablesError},
};

/// The rows of several sessions, one after the other.
#[derive(Debug)]
pub struct GatheredSessions {
    /// The rows of all, with what the first session was.
    pub gathered: Gathered,
    /// The participant's code, where all have the same.
    pub participant: Option<String>,
    /// Rows for which there was no room.
    pub refused: u64,
}

/// Gathers the rows of recordings, as [`gather`] does of each. They have to be of one kind: the same features, bins, intent
/// and labels.
///
/// # Errors
/// [`TablesError`], with the file.
pub fn gather_sessions(
    recordings: &[PathBuf],
    blocks: Option<&str>,
    host: &dyn Host,
) -> Result<GatheredSessions, TablesError> {
    let one = |path: &Path| {
        gather(path, blocks, host)
            .map_err(|error| TablesError::of_recording(path, RecordedTablesError::from(error).with_way_out()))
    };
    let (first, others) = recordings.split_first().ok_or(TablesError::Nothing)?;
    let mut all = one(first)?;
    let mut named = vec![all.blocks.clone()];
    let code = |session: &SessionDocument| Some(session.participant.clone()).filter(|code| !code.is_empty());
    let mut participant = code(&all.session);
    for path in others {
        let next = one(path)?;
        if let Some(problem) = difference(&all.session, &next.session) {
            let (first, other) = (first.display().to_string(), path.display().to_string());
            return Err(TablesError::Apart { first, other, problem: problem.to_owned() });
        }
        if participant != code(&next.session) {
            participant = None;
        }
        if !named.contains(&next.blocks) {
            named.push(next.blocks);
        }
        all.calibration.append(next.calibration);
        all.rows.extend(next.rows);
        all.left_out += next.left_out;
    }
    all.blocks = named.join(", ");
    let refused = all.calibration.refused();
    Ok(GatheredSessions { gathered: all, participant, refused })
}

/// What keeps two sessions from being fitted together.
fn difference(first: &SessionDocument, other: &SessionDocument) -> Option<&'static str> {
    if first.engine.features != other.engine.features {
        return Some("its features come from other streams, or are binned in another way");
    }
    if (first.bin_ms - other.bin_ms).abs() > SAME_WIDTH * first.bin_ms {
        return Some("its bins have another width");
    }
    if first.components != other.components {
        return Some("its intent has other components, or other units");
    }
    (first.engine.label_law != other.engine.label_law).then_some("its labels were made by another law")
}
