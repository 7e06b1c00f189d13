//! The recorder: one thread that writes everything a session was into an XDF file (docs/recording.md).
//!
//! Samples come through a pool of their own a stream, ticks through another, events and models over a queue; none of them
//! waits for the disk. What finds no room, or cannot be written, is counted, shown and told in the file.

mod continuing;
mod fate;
#[cfg(test)]
mod faults;
mod file;
mod head;
mod headers;
mod inputs;
mod leaving;
mod message;
mod models;
mod present;
#[cfg(test)]
mod refits;
mod status;
mod texts;
mod untold;
mod watch;
mod writing;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender};
use kalmind_acquisition::{MarkerInlet, StreamMonitor, TextSample, Waker, clock, pool::PoolReader};
use kalmind_offline::{
    calibration_fit::RecordedFit,
    model::IdentifiedModel,
    recorded::{LossKind, SessionDocument, StagesDocument},
};
use kalmind_output::CursorRow;
use kalmind_recording::xdf::writer::Sink;
use kalmind_signal::Given;
use kalmind_types::{LslTime, RenderedEvent, SampleBlock, StreamDescription};
use serde_json::Value;

pub use file::{FileError, file_name, free_bytes};
pub use message::Message;
pub use status::{Announce, RecorderStatus};

use crate::tick::{RecordLane, TickRecord};
use head::RecordingFile;
use inputs::NumericHeader;
use leaving::Follower;
use watch::Watching;
use writing::{Beginning, Writing};

/// Ticks that may wait for the recorder: five seconds at 200 Hz.
const TICKS: usize = 1024;
/// Events and models that may wait for it.
const MESSAGES: usize = 4096;
/// How long the recorder waits when nothing wakes it.
const LONGEST_PARK: Duration = Duration::from_millis(10);
/// Seconds of a stream's samples that may wait for the recorder.
const HELD: f64 = 4.0;

/// Memory for checkpoints that is not in use, and where it comes back.
pub type Spares = (Sender<Vec<u8>>, Receiver<Vec<u8>>);

/// Memory for two checkpoints of so many bytes: one is written while the next is taken.
#[must_use]
pub fn spares(bytes: usize) -> Spares {
    let (spare, spares) = crossbeam_channel::bounded(2);
    for _ in 0..2 {
        let _finds_room = spare.try_send(Vec::with_capacity(bytes));
    }
    (spare, spares)
}

/// Blocks for a recorder of a stream: four seconds of it, at least 64.
#[must_use]
pub fn blocks(rate_hz: f64, block_samples: usize) -> usize {
    // one block a pull: at low rates each holds one sample
    let per_second = rate_hz.min((rate_hz / block_samples.max(1) as f64).max(200.0));
    ((per_second * HELD).ceil() as usize).clamp(64, 4096)
}

/// How the slow side speaks to the recorder. Never waits.
#[derive(Clone, Debug)]
pub struct RecorderHandle {
    messages: Sender<Message>,
    additions: Sender<Addition>,
    status: Arc<RecorderStatus>,
}

impl RecorderHandle {
    /// The handle of a recorder that has no room.
    #[cfg(test)]
    pub(crate) fn full() -> Self {
        let status = Arc::new(RecorderStatus::new(PathBuf::new(), 0.0));
        Self {
            messages: crossbeam_channel::bounded(0).0,
            additions: crossbeam_channel::unbounded().0,
            status,
        }
    }

    /// What is known of the recording.
    #[must_use]
    pub fn status(&self) -> &Arc<RecorderStatus> {
        &self.status
    }

    /// Adds a stream of numbers that appeared while the recording runs.
    pub fn add_numbers(&self, description: StreamDescription, key: String, blocks: PoolReader<SampleBlock>) {
        let header = NumericHeader { description, key, ..NumericHeader::default() };
        self.add(Addition::Numbers(Box::new(Numbers { header, blocks })));
    }

    /// Adds a stream of text that appeared while the recording runs.
    pub fn add_texts(&self, key: String, samples: Receiver<TextSample>, inlet: &MarkerInlet) {
        self.add(Addition::Texts(Texts::of(key, samples, inlet)));
    }

    fn add(&self, addition: Addition) {
        // not bounded: there are as many as the configuration names
        if self.additions.send(addition).is_err() {
            tracing::error!("a stream appeared after the recorder had ended");
        }
    }

    /// Records an event.
    pub fn event(&self, event: &RenderedEvent) {
        if self.messages.try_send(Message::Event(event.clone())).is_err() {
            self.status.count_lost(LossKind::Events, 1);
        }
    }

    /// Records what was given to the stages of the stream in this place; `false` where there is no room. Allocates nothing.
    pub fn given(&self, stream: usize, given: Given) -> bool {
        let sent = self.messages.try_send(Message::Given { stream, given }).is_ok();
        if !sent {
            self.status.count_lost(LossKind::Events, 1);
        }
        sent
    }

