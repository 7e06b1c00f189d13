//! `kalmind session`: the blocks of a preset, one after the other.

pub mod simulated;

use std::path::PathBuf;

use clap::Args;

use self::simulated::SimulationArguments;
use crate::{commands::command::Command, failure::Outcome};

/// Run a session, the blocks of a preset one after the other: with --simulate many, of simulated participants in simulated
/// time, without streams and without waiting.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example: kalmind session --simulate --preset rapid-calibration --seeds 1..50 --profile default,mismatch --json"
)]
pub struct SessionArguments {
    /// The preset, or the path of a file that holds one.
    #[arg(long, value_name = "NAME|FILE")]
    pub preset: String,
    /// Configuration file; with --simulate for its cursor, decoder and task [default there: that of `kalmind demo`].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Decoder to fit, with options [default: the preset's, else that of `[task] decoder`].
    #[arg(long, value_name = "NAME")]
    pub decoder: Option<String>,
    /// Simulated participants in simulated time.
    #[arg(long, required = true)]
    pub simulate: bool,
    /// How they are simulated.
    #[command(flatten)]
    pub simulation: SimulationArguments,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

impl Command for SessionArguments {
    const TAKES_DECODERS: bool = true;

    fn run(&self) -> Outcome<()> {
        simulated::run(self)
    }
}
