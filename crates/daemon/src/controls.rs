//! The daemon as the server steers and describes it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use kalmind_acquisition::{StreamMonitor, Waker, clock};
use kalmind_filter::KernelPath;
use kalmind_offline::model::Demand;
use kalmind_output::{ControlRefused, Controls, DecoderInfo, Hub, ModelEntry, ModelList, StagesRequest};
use kalmind_session::{MarkerTable, Person, SessionRequest, SessionState, parse_marker};
use kalmind_types::{
    Actor, Confirmation, EventBody, EventKind, FeatureLayout, InputArrival, LslTime, Mode, ModelId,
    ModelSource, OperatorAction, OperatorRequest, Seconds, StreamStatus,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    decoder_info::hide_compared,
    desk::{DeskHandle, Message, Progress},
    event_bus::{EventBus, near},
    log,
    models::{posted, run_models::Origin},
    process::realtime::RealtimeSettings,
    recorder::RecorderStatus,
    running::arrival::DelayBoard,
    stage_changes::{Demands, StageChanges},
    task_follower::{HAND_NOT_TAKEN, MarkerCounts, TASK_MARKERS, TASK_MAY_NOT_RESUME},
    tick::{StopLatch, TickCounts},
};

/// Everything that requests and status pages touch.
#[derive(Debug)]
pub struct DaemonControls {
    /// STOP.
    pub stop: Arc<StopLatch>,
    /// Wakes the tick thread.
    pub tick: Waker,
    /// The desk.
    pub desk: DeskHandle,
    /// Events.
    pub events: Arc<EventBus>,
    /// The newest state.
    pub hub: Hub,
    /// The streams' monitors, in the configuration's order, the task stream last.
    pub monitors: Vec<Arc<StreamMonitor>>,
    /// What the tick thread counts.
    pub counts: Arc<TickCounts>,
    /// Whether implausible input is watched for, by the configuration.
    pub plausibility: bool,
    /// Whose the features are.
    pub layout: Arc<FeatureLayout>,
    /// What came of the real-time settings.
    pub realtime: Arc<RealtimeSettings>,
    /// File name and SHA-256 of the configuration.
    pub configuration: Value,
    /// The network settings in force.
    pub network: Value,
    /// How late the input is.
    pub input: DelayBoard,
    /// The recording, if there is one.
    pub recording: Option<Arc<RecorderStatus>>,
    /// Ticks that the desk never saw.
    pub lost_records: Arc<AtomicU64>,
    /// What came over the task stream, and what of it was not understood.
    pub markers: Arc<MarkerCounts>,
    /// When a stop was last told of, and whose.
    pub told_stop: Mutex<Option<(LslTime, Actor)>>,
    /// Whether a task may go on after a long silence of the input.
    pub task_may_resume: bool,
    /// What a model had to match at the start.
    pub demand: Demand,
    /// The streams' stages.
    pub stages: Arc<StageChanges>,
    /// How often a hand was told of, in a run in which a simulated participant means what a person's hand does.
    pub hands: Option<Arc<AtomicU64>>,
    /// Whether a guard stands in front of decoders whose options leave it open.
    pub guard: bool,
}

/// Stops by one actor are told of no more often than this.
const STOP_EVENTS: Seconds = Seconds(0.1);

