//! What a command of the program is.

use clap::Args;

use crate::failure::Outcome;

/// A command: its arguments, with the help that is made of their documentation, and what it does.
pub trait Command: Args {
    /// Whether `--help NAME` lists the options of a decoder.
    const TAKES_DECODERS: bool = false;

    /// Carries it out.
    ///
    /// # Errors
    /// Whatever keeps it from doing so, with the exit code of the program.
    fn run(&self) -> Outcome<()>;
}
