//! Mends an XDF file: a new one, in which every chunk stands as it was, byte for byte.
//!
//! Left out are a torn tail, bytes in which there is no chunk, and footers that are made anew; they go to a file beside it.
//! A chunk that cannot be explained stays: somebody else may understand it.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{
    check::{CheckReport, Mark, check, check_source},
    chunks::XdfError,
    encode,
    problem::Problem,
    recording::open,
    source::Source,
};
use crate::{Existing, NewFile, NewFileError};

/// Where the mended file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Beside the file, as `NAME.repaired.xdf`.
    Beside,
    /// To this file.
    File(&'a Path),
    /// To the place of the file, which is kept as `NAME.before-repair.xdf`.
    InPlace,
}

/// Bytes that were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The first.
    pub from: u64,
    /// Behind the last.
    pub to: u64,
    /// What they are.
    pub what: LeftOutKind,
}

/// Why bytes were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOutKind {
    /// The chunk that was being written when the file ended.
    Torn,
    /// There is no chunk in them.
    Damage,
    /// A footer that says something else than what is there; another one was made.
    Footer,
}

impl LeftOutKind {
    /// In words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Torn => "a chunk that was not written to its end",
            Self::Damage => "no chunk can be found in them",
            Self::Footer => "a footer that says something else than what is in the file",
        }
    }
}

/// What was done to mend a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// The mended file, where one was written.
    pub output: Option<PathBuf>,
    /// Where the file that was mended in place is kept.
    pub before: Option<PathBuf>,
    /// Where the bytes are that were left out.
    pub left_out_file: Option<PathBuf>,
    /// What was wrong with the packed file, of which the mended one holds what could be unpacked.
    pub packed: Option<String>,
    /// Bytes that were left out, by place.
    pub left_out: Vec<LeftOut>,
    /// Streams whose footer was made.
    pub footers: usize,
    /// What is still wrong with the mended file: what cannot be explained, and was left as it is.
    pub unexplained: Vec<Problem>,
}

impl RepairReport {
    /// Whether there was anything to do.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.footers > 0 || !self.left_out.is_empty()
    }

    /// Whether all that the recorder finished writing is in the mended file, and understood.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.unexplained.is_empty() && self.left_out.iter().all(|part| part.what != LeftOutKind::Damage)
    }
}

/// Why a file cannot be mended.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// It cannot be read.
    #[error(transparent)]
    Xdf(#[from] XdfError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] NewFileError),
    /// The file cannot be kept beside.
    #[error("the recording cannot be kept as {}: {source}", .path.display())]
    Keep {
        /// The name.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is packed.
    #[error(
        "a file that gzip packed cannot be repaired in place: leave --in-place out, or unpack it with `gunzip`"
    )]
    Packed,
    /// The mended copy would take the place of the file.
    #[error(
        "the repaired copy would overwrite the file itself: name another file, or use --in-place, which keeps the old one"
    )]
    Itself,
}

/// Mends a file. No file is ever overwritten, but for `force`, with which the output is.
///
/// # Errors
/// [`RepairError`]; then nothing has changed.
pub fn repair(
    path: &Path,
    target: Target<'_>,
    force: bool,
    progress: impl FnMut(u64, u64),
) -> Result<RepairReport, RepairError> {
    let (mut source, length) = open(path)?;
    if source.is_packed() && target == Target::InPlace {
        return Err(RepairError::Packed);
    }
    if let Target::File(output) = target
        && let (Ok(output), Ok(path)) = (output.canonicalize(), path.canonicalize())
        && output == path
    {
        return Err(RepairError::Itself);
    }
    let checked = check(path, None, progress)?;
    let plan = Plan::of(&checked);
    let mut report = plan.report();
    report.packed = source.problem().map(str::to_owned);
    if !report.is_changed() && !matches!(target, Target::File(_)) {
        report.unexplained = remaining(checked);
        return Ok(report);
    }
    let existing = if force { Existing::Replace } else { Existing::Refuse };
    let (output, existing) = match target {
        Target::Beside => (beside(path, "repaired", "xdf"), existing),
        Target::File(file) => (file.to_owned(), existing),
        Target::InPlace => (path.to_owned(), Existing::Replace),
    };
    let failed = |source| NewFileError::Io { path: output.clone(), source };
    let mut file = NewFile::begin(&output, existing)?;
    plan.write(&mut source, &mut file).map_err(failed)?;
    if !report.left_out.is_empty() {
        let aside = beside(&output, "left-out", "bin");
        let existing = if force { Existing::Replace } else { Existing::Refuse };
        let mut left_out = NewFile::begin(&aside, existing)?;
        write_left_out(&report.left_out, path, &mut source, &mut left_out)
            .map_err(|source| NewFileError::Io { path: aside.clone(), source })?;
        left_out.finish()?;
        report.left_out_file = Some(aside);
    }
    if target == Target::InPlace {
        let kept = beside(path, "before-repair", "xdf");
        // fails where there is such a file already
        fs::hard_link(path, &kept).map_err(|source| RepairError::Keep { path: kept.clone(), source })?;
        report.before = Some(kept);
    }
    if let Err(error) = file.finish() {
        if let Some(kept) = &report.before {
            // a second name of the file that stands as it was
            drop(fs::remove_file(kept));
        }
        return Err(error.into());
    }
    report.unexplained = remaining(check(&output, None, |_, _| {})?);
    report.output = Some(output);
    debug_assert_eq!(length, checked.length, "one file");
    Ok(report)
}

