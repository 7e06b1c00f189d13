//! The command line: the commands that there are, one line each.

use clap::{Parser, Subcommand};

use super::{
    command::Command as _, decoders::DecodersArguments, demo::DemoArguments, doctor::DoctorArguments,
    evaluate::EvaluateArguments, features::FeaturesArguments, fit::FitArguments,
    recording::arguments::RecordingArguments, reference::ReferenceArguments, replay::ReplayArguments,
    run::RunArguments, session::SessionArguments, simulate::SimulateArguments, streams::StreamsArguments,
};
use crate::failure::Outcome;

/// Turns neural samples that arrive over Lab Streaming Layer into a cursor, in real time. Not a medical device.
#[derive(Debug, Parser)]
#[command(
    name = "kalmind",
    version,
    propagate_version = true,
    after_help = "Example: kalmind demo\nThe help of each command shows an example."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// The commands in the order of the help; what is said of each stands with its arguments.
macro_rules! commands {
    ($($Name:ident($Arguments:ty)),+ $(,)?) => {
        #[derive(Debug, Subcommand)]
        enum Command {
            $( $Name($Arguments), )+
        }

        impl Command {
            fn run(&self) -> Outcome<()> {
                match self {
                    $( Self::$Name(arguments) => arguments.run(), )+
                }
            }
        }

        /// The commands that take decoders: `--help NAME` of one of these lists the options of the decoder.
        fn with_decoders() -> Vec<String> {
            let mut names = Vec::new();
            $(
                if <$Arguments as super::command::Command>::TAKES_DECODERS {
                    names.push(stringify!($Name).to_lowercase());
                }
            )+
            names
        }
    };
}

commands! {
    Demo(DemoArguments),
    Run(RunArguments),
    Session(SessionArguments),
    Streams(StreamsArguments),
    Doctor(DoctorArguments),
    Features(FeaturesArguments),
    Reference(ReferenceArguments),
    Fit(FitArguments),
    Evaluate(EvaluateArguments),
    Decoders(DecodersArguments),
    Replay(ReplayArguments),
    Recording(RecordingArguments),
    Simulate(SimulateArguments),
}

/// Runs what the program's command line says. Where it says nothing that can be run, or asks for help, the program ends here.
///
/// # Errors
/// The failure of the command, with its exit code.
pub fn run() -> Outcome<()> {
    let arguments: Vec<String> =
        std::env::args_os().map(|text| text.to_string_lossy().into_owned()).collect();
    match asked_for_help(&arguments) {
        Some(asked) => asked.run(),
        None => CommandLine::parse().command.run(),
    }
}

/// The decoder whose options a command line asks for: `kalmind evaluate --help dkf-nw`.
fn asked_for_help(arguments: &[String]) -> Option<DecodersArguments> {
    let [_program, command, help, decoder] = arguments else { return None };
    let asked = with_decoders().contains(command) && matches!(help.as_str(), "--help" | "-h" | "help");
    asked.then(|| DecodersArguments { decoder: Some(decoder.clone()), json: false })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// That a command and all below it say what they are for, with an example, and what each argument is.
    fn check(command: &clap::Command, path: &str) {
        assert!(command.get_about().is_some(), "{path} does not say what it is for");
        let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(example.starts_with(&format!("Example: {path} ")) || path == "kalmind", "{path}: {example}");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{path} does not say what {} is", argument.get_id());
        }
        for inner in command.get_subcommands() {
            check(inner, &format!("{path} {}", inner.get_name()));
        }
    }

    #[test]
    fn every_command_has_a_purpose_an_example_and_a_word_on_each_argument() {
        let command = CommandLine::command();
        command.clone().debug_assert();
        assert!(command.get_subcommands().count() >= 10);
        check(&command, "kalmind");
    }

    #[test]
    fn help_of_a_decoder_is_told_from_help_of_a_command() {
        let asked = |text: &str| asked_for_help(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(
            asked("kalmind evaluate --help dkf-nw").and_then(|found| found.decoder).as_deref(),
            Some("dkf-nw")
        );
        assert!(asked("kalmind fit -h kalman").is_some());
        assert!(asked("kalmind demo help kalman").is_some() && asked("kalmind replay -h kalman").is_some());
        assert!(asked("kalmind evaluate --help").is_none());
        assert!(asked("kalmind run --help kalman").is_none());
    }
}
