//! What stretches of rest fixed, beside a participant's saved models: a file for each, named after when it was learnt.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use kalmind_offline::features::ReferenceDocument;
use kalmind_recording::NewFileError;

use super::{participant_files, saved::moment};

/// How such files end.
const ENDING: &str = ".reference.json";

/// Writes what was learnt at this moment, in Unix seconds, into a participant's folder; gives the file.
///
/// # Errors
/// [`NewFileError`]; then there is no such file.
pub fn save(folder: &Path, document: &ReferenceDocument, unix: f64) -> Result<PathBuf, NewFileError> {
    let name = format!("{}{ENDING}", moment(unix));
    participant_files::write(folder, &name, document)?;
    Ok(folder.join(name))
}

/// The files in a participant's folder, newest first by their names.
///
/// # Errors
/// Where the folder is there and cannot be read.
pub fn newest_first(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if name.ends_with(ENDING) && name.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().rev().map(|name| folder.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::read_reference;

    #[test]
    fn what_was_learnt_comes_back_newest_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("P1");
        assert!(newest_first(&folder).expect("none yet").is_empty());
        let document = |made: &str| ReferenceDocument {
            format: 1,
            name: "rest".to_owned(),
            made: Some(made.to_owned()),
            recording: "session.xdf".to_owned(),
            seconds: [1.5, 61.5],
            streams: Vec::new(),
            warnings: vec!["channel 3 is dead".to_owned()],
        };
        // `date -u -d @1709208000`
        let older = save(&folder, &document("older"), 1_709_208_000.0).expect("written");
        let newer = save(&folder, &document("newer"), 1_709_208_000.25).expect("written");
        assert_eq!(newer.file_name().expect("a name"), "2024-02-29T12-00-00.250.reference.json");
        fs::write(folder.join("rest.reference.json"), "none of ours").expect("written");
        assert_eq!(newest_first(&folder).expect("a folder"), [newer.clone(), older]);
        assert_eq!(read_reference(&newer).expect("a document"), document("newer"));
    }
}
