//! `kalmind simulate`: the simulated participant, a separate process on public interfaces.
//!
//! It watches the daemon's two LSL outlets and sends as an LSL stream what is measured of it: its units' counts, one sample every
//! 20 ms, stamped with the bin's time, or a raw signal that they, or what it means, are in.

mod cursor_watch;
mod sender;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use kalmind_acquisition::{Marker, MarkerConfig, MarkerInlet, StreamSelector, clock};
use kalmind_session::{MarkerTable, Participant, ParticipantOptions, Profile, parse_marker};
use kalmind_types::{EventBody, LslTime};

use crate::{
    commands::{
        beginning::{apply_network_of, log_for_lsl, rendered},
        command::Command,
        participant_arguments::ParticipantArguments,
        values::{profile, seconds},
    },
    configuration::{self, Configuration},
    failure::{OrFail as _, Outcome},
    process::termination::EndSignals,
};

pub use sender::{SignalArguments, SignalKind};

use cursor_watch::CursorWatch;
use sender::Sender;

/// Markers that may wait.
const MARKERS: usize = 1024;

/// Run the simulated participant alone, as an LSL stream.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example: kalmind simulate --signal broadband --channels 192 --config config/intracortical-broadband.toml"
)]
pub struct SimulateArguments {
    /// Seed: with the same seed and the same messages the participant does the same.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Instance name of the daemon to watch [default: that of --config, else Kalmind].
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// What it sends.
    #[command(flatten)]
    pub sent: SignalArguments,
    /// Name of the stream.
    #[arg(long, value_name = "NAME", default_value = "Kalmind-Participant")]
    pub stream: String,
    /// Configuration whose `[lsl]` settings and instance name to use, so as to meet a daemon that runs with it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// End after this many seconds [default: run until Ctrl-C].
    #[arg(long, value_name = "N", value_parser = seconds, allow_negative_numbers = true)]
    pub seconds: Option<f64>,
    /// What it does in a trial: `default` moves as the labels of a fit assume; `mismatch` does not, as people do not.
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = profile)]
    pub profile: Profile,
    /// What makes it harder.
    #[command(flatten)]
    pub participant: ParticipantArguments,
    /// Mean the velocity of the hand that the daemon is told of, and not the way to the target.
    #[arg(long, hide = true)]
    pub hand: bool,
    /// End when the program that started this one ends.
    #[arg(long, hide = true)]
    pub end_with_parent: bool,
}

impl Command for SimulateArguments {
    fn run(&self) -> Outcome<()> {
        apply_network_of(self.config.as_deref())?;
        log_for_lsl();
        let configured = match &self.config {
            Some(path) => rendered(configuration::load_settings(path))?.instance.name,
            None => Configuration::default().instance.name,
        };
        run(self, self.instance.as_ref().unwrap_or(&configured))
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 for options that make no sense, 1 for an outlet that cannot be made.
fn run(arguments: &SimulateArguments, instance: &str) -> Outcome<()> {
    if arguments.end_with_parent {
        crate::process::realtime::end_with_parent();
    }
    let signals = EndSignals::install().or_work()?;
    let options = arguments.participant.options(arguments.seed, arguments.profile).or_usage()?;
    let units = arguments.sent.units(options.units).or_usage()?;
    let options = ParticipantOptions { hand: arguments.hand, units, ..options };
    let bin = options.bin;
    let mut participant = Participant::new(options).or_usage()?;
    let mut sender = Sender::new(&arguments.sent, &arguments.stream, participant.options())?;
    let (sink, markers) = crossbeam_channel::bounded::<Marker>(MARKERS);
    let events = StreamSelector::by_name(format!("{instance}-Events"));
    let _events = MarkerInlet::spawn(
        MarkerConfig { key: "events".to_owned(), selector: events, recorded: None, at_once: None },
        sink,
    )
    .or_stream()?;
    let mut cursor = CursorWatch::new(StreamSelector::by_name(format!("{instance}-Cursor")));

    let table = MarkerTable::default();
    let mut counts = vec![0.0; units];
    let is_over_by = |time: LslTime| {
        let wait = (time - clock::now()).0.max(0.0);
        signals.wait(Duration::from_secs_f64(wait))
    };
    let lead = sender.lead();
    let start = clock::now() + lead;
    let mut number: u64 = 0;
    loop {
        let time = LslTime(start.0 + number as f64 * bin.0);
        if is_over_by(time - lead) {
            return Ok(());
        }
        if arguments.seconds.is_some_and(|seconds| number as f64 * bin.0 >= seconds) {
            return Ok(());
        }
        cursor.observe(&mut participant);
        for marker in markers.try_iter() {
            // events of other kinds than a task's are none of the participant's business
            let Ok(parsed) = parse_marker(&marker.text, &table) else { continue };
            let time = parsed.time.unwrap_or(marker.time);
            match parsed.content {
                EventBody::Target(target) => participant.observe_target(time, target),
                EventBody::Hand(hand) => participant.observe_hand(time, hand.velocity),
                EventBody::TaskBlock { block, phase } => participant.observe_block(time, block, phase),
                _ => {}
            }
        }
        participant.counts(time, &mut counts);
        let parts = sender.begin(&counts, participant.intent(), time);
        for part in 0..parts {
            if is_over_by(sender.due(part)) {
                return Ok(());
            }
            sender.push(part).or_work()?;
        }
        number += 1;
    }
}
