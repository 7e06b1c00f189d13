//! The recording's file: made where nothing stands yet, on a disk with room for it.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

/// Why a recording cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is such a file already.
    #[error("{} exists already; a recording never replaces a file: name another one, or move that one away", .0.display())]
    Exists(PathBuf),
    /// The file cannot be made.
    #[error("the recording {} cannot be made: {source}", .path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Too little room.
    #[error(
        "the disk of {} has room for {} of recording at {:.1} MB/s, and [record] free_hours asks for {hours} h: make room, record elsewhere, or ask for less",
        .path.display(), duration(*.free, *.bytes_per_second), .bytes_per_second / 1e6
    )]
    Room {
        /// The file.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// What the streams bring.
        bytes_per_second: f64,
        /// What is asked for.
        hours: f64,
    },
}

fn duration(free: u64, bytes_per_second: f64) -> String {
    let minutes = free as f64 / bytes_per_second / 60.0;
    if minutes < 120.0 { format!("{minutes:.0} minutes") } else { format!("{:.1} hours", minutes / 60.0) }
}

/// Makes the file and its folder.
///
/// # Errors
/// [`FileError`]; nothing is left behind.
pub(super) fn create(path: &Path, bytes_per_second: f64, hours: f64) -> Result<File, FileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists(path.to_owned()),
        _ => FileError::Create { path: path.to_owned(), source },
    };
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(failed)?;
    if let Some(free) = free_bytes(folder)
        && (free as f64) < bytes_per_second * hours * 3600.0
    {
        return Err(FileError::Room { path: path.to_owned(), free, bytes_per_second, hours });
    }
    // a file that may not grow any more is an error of the write; without this it would end the process
    let ignored = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(libc::SIGXFSZ, ignored).map_err(failed)?;
    open_new(path).map_err(failed)
}

/// A new file, which may be read as well: what is left of it after others had their hands on it is counted.
pub(super) fn open_new(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).open(path)
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Bytes that this user may still write to the disk of `path`, if the system says.
#[must_use]
pub fn free_bytes(path: &Path) -> Option<u64> {
    let statistics = rustix::fs::statvfs(path).ok()?;
    Some(statistics.f_bavail * statistics.f_frsize)
}

/// The name of a run's recording: instance, participant, date and time in UTC.
#[must_use]
pub fn file_name(instance: &str, participant: &str, unix: f64) -> String {
    let date = kalmind_recording::date(unix).replace(':', "-");
    let date = date.trim_end_matches("+0000");
    if participant.is_empty() {
        format!("{instance}_{date}.xdf")
    } else {
        format!("{instance}_{participant}_{date}.xdf")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(file_name("Kalmind", "P1", 0.0), "Kalmind_P1_1970-01-01T00-00-00.xdf");
        assert_eq!(file_name("Kalmind", "", 0.0), "Kalmind_1970-01-01T00-00-00.xdf");
    }

    #[test]
    fn a_file_that_exists_is_never_replaced_and_a_full_disk_is_told_beforehand() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/a.xdf");
        assert!(create(&path, 1e6, 0.0).is_ok());
        let error = create(&path, 1e6, 0.0).expect_err("it exists");
        assert!(matches!(error, FileError::Exists(_)), "{error}");
        let other = folder.path().join("b.xdf");
        let error = create(&other, 1e12, 1000.0).expect_err("no disk is so large");
        assert!(error.to_string().contains("minutes of recording"), "{error}");
        assert!(!other.exists());
    }
}