/// Mends `length` bytes in memory: what [`repair`] would write.
///
/// # Errors
/// As [`check_source`], and those of writing.
pub fn mend<R: Read + Seek>(
    mut source: R,
    length: u64,
    into: &mut impl Write,
) -> Result<RepairReport, XdfError> {
    let plan = Plan::of(&check_source(&mut source, length, None, |_, _| {})?);
    plan.write(&mut source, into).map_err(|source| XdfError::Io { offset: 0, source })?;
    Ok(plan.report())
}

/// What is still wrong.
fn remaining(report: CheckReport) -> Vec<Problem> {
    report.problems.into_iter().filter(Problem::is_damage).collect()
}

/// A name beside a file: `a.xdf` and `repaired` give `a.repaired.xdf`.
fn beside(path: &Path, what: &str, extension: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = [".xdf", ".xdfz", ".xdf.gz"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    path.with_file_name(format!("{stem}.{what}.{extension}"))
}

/// What goes into the mended file.
#[derive(Debug, Default)]
struct Plan {
    /// Parts that are copied, each with whether a boundary follows it.
    kept: Vec<(u64, u64, bool)>,
    left_out: Vec<LeftOut>,
    footers: Vec<u8>,
    footer_count: usize,
}

impl Plan {
    fn of(report: &CheckReport) -> Self {
        let mut plan = Self::default();
        let stale: Vec<u32> = report.stale_footers().collect();
        let mut begin = 0;
        for &(from, to, mark) in &report.marks {
            let what = match mark {
                Mark::Kept => {
                    // whoever reads a wrong number of samples finds the next chunk by the boundary behind it
                    plan.kept.push((begin, to, true));
                    begin = to;
                    continue;
                }
                Mark::Footer(id) if stale.contains(&id) => LeftOutKind::Footer,
                Mark::Footer(_) => continue,
                Mark::Damage => LeftOutKind::Damage,
                Mark::Torn => LeftOutKind::Torn,
            };
            plan.kept.push((begin, from, false));
            plan.left_out.push(LeftOut { from, to, what });
            begin = to;
        }
        plan.kept.push((begin, report.length, false));
        plan.kept.retain(|(from, to, _)| from < to);
        for (id, stream) in stale.iter().filter_map(|id| Some((*id, report.streams.get(id)?))) {
            encode::stream_footer(&mut plan.footers, id, &stream.footer_fields());
            plan.footer_count += 1;
        }
        plan
    }

    fn report(&self) -> RepairReport {
        RepairReport {
            left_out: self.left_out.clone(),
            footers: self.footer_count,
            ..RepairReport::default()
        }
    }

    fn write<R: Read + Seek>(&self, source: &mut R, into: &mut impl Write) -> io::Result<()> {
        let mut boundary = Vec::new();
        encode::boundary(&mut boundary);
        for &(from, to, bounded) in &self.kept {
            copy(source, from, to, into)?;
            if bounded {
                into.write_all(&boundary)?;
            }
        }
        into.write_all(&self.footers)
    }
}

fn copy<R: Read + Seek>(source: &mut R, from: u64, to: u64, into: &mut impl Write) -> io::Result<()> {
    source.seek(SeekFrom::Start(from))?;
    let copied = io::copy(&mut source.take(to - from), into)?;
    if copied == to - from { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// The bytes that were left out, each part with a line that says where it was.
fn write_left_out(
    parts: &[LeftOut],
    path: &Path,
    source: &mut Source,
    into: &mut impl Write,
) -> io::Result<()> {
    for LeftOut { from, to, what } in parts {
        writeln!(into, "bytes {from}..{to} of {}: {}", path.display(), what.describe())?;
        copy(source, *from, *to, into)?;
        writeln!(into)?;
    }
    Ok(())
}
