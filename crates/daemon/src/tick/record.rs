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

use arrayvec::ArrayVec;
use kalmind_acquisition::{
    Waker,
    pool::{PoolReader, PoolWriter, pool},
};
use kalmind_engine::{BinFacts, Engine, HistoryRow};
use kalmind_signal::{AdaptiveState, running_state};
use kalmind_types::{
    Cause, FeatureSet, LslTime, ModelId, Seconds, StageTimes, TickInput, TickOutput, TickPublication,
    WindowResults,
};

/// An adaptive state is told to a reader at least this often, in seconds of stream time.
const CHECKPOINT_EVERY: f64 = 60.0;
/// Copies of it that may be on their way to a reader; where none is free the next tick that finds one takes it.
const CHECKPOINTS: usize = 4;

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
    /// Features that moved the adaptive state.
    pub moved: FeatureSet,
    /// The adaptive state after the tick, where this is a checkpoint of it: once a minute, where it began, and where this
    /// reader has missed ticks. Stays in the box when that is given back.
    pub adaptive: Option<Box<AdaptiveState>>,
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
            moved: FeatureSet::none_of(features),
            adaptive: None,
            lost_before: 0,
        }
    }

    /// The bin, as a model sees it.
    #[must_use]
    pub fn row(&self) -> HistoryRow<'_> {
        HistoryRow::of(&self.input, self.bin, &self.features).moved(Some(&self.moved))
    }
}

/// What the engine knows of the newest tick beside its output.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineView<'a> {
    /// The model that decodes, and why it may not control.
    pub model: Option<(ModelId, Option<Cause>)>,
    /// What else a model has to know of the bin.
    pub bin: BinFacts,
    /// Raw features.
    pub features: &'a [f64],
    /// Features that moved the adaptive state.
    pub moved: Option<&'a FeatureSet>,
    /// The adaptive state after the tick.
    pub adaptive: Option<&'a AdaptiveState>,
    /// What was read from the windows in its input.
    pub windows: Option<&'a WindowResults>,
}

impl<'a> EngineView<'a> {
    /// By the engine.
    #[must_use]
    pub fn of(engine: &'a Engine) -> Self {
        Self {
            model: engine.model_and_doubt(),
            bin: engine.bin_facts(),
            features: engine.raw_features(),
            moved: engine.moved(),
            adaptive: engine.adaptive(),
            windows: Some(engine.windows()),
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
    checkpoints: Checkpoints,
}

/// Copies of the adaptive state for one reader. Allocated once; they travel in records and come back with them.
#[derive(Debug)]
struct Checkpoints {
    free: ArrayVec<Box<AdaptiveState>, CHECKPOINTS>,
    /// Whether one has to be told.
    due: bool,
    /// The newest one's minute of stream time.
    minute: Option<i64>,
}

impl Checkpoints {
    fn new(features: usize) -> Self {
        let free = (0..CHECKPOINTS).map(|_| Box::new(running_state(features))).collect();
        Self { free, due: false, minute: None }
    }

    /// The copy that this tick tells, where one is due; `before` is what the record told before.
    fn next(
        &mut self,
        time: LslTime,
        missed: bool,
        known: &EngineView<'_>,
        before: Option<Box<AdaptiveState>>,
    ) -> Option<Box<AdaptiveState>> {
        if let Some(before) = before {
            let _as_many_places_as_copies = self.free.try_push(before);
        }
        let adaptive = known.adaptive?;
        let minute = Some((time.0 / CHECKPOINT_EVERY).floor() as i64);
        self.due |= missed || known.bin.turned || minute != self.minute;
        let mut copy = if self.due { self.free.pop() } else { None }?;
        (self.due, self.minute) = (false, minute);
        copy.carry(adaptive);
        Some(copy)
    }
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
        let checkpoints = Checkpoints::new(features);
        (Self { records, reader: waker, lost_before: 0, lost: Arc::default(), checkpoints }, reader)
    }

    /// How many ticks found no free box.
    #[must_use]
    pub fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    /// Writes a tick down. Wait-free but for the futex wake.
    pub fn record(
        &mut self,
        input: &TickInput,
        published: TickPublication,
        panicked: bool,
        known: &EngineView<'_>,
    ) {
        let Some(mut record) = self.records.claim() else {
            self.lost_before = self.lost_before.saturating_add(1);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        record.input.clone_from(input);
        record.published = published;
        record.panicked = panicked;
        record.model = known.model;
        record.bin = known.bin;
        for (kept, value) in record.features.iter_mut().zip(known.features) {
            *kept = *value;
        }
        match known.moved {
            Some(moved) => record.moved.copy_from(moved),
            None => record.moved.clear(),
        }
        let missed = self.lost_before > 0;
        record.adaptive = self.checkpoints.next(input.time, missed, known, record.adaptive.take());
        match known.windows {
            Some(windows) => record.windows.clone_from(windows),
            None => record.windows.clear(),
        }
        record.lost_before = core::mem::take(&mut self.lost_before);
        self.records.send(record);
        self.reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records a tick at this time; the state that its record tells, and the record given back or kept.
    struct Bench {
        lane: RecordLane,
        reader: PoolReader<TickRecord>,
        state: AdaptiveState,
        #[expect(clippy::vec_box, reason = "the lane takes boxes and gives them back")]
        kept: Vec<Box<TickRecord>>,
    }

    impl Bench {
        fn tick(&mut self, time: f64, turned: bool, keep: bool) -> Option<f64> {
            self.state.values_mut().fill(time);
            let input = TickInput { time: LslTime(time), ..TickInput::empty() };
            let published = TickRecord::empty(1).published;
            let bin = BinFacts { weight: 0.1, turned, ..BinFacts::default() };
            let view =
                EngineView { bin, features: &[0.5], adaptive: Some(&self.state), ..EngineView::default() };
            self.lane.record(&input, published, false, &view);
            let record = self.reader.receive()?;
            let told = record.adaptive.as_ref().and_then(|state| state.values().first().copied());
            if keep {
                self.kept.push(record);
            } else {
                self.reader.give_back(record);
            }
            told
        }
    }

    fn bench(records: usize) -> Bench {
        let (lane, reader) = RecordLane::new(records, 1, 0, Waker::new());
        Bench { lane, reader, state: running_state(1), kept: Vec::new() }
    }

    #[test]
    fn a_state_is_told_where_it_begins_each_minute_and_after_ticks_that_were_missed() {
        let mut bench = bench(1);
        assert_eq!(bench.tick(30.0, true, false), Some(30.0));
        assert_eq!(bench.tick(59.0, false, false), None);
        assert_eq!(bench.tick(60.5, false, false), Some(60.5));
        assert_eq!(bench.tick(61.0, false, true), None);
        // the reader holds the only record
        assert_eq!(bench.tick(62.0, false, false), None);
        bench.reader.give_back(bench.kept.remove(0));
        assert_eq!(bench.tick(63.0, false, false), Some(63.0));
        assert_eq!(bench.tick(64.0, false, false), None);
    }

    #[test]
    fn where_no_copy_is_free_the_next_tick_that_finds_one_tells_it() {
        let mut bench = bench(CHECKPOINTS + 2);
        for at in 0..CHECKPOINTS {
            assert_eq!(bench.tick(at as f64, true, true), Some(at as f64));
        }
        assert_eq!(bench.tick(10.0, true, true), None);
        // the copy comes back with its record
        bench.reader.give_back(bench.kept.remove(0));
        let told: Vec<Option<f64>> = (11..14).map(|time| bench.tick(f64::from(time), false, false)).collect();
        assert_eq!(told.iter().flatten().count(), 1, "{told:?}");
    }
}
