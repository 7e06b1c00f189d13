//! What a stream says of itself, and what acquisition found out about it.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{ChannelOut, Seconds};

/// The most streams that one daemon decodes from.
pub const MAX_STREAMS: usize = 8;

/// What an LSL stream's header says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamDescription {
    /// Name.
    pub name: String,
    /// Content type (`EEG`, `Features`, `Markers`).
    #[serde(rename = "type")]
    pub content_type: String,
    /// Number of channels.
    pub channels: usize,
    /// Number format; `None` for string streams.
    pub format: Option<NumberFormat>,
    /// Nominal rate in Hz; 0 for irregular streams.
    pub nominal_rate_hz: f64,
    /// The sender's own identifier of the source; may be empty.
    pub source_id: String,
    /// Host that sends it.
    pub hostname: String,
    /// LSL's unique identifier of this outlet instance.
    pub uid: String,
    /// LSL session identifier.
    pub session_id: String,
    /// Channel labels where the header names every one of them.
    pub labels: Option<Vec<String>>,
    /// Channel units where the header names every one of them.
    pub units: Option<Vec<String>>,
    /// The sender's further description: the content of `<desc>`, XML as it was sent. For recordings; not in messages.
    #[serde(skip)]
    pub desc: String,
}

/// What users see of a stream. Documented in the order of a stream's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum StreamHealth {
    /// Not connected yet.
    Waiting = 0,
    /// Samples arrive as promised.
    Live = 1,
    /// Nothing for longer than the stall limit.
    Stalled = 2,
    /// The outlet is gone; searching for it.
    Lost = 3,
    /// It came back, or runs, with another count, format, labels or rate; its samples are refused.
    Mismatch = 4,
    /// Data older than the backlog limit arrive; they are dropped and counted.
    Backlog = 5,
    /// Its stamps are on a clock that has nothing to do with this machine's.
    BadClock = 6,
    /// Its stages take longer than its samples take to come.
    Overloaded = 7,
    /// One of its stages failed; nothing comes of it any more.
    Fault = 8,
}

impl StreamHealth {
    /// The name by which messages and tables show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Live => "live",
            Self::Stalled => "stalled",
            Self::Lost => "lost",
            Self::Mismatch => "mismatch",
            Self::Backlog => "backlog",
            Self::BadClock => "bad_clock",
            Self::Overloaded => "overloaded",
            Self::Fault => "fault",
        }
    }
}

impl fmt::Display for StreamHealth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The measured offset of a sender's clock: add it to a raw stamp to get a time on this machine's LSL clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// Offset.
    pub offset: Seconds,
    /// Half the round trip of the best probe: how wrong the offset may be. Zero before the first measurement.
    pub uncertainty: Seconds,
}

/// How a stream's samples arrive, as measured over a few seconds; in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    /// Time between two arrivals, at a typical moment: the length of a chunk where the sender pushes chunks.
    pub interval_ms: f64,
    /// The longest that occurred more than once.
    pub longest_interval_ms: f64,
    /// How old the oldest sample of a chunk typically is when it arrives: what chunks and the way add to a delay.
    pub delay_ms: f64,
    /// The longest time, of those that occurred more than once, from the newest stamp known to the arrival of the next:
    /// how long a bin that has just ended may have to wait.
    pub longest_wait_ms: f64,
    /// How far the stamps are ahead of this machine's clock; 0 where they are not.
    pub ahead_ms: f64,
}

/// How a stream arrives, and the limits in force for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArrivalStatus {
    /// Whether it is being measured now.
    pub measuring: bool,
    /// What was measured, and the limits follow from; none before the first measurement.
    pub measured: Option<Arrival>,
    /// Time without a sample after which the stream is `stalled`, in milliseconds.
    pub stall_ms: f64,
    /// Age beyond which samples are dropped, in milliseconds.
    pub backlog_ms: f64,
    /// What has to be said of it, for people: a limit that does not fit, stamps ahead of now.
    pub remark: Option<String>,
    /// In how many measurements since the start something had to be said of it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub remarks: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// How late the input is, and what follows: for status pages, the summary and requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputDelay {
    /// Whether it is fit for control.
    pub state: InputArrival,
    /// How old the oldest samples of a bin typically are when they are here, in milliseconds; none before it is measured.
    pub delay_ms: Option<f64>,
    /// How long bins wait for their streams, in milliseconds.
    pub max_wait_ms: f64,
    /// Both in words.
    pub text: String,
}

/// What became of a stream's samples since the start. Every sample received is in exactly one of the rows of the
/// identity `received = decoded + dropped + late + waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCounts {
    /// Samples that LSL delivered.
    pub received: u64,
    /// Samples that the stamps say were never delivered.
    pub missing: u64,
    /// Samples delivered and dropped: full ring, backlog, refused by a mismatch or bad clock, before the first bin.
    pub dropped: u64,
    /// Samples for a bin that was closed already.
    pub late: u64,
    /// Times the stream was connected anew.
    pub reconnects: u64,
    /// Times LSL's input queue was found full: samples may have been lost there without being counted.
    pub overflows: u64,
}

/// A stream as `/v1/status`, `/metrics` and the console show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// The name under which the configuration knows the stream.
    pub key: String,
    /// Its header, once resolved.
    pub description: Option<StreamDescription>,
    /// What the monitor says.
    pub health: StreamHealth,
    /// One sentence for people when the health is not `live`: what is wrong and what to do.
    pub detail: Option<String>,
    /// Counters.
    #[serde(flatten)]
    pub counts: StreamCounts,
    /// Time since the newest sample's stamp, in milliseconds; negative where it is ahead of now.
    pub age_ms: Option<f64>,
    /// Measured rate in Hz, over the last seconds.
    pub measured_rate_hz: Option<f64>,
    /// Measured clock offset in milliseconds.
    pub clock_offset_ms: Option<f64>,
    /// Its uncertainty in milliseconds.
    pub clock_uncertainty_ms: Option<f64>,
    /// How its samples arrive; none for streams that are only recorded, and for markers.
    pub arrival: Option<ArrivalStatus>,
    /// How long its stages go on settling after a start; none where they have settled, and without stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settling_ms: Option<f64>,
    /// Channels that are left out because they are not healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels_out: Vec<ChannelOut>,
}

/// How the source of a simulated participant's stream begins, as `kalmind simulate` names it.
pub const SIMULATED_SOURCE: &str = "kalmind-participant-";

/// A channel's unit as its sender states it; empty where that says that there is none, or that nobody knows: some programs fill
/// the field in all the same (mne-lsl writes `0`).
#[must_use]
pub fn stated_unit(text: &str) -> &str {
    let unit = text.trim();
    let says_nothing = ["0", "none", "unknown", "n/a"].iter().any(|said| unit.eq_ignore_ascii_case(said));
    if says_nothing { "" } else { unit }
}

/// Whether the input is fit for control, by how it arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputArrival {
    /// It is being measured: nothing moves.
    Measuring,
    /// It is.
    #[default]
    Fit,
    /// It comes so late that a cursor is hard to control: `control` needs a confirmation.
    Slow,
}

/// The number type of a stream's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberFormat {
    /// 32-bit float.
    Float32,
    /// 64-bit float.
    Double64,
    /// 8-bit integer.
    Int8,
    /// 16-bit integer.
    Int16,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_says_nothing_is_none() {
        for said in ["", "0", " none ", "Unknown", "N/A", "n/a"] {
            assert_eq!(stated_unit(said), "", "{said:?}");
        }
        for said in ["uV", "microvolts", "V", "-6", "1"] {
            assert_eq!(stated_unit(said), said);
        }
    }
}
