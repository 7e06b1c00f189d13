//! What the slow side learns of a tick: its input, its output and the features in between.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use kalmind_acquisition::{
    Waker,
    pool::{PoolReader, PoolWriter, pool},
};
use kalmind_engine::{BinFacts, Engine};
use kalmind_types::{
    Cause, LslTime, ModelId, Seconds, StageTimes, TickInput, TickOutput, TickPublication, WindowResults,
};

/// A whole tick, in a pooled box. Made once, filled by the tick thread, read by the desk or the recorder.
#[derive(Clone, Debug)]
pub struct TickRecord {
    /// What went in.
    pub input: TickInput,
    /// What was published.
    pub published: TickPublication,
    /// Whether the step panicked and was answered with a fault.
    pub panicked: bool,
    /// The model that decodes, and why it may not control until somebody confirms it; none where it may.
    pub model: Option<(ModelId, Option<Cause>)>,
    /// What else a model has to know of the bin.
    pub bin: BinFacts,
    /// Raw features, before masking and z-score; NaN where a channel had no valid sample.
    pub features: Vec<f64>,
    /// What was read from the windows in its input.
    pub windows: WindowResults,
    /// Ticks before this one that found no free box: this reader never saw them.
    pub lost_before: u64,
}

impl TickRecord {
    /// An empty record for so many features.
    #[must_use]
    pub fn empty(features: usize) -> Self {
        Self {
            input: TickInput::empty(),
            published: TickPublication {
                output: TickOutput::neutral(0, LslTime(0.0)),
                times: StageTimes::default(),
                age: Seconds(0.0),
                late: false,
            },
            panicked: false,
            model: None,
            bin: BinFacts::default(),
            features: vec![f64::NAN; features],
            windows: WindowResults::default(),
            lost_before: 0,
        }
    }
}

/// The tick thread's end of a pool of records, for one reader. When no box is free the tick is not recorded there; that is
/// counted, and stands in the next record.
#[derive(Debug)]
pub struct RecordLane {
    records: PoolWriter<TickRecord>,
    reader: Waker,
    lost_before: u64,
    lost: Arc<AtomicU64>,
}

impl RecordLane {
    /// A lane of `count` records of so many features, and its reader, which `waker` wakes; what is read from a window has
    /// `values` values at most.
    #[must_use]
    pub fn new(count: usize, features: usize, values: usize, waker: Waker) -> (Self, PoolReader<TickRecord>) {
        let (records, reader) = pool(count, || TickRecord {
            windows: WindowResults::with_room(values),
            ..TickRecord::empty(features)
        });
        (Self { records, reader: waker, lost_before: 0, lost: Arc::default() }, reader)
    }

    /// How many ticks found no free box.
    #[must_use]
    pub fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    /// Writes a tick down that `engine` has stepped. Wait-free but for the futex wake.
    pub fn record(&mut self, input: &TickInput, published: TickPublication, panicked: bool, engine: &Engine) {
        let Some(mut record) = self.records.claim() else {
            self.lost_before = self.lost_before.saturating_add(1);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        record.input.clone_from(input);
        record.published = published;
        record.panicked = panicked;
        record.model = engine.model_and_doubt();
        record.bin = engine.bin_facts();
        for (kept, value) in record.features.iter_mut().zip(engine.raw_features()) {
            *kept = *value;
        }
        record.windows.clone_from(engine.windows());
        record.lost_before = core::mem::take(&mut self.lost_before);
        self.records.send(record);
        self.reader.wake();
    }
}
