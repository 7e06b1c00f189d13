//! What is measured of a simulated participant, on its way to an LSL stream.

use clap::{Args, ValueEnum};
use kalmind_output::{LslError, NumericOutlet, NumericOutletConfig};
use kalmind_session::{
    Broadband, BroadbandOptions, ParticipantOptions, RhythmKind, Rhythms, RhythmsOptions, SpikeTimes,
};
use kalmind_types::{LslTime, SIMULATED_SOURCE, Seconds, Velocity};

use crate::{
    commands::values::{microvolts, rate, strength},
    failure::{OrFail as _, Outcome},
};

/// Samples of a bin leave in so many chunks, as an amplifier sends them.
const CHUNKS: usize = 5;
/// The unit of all raw signals.
const MICROVOLTS: &str = "microvolts";

/// What is measured of a simulated participant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SignalKind {
    /// Counts of its units in bins of 20 ms.
    #[default]
    Rates,
    /// A sample for each spike, that names its unit.
    Events,
    /// Its spikes in noise, at 30 kHz.
    Broadband,
    /// Mu and beta rhythms over the sensorimotor cortex.
    Eeg,
    /// High gamma on the cortex.
    Ecog,
}

/// The signal that a simulated participant sends.
#[derive(Args, Clone, Debug)]
pub struct SignalArguments {
    /// What is sent.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "rates")]
    pub signal: SignalKind,
    /// Channels: units of which there are counts, events or electrodes [default: 96; 16 of eeg, 32 of ecog].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub channels: Option<u16>,
    /// Samples a second [default: 30000 of broadband, 250 of eeg, 1000 of ecog].
    #[arg(long, value_name = "HZ", value_parser = rate)]
    pub rate: Option<f64>,
    /// Depth of a spike in broadband, in standard deviations of the noise before any filter.
    #[arg(long, value_name = "SNR", default_value_t = 5.0, value_parser = strength, allow_negative_numbers = true)]
    pub snr: f64,
    /// Noise that the electrodes of an array share in broadband, in microvolts between 250 and 5000 Hz; each has 0.5 to 1.5 times
    /// as much of it, beside 10 microvolts of its own.
    #[arg(long, value_name = "UV", default_value_t = 0.0, value_parser = microvolts, allow_negative_numbers = true)]
    pub common_uv: f64,
}

impl SignalArguments {
    /// How many units the participant has, where it has so many by itself.
    ///
    /// # Errors
    /// A rate for a signal that has none to choose.
    pub(super) fn units(&self, standard: usize) -> anyhow::Result<usize> {
        anyhow::ensure!(
            self.rate.is_none() || !matches!(self.signal, SignalKind::Rates | SignalKind::Events),
            "--rate {}: counts come once a bin, and events when there are any",
            self.rate.unwrap_or_default()
        );
        let is_of_units = !matches!(self.signal, SignalKind::Eeg | SignalKind::Ecog);
        Ok(self.channels.filter(|_| is_of_units).map_or(standard, usize::from))
    }
}

/// How a signal is made.
enum Source {
    Rates,
    Events { times: Box<SpikeTimes>, stamps: Vec<f64> },
    Broadband(Box<Broadband>),
    Rhythms(Box<Rhythms>),
}

/// A stream of what is measured: bin by bin, in chunks.
pub(super) struct Sender {
    source: Source,
    outlet: NumericOutlet,
    width: usize,
    bin: Seconds,
    /// When the bin under way ends, and its samples.
    end: LslTime,
    rows: Vec<f64>,
}

