//! `kalmind recording`: what is in a recording, whether it is whole, mended, and in other formats.

mod edf;
mod export;
mod information;

use std::{io::Write as _, path::Path};

use indicatif::{ProgressBar, ProgressStyle};
use kalmind_recording::{
    Existing,
    xdf::repair::{CheckReport, check, repair},
};
use serde_json::json;

use crate::{
    cli::{RecordingCommand, RecordingFile, RepairArguments},
    failure::{OrFail as _, Outcome},
    report::{page_beside, write_session_page},
};

/// Runs the command.
///
/// # Errors
/// Exit code 1 where the file cannot be read or written, or `check` finds something wrong.
pub fn run(command: &RecordingCommand) -> Outcome<()> {
    match command {
        RecordingCommand::Check(arguments) => run_check(arguments),
        RecordingCommand::Repair(arguments) => run_repair(arguments),
        RecordingCommand::Info(arguments) => information::run(arguments),
        RecordingCommand::Report(arguments) => {
            let page = arguments.output.clone().unwrap_or_else(|| page_beside(&arguments.file));
            write_session_page(&arguments.file, &page, Existing::Replace).or_work()?;
            writeln!(std::io::stdout().lock(), "{}", page.display()).or_work()
        }
        RecordingCommand::Export(arguments) => export::run(arguments),
    }
}

/// Problems that people are shown.
const SHOWN: usize = 20;

fn run_check(arguments: &RecordingFile) -> Outcome<()> {
    let report = checked(&arguments.file)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let problems: Vec<_> = report
            .problems
            .iter()
            .map(|problem| json!({ "offset": problem.offset, "problem": problem.text }))
            .collect();
        writeln!(
            out,
            "{}",
            json!({ "file": arguments.file, "valid": report.is_valid(), "problems": problems })
        )
        .or_work()?;
    } else if report.is_valid() {
        let samples: u64 = report.streams.values().map(|stream| stream.samples).sum();
        writeln!(out, "whole: {} streams, {samples} samples, {} bytes", report.streams.len(), report.length)
            .or_work()?;
    }
    if report.is_valid() {
        return Ok(());
    }
    let mut said = report
        .problems
        .iter()
        .take(SHOWN)
        .map(|problem| format!("byte {}: {}", problem.offset, problem.text))
        .collect::<Vec<_>>();
    if report.problems.len() > SHOWN {
        said.push(format!("and {} more (--json prints all)", report.problems.len() - SHOWN));
    }
    let file = arguments.file.display();
    Err(anyhow::anyhow!(
        "{file} is not whole: `kalmind recording repair {file}` mends it\n{}",
        said.join("\n")
    ))
    .or_work()
}

fn run_repair(arguments: &RepairArguments) -> Outcome<()> {
    let bar = bytes_bar();
    let repaired = repair(&arguments.file, arguments.output.as_deref(), follow(&bar));
    bar.finish_and_clear();
    let report = repaired.or_work()?;
    let mut out = std::io::stdout().lock();
    let target = arguments.output.as_ref().unwrap_or(&arguments.file);
    if arguments.json {
        let dropped: Vec<_> = report.dropped.iter().map(|(from, to)| json!([from, to])).collect();
        let document = json!({
            "file": target, "changed": report.changed, "dropped": dropped, "footers_rebuilt": report.footers,
        });
        return writeln!(out, "{document}").or_work();
    }
    for (from, to) in &report.dropped {
        writeln!(out, "dropped bytes {from}..{to} ({} bytes that could not be read)", to - from).or_work()?;
    }
    if report.footers > 0 {
        writeln!(out, "made {} footers anew", report.footers).or_work()?;
    }
    if report.changed {
        writeln!(out, "{} is whole", target.display()).or_work()
    } else {
        writeln!(out, "there was nothing to mend").or_work()
    }
}

/// A pass over an XDF file.
fn checked(path: &Path) -> Outcome<CheckReport> {
    let bar = bytes_bar();
    let report = check(path, follow(&bar));
    bar.finish_and_clear();
    report.map_err(|error| anyhow::anyhow!("{}: {error}", path.display())).or_work()
}

/// Whether a file begins as EDF or BDF files do.
fn is_edf(path: &Path) -> bool {
    let mut first = [0; 8];
    let read =
        std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut first));
    read.is_ok() && kalmind_recording::edf::is_edf(&first)
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
