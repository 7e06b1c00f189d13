//! `kalmind recording`: what is in a recording, whether it is whole, mended, and in other formats.

pub mod arguments;
mod csv_files;
mod edf;
mod export;
mod information;
mod repairing;

use std::{io::Write as _, path::Path};

use encoding_rs::Encoding;
use indicatif::{ProgressBar, ProgressStyle};
use kalmind_offline::{
    report::{page_beside, write_session_page},
    tables::require_other_file,
};
use kalmind_recording::{
    Existing,
    kind::FileKind,
    xdf::{
        Problem,
        check::{CheckReport, check},
    },
};
use kalmind_types::Counted;
use serde_json::{Value, json};

use arguments::{RecordingArguments, RecordingCommand, RecordingFile};

use crate::{
    commands::{beginning, command::Command},
    failure::{OrFail as _, Outcome},
    terminal::Terminal,
};

impl Command for RecordingArguments {
    fn run(&self) -> Outcome<()> {
        beginning::offline()?;
        run(&self.command)
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 1 where the file cannot be read or written, or `check` finds something wrong.
fn run(command: &RecordingCommand) -> Outcome<()> {
    match command {
        RecordingCommand::Check(arguments) => run_check(arguments),
        RecordingCommand::Repair(arguments) => repairing::run(arguments),
        RecordingCommand::Info(arguments) => information::run(arguments),
        RecordingCommand::Report(arguments) => {
            require_xdf(&arguments.file, "recording report").or_work()?;
            let page = arguments.output.clone().unwrap_or_else(|| page_beside(&arguments.file));
            require_other_file("-o", &page, core::iter::once(&arguments.file)).or_usage()?;
            write_session_page(&arguments.file, &page, Existing::Replace, &Terminal).or_work()?;
            writeln!(std::io::stdout().lock(), "{}", page.display()).or_work()
        }
        RecordingCommand::Export(arguments) => export::run(arguments),
    }
}

/// Problems that people are shown.
const SHOWN: usize = 20;

fn run_check(arguments: &RecordingFile) -> Outcome<()> {
    require_xdf(&arguments.file, "recording check").or_work()?;
    let report = checked(&arguments.file, arguments.encoding)?;
    let neighbours = information::neighbours(&arguments.file, &report);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let problems = problems_json(&report.problems);
        let document = json!({
            "file": arguments.file,
            "valid": report.is_valid(),
            "can_be_mended": report.can_be_mended(),
            "other_files": neighbours,
            "problems": problems,
        });
        writeln!(out, "{document}").or_work()?;
    } else if report.is_valid() {
        let samples: u64 = report.streams.values().map(|stream| stream.samples).sum();
        writeln!(
            out,
            "intact: {}, {}, {}",
            Counted(report.streams.len() as u64, "stream"),
            Counted(samples, "sample"),
            Counted(report.length, "byte")
        )
        .or_work()?;
        for line in &neighbours {
            writeln!(out, "  {line}").or_work()?;
        }
        for line in problems_text(&report.problems) {
            writeln!(out, "  {line}").or_work()?;
        }
    }
    if report.is_valid() {
        return Ok(());
    }
    let file = arguments.file.display();
    let said = [neighbours, problems_text(&report.problems)].concat().join("\n");
    let way = if report.can_be_mended() {
        format!("`kalmind recording repair {file}` writes a repaired copy")
    } else {
        "the rest was read, and `kalmind recording repair` cannot improve it".to_owned()
    };
    Err(anyhow::anyhow!("{file} is damaged; {way}\n{said}")).or_work()
}

/// Problems as programs read them.
fn problems_json(problems: &[Problem]) -> Vec<Value> {
    let one = |problem: &Problem| json!({ "offset": problem.offset, "problem": problem.text, "damage": problem.is_damage() });
    problems.iter().map(one).collect()
}

/// Problems as people read them, one a line, the worst first where there are too many.
fn problems_text(problems: &[Problem]) -> Vec<String> {
    let mut shown: Vec<&Problem> = problems.iter().collect();
    if shown.len() > SHOWN {
        shown.sort_by_key(|problem| !problem.is_damage());
    }
    let mut said: Vec<String> = shown
        .iter()
        .take(SHOWN)
        .map(|problem| format!("byte {}: {}", problem.offset, problem.text))
        .collect();
    if problems.len() > SHOWN {
        said.push(format!("and {} more (--json prints all)", problems.len() - SHOWN));
    }
    said
}

/// A pass over an XDF file.
fn checked(path: &Path, encoding: Option<&'static Encoding>) -> Outcome<CheckReport> {
    let bar = bytes_bar();
    let report = check(path, encoding, follow(&bar));
    bar.finish_and_clear();
    report.map_err(|error| anyhow::anyhow!("{}: {error}", path.display())).or_work()
}

/// Refuses what is no XDF file, with what it is and what can be done with it.
///
/// # Errors
/// It is another kind of file.
pub(super) fn require_xdf(path: &Path, command: &str) -> anyhow::Result<()> {
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

fn kind(path: &Path) -> Outcome<FileKind> {
    FileKind::of(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display())).or_work()
}

/// Whether a file is EDF or BDF.
fn is_edf(path: &Path) -> Outcome<bool> {
    Ok(matches!(kind(path)?, FileKind::Edf | FileKind::Bdf))
}

/// A bar of bytes on stderr; invisible where stderr is no terminal.
fn bytes_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {bytes} of {total_bytes}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn follow(bar: &ProgressBar) -> impl FnMut(u64, u64) + '_ {
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
