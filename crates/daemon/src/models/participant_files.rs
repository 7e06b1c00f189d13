//! Small files in a participant's folder, each whole at every moment.

use std::{fs, io, path::Path};

use kalmind_recording::{Existing, NewFileError, write_new_file};
use serde::{Serialize, de::DeserializeOwned};

/// Writes a file into a participant's folder, in place of the one before. It is whole at every moment.
///
/// # Errors
/// [`NewFileError`]; then the one before is still there.
pub(super) fn write<T: Serialize>(folder: &Path, file: &str, content: &T) -> Result<(), NewFileError> {
    let io = |source| NewFileError::Io { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(io)?;
    let text = serde_json::to_string(content).map_err(|error| io(error.into()))?;
    write_new_file(&folder.join(file), Existing::Replace, text.as_bytes())
}

/// What is in a file of a participant's folder; none where there is none.
///
/// # Errors
/// A sentence: it cannot be read, or has more than `largest` bytes.
pub(super) fn read<T: DeserializeOwned>(
    folder: &Path,
    file: &str,
    largest: u64,
) -> Result<Option<T>, String> {
    let path = folder.join(file);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(data) if !data.is_file() || data.len() > largest => {
            return Err(format!("{file} is no file of a size that it can have"));
        }
        _ => {}
    }
    let text = fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
    serde_json::from_str(&text).map(Some).map_err(|error| format!("{file}: {error}"))
}
