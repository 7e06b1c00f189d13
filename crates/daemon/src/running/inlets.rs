//! The inlets of a run: of the streams that are decoded, and of those that are only recorded.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arrayvec::ArrayVec;
use kalmind_acquisition::{
    GivenTo, InletGuard, MarkerConfig, MarkerInlet, NumericInlet, StreamMonitor, ThreadStart, Told, Waker,
};
use kalmind_signal::Given;
use kalmind_types::{MAX_STREAMS, StreamDescription};

use crate::{
    configuration::Recorded,
    desk::SteeredStages,
    failure::{OrFail as _, Outcome},
    process::realtime::{RealtimeSettings, Role},
    recorder::{self, Recorder, RecorderHandle},
    running::{
        late_streams::{Awaited, LateStreams},
        recorded_inlet::recorded_config,
    },
    starting::plan::{Plan, RecordedExtra},
    task_follower::MARKERS,
    tick::StreamInput,
};

/// Hands what is told of a stream's stages to the recorder; where that has no room for what was given to them, it is told as
/// soon as it has. `state` is how many bytes they remember at most.
fn to_recorder(recorder: RecorderHandle, stream: usize, state: usize) -> GivenTo {
    let (lost, spares) = (AtomicBool::new(false), recorder::spares(state));
    GivenTo(Arc::new(move |told| {
        let goes_on = || !lost.load(Ordering::Relaxed) || recorder.given(stream, Given::Lost);
        match told {
            Told::Given(entries) => {
                for given in entries {
                    if goes_on() {
                        lost.store(!recorder.given(stream, *given), Ordering::Relaxed);
                    }
                }
                true
            }
            Told::Checkpoint { derived, state } => {
                let goes_on = goes_on();
                lost.store(!goes_on, Ordering::Relaxed);
                goes_on && recorder.checkpoint(stream, derived, state, &spares)
            }
        }
    }))
}

/// The inlets of a run, taken apart: for status pages, for the end, for the tick thread.
pub(crate) struct Inlets {
    pub(crate) monitors: Vec<Arc<StreamMonitor>>,
    pub(crate) guards: Vec<InletGuard>,
    /// Those that have stages.
    pub(crate) stages: Vec<SteeredStages>,
    pub(crate) streams: ArrayVec<StreamInput, MAX_STREAMS>,
    pub(crate) recorded_texts: Vec<MarkerInlet>,
    pub(crate) late: Option<LateStreams>,
}

impl Inlets {
    /// Starts them all; those that are recorded report to the recorder too.
    ///
    /// # Errors
    /// When a stream cannot be received, or the system gives no thread.
    pub(crate) fn start(
        plan: &Plan,
        tick: &Waker,
        realtime: &Arc<RealtimeSettings>,
        mut recorder: Option<&mut Recorder>,
    ) -> Outcome<Self> {
        let mut inlets = Self {
            monitors: Vec::new(),
            guards: Vec::new(),
            stages: Vec::new(),
            streams: ArrayVec::new(),
            recorded_texts: Vec::new(),
            late: None,
        };
        for (index, planned) in plan.streams.iter().enumerate() {
            let mut inlet = planned.inlet.clone();
            let description = inlet.description.clone();
            let rate_hz = planned.binning.rate_hz.unwrap_or_default();
            inlet.recorded_blocks = recorder.as_ref().map(|_| recorder::blocks(rate_hz, inlet.block_samples));
            let what = plan.configuration.record.what;
            inlet.records_raw = what != Recorded::Derived;
            inlet.records_derived = what != Recorded::Raw;
            let state = planned.derived.as_ref().map_or(0, |derived| derived.checkpoint_bytes);
            inlet.on_given = recorder.as_ref().map(|recorder| to_recorder(recorder.handle(), index, state));
            let realtime = Arc::clone(realtime);
            let name = inlet.key.clone();
            inlet.on_start = Some(ThreadStart(Arc::new(move || drop(realtime.apply(Role::Stream, &name)))));
            let NumericInlet { blocks, recorded, derived, generations, status: monitor, guard } =
                NumericInlet::spawn(inlet, tick.clone()).or_stream()?;
            let key = planned.inlet.key.clone();
            if let Some(recorder) = recorder.as_mut() {
                match (&planned.derived, derived, recorded) {
                    (Some(plan), derived, raw) => {
                        if let Some(derived) = derived {
                            recorder.add_numbers(plan.description.clone(), key.clone(), Some(index), derived);
                        }
                        if let Some(raw) = raw {
                            recorder.add_raw(description, &key, index, raw);
                        }
                    }
                    (None, _, Some(received)) => {
                        recorder.add_numbers(description, key, Some(index), received);
                    }
                    (None, ..) => {}
                }
            }
            inlets.monitors.push(Arc::clone(&monitor));
            inlets.guards.push(guard);
            if let (Some(control), Some(stages)) = (generations, &planned.inlet.stages) {
                let (key, generation) = (planned.inlet.key.clone(), stages.generation);
                inlets.stages.push(SteeredStages::new(index, key, generation, control, Arc::clone(&monitor)));
            }
            inlets.streams.push(StreamInput { blocks, monitor });
        }
        if let Some(recorder) = recorder {
            let mut awaited = Vec::new();
            for extra in &plan.recorded {
                if let Some(description) = &extra.description {
                    inlets.record(extra, description, recorder)?;
                } else {
                    let monitor = Arc::new(StreamMonitor::new(extra.key.clone()));
                    inlets.monitors.push(Arc::clone(&monitor));
                    awaited.push(Awaited::new(extra, monitor));
                }
            }
            if !awaited.is_empty() {
                inlets.late = Some(LateStreams::spawn(awaited, recorder.handle()).or_work()?);
            }
        }
        Ok(inlets)
    }

    /// A further stream, which goes to the recorder alone.
    fn record(
        &mut self,
        extra: &RecordedExtra,
        description: &StreamDescription,
        recorder: &mut Recorder,
    ) -> Outcome<()> {
        let RecordedExtra { key, selector, .. } = extra.clone();
        if description.format.is_none() {
            let (recorded, samples) = crossbeam_channel::bounded(MARKERS);
            let config = MarkerConfig { key: key.clone(), selector, recorded: Some(recorded), at_once: None };
            let inlet = MarkerInlet::spawn(config, None).or_stream()?;
            recorder.add_texts(key, samples, &inlet);
            self.monitors.push(Arc::clone(&inlet.status));
            self.recorded_texts.push(inlet);
            return Ok(());
        }
        // the recorder looks every few milliseconds: nobody has to wake it
        let config = recorded_config(key.clone(), selector, description);
        let NumericInlet { blocks, status, guard, .. } =
            NumericInlet::spawn(config, Waker::new()).or_stream()?;
        recorder.add_numbers(description.clone(), key, None, blocks);
        self.monitors.push(status);
        self.guards.push(guard);
        Ok(())
    }
}
