//! `kalmind recording`: what is in a recording, whether it is whole, mended, and in other formats.

pub mod arguments;

use std::io::Write as _;

use kalmind_offline::{
    recording::{Answer, check, export, information, repair, require_xdf},
    report::{page_beside, write_session_page},
    tables::require_other_file,
};
use kalmind_recording::{Existing, xdf::repair::Target};

use arguments::{RecordingArguments, RecordingCommand, RepairArguments, ReportArguments};

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
/// Exit code 1 where the file cannot be read or written, or something is wrong with it that the command must tell.
fn run(command: &RecordingCommand) -> Outcome<()> {
    match command {
        RecordingCommand::Check(file) => print(check(&file.file, file.encoding, &Terminal), file.json),
        RecordingCommand::Repair(arguments) => {
            let RepairArguments { file, output, in_place, force, json } = arguments;
            let target = match output {
                _ if *in_place => Target::InPlace,
                Some(output) => Target::File(output),
                None => Target::Beside,
            };
            print(repair(file, target, *force, &Terminal), *json)
        }
        RecordingCommand::Info(file) => print(information(&file.file, file.encoding, &Terminal), file.json),
        RecordingCommand::Report(arguments) => report(arguments),
        RecordingCommand::Export(arguments) => print(export(&arguments.options(), &Terminal), false),
    }
}

/// Prints an answer; what it says is wrong ends the program with exit code 1.
fn print(answer: anyhow::Result<Answer>, json: bool) -> Outcome<()> {
    let Answer { document, text, failure } = answer.or_work()?;
    let text = if json { format!("{document}\n") } else { text };
    std::io::stdout().lock().write_all(text.as_bytes()).or_work()?;
    failure.map_or(Ok(()), |failure| Err(anyhow::anyhow!(failure)).or_work())
}

fn report(arguments: &ReportArguments) -> Outcome<()> {
    require_xdf(&arguments.file, "recording report").or_work()?;
    let page = arguments.output.clone().unwrap_or_else(|| page_beside(&arguments.file));
    require_other_file("-o", &page, core::iter::once(&arguments.file)).or_usage()?;
    write_session_page(&arguments.file, &page, Existing::Replace, &Terminal).or_work()?;
    writeln!(std::io::stdout().lock(), "{}", page.display()).or_work()
}
