//! Which recording, and what to do with it.

use std::path::PathBuf;

use clap::{
    Args, Subcommand,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use encoding_rs::Encoding;
use kalmind_offline::Stamps;

use crate::commands::values::encoding;

/// Inspect, check, repair and export recordings, and write a report page of a session.
#[derive(Args, Debug)]
#[command(after_help = "Example: kalmind recording info session.xdf")]
pub struct RecordingArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: RecordingCommand,
}

/// What to do with a recording.
#[derive(Debug, Subcommand)]
pub enum RecordingCommand {
    /// List everything odd or wrong in an XDF file, with its byte offset; exit code 1 if something cannot be read.
    #[command(after_help = "Example: kalmind recording check session.xdf")]
    Check(RecordingFile),
    /// Write a repaired copy of an XDF file: without a torn tail, with footers. Whatever is left out goes to a file beside it;
    /// exit code 1 if something in the middle was lost or cannot be explained.
    #[command(after_help = "Example: kalmind recording repair session.xdf -o repaired.xdf")]
    Repair(RepairArguments),
    /// Show a file's type and what you can do with it; for a recording also streams, rates, gaps, duration, writer.
    #[command(after_help = "Example: kalmind recording info session.xdf --json")]
    Info(RecordingFile),
    /// Write the report page of a session: signals, targets, latency, what needs attention. Each run writes it beside its
    /// recording.
    #[command(after_help = "Example: kalmind recording report session.xdf")]
    Report(ReportArguments),
    /// Write every stream as a CSV file (for NWB see docs/nwb.md), or every model of a session as a file.
    #[command(after_help = "Example: kalmind recording export session.xdf --csv session --models session")]
    Export(ExportArguments),
}

/// A recording.
#[derive(Args, Clone, Debug)]
pub struct RecordingFile {
    /// The recording.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Encoding of texts, such as latin1 or gbk [default: UTF-8, and windows-1252 where a text is not].
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub encoding: Option<&'static Encoding>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kalmind recording repair`.
#[derive(Args, Clone, Debug)]
pub struct RepairArguments {
    /// The recording.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The repaired file [default: beside the recording, as NAME.repaired.xdf].
    #[arg(short = 'o', long = "output", value_name = "FILE", conflicts_with = "in_place")]
    pub output: Option<PathBuf>,
    /// Put the repaired file in the recording's place, and keep the recording as NAME.before-repair.xdf.
    #[arg(long)]
    pub in_place: bool,
    /// Overwrite the output if it exists.
    #[arg(long, conflicts_with = "in_place")]
    pub force: bool,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kalmind recording report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArguments {
    /// The recording of a session.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Page to write [default: beside the recording].
    #[arg(short = 'o', long = "output", value_name = "FILE.html")]
    pub output: Option<PathBuf>,
}

/// The stamps of an export, by name.
fn stamps() -> impl TypedValueParser<Value = Stamps> {
    let known = [
        ("synchronized", Stamps::Synchronized, "On the clock of the machine that recorded"),
        ("dejittered", Stamps::Dejittered, "That, and without jitter"),
        ("raw", Stamps::Raw, "As they were sent"),
    ];
    let values = known.map(|(name, _, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(values).map(move |given| {
        known.iter().find(|(name, ..)| *name == given).map_or(Stamps::Synchronized, |(_, stamps, _)| *stamps)
    })
}

/// Arguments of `kalmind recording export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArguments {
    /// The recording.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Folder for the CSV files, one per stream.
    #[arg(long, value_name = "FOLDER", required_unless_present = "models")]
    pub csv: Option<PathBuf>,
    /// Folder for the models, one file each; they can be activated, posted and configured like those that were saved.
    #[arg(long, value_name = "FOLDER")]
    pub models: Option<PathBuf>,
    /// Time stamps on the recorder's clock, the same without jitter, or as they were sent.
    #[arg(long, value_parser = stamps(), default_value = "synchronized")]
    pub stamps: Stamps,
    /// Encoding of texts, such as latin1 or gbk [default: UTF-8, or windows-1252 if a text is not UTF-8].
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub encoding: Option<&'static Encoding>,
    /// Overwrite files that exist.
    #[arg(long)]
    pub force: bool,
}