impl Controls for DaemonControls {
    fn stop(&self, by: Actor) {
        self.stop.set(by);
        // the stop is in force; telling of it is limited, since nobody needs permission to ask for one
        let now = clock::now();
        let mut told = self.told_stop.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|(last, by_last)| by_last != by || (now - last).0 > STOP_EVENTS.0) {
            *told = Some((now, by));
            self.events.publish(now, EventBody::Operator(OperatorRequest::new(OperatorAction::Stop, by)));
        }
    }

    fn request(
        &self,
        mode: Mode,
        resume: bool,
        by: Actor,
        confirmed: &[Confirmation],
        model: Option<ModelId>,
    ) -> Result<(), ControlRefused> {
        let progress = self.desk.progress();
        let runs = progress.session.as_ref().is_some_and(|session| session.state == SessionState::Running);
        if mode == Mode::Control && !runs {
            progress.require_nothing_compared()?;
        }
        if mode == Mode::Control {
            let decodes = progress
                .decoder
                .as_ref()
                .ok_or_else(|| ControlRefused::NotNow("no decoder is loaded: calibrate first".to_owned()))?;
            if let Some(seen) = model.map(ModelId::to_hex).filter(|seen| *seen != decodes.model) {
                return Err(other_model(&seen, &decodes.model));
            }
        }
        let (confirmed, open): (Vec<_>, Vec<_>) =
            self.awaited(&progress).into_iter().partition(|awaited| confirmed.contains(&awaited.confirm));
        if mode == Mode::Control && !open.is_empty() {
            let texts: Vec<String> = open.iter().map(Awaited::refusal).collect();
            return Err(ControlRefused::NotNow(format!("not confirmed: {}", texts.join("; "))));
        }
        let names: Vec<Confirmation> = confirmed.iter().map(|awaited| awaited.confirm).collect();
        let model =
            progress.doubt.filter(|_| names.contains(&Confirmation::PoorDecoder)).map(|doubt| doubt.model);
        let slow_input = names.contains(&Confirmation::SlowInput);
        let stops = self.stop.stops();
        if !self.desk.send(Message::Request { mode, resume, by, stops, slow_input, model }) {
            return Err(ControlRefused::Busy("too many requests wait; ask again".to_owned()));
        }
        let model = model.map(ModelId::to_hex);
        let request = OperatorRequest { confirmed: names, model, ..OperatorRequest::new(mode.into(), by) };
        self.events.publish(clock::now(), EventBody::Operator(request));
        Ok(())
    }

    fn event(&self, kind: EventKind, time: Option<LslTime>, data: Value) -> Result<u64, ControlRefused> {
        let object = json!({ "kind": kind, "data": data, "time": time });
        let marker = parse_marker(&object.to_string(), &MarkerTable::default())
            .map_err(|error| ControlRefused::Invalid(error.to_string()))?;
        let asked = marker.content.requested();
        if asked == Some(OperatorAction::MeasureArrival) {
            if !self.desk.send(Message::MeasureArrival) {
                return Err(ControlRefused::Busy("too many requests wait; ask again".to_owned()));
            }
            let request = OperatorRequest::new(OperatorAction::MeasureArrival, Actor::Operator);
            return Ok(self.events.publish(clock::now(), EventBody::Operator(request)));
        }
        if asked == Some(OperatorAction::Resume) && !self.task_may_resume {
            return Err(ControlRefused::NotNow(TASK_MAY_NOT_RESUME.to_owned()));
        }
        let now = clock::now();
        if asked == Some(OperatorAction::Stop) {
            // a stop waits in no queue, whatever time it says; to set it again later would undo a resume since then
            self.stop.set(Actor::Task);
            let time = near(marker.time.unwrap_or(now), now).unwrap_or(now);
            return Ok(self.events.publish(time, marker.content));
        }
        let time = near(marker.time.unwrap_or(now), now).map_err(ControlRefused::Invalid)?;
        if let EventBody::Hand(_) = marker.content {
            // it is the participant that follows the events, and nothing for the desk
            let hands = self.hands.as_ref();
            let hands = hands.ok_or_else(|| ControlRefused::NotNow(HAND_NOT_TAKEN.to_owned()))?;
            hands.fetch_add(1, Ordering::Relaxed);
            return Ok(self.events.publish(time, marker.content));
        }
        if !self.desk.send(Message::Task { time, content: marker.content.clone() }) {
            return Err(ControlRefused::Busy("too many events wait; send it again".to_owned()));
        }
        Ok(self.events.publish(time, marker.content))
    }

    fn decoder(&self) -> Option<DecoderInfo> {
        self.desk.progress().decoder
    }

    fn models(&self) -> ModelList {
        let mut list = self.desk.models(|models| models.list());
        if let Some(known) = self.desk.progress().hidden {
            hide_compared(&mut list, &known);
        }
        list
    }

    fn add_model(&self, file: Arc<[u8]>, by: Actor) -> Result<ModelEntry, ControlRefused> {
        // the answer would say which of those that are compared moves the cursor
        self.desk.progress().require_nothing_compared()?;
        let Demands { now, next } = Demands::of(&self.demand, &self.desk.stages());
        let checked = posted::checked(Arc::clone(&file), &now, self.guard);
        let checked = match (checked, next) {
            // it may wait for the stages that it was fitted behind
            (Err(refused), Some((next, _))) => {
                posted::checked(file, &next, self.guard).map_err(|_as_well| refused)
            }
            (checked, _) => checked,
        };
        let checked = checked.map_err(ControlRefused::Invalid)?;
        let (id, model, now) = (checked.id, Arc::new(checked), clock::now());
        let origin = Origin { source: ModelSource::Posted, by, added: now, train_bins: None, file: None };
        let event = origin.event(&model);
        let (is_new, entry) = self.desk.models(|models| (models.add(&model, origin), models.entry(id)));
        if is_new {
            self.events.publish(now, event);
        }
        entry.ok_or_else(|| ControlRefused::Busy("the model found no room; send it again".to_owned()))
    }

    fn activate_model(&self, id: ModelId, by: Actor) -> Result<(), ControlRefused> {
        self.desk.progress().require_nothing_compared()?;
        let model = self.desk.models(|models| models.get(id)).ok_or_else(|| {
            ControlRefused::UnknownModel(
                "the run has no such model: GET /v1/models lists those that it has; one that was given up to make room \
                 for newer ones has to be sent again"
                    .to_owned(),
            )
        })?;
        // stages may have other settings by now than those that it was fitted behind
        let Demands { now, next } = Demands::of(&self.demand, &self.desk.stages());
        let differences = model.differences(&now);
        let next = next.filter(|(next, _)| model.differences(next).is_empty());
        let at = match next {
            _ if differences.is_empty() => None,
            Some((_, at)) => Some(at),
            None => return Err(ControlRefused::Invalid(differences.join("; "))),
        };
        if self.desk.models(|models| models.newest()) == Some(id) {
            return Err(ControlRefused::NotNow("this model decodes already, or is about to".to_owned()));
        }
        let staged = model
            .stage(self.guard, KernelPath::detect())
            .map_err(|error| ControlRefused::Invalid(error.to_string()))?;
        self.desk.activate(model, staged, at, by)
    }

    fn change_stages(&self, request: StagesRequest, by: Actor) -> Result<(), ControlRefused> {
        self.stages.ask(&self.desk, request, by)
    }

    fn session(&self) -> Value {
        self.desk.session().map_or(Value::Null, |status| json!(*status))
    }

    fn session_request(&self, asked: Value, by: Actor) -> Result<Value, ControlRefused> {
        let stops = self.stop.stops();
        let SessionAsked { person, request } =
            serde_json::from_value(asked).map_err(|error| ControlRefused::Invalid(error.to_string()))?;
        let status = self.desk.ask_session(request, person, by, stops)?;
        Ok(json!(*status))
    }

    fn streams(&self) -> Vec<StreamStatus> {
        let now = clock::now();
        let mut streams: Vec<StreamStatus> =
            self.monitors.iter().map(|monitor| monitor.status(now)).collect();
        let task = streams.iter_mut().find(|stream| stream.key == TASK_MARKERS && stream.detail.is_none());
        if let Some(task) = task {
            task.detail = self.markers.remark();
        }
        streams
    }

    fn status(&self) -> Map<String, Value> {
        let counts: Map<String, Value> =
            self.tick_counts().into_iter().map(|(name, _, value)| (name.to_owned(), json!(value))).collect();
        let mut status = Map::new();
        status.insert("tick".to_owned(), Value::Object(counts));
        status.insert("signals".to_owned(), self.signals());
        let windows = self.counts.windows.named();
        let windows: Map<String, Value> =
            windows.map(|(name, _, value)| (name.to_owned(), json!(value))).collect();
        status.insert("windows".to_owned(), Value::Object(windows));
        status.insert("realtime".to_owned(), json!(self.realtime.outcomes()));
        status.insert("configuration".to_owned(), self.configuration.clone());
        status.insert("network".to_owned(), self.network.clone());
        status.insert("input".to_owned(), json!(self.input.now()));
        status.insert("stages".to_owned(), json!(self.desk.stages()));
        status.insert("awaiting_confirmation".to_owned(), json!(self.awaited(&self.desk.progress())));
        status
            .insert("recording".to_owned(), json!(self.recording.as_ref().map(|recording| recording.json())));
        status.insert("task".to_owned(), self.markers.json());
        let hands = self.hands.as_ref().map(|hands| json!({ "events": hands.load(Ordering::Relaxed) }));
        status.insert("hand".to_owned(), json!(hands));
        status.insert("log".to_owned(), json!({ "dropped_lines": log::dropped_lines() }));
        status.insert("kernel_path".to_owned(), json!(kalmind_filter::kernel_path()));
        status
    }

    fn metrics_extra(&self) -> String {
        use std::fmt::Write as _;
        let tick = self.tick_counts().into_iter().map(|count| ("tick", count));
        let recording = self.recording.iter().flat_map(|recording| recording.counts());
        let recording = recording.map(|count| ("recording", count));
        let help = "Lines of the log that were dropped because stderr was not read in time.";
        let log = ("log", ("dropped_lines", help, log::dropped_lines()));
        let windows = self.counts.windows.named().map(|count| ("windows", count));
        tick.chain(windows).chain(recording).chain([log]).fold(String::new(), |mut text, (of, (name, help, value))| {
            let _infallible = writeln!(
                text,
                "# HELP kalmind_{of}_{name}_total {help}\n# TYPE kalmind_{of}_{name}_total counter\nkalmind_{of}_{name}_total {value}"
            );
            text
        })
    }
}

