//! `kalmind session`: the blocks of a preset, one after the other.

pub mod live;
pub mod simulated;

use std::path::PathBuf;

use clap::Args;

use self::{
    live::LiveArguments,
    simulated::{Simulated, SimulationArguments},
};
use crate::{commands::command::Command, failure::Outcome};

/// Run a session, the blocks of a preset one after the other: with a participant, as `kalmind run` with a preset that begins at
/// once; or with --simulate many, of simulated participants in simulated time, without streams and without waiting.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example: kalmind session --simulate --preset rapid-calibration --seeds 1..50 --profile default,mismatch --json"
)]
pub struct SessionArguments {
    /// The preset, or the path of a file that holds one.
    #[arg(long, value_name = "NAME|FILE")]
    pub preset: String,
    /// Configuration file: required, but with --simulate, where cursor, decoder and task count [default there: that of
    /// `kalmind demo`].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Decoder to fit, with options [default: that of `[task] decoder` where the configuration states one and the preset is one that comes with Kalmind; else the preset's].
    #[arg(long, value_name = "NAME")]
    pub decoder: Option<String>,
    /// With a participant.
    #[command(flatten)]
    pub live: LiveArguments,
    /// Simulated participants in simulated time.
    #[arg(long)]
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
        if self.simulate {
            return simulated::run(&Simulated {
                config: self.config.as_deref(),
                preset: &self.preset,
                decoder: self.decoder.as_deref(),
                simulation: &self.simulation,
                json: self.json,
            });
        }
        live::run(&self.live, self.config.as_deref(), &self.preset, self.decoder.as_deref(), self.json)
    }
}