    /// Records what the stages of the stream in this place remember; `false` where there is no room. Allocates nothing as
    /// long as the memory in `spares` holds it.
    pub fn checkpoint(&self, stream: usize, derived: u64, state: &[u8], spares: &Spares) -> bool {
        let Ok(mut memory) = spares.1.try_recv() else { return false };
        memory.clear();
        memory.extend_from_slice(state);
        let message = Message::Checkpoint { stream, derived, state: memory, spare: spares.0.clone() };
        let refused = self.messages.try_send(message).map_err(crossbeam_channel::TrySendError::into_inner);
        if let Err(Message::Checkpoint { state, spare, .. }) = refused {
            // there is room for as many as there are
            let _finds_room = spare.try_send(state);
            return false;
        }
        true
    }

    /// Records another generation of a stream's stages. To be called before the stages can hear of it, which must not where
    /// the recorder is too far behind to take it: `false`.
    #[must_use]
    pub fn stages(&self, stream: usize, stages: StagesDocument) -> bool {
        let message = Message::Stages { stream, stages: Box::new(stages) };
        self.messages.try_send(message).is_ok()
    }

    /// Tells once everything that was handed over until now is in the file, or counted as lost; none where there is no room for
    /// the question.
    #[must_use]
    pub fn written(&self) -> Option<Receiver<()>> {
        let (tell, told) = crossbeam_channel::bounded(1);
        self.messages.try_send(Message::Written { tell }).ok().map(|()| told)
    }

    /// Records a model, packed where it was fitted in this session. To be called before the tick can hear of it.
    pub fn model(&self, model: &IdentifiedModel, fitted: Option<Arc<RecordedFit>>) {
        let message = Message::Model {
            id: model.id.to_hex(),
            name: model.model.decoder.to_string(),
            file: Arc::clone(&model.file),
            fitted,
        };
        if self.messages.try_send(message).is_err() {
            self.status.count_lost(LossKind::Events, 1);
            tracing::error!("the recorder is so far behind that a model is missing from the recording");
        }
    }
}

/// A recording that has been begun: its file stands, and it waits for its streams.
#[derive(Debug)]
pub struct Recorder {
    file: File,
    path: PathBuf,
    handle: RecorderHandle,
    messages: Receiver<Message>,
    additions: Receiver<Addition>,
    waker: Waker,
    numbers: Vec<Numbers>,
    texts: Vec<Texts>,
}

#[derive(Debug)]
struct Numbers {
    header: NumericHeader,
    blocks: PoolReader<SampleBlock>,
}

#[derive(Debug)]
struct Texts {
    key: String,
    samples: Receiver<TextSample>,
    refused: Arc<AtomicU64>,
    monitor: Arc<StreamMonitor>,
}

/// A stream that came late.
#[derive(Debug)]
enum Addition {
    Numbers(Box<Numbers>),
    Texts(Texts),
}

impl Texts {
    fn of(key: String, samples: Receiver<TextSample>, inlet: &MarkerInlet) -> Self {
        let (refused, monitor) = (Arc::clone(&inlet.unrecorded), Arc::clone(&inlet.status));
        Self { key, samples, refused, monitor }
    }
}

