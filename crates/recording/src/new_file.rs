//! How every file that Kalmind writes as a whole comes to stand: written under a name that nobody can guess in the folder of
//! its target, brought to the disk, and given the target's name at the end. A reader sees the old file or the new one,
//! never half of one; nothing that stands in the folder (a link, another program's file) is ever written through.

use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tempfile::{NamedTempFile, TempPath};

/// Bytes that are gathered before the system is asked to write them.
const BUFFER: usize = 1 << 18;

/// What happens to a file that stands at the target already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced, and the new one gets its permissions: the caller named the target as the place of a result.
    Replace,
    /// It stays, and the write is refused: nobody asked for it to go.
    Refuse,
}

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum NewFileError {
    /// A link stands there. What it points to is left alone, and so is the link.
    #[error("{} is a link: name the file that it points to, or remove the link", .0.display())]
    Link(PathBuf),
    /// A folder, a device or the like stands there.
    #[error("{} is {what}: name a file", .path.display())]
    NoFile {
        /// The target.
        path: PathBuf,
        /// What stands there.
        what: &'static str,
    },
    /// A file stands there, and it is not to be replaced.
    #[error("{} exists already: name another file, or move that one away", .0.display())]
    Exists(PathBuf),
    /// There is no folder for it.
    #[error("{} cannot be written: there is no folder {}; make it, or write elsewhere", .0.display(), folder_of(.0).display())]
    NoFolder(PathBuf),
    /// The system refuses.
    #[error("{} cannot be written: {source}", .path.display())]
    Io {
        /// The target.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A file that is being written; its target is untouched until [`NewFile::finish`]. Dropped before, it leaves nothing behind.
///
/// Writes are buffered. Use from one thread.
#[derive(Debug)]
pub struct NewFile {
    file: BufWriter<NamedTempFile<File>>,
    target: PathBuf,
    existing: Existing,
    _unfinished: Unfinished,
}

impl NewFile {
    /// Begins a file that will stand at `target`, in a folder that exists.
    ///
    /// # Errors
    /// [`NewFileError`]: what stands at the target is no file, or may not go; or the folder is not there or not writable.
    pub fn begin(target: &Path, existing: Existing) -> Result<Self, NewFileError> {
        let before = look_at(target, existing)?;
        let failed = |source| NewFileError::Io { path: target.to_owned(), source };
        // a new file as any program makes it (the user's mask applies); one that is replaced hands its permissions on
        let mode = before.map_or(0o666, |before| before.permissions().mode() & 0o777);
        let mut builder = tempfile::Builder::new();
        builder.prefix(".kalmind-").suffix(".part").permissions(Permissions::from_mode(mode));
        let file = builder.tempfile_in(folder_of(target)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => NewFileError::NoFolder(target.to_owned()),
            // without the name of the file in between, which says nothing to anybody
            kind => failed(io::Error::from(kind)),
        })?;
        let unfinished = Unfinished::note(file.path());
        if existing == Existing::Replace && mode != 0o666 {
            file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        }
        let file = BufWriter::with_capacity(BUFFER, file);
        Ok(Self { file, target: target.to_owned(), existing, _unfinished: unfinished })
    }

    /// Brings the file to the disk and gives it its name.
    ///
    /// # Errors
    /// As [`NewFile::begin`]; what came to stand at the target meanwhile counts as well. Then nothing has changed there.
    pub fn finish(self) -> Result<(), NewFileError> {
        let Self { file, target, existing, _unfinished } = self;
        let failed = |source| NewFileError::Io { path: target.clone(), source };
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        let path: TempPath = file.into_temp_path();
        match existing {
            Existing::Replace => {
                look_at(&target, existing)?;
                path.persist(&target).map_err(|error| failed(error.error))?;
            }
            Existing::Refuse => path.persist_noclobber(&target).map_err(|error| {
                if error.error.kind() == io::ErrorKind::AlreadyExists {
                    NewFileError::Exists(target.clone())
                } else {
                    failed(error.error)
                }
            })?,
        }
        sync_folder(&target).map_err(failed)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Refuses a target that cannot be written, before there is anything to write.
///
/// # Errors
/// As [`NewFile::begin`].
pub fn require_writable(target: &Path, existing: Existing) -> Result<(), NewFileError> {
    NewFile::begin(target, existing).map(drop)
}

/// Writes `bytes` as the file `target`: see [`NewFile`].
///
/// # Errors
/// [`NewFileError`]; then nothing has changed at the target.
pub fn write_new_file(target: &Path, existing: Existing, bytes: &[u8]) -> Result<(), NewFileError> {
    let mut file = NewFile::begin(target, existing)?;
    file.write_all(bytes).map_err(|source| NewFileError::Io { path: target.to_owned(), source })?;
    file.finish()
}

/// What stands at the target, if a new file may take its place. The answer may be old by the time that it does, so the
/// rename itself is what never writes through a link; this is for the sentence.
fn look_at(target: &Path, existing: Existing) -> Result<Option<Metadata>, NewFileError> {
    let path = || target.to_owned();
    if target.file_name().is_none() {
        return Err(NewFileError::NoFile { path: path(), what: "a folder" });
    }
    let found = match fs::symlink_metadata(target) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(NewFileError::Io { path: path(), source }),
    };
    let kind = found.file_type();
    if kind.is_symlink() {
        return Err(NewFileError::Link(path()));
    }
    if !kind.is_file() {
        let what = match kind {
            kind if kind.is_dir() => "a folder",
            kind if kind.is_fifo() => "a pipe",
            kind if kind.is_socket() => "a socket",
            _ => "a device",
        };
        return Err(NewFileError::NoFile { path: path(), what });
    }
    match existing {
        Existing::Replace => Ok(Some(found)),
        Existing::Refuse => Err(NewFileError::Exists(path())),
    }
}

/// The folder that a file stands in, or will.
#[must_use]
pub fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Brings the new name to the disk, where the file system knows how.
fn sync_folder(target: &Path) -> io::Result<()> {
    match File::open(folder_of(target))?.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

/// Files that are being written, so that a program that is told to end can take them away.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// An entry of [`UNFINISHED`].
#[derive(Debug)]
struct Unfinished(PathBuf);

impl Unfinished {
    fn note(path: &Path) -> Self {
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| *path != self.0);
    }
}

/// Removes what this process has begun and not finished. For the thread that ends the program on a signal: whatever is being
/// written then fails at its end, and its target stays as it was.
pub fn remove_unfinished() {
    for path in UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        // the program ends; there is nobody to tell
        let _removed = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(folder: &Path) -> Vec<String> {
        let entries =
            fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn links_that_lie_in_wait_are_never_written_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let precious = folder.path().join("precious");
        fs::write(&precious, "precious").expect("a file");
        let target = folder.path().join("model");
        for name in ["model.part", ".kalmind-model.part", "model.tmp", "model~"] {
            symlink(&precious, folder.path().join(name)).expect("a link");
        }
        write_new_file(&target, Existing::Replace, b"new").expect("written");
        assert_eq!(fs::read(&target).expect("a file"), b"new");
        fs::remove_file(&target).expect("removed");
        symlink(&precious, &target).expect("a link");
        for existing in [Existing::Replace, Existing::Refuse] {
            let error = write_new_file(&target, existing, b"new").expect_err("a link");
            assert!(matches!(error, NewFileError::Link(_)), "{error}");
        }
        assert_eq!(fs::read(&precious).expect("a file"), b"precious");
        // one that points nowhere is no better
        fs::remove_file(&precious).expect("removed");
        assert!(write_new_file(&target, Existing::Replace, b"new").is_err());
        assert!(!precious.exists());
    }

    #[test]
    fn a_link_that_appears_while_the_file_is_written_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (precious, target) = (folder.path().join("precious"), folder.path().join("model"));
        fs::write(&precious, "precious").expect("a file");
        for existing in [Existing::Replace, Existing::Refuse] {
            let mut file = NewFile::begin(&target, existing).expect("begun");
            file.write_all(b"new").expect("room");
            symlink(&precious, &target).expect("a link");
            assert!(file.finish().is_err());
            assert_eq!(fs::read(&precious).expect("a file"), b"precious");
            fs::remove_file(&target).expect("still the link");
        }
        assert_eq!(names(folder.path()), ["precious"], "nothing is left behind");
    }

    #[test]
    fn what_is_no_file_is_refused_in_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = write_new_file(folder.path(), Existing::Replace, b"").expect_err("a folder");
        assert!(error.to_string().ends_with("is a folder: name a file"), "{error}");
        let error = write_new_file(Path::new("/dev/null"), Existing::Replace, b"").expect_err("a device");
        assert!(error.to_string().ends_with("is a device: name a file"), "{error}");
        assert!(write_new_file(Path::new(".."), Existing::Replace, b"").is_err());
        assert!(write_new_file(&folder.path().join("no/such"), Existing::Replace, b"").is_err());
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn a_file_that_is_not_to_be_replaced_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("page.html");
        write_new_file(&target, Existing::Refuse, b"first").expect("written");
        let error = write_new_file(&target, Existing::Refuse, b"second").expect_err("it exists");
        assert!(matches!(error, NewFileError::Exists(_)), "{error}");
        assert_eq!(fs::read(&target).expect("a file"), b"first");
    }

    #[test]
    fn permissions_of_a_replaced_file_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("model");
        fs::write(&target, "old").expect("a file");
        fs::set_permissions(&target, Permissions::from_mode(0o640)).expect("set");
        write_new_file(&target, Existing::Replace, b"new").expect("written");
        assert_eq!(fs::metadata(&target).expect("a file").permissions().mode() & 0o777, 0o640);
        assert_eq!(names(folder.path()), ["model"]);
    }

    #[test]
    fn the_longest_name_that_a_file_system_takes_can_be_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("n".repeat(255));
        write_new_file(&target, Existing::Replace, b"new").expect("written");
        assert_eq!(fs::read(&target).expect("a file"), b"new");
    }

    #[test]
    fn what_was_begun_and_not_finished_can_be_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("model");
        let mut file = NewFile::begin(&target, Existing::Replace).expect("begun");
        file.write_all(b"half").expect("room");
        assert_eq!(names(folder.path()).len(), 1);
        let begun = file.file.get_ref().path().to_owned();
        assert!(UNFINISHED.lock().expect("the list").contains(&begun));
        fs::remove_file(&begun).expect("what `remove_unfinished` does to this one");
        assert!(file.finish().is_err());
        assert!(!UNFINISHED.lock().expect("the list").contains(&begun));
        assert_eq!(names(folder.path()), [""; 0]);
    }
}
