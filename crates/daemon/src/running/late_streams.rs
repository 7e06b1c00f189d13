//! Further streams to record that are not there when a run begins: looked for all the time, and recorded from when they
//! appear.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use kalmind_acquisition::{
    InletGuard, MarkerConfig, MarkerInlet, NumericInlet, ResolveError, StreamFinder, StreamMonitor,
    StreamSelector, Waker, clock::Deadline,
};
use kalmind_types::{Seconds, StreamDescription};

use crate::{
    recorder::RecorderHandle,
    running::recorded_inlet::recorded_config,
    starting::{plan::RecordedExtra, plan_error::check_rate},
    task_follower::MARKERS,
};

/// How often it is found out what is there instead.
const SHOWN_EVERY: Seconds = Seconds(2.0);
/// How long the thread sleeps where LSL cannot search, or nothing more is looked for.
const PAUSE: Duration = Duration::from_millis(500);

/// A stream that is awaited.
#[derive(Debug)]
pub(crate) struct Awaited {
    key: String,
    selector: StreamSelector,
    monitor: Arc<StreamMonitor>,
}

impl Awaited {
    pub(crate) fn new(extra: &RecordedExtra, monitor: Arc<StreamMonitor>) -> Self {
        Self { key: extra.key.clone(), selector: extra.selector.clone(), monitor }
    }
}

/// The thread that looks for streams and keeps the inlets of those that came. Dropping it ends both.
#[derive(Debug)]
pub(crate) struct LateStreams {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LateStreams {
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn spawn(awaited: Vec<Awaited>, recorder: RecorderHandle) -> std::io::Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::Builder::new().name("kalmind-awaited".to_owned()).spawn(move || {
            // inlets end with this thread
            let mut inlets = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                if let Err(error) = look(&awaited, &recorder, &mut inlets, &ended) {
                    tracing::warn!(%error, "cannot search for the streams that are awaited");
                }
                std::thread::park_timeout(PAUSE);
            }
        })?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for LateStreams {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that waits for streams panicked");
            }
        }
    }
}

/// An inlet that came late, by the place of its stream.
struct Late {
    place: usize,
    _inlet: LateInlet,
}

#[expect(dead_code, reason = "held for their drop")]
enum LateInlet {
    Numbers(InletGuard),
    Texts(MarkerInlet),
}

/// Looks until all are there, or the run ends.
fn look(
    awaited: &[Awaited],
    recorder: &RecorderHandle,
    inlets: &mut Vec<Late>,
    ended: &AtomicBool,
) -> Result<(), ResolveError> {
    let left: Vec<usize> =
        (0..awaited.len()).filter(|place| inlets.iter().all(|late| late.place != *place)).collect();
    if left.is_empty() {
        return Ok(());
    }
    let selectors: Vec<StreamSelector> = left.iter().map(|place| awaited[*place].selector.clone()).collect();
    let mut finder = StreamFinder::new(&selectors)?;
    let mut shown: Option<Deadline> = None;
    let mut refused: Vec<Option<Deadline>> = vec![None; left.len()];
    while !ended.load(Ordering::Relaxed) && inlets.len() < awaited.len() {
        finder.look()?;
        for (index, &place) in left.iter().enumerate() {
            if inlets.iter().any(|late| late.place == place) {
                continue;
            }
            let stream = &awaited[place];
            if let Some(found) = finder.found(index) {
                match begin(stream, found, recorder) {
                    Ok(inlet) => {
                        tracing::info!(
                            stream = stream.key,
                            "a stream to record has appeared; it is recorded from now on"
                        );
                        inlets.push(Late { place, _inlet: inlet });
                    }
                    Err(problem) => {
                        stream.monitor.set_awaited(problem);
                        refused[index] = Some(Deadline::after(SHOWN_EVERY));
                        finder.seek_again(index);
                    }
                }
            } else if refused[index].is_none_or(Deadline::passed)
                && shown.is_none_or(Deadline::passed)
                && finder.has_asked_everyone()
                && let Some(problem) = finder.problem(index)
            {
                stream.monitor.set_awaited(format!("recorded from when it appears; {problem}"));
            }
        }
        if shown.is_none_or(Deadline::passed) && finder.has_asked_everyone() {
            shown = Some(Deadline::after(SHOWN_EVERY));
        }
    }
    Ok(())
}

fn begin(
    stream: &Awaited,
    found: &StreamDescription,
    recorder: &RecorderHandle,
) -> Result<LateInlet, String> {
    check_rate(&stream.key, found).map_err(|error| error.to_string())?;
    let (key, selector, monitor) = (stream.key.clone(), stream.selector.clone(), Arc::clone(&stream.monitor));
    if found.format.is_none() {
        let (recorded, samples) = crossbeam_channel::bounded(MARKERS);
        let config = MarkerConfig { key: key.clone(), selector, recorded: Some(recorded), at_once: None };
        let inlet = MarkerInlet::spawn_under(config, None, monitor).map_err(|error| error.to_string())?;
        recorder.add_texts(key, samples, &inlet);
        return Ok(LateInlet::Texts(inlet));
    }
    let config = recorded_config(key.clone(), selector, found);
    let NumericInlet { blocks, guard, .. } =
        NumericInlet::spawn_under(config, Waker::new(), monitor).map_err(|error| error.to_string())?;
    recorder.add_numbers(found.clone(), key, blocks);
    Ok(LateInlet::Numbers(guard))
}
