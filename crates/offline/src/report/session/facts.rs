//! What a recorded session comes to: gathered in one pass over its recording, without the raw samples.

use std::{collections::BTreeMap, path::Path};

use hdrhistogram::Histogram;
use kalmind_filter::FitQuality;
use kalmind_types::{
    Event, EventBody, EventKind, FeatureLayout, LslTime, OutputState, Position, SIMULATED_SOURCE,
    StreamHealth, TaskBlock,
};
use serde_json::Value;

use super::{
    state_history::StateHistory,
    task_time::TaskTime,
    trials::{Course, Trial},
};
use crate::{
    host::Host,
    recorded::{
        Item, LossKind, ModelPart, ReadError, RecordDocument, SessionDocument, SessionReader, TickDocument,
        Wanted, recorded_report,
    },
};

/// The longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// One second of the session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Second {
    pub(super) ticks: u32,
    pub(super) incomplete: u32,
    pub(super) lost_samples: u64,
    pub(super) masked: u64,
    pub(super) guarded: u64,
    /// The longest time from the deciding sample to the decoded tick, in milliseconds.
    pub(super) longest_ms: f64,
}

/// One input stream.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamFacts {
    pub(super) key: String,
    pub(super) samples: u64,
    pub(super) lost: u64,
    pub(super) late: u64,
    /// Ticks in each state of health, by its name.
    pub(super) health: BTreeMap<&'static str, u64>,
}

/// A model that decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelFacts {
    /// SHA-256 of its file.
    pub(super) id: String,
    /// Decoder with options.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// How good it is by its own file; none where the file does not say, or is not all there.
    pub(super) quality: Option<FitQuality>,
    /// The parts of its file, until the last one has come.
    parts: Vec<ModelPart>,
}

impl ModelFacts {
    fn take(&mut self, part: ModelPart) {
        let parts = part.parts;
        self.parts.push(part);
        if self.parts.len() as u64 == parts {
            let report = recorded_report(&std::mem::take(&mut self.parts));
            self.quality = report.as_ref().and_then(FitQuality::of_report);
        }
    }
}

/// A thing that happened.
#[derive(Clone, Debug)]
pub(super) struct Happening {
    pub(super) time: f64,
    pub(super) body: EventBody,
}

/// Angles between the decoded intent and the direction to the target.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Aim {
    pub(super) ticks: u64,
    sum: f64,
}

impl Aim {
    pub(super) fn mean(&self) -> Option<f64> {
        (self.ticks > 0).then(|| self.sum / self.ticks as f64)
    }
}

/// What a session comes to.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) session: Box<SessionDocument>,
    pub(super) layout: FeatureLayout,
    pub(super) begin: f64,
    pub(super) end: f64,
    pub(super) ticks: u64,
    pub(super) incomplete: u64,
    pub(super) late_ticks: u64,
    pub(super) nonfinite: u64,
    pub(super) epochs: u32,
    pub(super) seconds: Vec<Second>,
    /// Seconds in each output state, by code, on the clock of the machine that recorded: whether ticks came or not.
    pub(super) states: [f64; 6],
    /// Times without a usable signal while something would have moved the cursor, or not: each stay in `stale`, in seconds.
    pub(super) stale: Vec<f64>,
    course: StateHistory,
    pub(super) streams: Vec<StreamFacts>,
    /// Latencies in microseconds: from the deciding sample's arrival to the tick's begin, and decoding.
    pub(super) wait_us: Histogram<u64>,
    pub(super) decode_us: Histogram<u64>,
    /// From the deciding sample's arrival to the decoded tick.
    pub(super) total_us: Histogram<u64>,
    /// Sum, sum of squares and number of each feature's values.
    pub(super) features: Vec<(f64, f64, u64)>,
    pub(super) trials: Vec<Trial>,
    /// By block.
    pub(super) aims: BTreeMap<&'static str, Aim>,
    pub(super) happenings: Vec<Happening>,
    pub(super) models: Vec<ModelFacts>,
    pub(super) losses: Vec<(LossKind, u64, String)>,
    pub(super) missing_ticks: u64,
    /// The file that this one goes on from, and what became of it.
    pub(super) continued: Option<(String, String)>,
    pub(super) summary: Option<Value>,
    /// Whether the header of an input stream names a simulated participant: a recording that a kill cut has no summary.
    simulated: bool,
    /// Why reading ended before the file did.
    pub(super) broken: Option<String>,
    task: Course,
    task_time: TaskTime,
    channels: Channels,
}

/// Where the cursor's channels stand.
#[derive(Clone, Debug, Default)]
struct Channels {
    x: Option<usize>,
    y: Option<usize>,
    intent: Option<usize>,
    valid: Option<usize>,
    state: Option<usize>,
}