impl Sender {
    /// The stream of this name, which others can find from then on.
    ///
    /// # Errors
    /// Exit code 2 for a signal that cannot be made, 1 for an outlet that cannot.
    pub(super) fn new(
        arguments: &SignalArguments,
        stream: &str,
        participant: &ParticipantOptions,
    ) -> Outcome<Self> {
        let ParticipantOptions { seed, units, bin, .. } = *participant;
        let rhythms = |kind| {
            let standard = RhythmsOptions::of(kind);
            let channels = arguments.channels.map_or(standard.channels, usize::from);
            let rate_hz = arguments.rate.unwrap_or(standard.rate_hz);
            RhythmsOptions { seed, channels, rate_hz, bin, ..standard }
        };
        let numbered =
            |name: &str, from: usize| (from..from + units).map(|number| format!("{name}{number}")).collect();
        let (source, content_type, rate_hz, labels, unit): (_, _, _, Vec<String>, _) = match arguments.signal
        {
            SignalKind::Rates => (Source::Rates, "SpikeCounts", 1.0 / bin.0, numbered("unit", 0), "count"),
            SignalKind::Events => {
                let times = Box::new(SpikeTimes::new(seed, units, bin));
                let events = Source::Events { times, stamps: Vec::new() };
                (events, "Spikes", 0.0, vec!["unit".to_owned()], "")
            }
            SignalKind::Broadband => {
                let standard = BroadbandOptions::default();
                let rate_hz = arguments.rate.unwrap_or(standard.rate_hz);
                let options = BroadbandOptions {
                    seed,
                    channels: units,
                    rate_hz,
                    bin,
                    common_uv: arguments.common_uv,
                    snr: arguments.snr,
                    ..standard
                };
                let broadband = Box::new(Broadband::new(options).or_usage()?);
                (Source::Broadband(broadband), "Broadband", rate_hz, numbered("elec", 1), MICROVOLTS)
            }
            SignalKind::Eeg | SignalKind::Ecog => {
                let (kind, content_type) = match arguments.signal {
                    SignalKind::Eeg => (RhythmKind::Scalp, "EEG"),
                    _ => (RhythmKind::Cortex, "ECoG"),
                };
                let options = rhythms(kind);
                let (rate_hz, labels) = (options.rate_hz, options.labels());
                (Source::Rhythms(Box::new(Rhythms::new(options))), content_type, rate_hz, labels, MICROVOLTS)
            }
        };
        let width = labels.len();
        let outlet = NumericOutlet::new(&NumericOutletConfig {
            name: stream.to_owned(),
            content_type: content_type.to_owned(),
            source_id: format!("{SIMULATED_SOURCE}{seed}"),
            rate_hz,
            labels,
            unit: unit.to_owned(),
        })
        .or_work()?;
        Ok(Self { source, outlet, width, bin, end: LslTime::default(), rows: Vec::new() })
    }

    /// How long before a bin's end it has to be known what happens in it: what is sent of it leaves while it lasts.
    pub(super) fn lead(&self) -> Seconds {
        if matches!(self.source, Source::Rates) { Seconds(0.0) } else { self.bin }
    }

    /// The bin that ends at `end` has these counts, and this is meant in it. In how many chunks it is [sent](Self::push).
    pub(super) fn begin(&mut self, counts: &[f64], intent: Velocity, end: LslTime) -> usize {
        self.end = end;
        let Self { source, rows, .. } = self;
        match source {
            Source::Rates => {
                counts.clone_into(rows);
                return 1;
            }
            Source::Events { times, stamps } => {
                rows.clear();
                stamps.clear();
                for (time, unit) in times.place(counts) {
                    rows.push(*unit as f64);
                    stamps.push(*time);
                }
            }
            Source::Broadband(broadband) => broadband.bin(counts, rows),
            Source::Rhythms(rhythms) => rhythms.bin(intent, rows),
        }
        CHUNKS
    }

    /// When a chunk is complete.
    pub(super) fn due(&self, chunk: usize) -> LslTime {
        match self.source {
            Source::Rates => self.end,
            _ => self.within((chunk + 1) as f64 / CHUNKS as f64),
        }
    }

    /// So far through the bin, from 0 to 1.
    fn within(&self, part: f64) -> LslTime {
        LslTime(self.end.0 - (1.0 - part) * self.bin.0)
    }

    /// Sends a chunk of the bin under way.
    ///
    /// # Errors
    /// What liblsl says.
    pub(super) fn push(&mut self, chunk: usize) -> Result<(), LslError> {
        let (start, end) = (self.within(0.0), self.end);
        let Self { source, outlet, rows, width, bin, .. } = self;
        match source {
            Source::Rates => outlet.push(rows, end),
            Source::Events { stamps, .. } => {
                let until = |chunk: usize| {
                    let time = bin.0 * chunk as f64 / CHUNKS as f64;
                    stamps.partition_point(|stamp| *stamp < time)
                };
                let (from, to) =
                    (until(chunk), if chunk + 1 == CHUNKS { rows.len() } else { until(chunk + 1) });
                outlet.push_rows(&rows[from..to], |row| start + Seconds(stamps[from + row]))
            }
            Source::Broadband(_) | Source::Rhythms(_) => {
                let samples = rows.len() / *width;
                let until = |chunk: usize| samples * chunk / CHUNKS;
                let (from, to) = (until(chunk), until(chunk + 1));
                // the last sample of a bin is at its end
                let stamp = |row: usize| start + Seconds(bin.0 * (from + row + 1) as f64 / samples as f64);
                outlet.push_rows(&rows[from * *width..to * *width], stamp)
            }
        }
    }
}
