//! The file that a command is about: what kind it is, and a pass over it.

use std::path::Path;

use encoding_rs::Encoding;
use indicatif::{ProgressBar, ProgressStyle};
use kalmind_recording::{
    kind::FileKind,
    xdf::check::{CheckReport, check},
};

use crate::failure::{OrFail as _, Outcome};

pub(super) fn kind(path: &Path) -> Outcome<FileKind> {
    FileKind::of(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display())).or_work()
}

/// Whether a file is EDF or BDF.
pub(super) fn is_edf(path: &Path) -> Outcome<bool> {
    Ok(matches!(kind(path)?, FileKind::Edf | FileKind::Bdf))
}

/// Refuses what is no XDF file, with what it is and what can be done with it.
///
/// # Errors
/// It is another kind of file.
pub(in crate::commands) fn require_xdf(path: &Path, command: &str) -> anyhow::Result<()> {
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
pub(super) fn checked(path: &Path, encoding: Option<&'static Encoding>) -> Outcome<CheckReport> {
    let bar = bytes_bar();
    let report = check(path, encoding, follow(&bar));
    bar.finish_and_clear();
    report.map_err(|error| anyhow::anyhow!("{}: {error}", path.display())).or_work()
}

/// A bar of bytes on stderr; invisible where stderr is no terminal.
pub(super) fn bytes_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {bytes} of {total_bytes}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

pub(super) fn follow(bar: &ProgressBar) -> impl FnMut(u64, u64) + '_ {
    let mut told = 0;
    move |read, length| {
        // chunks are small: not every one is news
        if read - told > 1 << 22 {
            told = read;
            bar.set_length(length);
            bar.set_position(read);
        }
    }
}
