//! The program `kalmind`: parse the command line, run the command, print what went wrong, end with its exit code.

use std::process::ExitCode;

use clap::Parser as _;
use kalmind::commands::command_line::CommandLine;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().map(|text| text.to_string_lossy().into_owned()).collect();
    let ended = match kalmind::commands::decoders::asked_for_help(&arguments) {
        Some(asked) => kalmind::commands::decoders::run(&asked),
        None => kalmind::commands::run(&CommandLine::parse()),
    };
    let code = match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            kalmind::commands::print_failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    };
    kalmind::log::finish();
    code
}
