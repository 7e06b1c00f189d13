//! `kalmind recording`: what is in a recording, whether it is whole, mended, and in other formats.

pub mod arguments;
mod csv_files;
mod edf;
mod export;
pub(super) mod file;
mod information;
mod problems;
mod repairing;

use std::io::Write as _;

use kalmind_offline::{
    report::{page_beside, write_session_page},
    tables::require_other_file,
};
use kalmind_recording::Existing;
use kalmind_types::Counted;
use serde_json::json;

use arguments::{RecordingArguments, RecordingCommand, RecordingFile};
use file::{checked, require_xdf};
use problems::{problems_json, problems_text};

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
