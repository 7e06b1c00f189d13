//! Follows the task's marker stream: every marker becomes an event and a message to the desk, and what nobody understands is
//! told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use kalmind_acquisition::{AtOnce, Marker, MarkerConfig, MarkerInlet, clock};
use kalmind_session::{MarkerTable, parse_marker};
use kalmind_types::{Actor, EventBody, LslTime, OperatorAction};
use serde_json::{Value, json};

use crate::{
    configuration::Configuration,
    desk::{DeskHandle, Message},
    event_bus::{EventBus, near},
    failure::{OrFail as _, Outcome},
    recorder::Recorder,
    running::plane_streams::PlaneStreams,
    tick::StopLatch,
};

/// The name under which the task's marker stream is shown.
pub(crate) const TASK_MARKERS: &str = "task markers";
/// What a task is told that asks to resume and may not.
pub(crate) const TASK_MAY_NOT_RESUME: &str =
    "a task asked to resume, but [task] may_resume is false: only the operator can resume";
/// What is said to whoever tells how a hand moves, and nobody follows it.
pub(crate) const HAND_NOT_TAKEN: &str =
    "this run takes no hand: only `kalmind demo --mouse` does, whose simulated participant follows it";
/// Markers that may wait to be understood, and texts of a stream that may wait for the recorder: a burst of a whole session's.
pub(crate) const MARKERS: usize = 65_536;
/// How long a marker waits for the desk to have room for it.
const DESK_WITHIN: Duration = Duration::from_secs(1);
/// Different texts that are remembered because nobody understood them; further ones are counted together.
const REMEMBERED: usize = 16;
/// Characters of a text that is shown.
const SHOWN: usize = 60;
/// Entries that are less alike than this (Jaro-Winkler) are no slip of the pen.
const ALIKE: f64 = 0.8;

/// How often each entry of `[task.markers]` came, and what came that stands in no table. Any thread.
#[derive(Debug)]
pub struct MarkerCounts {
    unknown: AtomicU64,
    texts: Mutex<Texts>,
}

#[derive(Debug, Default)]
struct Texts {
    /// How often each entry of the table came.
    entries: BTreeMap<String, u64>,
    /// How often each text came that was not understood.
    unknown: BTreeMap<String, u64>,
}

impl MarkerCounts {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(table: &MarkerTable) -> Self {
        let entries = table.texts().map(|text| (text.to_owned(), 0)).collect();
        Self { unknown: AtomicU64::new(0), texts: Mutex::new(Texts { entries, unknown: BTreeMap::new() }) }
    }

    /// Markers that were not understood.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }

    fn count_entry(&self, entry: &str) {
        if let Some(count) = self.texts().entries.get_mut(entry) {
            *count += 1;
        }
    }

    /// Counts a text that was not understood; whether it is the first of its kind.
    fn count_unknown(&self, text: &str) -> bool {
        self.unknown.fetch_add(1, Ordering::Relaxed);
        let text: String = text.chars().take(SHOWN).collect();
        let mut texts = self.texts();
        let room = texts.unknown.len() < REMEMBERED;
        match texts.unknown.get_mut(&text) {
            Some(count) => {
                *count += 1;
                false
            }
            None if room => texts.unknown.insert(text, 1).is_none(),
            None => false,
        }
    }

    /// One sentence for the page where something was not understood.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let unknown = self.unknown();
        let texts = self.texts();
        let (text, _) = texts.unknown.iter().max_by_key(|(_, count)| **count)?;
        let nearest = nearest(text, texts.entries.keys().map(String::as_str));
        let nearest = nearest.map(|entry| format!(" (did you mean {entry:?}?)")).unwrap_or_default();
        let markers =
            if unknown == 1 { "1 marker was".to_owned() } else { format!("{unknown} markers were") };
        Some(format!("{markers} not understood: {text:?}{nearest}; [task.markers] says what each text means"))
    }

    /// Everything as JSON: `markers` {entry: how often it came}, `unknown` {text: how often}.
    #[must_use]
    pub fn json(&self) -> Value {
        let texts = self.texts();
        json!({ "markers": texts.entries, "unknown": texts.unknown })
    }

    /// What never matched, for people; nothing where all is well.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let texts = self.texts();
        let mut sentences = Vec::new();
        let never: Vec<String> = texts
            .entries
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|(entry, _)| format!("{entry:?}"))
            .collect();
        if !never.is_empty() {
            sentences.push(format!("in [task.markers], but never came: {}", never.join(", ")));
        }
        for (text, count) in &texts.unknown {
            let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
            let nearest = nearest(text, texts.entries.keys().map(String::as_str));
            let nearest = nearest.map(|entry| format!("; did you mean {entry:?}?")).unwrap_or_default();
            sentences.push(format!("not understood, came {times}: {text:?}{nearest}"));
        }
        sentences
    }

    fn texts(&self) -> MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry that was meant, most likely.
fn nearest<'a>(text: &str, entries: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    let alike = entries.map(|entry| (strsim::jaro_winkler(&text, &entry.to_lowercase()), entry));
    alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, entry)| entry)
}

/// What follows the task's marker stream.
pub(crate) struct TaskFollower {
    pub(crate) table: MarkerTable,
    pub(crate) desk: DeskHandle,
    pub(crate) events: Arc<EventBus>,
    pub(crate) stop: Arc<StopLatch>,
    pub(crate) counts: Arc<MarkerCounts>,
    pub(crate) may_resume: bool,
    pub(crate) hands: Option<Arc<AtomicU64>>,
}

