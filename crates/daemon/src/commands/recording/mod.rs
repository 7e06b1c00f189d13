//! `kalmind recording`: what is in a recording, whether it is whole, mended, and in other formats.

pub mod arguments;

use std::io::Write as _;

use kalmind_offline::{
    ExportOptions,
    recording::{Answer, check, export, export_models, information, repair, require_xdf},
    report::{page_beside, write_session_page},
    tables::require_other_file,
};
use kalmind_recording::{Existing, xdf::repair::Target};

use arguments::{ExportArguments, RecordingArguments, RecordingCommand, RepairArguments, ReportArguments};

use crate::{
    commands::{beginning, command::Command},
    failure::{OrFail as _, Outcome},
    terminal::Terminal,
};

impl Command for RecordingArguments {
    fn run(&self) -> Outcome<()> {
        beginning::offline()?;
        match &self.command {
            RecordingCommand::Check(of) => print(check(&of.file, of.encoding, &Terminal), of.json),
            RecordingCommand::Repair(RepairArguments { file, output, in_place, force, json }) => {
                let target = match output {
                    _ if *in_place => Target::InPlace,
                    Some(output) => Target::File(output),
                    None => Target::Beside,
                };
                print(repair(file, target, *force, &Terminal), *json)
            }
            RecordingCommand::Info(of) => print(information(&of.file, of.encoding, &Terminal), of.json),
            RecordingCommand::Report(ReportArguments { file, output }) => {
                require_xdf(file, "recording report").or_work()?;
                let page = output.clone().unwrap_or_else(|| page_beside(file));
                require_other_file("-o", &page, core::iter::once(file)).or_usage()?;
                write_session_page(file, &page, Existing::Replace, &Terminal).or_work()?;
                writeln!(std::io::stdout().lock(), "{}", page.display()).or_work()
            }
            RecordingCommand::Export(arguments) => {
                let ExportArguments { file, csv, models, stamps, encoding, force } = arguments.clone();
                if let Some(folder) = &models {
                    print(export_models(&file, folder, force), false)?;
                }
                let Some(csv) = csv else { return Ok(()) };
                print(export(&ExportOptions { file, csv, stamps, encoding, force }, &Terminal), false)
            }
        }
    }
}

/// Prints an answer; what it says is wrong ends the program with exit code 1.
fn print(answer: anyhow::Result<Answer>, json: bool) -> Outcome<()> {
    let Answer { document, text, failure } = answer.or_work()?;
    let text = if json { format!("{document}\n") } else { text };
    std::io::stdout().lock().write_all(text.as_bytes()).or_work()?;
    failure.map_or(Ok(()), |failure| Err(anyhow::anyhow!(failure)).or_work())
}