/// What is asked of the session, and by whom.
#[derive(Debug, Deserialize)]
struct SessionAsked {
    person: Person,
    request: SessionRequest,
}

/// Something that whoever asks for control has to confirm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Awaited {
    /// How a request names it.
    confirm: Confirmation,
    /// What is so, and what to do: for people, who are not shown how a request says it.
    text: String,
    /// The model in doubt.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
}

impl Awaited {
    /// What a request is told that did not confirm it.
    fn refusal(&self) -> String {
        let model = self.model.as_ref().map(|model| format!(", \"model\": \"{model}\""));
        let (text, name) = (&self.text, self.confirm.name());
        format!("{text} (to confirm it: \"confirm\": \"{name}\"{})", model.unwrap_or_default())
    }
}

/// Whoever asks for control was shown another model than the one that decodes.
fn other_model(seen: &str, decodes: &str) -> ControlRefused {
    let short = |hash: &str| hash.chars().take(8).collect::<String>();
    ControlRefused::OtherModel(format!(
        "the decoder has changed: you confirmed model {}, and now model {} decodes; nothing was confirmed, so look at \
         the decoder that is shown, then ask for control again",
        short(seen),
        short(decodes)
    ))
}

impl DaemonControls {
    /// What has to be confirmed before the decoder may control.
    fn awaited(&self, progress: &Progress) -> Vec<Awaited> {
        let input = self.input.now();
        let slow = (input.state == InputArrival::Slow).then_some(Awaited {
            confirm: Confirmation::SlowInput,
            text: input.text,
            model: None,
        });
        let poor = progress.doubt.as_ref().map(|doubt| Awaited {
            confirm: Confirmation::PoorDecoder,
            text: doubt.text.clone(),
            model: Some(doubt.model.to_hex()),
        });
        // a session that is not running a block has said what it makes of the decoder
        let unproven = progress.session.as_deref().filter(|session| {
            !matches!(session.state, SessionState::Closed | SessionState::Running)
                && session.preset.is_some()
                && !session.control.allowed
        });
        let unproven = unproven.map(|session| Awaited {
            confirm: Confirmation::PoorDecoder,
            text: format!(
                "the session's verdict is {}; confirm to use the decoder anyway",
                session.verdict.text
            ),
            model: progress.decoder.as_ref().map(|decoder| decoder.model.clone()),
        });
        slow.into_iter().chain(poor.or(unproven)).collect()
    }

