//! `kalmind doctor`: what a session needs of this machine, tried and told.

use std::{io::Write as _, path::PathBuf};

use clap::Args;
use serde_json::json;

use crate::{
    commands::{beginning::load, command::Command},
    configuration::{self, Configuration},
    doctor::{self, Patient, Status},
    failure::{OrFail as _, Outcome},
    log,
};

/// Check what a session needs of this machine, and say what to do if something is missing.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example: kalmind doctor --config config/features.toml\nExit code 0: all is well, or warnings only; 1: a problem was found; 2: the configuration cannot be used."
)]
pub struct DoctorArguments {
    /// Configuration to check the machine for [default: every key at its default].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
    /// Try LSL in this process, for the one that started it.
    #[arg(long, hide = true)]
    pub probe: bool,
}

impl Command for DoctorArguments {
    fn run(&self) -> Outcome<()> {
        if self.probe {
            return doctor::probe();
        }
        let configuration = self.config.as_deref().map(load).transpose()?;
        log::start(&configuration::Log::default());
        run(self, configuration)
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 1 where a check found a problem; warnings alone are well.
fn run(arguments: &DoctorArguments, configuration: Option<Configuration>) -> Outcome<()> {
    let given = configuration.is_some();
    let configuration = configuration.unwrap_or_default();
    let patient = Patient { configuration: &configuration, given };
    let findings = doctor::examine(&patient);
    let worst = findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Ok);
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let document = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "configuration": arguments.config,
            "status": worst,
            "checks": findings,
        });
        writeln!(out, "{document}").or_work()?;
    } else {
        write!(out, "{}", doctor::table(&findings)).or_work()?;
    }
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    match count(Status::Problem) {
        0 => Ok(()),
        problems => {
            let (found, of) = (if problems == 1 { "check" } else { "checks" }, findings.len());
            Err(anyhow::anyhow!("{problems} {found} of {of} found a problem")).or_work()
        }
    }
}
