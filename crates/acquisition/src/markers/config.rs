//! Which marker stream to receive, and what comes of it.

use std::sync::Arc;

use crossbeam_channel::Sender;
use kalmind_types::{ClockOffset, LslTime, Samples, StreamTime};

use crate::search::selector::StreamSelector;

/// One text of a marker stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// Its stamp, on this machine's LSL clock; the time of its arrival as long as the clock of the machine that sent it
    /// has not been measured.
    pub time: LslTime,
    /// Its raw stamp.
    pub stamp: StreamTime,
    /// The text. A stream of several channels gives one marker for each channel that is not empty; a steady line of
    /// numbers one for each change to another number than 0.
    pub text: String,
    /// Whether it was sent as a number.
    pub is_number: bool,
    /// The name by which the configuration knows the stream.
    pub stream: Arc<str>,
}

/// One sample of a marker stream as it was received, for a recorder.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSample {
    /// Its raw stamp.
    pub stamp: StreamTime,
    /// The measured offset of the sender's clock; none where it has not been measured.
    pub clock: Option<ClockOffset>,
    /// One text a channel.
    pub texts: Vec<String>,
    /// The numbers, where it came as numbers.
    pub numbers: Option<Samples>,
}

/// Which marker stream to receive.
#[derive(Clone, Debug)]
pub struct MarkerConfig {
    /// The name by which the configuration knows the stream.
    pub key: String,
    /// What it is searched by.
    pub selector: StreamSelector,
    /// Where set, every sample also goes there as it was received; where that has no room within 100 ms it is dropped, and
    /// the inlet counts it as unrecorded.
    pub recorded: Option<Sender<TextSample>>,
    /// Shown every text as soon as it is received, before it waits in any queue: for what must not wait, like a stop.
    pub at_once: Option<AtOnce>,
}

/// Something that is shown every text at once, on the inlet's thread. Must not block.
#[derive(Clone)]
pub struct AtOnce(pub Arc<dyn Fn(&str) + Send + Sync>);

impl core::fmt::Debug for AtOnce {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("AtOnce")
    }
}
