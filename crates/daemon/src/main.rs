//! The program `kalmind`: run what the command line says, print what went wrong, end with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = match kalmind::commands::command_line::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            kalmind::commands::result::print_failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    };
    kalmind::log::finish();
    code
}
