//! `kalmind replay`: a recorded session again, compared with itself, with another decoder, or played to other programs.

mod arguments;
mod compared;
mod open_loop;
mod play;

pub use arguments::{ReplayArguments, ReplaySpeed};
pub use compared::{layout, replay};

use kalmind_offline::recording::require_xdf;

use crate::{
    commands::{
        beginning::{self, apply_network_of, log_for_lsl},
        command::Command,
    },
    failure::{OrFail as _, Outcome},
};

impl Command for ReplayArguments {
    const TAKES_DECODERS: bool = true;

    fn run(&self) -> Outcome<()> {
        require_xdf(&self.recording, "replay").or_work()?;
        if self.lsl {
            apply_network_of(self.config.as_deref())?;
            log_for_lsl();
            return play::run(self);
        }
        beginning::offline()?;
        if self.model.is_some() || !self.decoder.is_empty() {
            return open_loop::run(self);
        }
        compared::run(self)
    }
}
