//! How much a recording of a run grows by.

use kalmind_output::cursor_channel_labels;
use kalmind_types::{NumberFormat, StreamDescription};

use crate::{configuration::Recorded, starting::plan::Plan};

/// Bytes of a recorded sample's stamp.
const STAMP_BYTES: usize = 9;
/// Bytes of a recorded tick's input and frames, more or less.
const TICK_BYTES: usize = 900;

impl Plan {
    /// What a recording of this run grows by, in bytes a second, as far as rates are known.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        let sample = |description: &StreamDescription| {
            let width = match description.format {
                Some(NumberFormat::Int8) => 1,
                Some(NumberFormat::Int16) => 2,
                Some(NumberFormat::Float32 | NumberFormat::Int32) => 4,
                _ => 8,
            };
            description.nominal_rate_hz.max(0.0) * (description.channels * width + STAMP_BYTES) as f64
        };
        let what = self.configuration.record.what;
        let decoded = self.streams.iter().map(|stream| {
            let received = sample(&stream.inlet.description);
            let derived = stream.derived.as_ref().map(|derived| sample(&derived.description));
            match (derived, what) {
                (Some(derived), Recorded::Both) => received + derived,
                (Some(derived), Recorded::Derived) => derived,
                (Some(_), Recorded::Raw) | (None, _) => received,
            }
        });
        let further = self.recorded.iter().filter_map(|stream| stream.description.as_ref()).map(sample);
        let cursor = cursor_channel_labels(&self.demand.components).len();
        let tick = TICK_BYTES + 8 * (self.layout.width() + cursor);
        decoded.chain(further).sum::<f64>() + tick as f64 * 1e3 / self.bin_ms
    }
}
