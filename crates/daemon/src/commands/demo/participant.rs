//! The participant of a demonstration: its process, and the configuration that goes with what it sends.

use std::{
    io::Read as _,
    process::{Child, Command, ExitStatus, Stdio},
};

use clap::ValueEnum as _;

use crate::{
    commands::simulate::SignalKind,
    configuration::Configuration,
    failure::{OrFail as _, Outcome},
};

/// What the participant's stream is called where its configuration goes by something else.
const STREAM: &str = "Kalmind-Participant";

/// The configuration that goes with what the participant sends, and its file in `config/`.
pub(in crate::commands) fn configuration_for(signal: SignalKind) -> (&'static str, &'static str) {
    macro_rules! file {
        ($name:literal) => {
            (include_str!(concat!("../../../../../", $name)), $name)
        };
    }
    match signal {
        SignalKind::Rates => file!("config/demo.toml"),
        SignalKind::Events => file!("config/spike-events.toml"),
        SignalKind::Broadband => file!("config/demo-broadband.toml"),
        SignalKind::Eeg => file!("config/eeg-band-power.toml"),
        SignalKind::Ecog => file!("config/ecog.toml"),
    }
}

/// A child process that ends when this is dropped. Its log is kept for when it ends too early: of its connections the daemon
/// tells.
pub(super) struct Participant(Child);

impl Participant {
    /// Starts it: it sends what is stated on the first stream of a configuration, and watches the daemon that runs with that.
    ///
    /// # Errors
    /// Exit code 1 where it cannot be started.
    pub(super) fn start(
        configuration: &Configuration,
        signal: SignalKind,
        seed: u64,
        hand: bool,
    ) -> Outcome<Self> {
        let stream = configuration.stream.first();
        let name = stream.and_then(|stream| stream.selector.name.as_deref()).unwrap_or(STREAM);
        let channels = stream.and_then(|stream| stream.units.or(stream.channels));
        let signal = signal.to_possible_value();
        let mut child = Command::new(std::env::current_exe().or_work()?);
        child
            .args(["simulate", "--end-with-parent", "--seed", &seed.to_string()])
            .args(["--instance", &configuration.instance.name, "--stream", name])
            .args(signal.iter().flat_map(|signal| ["--signal", signal.get_name()]))
            .args(channels.iter().flat_map(|channels| ["--channels".to_owned(), channels.to_string()]))
            .args(hand.then_some("--hand"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        Ok(Self(child.spawn().or_work()?))
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// The newest line of its log, once it has ended.
    pub(super) fn last_words(&mut self) -> String {
        let mut log = String::new();
        // where it cannot be read there is nothing to quote
        let _read = self.0.stderr.take().map(|mut stderr| stderr.read_to_string(&mut log));
        log.lines().next_back().map(|line| format!(": {line}")).unwrap_or_default()
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        // it may have ended already; either way it is waited for
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
