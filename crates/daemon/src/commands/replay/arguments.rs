//! What is replayed, how, and against what.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use encoding_rs::Encoding;

use crate::commands::values::encoding;

/// How fast a recording is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReplaySpeed {
    /// As fast as possible.
    #[default]
    Max,
    /// At the recorded speed.
    #[value(name = "1")]
    Real,
}

/// Replay a recorded session from its raw samples and compare it bit for bit with what was published.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example: kalmind replay session.xdf --json")]
#[command(group(clap::ArgGroup::new("open_loop").args(["model", "decoder"]).multiple(true)))]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct ReplayArguments {
    /// The recording.
    #[arg(value_name = "RECORDING")]
    pub recording: PathBuf,
    /// Decode with this model instead and report its error against the recorded targets. This does not predict online
    /// control.
    #[arg(long, value_name = "MODEL", conflicts_with = "decoder")]
    pub model: Option<PathBuf>,
    /// Decode with this decoder instead, fitted to the open loop and tested on what came after; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub decoder: Vec<String>,
    /// Rows to fit the decoder to, half-open, from 0, instead of the open loop; it is tested on the rows after them, or on
    /// those before if there are none after.
    #[arg(long, value_name = "A..B", requires = "decoder")]
    pub train: Option<String>,
    /// Report page to write, as `evaluate` does; with --model or --decoder.
    #[arg(long, value_name = "FILE.html", requires = "open_loop", conflicts_with = "lsl")]
    pub report: Option<PathBuf>,
    /// Seed of whatever is random in the fit.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// As fast as possible (`max`) or at the recorded speed (`1`).
    #[arg(long, value_enum, default_value_t = ReplaySpeed::Max)]
    pub speed: ReplaySpeed,
    /// Also compute the derived streams (those with `stages`) again from the raw samples, and compare them bit for bit with
    /// those that were decoded.
    #[arg(long, conflicts_with_all = ["model", "decoder", "lsl"])]
    pub recompute: bool,
    /// Play the recording's streams over LSL in real time instead, for other programs. Takes any XDF file.
    #[arg(long, conflicts_with_all = ["model", "decoder", "json"])]
    pub lsl: bool,
    /// With --lsl: start streams together whose time stamps are on different clocks.
    #[arg(long, requires = "lsl")]
    pub align: bool,
    /// With --lsl: encoding of texts, such as latin1 [default: UTF-8, or windows-1252 if a text is not UTF-8].
    #[arg(long, value_name = "NAME", value_parser = encoding, requires = "lsl")]
    pub encoding: Option<&'static Encoding>,
    /// Configuration whose `[lsl]` settings to use, with --lsl.
    #[arg(long, value_name = "FILE", requires = "lsl")]
    pub config: Option<PathBuf>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}
