//! The program `kalmind`: parse the command line, run the command, print what went wrong, end with its exit code.

use std::process::ExitCode;

use clap::Parser as _;
use kalmind::cli::CommandLine;

fn main() -> ExitCode {
    let code = match kalmind::commands::run(&CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            kalmind::commands::print_failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    };
    kalmind::log::finish();
    code
}
