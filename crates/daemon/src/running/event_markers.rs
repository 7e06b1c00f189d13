//! Follows the marker streams that windows are cut at: every marker that one is cut at goes to the tick thread.

use std::{
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

use crossbeam_channel::Receiver;
use kalmind_acquisition::{
    Marker, MarkerConfig, MarkerInlet, StreamMonitor, StreamSelector, Waker,
    ring::{Consumer, Producer, ring},
};
use kalmind_engine::{Binner, WindowSettings};
use kalmind_types::EventMarker;

use crate::{
    failure::{OrFail as _, Outcome},
    recorder::Recorder,
    starting::plan::Plan,
    task_follower::MARKERS,
    tick::TickCounts,
};

/// Markers that may wait for the tick thread; more are refused and counted.
const WAITING: usize = 256;

/// The marker streams of a run's windows.
#[derive(Debug, Default)]
pub(crate) struct EventMarkers {
    inlets: Vec<MarkerInlet>,
    thread: Option<JoinHandle<()>>,
}

/// A window, as far as its markers go.
struct Wanted {
    /// Name of its marker stream.
    stream: String,
    texts: Vec<String>,
}

/// The binner, cutting the run's windows.
pub(crate) fn cutting(plan: &Plan, binner: Binner) -> Binner {
    let width = |place: usize| plan.streams.get(place).map_or(0, |stream| stream.features.width());
    binner.with_windows(plan.windows.iter().map(WindowSettings::cut).collect(), width)
}

impl EventMarkers {
    /// Starts following them, and gives the tick thread's end; nothing where no window is configured.
    ///
    /// # Errors
    /// When a stream cannot be received, or the system gives no thread.
    pub(crate) fn start(
        plan: &Plan,
        tick: &Waker,
        counts: &Arc<TickCounts>,
        mut recorder: Option<&mut Recorder>,
    ) -> Outcome<(Self, Option<Consumer<EventMarker>>)> {
        let windows = &plan.configuration.window;
        if windows.is_empty() {
            return Ok((Self::default(), None));
        }
        let mut streams: Vec<(&StreamSelector, String)> = Vec::new();
        let mut wanted = Vec::with_capacity(windows.len());
        for window in windows {
            let known = streams.iter().find(|(selector, _)| **selector == window.selector);
            let stream = known.map_or_else(|| format!("{} markers", window.key), |(_, name)| name.clone());
            if known.is_none() {
                streams.push((&window.selector, stream.clone()));
            }
            wanted.push(Wanted { stream, texts: window.texts.clone() });
        }
        let (sink, received) = crossbeam_channel::bounded(MARKERS);
        let mut inlets = Vec::with_capacity(streams.len());
        for (selector, key) in streams {
            // what the task's stream says is recorded as such
            let is_task = *selector == plan.configuration.task.selector;
            let recorder = recorder.as_deref_mut().filter(|_| !is_task);
            let (recorded, samples) = crossbeam_channel::bounded(MARKERS);
            let config = MarkerConfig {
                key: key.clone(),
                selector: plan.configuration.not_own(selector),
                recorded: recorder.as_ref().map(|_| recorded),
                at_once: None,
            };
            let inlet = MarkerInlet::spawn(config, sink.clone()).or_stream()?;
            if let Some(recorder) = recorder {
                recorder.add_texts(key, samples, &inlet);
            }
            inlets.push(inlet);
        }
        let (mut to_tick, markers) = ring(WAITING);
        let (tick, counts) = (tick.clone(), Arc::clone(counts));
        let follow = move || follow(&wanted, &received, &mut to_tick, &tick, &counts);
        let thread =
            std::thread::Builder::new().name("kalmind-windows".to_owned()).spawn(follow).or_work()?;
        Ok((Self { inlets, thread: Some(thread) }, Some(markers)))
    }

    /// What is known of the streams.
    pub(crate) fn monitors(&self) -> impl Iterator<Item = Arc<StreamMonitor>> {
        self.inlets.iter().map(|inlet| Arc::clone(&inlet.status))
    }
}

impl Drop for EventMarkers {
    fn drop(&mut self) {
        // the thread ends with the last of them
        self.inlets.clear();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(thread = "windows", "a thread panicked");
        }
    }
}

/// Hands on every marker that a window is cut at.
fn follow(
    wanted: &[Wanted],
    received: &Receiver<Marker>,
    to_tick: &mut Producer<EventMarker>,
    tick: &Waker,
    counts: &TickCounts,
) {
    for marker in received {
        for (window, wanted) in (0_u16..).zip(wanted) {
            let text = (0_u16..).zip(&wanted.texts).find(|(_, text)| **text == marker.text);
            let Some((text, _)) = text.filter(|_| *wanted.stream == *marker.stream) else { continue };
            // what was added to the stamp, a measured offset or, without one, what makes it the time of arrival
            let offset = marker.time - marker.stamp.corrected(kalmind_types::Seconds(0.0));
            if to_tick.push(EventMarker { window, text, stamp: marker.stamp, offset }).is_err() {
                counts.windows.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        tick.wake();
    }
}
