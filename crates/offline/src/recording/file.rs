//! The file that a command is about: what kind it is, and a pass over it.

use std::path::Path;

use encoding_rs::Encoding;
use kalmind_recording::{
    kind::FileKind,
    xdf::check::{CheckReport, check},
};

use crate::host::Host;

pub(super) fn kind(path: &Path) -> anyhow::Result<FileKind> {
    FileKind::of(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// Refuses what is no XDF file, with what it is and what can be done with it.
///
/// # Errors
/// It is another kind of file.
pub fn require_xdf(path: &Path, command: &str) -> anyhow::Result<()> {
    // a file that cannot be read is told by whoever reads it
    let Ok(kind) = FileKind::of(path) else { return Ok(()) };
    let what = match kind {
        FileKind::Xdf { .. } => return Ok(()),
        // as reading it would say
        FileKind::Empty => "the file is empty".to_owned(),
        _ => {
            let takes = if command == "recording export" { "XDF, EDF and BDF files" } else { "XDF files" };
            format!("this is {}, and `kalmind {command}` takes {takes}; {}", kind.describe(), kind.ways())
        }
    };
    anyhow::bail!("{}: {what}", path.display())
}

/// A pass over an XDF file.
pub(super) fn checked(
    path: &Path,
    encoding: Option<&'static Encoding>,
    host: &dyn Host,
) -> anyhow::Result<CheckReport> {
    check(path, encoding, host.bytes()).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}
