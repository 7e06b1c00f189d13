//! The models that sessions of a participant left: a folder for each code, a file for each fit, named after when it was
//! made and what it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use kalmind_offline::model::{IdentifiedModel, load};
use kalmind_recording::{Existing, NewFileError, write_new_file};

use crate::configuration::Configuration;

/// How such files end.
const ENDING: &str = ".safetensors";
/// Characters of a name before the identity: date and time in UTC, to the millisecond (`2026-01-31T14-22-33.125`).
const MOMENT: usize = 23;
/// Hexadecimal digits of the identity in a name.
const DIGITS: usize = 16;

/// The saved models of one participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedModels {
    folder: PathBuf,
}

/// A saved model's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SavedFile {
    /// Its name.
    pub name: String,
    folder: PathBuf,
}

impl SavedModels {
    /// Those of the configuration's participant; none where it states no code.
    #[must_use]
    pub fn of(configuration: &Configuration) -> Option<Self> {
        let code = configuration.subject.code.as_ref()?;
        Some(Self { folder: configuration.models.folder.join(code) })
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Saves a model under this moment, in Unix seconds; gives the name of its file. The bytes are those that its identity
    /// is of.
    ///
    /// # Errors
    /// [`NewFileError`]; then there is no such file.
    pub fn save(&self, model: &IdentifiedModel, unix: f64) -> Result<String, NewFileError> {
        let io = |source| NewFileError::Io { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(io)?;
        let name = name_of(model, unix);
        write_new_file(&self.folder.join(&name), Existing::Refuse, &model.file)?;
        Ok(name)
    }

    /// Names of model files in the folder that are not named as saved ones are, in the order of the alphabet.
    ///
    /// # Errors
    /// Where the folder is there and cannot be read.
    pub fn named_by_hand(&self) -> io::Result<Vec<String>> {
        let mut names = self.names()?;
        names.retain(|name| name.ends_with(ENDING) && identity_in(name).is_none());
        names.sort();
        Ok(names)
    }

    /// All of them, newest first by their names. Files of other names are none of ours.
    ///
    /// # Errors
    /// Where the folder is there and cannot be read.
    pub fn newest_first(&self) -> io::Result<Vec<SavedFile>> {
        let names = self.names()?.into_iter().filter(|name| identity_in(name).is_some());
        let mut files: Vec<SavedFile> =
            names.map(|name| SavedFile { name, folder: self.folder.clone() }).collect();
        files.sort();
        files.reverse();
        Ok(files)
    }

    /// Names of what is in the folder.
    fn names(&self) -> io::Result<Vec<String>> {
        match fs::read_dir(&self.folder) {
            Ok(entries) => {
                entries.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default())).collect()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl SavedFile {
    /// The model, as it was when it was saved.
    ///
    /// # Errors
    /// A sentence: it cannot be read, or it is another one by now.
    pub fn load(&self) -> Result<IdentifiedModel, String> {
        let path = self.folder.join(&self.name);
        // a pipe of that name would keep the start waiting
        if !path.is_file() {
            return Err("it is no file".to_owned());
        }
        let model = load(&path).map_err(|error| error.source.to_string())?;
        let hash = model.id.to_hex();
        if identity_in(&self.name).is_some_and(|identity| hash.starts_with(identity)) {
            Ok(model)
        } else {
            Err(format!("it was changed since it was saved (its SHA-256 is {hash})"))
        }
    }
}

fn name_of(model: &IdentifiedModel, unix: f64) -> String {
    let hash = model.id.to_hex();
    let digits = hash.get(..DIGITS).unwrap_or_default();
    format!("{}_{digits}{ENDING}", moment(unix))
}

/// A moment as names of files have it.
pub(super) fn moment(unix: f64) -> String {
    let date = kalmind_recording::date(unix).replace(':', "-");
    let milliseconds = (unix.rem_euclid(1.0) * 1e3) as u32;
    format!("{}.{milliseconds:03}", date.trim_end_matches("+0000"))
}

/// The beginning of the identity that a name of ours holds.
fn identity_in(name: &str) -> Option<&str> {
    let (moment, identity) = name.strip_suffix(ENDING)?.split_once('_')?;
    let is_moment =
        moment.len() == MOMENT && moment.bytes().all(|byte| byte.is_ascii_digit() || b"-T.".contains(&byte));
    let is_identity = identity.len() == DIGITS && identity.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_moment && is_identity).then_some(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> IdentifiedModel {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/kalman.safetensors");
        load(path.as_ref()).expect("a model")
    }

    #[test]
    fn what_was_saved_comes_back_newest_first_byte_for_byte() {
        let folder = tempfile::tempdir().expect("a folder");
        let saved = SavedModels { folder: folder.path().join("models/P1") };
        assert_eq!(saved.newest_first().expect("no folder yet"), []);
        let model = model();
        // `date -u -d @1709208000`
        let names =
            [0.0, 0.25, 3600.0].map(|later| saved.save(&model, 1_709_208_000.0 + later).expect("saved"));
        let digits: String = model.id.to_hex().chars().take(16).collect();
        assert_eq!(names[1], format!("2024-02-29T12-00-00.250_{digits}.safetensors"));
        for other in
            [".safetensors", "model.safetensors", "_.safetensors", "2024-02-29T12-00-00.250_x.safetensors"]
        {
            fs::write(saved.folder.join(other), "none of ours").expect("written");
        }
        let found = saved.newest_first().expect("a folder");
        assert_eq!(
            found.iter().map(|file| &file.name).collect::<Vec<_>>(),
            [&names[2], &names[1], &names[0]]
        );
        let read = found[0].load().expect("a model");
        assert_eq!((read.id, &read.file), (model.id, &model.file));
    }

    #[test]
    fn a_file_that_is_not_what_was_saved_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let saved = SavedModels { folder: folder.path().to_owned() };
        let name = saved.save(&model(), 0.0).expect("saved");
        let file = saved.newest_first().expect("a folder").remove(0);
        let path = folder.path().join(name);
        let whole = fs::read(&path).expect("the file");
        fs::write(&path, &whole[..whole.len() - 8]).expect("written");
        assert!(file.load().expect_err("cut").contains("cut off"));
        // whole, and another one: a number of a tensor differs
        let mut other = whole;
        let last = other.len() - 8;
        other[last..].copy_from_slice(&0.75_f64.to_le_bytes());
        fs::write(&path, other).expect("written");
        let refused = file.load().expect_err("another one");
        assert!(refused.contains("changed since it was saved"), "{refused}");
        fs::remove_file(&path).and_then(|()| fs::create_dir_all(&path)).expect("a folder");
        assert_eq!(file.load().expect_err("a folder"), "it is no file");
    }
}