impl TaskFollower {
    /// Follows targets that come as numbers, where a stream is configured: they are events like those of a marker stream.
    pub(crate) fn follow_targets(
        &self,
        configuration: &Configuration,
        places: &mut PlaneStreams,
    ) -> Outcome<()> {
        let (events, desk) = (Arc::clone(&self.events), self.desk.clone());
        let tell = move |time, target| {
            let content = EventBody::Target(target);
            events.publish(time, content.clone());
            if !desk.send(Message::Task { time, content }) {
                tracing::warn!("a target was refused: too many messages wait");
            }
        };
        places.follow_targets(configuration, tell).or_work()
    }

    /// Starts following, where a stream is configured.
    pub(crate) fn start(
        self,
        configuration: &Configuration,
        recorder: Option<&mut Recorder>,
    ) -> Outcome<Option<(MarkerInlet, JoinHandle<()>)>> {
        let Some(selector) = configuration.marker_stream() else { return Ok(None) };
        let (sink, received) = crossbeam_channel::bounded::<Marker>(MARKERS);
        let key = TASK_MARKERS.to_owned();
        let (recorded, samples) = crossbeam_channel::bounded(MARKERS);
        let recorded = recorder.as_ref().map(|_| recorded);
        let (table, stop) = (self.table.clone(), Arc::clone(&self.stop));
        // a stop waits in no queue, not even behind other markers
        let at_once = AtOnce(Arc::new(move |text: &str| {
            if parse_marker(text, &table)
                .is_ok_and(|marker| marker.content.requested() == Some(OperatorAction::Stop))
            {
                stop.set(Actor::Task);
            }
        }));
        let config = MarkerConfig { key: key.clone(), selector, recorded, at_once: Some(at_once) };
        let inlet = MarkerInlet::spawn(config, sink).or_stream()?;
        if let Some(recorder) = recorder {
            recorder.add_texts(key, samples, &inlet);
        }
        let follow = move || received.iter().for_each(|marker| self.follow(&marker));
        let thread = std::thread::Builder::new().name("kalmind-task".to_owned()).spawn(follow);
        Ok(Some((inlet, thread.or_work()?)))
    }

    fn follow(&self, received: &Marker) {
        let entry = self.table.entry(&received.text);
        if let Some(entry) = entry {
            self.counts.count_entry(entry);
        } else if received.is_number && received.text == "0" {
            // a trigger line at rest
            return;
        }
        let marker = match parse_marker(&received.text, &self.table) {
            Ok(marker) => marker,
            Err(error) => {
                if self.counts.count_unknown(&received.text) {
                    let nearest = nearest(&received.text, self.table.texts()).unwrap_or_default();
                    tracing::warn!(%error, nearest, "a marker of the task stream was not understood");
                }
                return;
            }
        };
        let time = match near(marker.time.unwrap_or_else(|| stamp(received.time)), clock::now()) {
            Ok(time) => time,
            Err(problem) => {
                self.counts.count_unknown(&received.text);
                tracing::warn!(problem, "a marker of the task stream was not understood");
                return;
            }
        };
        if let EventBody::Hand(_) = marker.content {
            let Some(hands) = &self.hands else {
                if self.counts.count_unknown(&received.text) {
                    tracing::warn!("a marker of the task stream is of no use: {HAND_NOT_TAKEN}");
                }
                return;
            };
            // it is the participant that follows the events, and nothing for the desk
            hands.fetch_add(1, Ordering::Relaxed);
            self.events.publish(time, marker.content);
            return;
        }
        let mut told = marker.content.clone();
        if let EventBody::Operator(request) = &mut told
            && request.action == OperatorAction::Resume
            && !self.may_resume
        {
            request.refused = Some(TASK_MAY_NOT_RESUME.to_owned());
            tracing::warn!("{TASK_MAY_NOT_RESUME}");
        }
        self.events.publish(time, told);
        // a stop is in force since it was received; to set it again would undo a resume since then
        let is_stop = marker.content.requested() == Some(OperatorAction::Stop);
        if !is_stop && !self.desk.send_within(Message::Task { time, content: marker.content }, DESK_WITHIN) {
            tracing::warn!("a task marker was refused: too many wait");
        }
    }
}

/// A marker's own stamp, or now where it is on a clock that has nothing to do with ours (some programs stamp with Unix time).
fn stamp(stamp: LslTime) -> LslTime {
    let now = clock::now();
    near(stamp, now).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_matched_is_told_with_the_nearest_entry() {
        let stop = json!({ "kind": "operator", "data": { "action": "stop" } });
        let table = MarkerTable::new([("GO_LEFT".to_owned(), stop.clone()), ("7".to_owned(), stop)])
            .expect("a table");
        let counts = MarkerCounts::new(&table);
        counts.count_entry("7");
        assert!(counts.count_unknown("go_left"));
        assert!(!counts.count_unknown("go_left"), "told once");
        assert!(counts.count_unknown("42"));
        assert_eq!(counts.unknown(), 3);
        assert_eq!(
            counts.sentences(),
            [
                "in [task.markers], but never came: \"GO_LEFT\"",
                "not understood, came once: \"42\"",
                "not understood, came 2 times: \"go_left\"; did you mean \"GO_LEFT\"?",
            ]
        );
        assert_eq!(counts.json()["markers"], json!({ "7": 1, "GO_LEFT": 0 }));
        assert_eq!(
            counts.remark().as_deref(),
            Some(
                "3 markers were not understood: \"go_left\" (did you mean \"GO_LEFT\"?); [task.markers] says what each text means"
            )
        );
        assert_eq!(MarkerCounts::new(&table).remark(), None);
    }

    #[test]
    fn texts_without_end_are_counted_and_not_kept() {
        let counts = MarkerCounts::new(&MarkerTable::default());
        for number in 0..1000 {
            counts.count_unknown(&number.to_string());
        }
        assert_eq!(counts.unknown(), 1000);
        assert_eq!(counts.json()["unknown"].as_object().expect("a table").len(), REMEMBERED);
    }
}
