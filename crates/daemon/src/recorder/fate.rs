//! What became of a recording's file: whether it still stands where it was begun, whole and readable.

use std::{
    fs::File,
    io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

/// What became of a recording's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has no name any more: deleted, or another file was put in its place. What was in it is lost.
    Deleted,
    /// It has another name or place, and is whole.
    Moved(Option<PathBuf>),
    /// Another program cut it.
    Shortened {
        /// What is left of it.
        bytes: u64,
    },
}

impl Fate {
    /// In one word, for programs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Moved(_) => "moved",
            Self::Shortened { .. } => "cut",
        }
    }

    /// What happened to the file at `path`, as a sentence without its end.
    pub(super) fn sentence(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Deleted => format!(
                "the recording {path} was deleted or replaced while it was being written; its contents are lost"
            ),
            Self::Moved(Some(to)) => format!(
                "the recording {path} was moved to {} while it was being written; it is complete up to then",
                to.display()
            ),
            Self::Moved(None) => {
                format!(
                    "the recording {path} was moved while it was being written; it is complete up to then"
                )
            }
            Self::Shortened { bytes } => format!(
                "another program cut the recording {path} to {bytes} bytes while it was being written; the rest is lost"
            ),
        }
    }
}

/// What became of `file`, begun at `path`, of which `written` bytes are known to have been written.
///
/// # Errors
/// A sentence where the system does not let anyone look, or others could not read the file.
pub(super) fn fate(file: &File, path: &Path, written: u64) -> Result<Option<Fate>, String> {
    let said = |error: io::Error| {
        format!("cannot see whether the recording {} is still there: {error}", path.display())
    };
    let open = file.metadata().map_err(said)?;
    if open.len() < written {
        return Ok(Some(Fate::Shortened { bytes: open.len() }));
    }
    let gone = || {
        if open.nlink() == 0 {
            return Fate::Deleted;
        }
        let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Fate::Moved(link.ok().filter(|to| to != path && to.exists()))
    };
    match std::fs::metadata(path) {
        Ok(named) if (named.dev(), named.ino()) == (open.dev(), open.ino()) => {
            let mode = open.permissions().mode();
            if mode & 0o600 == 0o600 {
                return Ok(None);
            }
            Err(format!(
                "the permissions of the recording {path} were removed (mode {:03o}); recording continues, but nobody can \
                 read the file: `chmod u+rw {path}`",
                mode & 0o777,
                path = path.display()
            ))
        }
        Ok(_) => Ok(Some(gone())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Some(gone()))
        }
        Err(error) => Err(said(error)),
    }
}