impl Recorder {
    /// Makes the file, if there is room for `hours` at so many bytes a second.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn create(path: &Path, bytes_per_second: f64, hours: f64) -> Result<Self, FileError> {
        let file = file::create(path, bytes_per_second, hours)?;
        let (sender, messages) = crossbeam_channel::bounded(MESSAGES);
        let (add, additions) = crossbeam_channel::unbounded();
        let status = Arc::new(RecorderStatus::new(path.to_owned(), bytes_per_second));
        Ok(Self {
            file,
            path: path.to_owned(),
            handle: RecorderHandle { messages: sender, additions: add, status },
            messages,
            additions,
            waker: Waker::new(),
            numbers: Vec::new(),
            texts: Vec::new(),
        })
    }

    /// How others speak to it.
    #[must_use]
    pub fn handle(&self) -> RecorderHandle {
        self.handle.clone()
    }

    /// Room for ticks: the tick thread's end, and the end that [`Self::start`] takes; what is read from a window has `values`
    /// values at most.
    #[must_use]
    pub fn ticks(&self, features: usize, values: usize) -> (RecordLane, PoolReader<TickRecord>) {
        RecordLane::new(TICKS, features, values, self.waker.clone())
    }

    /// Adds a stream of numbers; `index` is its place among the decoded streams.
    pub fn add_numbers(
        &mut self,
        description: StreamDescription,
        key: String,
        index: Option<usize>,
        blocks: PoolReader<SampleBlock>,
    ) {
        let header = NumericHeader { description, key, index, raw: false };
        self.numbers.push(Numbers { header, blocks });
    }

    /// Adds the decoded stream in this place as it is received, beside what its stages make of it.
    pub fn add_raw(
        &mut self,
        description: StreamDescription,
        key: &str,
        place: usize,
        blocks: PoolReader<SampleBlock>,
    ) {
        let header = NumericHeader { description, key: format!("{key}.raw"), index: Some(place), raw: true };
        self.numbers.push(Numbers { header, blocks });
    }

    /// Adds a stream of text that `inlet` receives.
    pub fn add_texts(&mut self, key: String, samples: Receiver<TextSample>, inlet: &MarkerInlet) {
        self.texts.push(Texts::of(key, samples, inlet));
    }

    /// Writes the head of the file and starts the thread. What happens to the file becomes an event through `announce`.
    ///
    /// # Errors
    /// When the head cannot be written or there is no thread.
    pub fn start(
        self,
        session: &SessionDocument,
        row: CursorRow,
        ticks: PoolReader<TickRecord>,
        announce: Announce,
    ) -> anyhow::Result<RunningRecorder> {
        let Self { file, path, handle, messages, additions, waker, numbers, texts } = self;
        let status = Arc::clone(&handle.status);
        status.set_announce(announce);
        let own = file.try_clone()?;
        let (told, news) = crossbeam_channel::unbounded();
        let watching = Watching::spawn(file.try_clone()?, path.clone(), Arc::clone(&status), told)?;
        let now = clock::now();
        let date = kalmind_recording::date(session.clock.unix);
        let labels = feature_labels(session);
        let beginning = Beginning { session, features: &labels, row, now, date: &date };
        let sink = RecordingFile::Open(file);
        let mut writing = Writing::new(sink, beginning, ticks, messages, status);
        let numbers = numbers.into_iter().map(|numbers| Addition::Numbers(Box::new(numbers)));
        for addition in numbers.chain(texts.into_iter().map(Addition::Texts)) {
            add_stream(&mut writing, addition, now);
        }
        writing.begin().map_err(|error| {
            anyhow::anyhow!("the recording {} cannot be started: {error}", path.display())
        })?;
        let mut follower = Follower::new(own, path, news, handle.messages.clone());
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let attached = waker.clone();
        let thread = std::thread::Builder::new().name("kalmind-recorder".to_owned()).spawn(move || {
            let _only_this_thread_attaches = attached.attach();
            while !ended.load(Ordering::Acquire) {
                for addition in additions.try_iter() {
                    add_stream(&mut writing, addition, clock::now());
                }
                follower.follow(&mut writing);
                writing.round(clock::now());
                std::thread::park_timeout(LONGEST_PARK);
            }
            follower.end(&mut writing);
        })?;
        Ok(RunningRecorder { handle, waker, end, thread, watching })
    }
}

/// Adds a stream to the file; its header is written with what comes next.
fn add_stream<S: Sink>(writing: &mut Writing<S>, addition: Addition, now: LslTime) {
    match addition {
        Addition::Numbers(numbers) => {
            let Numbers { header, blocks } = *numbers;
            writing.add_numbers(blocks, header, now);
        }
        Addition::Texts(Texts { key, samples, refused, monitor }) => {
            writing.add_texts(key, samples, refused, monitor);
        }
    }
}

/// Names of the features, in their order.
fn feature_labels(session: &SessionDocument) -> Vec<String> {
    let key = |stream: usize| session.streams.get(stream).map_or("", |input| input.key.as_str());
    session.layout().names(|stream, channel| format!("{}.{channel}", key(stream)))
}

/// A recorder at work.
#[derive(Debug)]
pub struct RunningRecorder {
    handle: RecorderHandle,
    waker: Waker,
    end: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    watching: Watching,
}

impl RunningRecorder {
    /// How others speak to it.
    #[must_use]
    pub fn handle(&self) -> &RecorderHandle {
        &self.handle
    }

    /// Whether its thread runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends the recording in order: what waits is written, then why it ended and what the run did, then the footers. To be
    /// called when everything else has ended.
    pub fn finish(self, reason: &str, summary: Value) {
        let message = Message::End { reason: reason.to_owned(), summary };
        if self.handle.messages.send_timeout(message, Duration::from_secs(1)).is_err() {
            tracing::error!("the recorder has stopped; the recording has no summary");
        }
        // no new file is made any more; the recorder itself looks at the last one
        drop(self.watching);
        self.end.store(true, Ordering::Release);
        self.waker.wake();
        if self.thread.join().is_err() {
            tracing::error!("the recorder panicked; `kalmind recording repair` repairs the file");
        }
    }
}

/// A moment on both clocks, for a session's document.
#[must_use]
pub fn clock_reading() -> kalmind_offline::recorded::ClockReading {
    let pair = clock::clock_pair();
    let LslTime(lsl) = pair.lsl;
    kalmind_offline::recorded::ClockReading { lsl, unix: pair.unix }
}