    /// Whether a hand is to be what a simulated participant means, and nobody has told of one yet.
    pub fn awaits_hand(&self) -> bool {
        self.hands.as_ref().is_some_and(|hands| hands.load(Ordering::Relaxed) == 0)
    }

    /// What watches the input, and the channels that do not look as they did in training.
    fn signals(&self) -> Value {
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let checks = read(&self.counts.checks) as usize;
        json!({
            "plausibility": self.plausibility,
            "checks": kalmind_filter::CHECKS.get(..checks).unwrap_or_default(),
            "suspects": self.counts.suspects.channel_names(&self.layout),
        })
    }

    /// What the tick thread and the desk count: name, help, value.
    pub fn tick_counts(&self) -> Vec<(&'static str, &'static str, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = read(&self.counts.models_refused);
        let late = read(&self.counts.models_late);
        let others = [
            ("lost_records", "Ticks that tasks and calibration never saw.", read(&self.lost_records)),
            ("models_refused", "Models that did not fit the streams.", refused),
            (
                "models_late",
                "Models that came too late for their swap, or in a tick that failed, and were warmed again.",
                late,
            ),
            (
                "adaptive_states",
                "Ticks in which a running z-score or other stages began or ended, or did not go on from the bin before.",
                read(&self.counts.states_turned),
            ),
            ("unknown_markers", "Markers of the task that were not understood.", self.markers.unknown()),
            ("refused_requests", "Requests refused because too many waited.", self.desk.refused()),
        ];
        self.counts.named().chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_a_bare_sentence_and_a_refused_request_once_how_to_confirm_it() {
        let text = "the decoder is no better than chance: calibrate again".to_owned();
        let model = Some("ab".repeat(32));
        let poor = Awaited { confirm: Confirmation::PoorDecoder, text, model };
        let shown = json!(poor);
        assert!(!shown["text"].as_str().expect("words").contains('"'), "{shown}");
        let said = poor.refusal();
        assert_eq!(said.matches("\"confirm\"").count(), 1, "{said}");
        assert!(said.contains(&"ab".repeat(32)), "{said}");
        let text = "samples arrive too late".to_owned();
        let slow = Awaited { confirm: Confirmation::SlowInput, text, model: None };
        assert_eq!(json!(slow), json!({ "confirm": "slow_input", "text": "samples arrive too late" }));
        assert_eq!(slow.refusal(), "samples arrive too late (to confirm it: \"confirm\": \"slow_input\")");
    }

    #[test]
    fn who_confirmed_another_model_is_told_of_both() {
        let refused = other_model(&"ab".repeat(32), &"cd".repeat(32));
        assert!(matches!(refused, ControlRefused::OtherModel(_)));
        let said = refused.to_string();
        assert!(said.contains("abababab") && said.contains("cdcdcdcd") && said.contains("again"), "{said}");
    }
}