impl Channels {
    fn of(labels: &[String]) -> Self {
        let at = |name: &str| labels.iter().position(|label| label == name);
        Self {
            x: at("x"),
            y: at("y"),
            intent: labels.iter().position(|label| label.starts_with("intent_")),
            valid: at("intent_valid"),
            state: at("state"),
        }
    }
}

/// Gathers a recording's facts. A recording that is damaged is read as far as it goes.
///
/// # Errors
/// [`ReadError`] where there is no session in it.
pub(super) fn gather(path: &Path, host: &dyn Host) -> Result<Facts, ReadError> {
    let mut reader =
        SessionReader::open(path, Wanted { inputs: false, raw: false, features: true, ticks: true })?;
    let session = loop {
        match reader.next_item()? {
            Some(Item::Session(session)) => break session,
            Some(Item::Unreadable(part)) => host.unreadable(&part),
            Some(_) => {}
            None => return Err(ReadError::NoSession(path.to_owned())),
        }
    };
    let mut facts = Facts::new(session, Channels::of(reader.cursor_labels()), Course::read(path)?);
    loop {
        match reader.next_item() {
            Ok(Some(Item::Unreadable(part))) => host.unreadable(&part),
            Ok(Some(item)) => facts.take(item),
            Ok(None) => break,
            Err(error) => {
                facts.broken = Some(error.to_string());
                break;
            }
        }
    }
    facts.simulated = reader.is_simulated();
    (facts.states, facts.stale) = facts.course.times();
    facts.trials = facts.task.take_trials(LslTime(facts.end));
    for trial in &mut facts.trials {
        trial.seconds = facts.task_time.between(trial.from.0, trial.to.0);
    }
    Ok(facts)
}

#[expect(clippy::expect_used, reason = "the bounds and the precision are constants within what is allowed")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds that are allowed")
}

impl Facts {
    fn new(session: Box<SessionDocument>, channels: Channels, task: Course) -> Self {
        let streams = session.streams.iter();
        let streams = streams.map(|stream| StreamFacts { key: stream.key.clone(), ..StreamFacts::default() });
        let layout = session.layout();
        Self {
            begin: f64::NAN,
            end: f64::NAN,
            ticks: 0,
            incomplete: 0,
            late_ticks: 0,
            nonfinite: 0,
            epochs: 0,
            seconds: Vec::new(),
            states: [0.0; 6],
            stale: Vec::new(),
            course: StateHistory {
                begin: session.clock.lsl,
                start: session.engine.start.into(),
                events: Vec::new(),
                ticks: Vec::new(),
                end: session.clock.lsl,
            },
            streams: streams.collect(),
            wait_us: histogram(),
            decode_us: histogram(),
            total_us: histogram(),
            features: vec![(0.0, 0.0, 0); layout.width()],
            layout,
            trials: Vec::new(),
            aims: BTreeMap::new(),
            happenings: Vec::new(),
            models: Vec::new(),
            losses: Vec::new(),
            missing_ticks: 0,
            continued: None,
            summary: None,
            simulated: false,
            broken: None,
            task,
            task_time: TaskTime::default(),
            channels,
            session,
        }
    }

    /// Seconds from the first bin to the last.
    pub(super) fn duration(&self) -> f64 {
        (self.end - self.begin).max(0.0)
    }

    /// Whether the signals were those of a simulated participant, as the recording's streams or its summary say it.
    pub(super) fn is_simulated(&self) -> bool {
        let streams = self.summary.as_ref().and_then(|summary| summary["streams"].as_array());
        let source = |stream: &Value| stream["description"]["source_id"].as_str().map(str::to_owned);
        let mut sources = streams.into_iter().flatten().filter_map(source);
        self.simulated || sources.any(|source| source.starts_with(SIMULATED_SOURCE))
    }

