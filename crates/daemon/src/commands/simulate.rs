//! `kalmind simulate`: the simulated participant, a separate process on public interfaces.
//!
//! It watches the daemon's two LSL outlets and sends its units' counts as an LSL stream, one sample every 20 ms, stamped
//! with the bin's time.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use kalmind_acquisition::{
    InletConfig, Marker, MarkerConfig, MarkerInlet, NumericInlet, StreamSelector, Waker, clock, find_one,
};
use kalmind_output::{NumericOutlet, NumericOutletConfig};
use kalmind_session::{MarkerTable, Participant, ParticipantOptions, Profile, parse_marker};
use kalmind_types::{EventBody, LslTime, Position, SampleRows, Seconds};

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
    running::session::SIMULATED_SOURCE,
};

/// How often an unfound cursor outlet is searched for.
const SEARCH: Seconds = Seconds(0.5);
/// Markers that may wait.
const MARKERS: usize = 1024;

/// Run the simulated participant alone, as an LSL stream.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example: kalmind simulate --seed 1 --instance Kalmind")]
pub struct SimulateArguments {
    /// Seed: with the same seed and the same messages the participant does the same.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Instance name of the daemon to watch [default: that of --config, else Kalmind].
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// Name of the stream of counts.
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
    let options = ParticipantOptions { hand: arguments.hand, ..options };
    let bin = options.bin.0;
    let units = options.units;
    let mut participant = Participant::new(options).or_usage()?;
    let mut outlet = NumericOutlet::new(&NumericOutletConfig {
        name: arguments.stream.clone(),
        content_type: "SpikeCounts".to_owned(),
        source_id: format!("{SIMULATED_SOURCE}{}", arguments.seed),
        rate_hz: 1.0 / bin,
        labels: (0..units).map(|unit| format!("unit{unit}")).collect(),
        unit: "count".to_owned(),
    })
    .or_work()?;
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
    let start = clock::now();
    let mut number: u64 = 0;
    loop {
        let time = LslTime(start.0 + number as f64 * bin);
        let wait = (time - clock::now()).0.max(0.0);
        if signals.wait(Duration::from_secs_f64(wait)) {
            return Ok(());
        }
        if arguments.seconds.is_some_and(|seconds| number as f64 * bin >= seconds) {
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
        outlet.push(&counts, time).or_work()?;
        number += 1;
    }
}

/// The daemon's cursor outlet, found whenever it appears.
struct CursorWatch {
    selector: StreamSelector,
    inlet: Option<NumericInlet>,
    search: Option<std::thread::JoinHandle<Option<NumericInlet>>>,
}

impl CursorWatch {
    fn new(selector: StreamSelector) -> Self {
        Self { selector, inlet: None, search: None }
    }

    /// Tells the participant every state that has arrived.
    fn observe(&mut self, participant: &mut Participant) {
        let Some(inlet) = &mut self.inlet else { return self.look() };
        while let Some(block) = inlet.blocks.receive() {
            for (row, stamp) in block.stamps.iter().enumerate() {
                if let SampleRows::Double64([x, y, ..]) = block.values.rows(block.channels, row, row + 1) {
                    participant.observe_state(stamp.corrected(block.clock.offset), Position([*x, *y]));
                }
            }
            inlet.blocks.give_back(block);
        }
    }

    /// Searches without holding up the counts.
    fn look(&mut self) {
        match self.search.take_if(|search| search.is_finished()) {
            Some(search) => self.inlet = search.join().ok().flatten(),
            None if self.search.is_none() => {
                let selector = self.selector.clone();
                let search = std::thread::Builder::new().name("kalmind-search".to_owned()).spawn(move || {
                    let description = find_one(&selector, SEARCH).ok()?;
                    let mut config = InletConfig::new("cursor", selector, description);
                    // the participant takes messages by their own stamps, however old
                    config.limits.backlog_ms = f64::INFINITY;
                    config.limits.bad_clock_ms = f64::INFINITY;
                    NumericInlet::spawn(config, Waker::new()).ok()
                });
                self.search = search.ok();
            }
            None => {}
        }
    }
}