    /// What stands beside figures of a simulated participant.
    pub(super) fn of_whom(&self) -> &'static str {
        if self.is_simulated() { ", simulated participant" } else { "" }
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Tick(tick) => {
                self.take_tick(&tick.document);
                for (sums, value) in self.features.iter_mut().zip(&tick.features) {
                    if value.is_finite() {
                        *sums = (sums.0 + value, sums.1 + value * value, sums.2 + 1);
                    }
                }
                if let Some((_, values)) = &tick.cursor {
                    self.take_cursor(&tick.document, values);
                }
            }
            Item::Event(event) => self.take_event(event),
            Item::Document(RecordDocument::Model(part)) => {
                let bytes = part.bytes().map_or(0, |bytes| bytes.len() as u64);
                if part.part == 0 || self.models.last().is_none_or(|model| model.id != part.id) {
                    let (id, name) = (part.id.clone(), part.name.clone());
                    self.models.push(ModelFacts { id, name, ..ModelFacts::default() });
                }
                if let Some(model) = self.models.last_mut() {
                    model.bytes += bytes;
                    model.take(part);
                }
            }
            Item::Document(RecordDocument::Loss { what, count, because, .. }) => {
                self.losses.push((what, count, because));
            }
            Item::Document(RecordDocument::Continued { file, because, .. }) => {
                self.continued = Some((file, because));
            }
            Item::Document(RecordDocument::End { summary, .. }) => self.summary = Some(summary),
            Item::Document(_)
            | Item::Samples(..)
            | Item::Raw(..)
            | Item::Session(_)
            | Item::Unreadable(_) => {}
        }
    }

    fn take_tick(&mut self, tick: &TickDocument<'_>) {
        self.course.end = self.course.end.max(tick.decoded.0);
        let input = &tick.input;
        if self.ticks == 0 {
            self.begin = input.start.0;
        }
        self.end = input.time.0;
        self.ticks += 1;
        self.epochs = input.epoch + 1;
        self.missing_ticks += tick.lost_before;
        self.late_ticks += u64::from(tick.late);
        self.nonfinite += u64::from(tick.nonfinite_values);
        let micros = |seconds: f64| (seconds * 1e6).clamp(0.0, LONGEST_US as f64) as u64;
        self.wait_us.saturating_record(micros(tick.closed.0 - tick.received.0));
        self.decode_us.saturating_record(micros(tick.decoded.0 - tick.closed.0));
        let total = tick.decoded.0 - tick.received.0;
        self.total_us.saturating_record(micros(total));
        let mut lost = 0;
        for (stream, facts) in input.streams.iter().zip(&mut self.streams) {
            facts.samples += stream.samples();
            facts.lost += stream.lost;
            facts.late += stream.late;
            lost += stream.lost + stream.late;
            *facts.health.entry(StreamHealth::name(stream.health)).or_default() += 1;
        }
        // a jump of the clock must not make a session of years
        let at = (input.time.0 - self.begin).clamp(0.0, 1e6) as usize;
        let missing = (at + 1).saturating_sub(self.seconds.len()).min(1 << 20);
        self.seconds.extend(std::iter::repeat_n(Second::default(), missing));
        if let Some(second) = self.seconds.get_mut(at) {
            second.ticks += 1;
            second.incomplete += u32::from(input.incomplete);
            second.lost_samples += lost;
            second.masked += u64::from(tick.masked_features);
            second.guarded += u64::from(tick.guarded_channels);
            second.longest_ms = second.longest_ms.max(1e3 * total);
        }
        self.incomplete += u64::from(input.incomplete);
    }

    fn take_cursor(&mut self, tick: &TickDocument<'_>, values: &[f64]) {
        let value = |channel: Option<usize>| channel.and_then(|channel| values.get(channel)).copied();
        let code = value(self.channels.state).unwrap_or(0.0) as usize;
        let state = OutputState::ALL.get(code);
        self.task_time.take(tick.input.time, state.copied().unwrap_or(OutputState::Idle));
        if self.continued.is_some() && self.ticks == 1 {
            // what was before stands in another file
            self.course.begin = self.begin;
            self.course.start = state.copied().unwrap_or(self.course.start);
        }
        if let Some(state) = state
            && self.course.ticks.last().is_none_or(|(_, last)| last != state)
        {
            self.course.ticks.push((tick.decoded.0, *state));
        }
        let (Some(x), Some(y)) = (value(self.channels.x), value(self.channels.y)) else { return };
        let input = &tick.input;
        let Self { task, task_time, .. } = self;
        if let Some(trial) = task.trial(input.start, input.time) {
            trial.reach([x, y], task_time.between(trial.from.0, input.time.0));
        }
        let now = self.task.timeline.over(input.start, input.time);
        let moves = state.is_some_and(|state| state.moves());
        let intent = self.channels.intent.and_then(|first| values.get(first..first + 2));
        if let (Some(target), Some(&[vx, vy]), true, Some(1.0)) =
            (now.target, intent, moves, value(self.channels.valid))
        {
            let [dx, dy] = Position([x, y]).to(target.position);
            let (speed, distance) = (vx.hypot(vy), dx.hypot(dy));
            if speed > 0.0 && distance > target.radius {
                let cosine = (vx * dx + vy * dy) / (speed * distance);
                let aim = self.aims.entry(now.block.map_or("no block", TaskBlock::name)).or_default();
                aim.ticks += 1;
                aim.sum += cosine.clamp(-1.0, 1.0).acos();
            }
        }
    }

    fn take_event(&mut self, event: Event) {
        // older recordings have events of faults and stale input alone, without what was before
        if let EventBody::State(change) = &event.body {
            self.course.events.push((event.time.0, change.state));
            self.course.end = self.course.end.max(event.time.0);
        }
        let is_one_of_many =
            matches!(event.body.kind(), EventKind::Target | EventKind::Trial | EventKind::Window)
                || matches!(event.body, EventBody::Hand(_));
        if !is_one_of_many {
            self.happenings.push(Happening { time: event.time.0, body: event.body });
        }
    }
}
