//! A daemon that is not there: publications, controls and streams made up, behind the real hub and server.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this module")]
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, clippy::expect_used, reason = "it serves tests")]

use std::{
    sync::{Arc, Mutex, OnceLock},
    thread::Thread,
    time::{SystemTime, UNIX_EPOCH},
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use kalmind_output::{
    Bridge, Clock, ControlRefused, Controls, DecoderInfo, Hub, Ledger, ModelEntry, ModelList,
    PublicationSource, Server, ServerConfig, ServerError, SessionInfo, StagesRequest, Token, Workspace,
    start_server,
};
use kalmind_types::{
    Actor, Cause, Click, Component, Confirmation, CovarianceKind, Event, EventBody, EventKind, Heartbeat,
    Intent, LslTime, Mode, ModelId, ModelSource, OutputState, Position, Publication, Reason, Seconds,
    StageTimes, StreamCounts, StreamHealth, StreamStatus, TickOutput, TickPublication, Velocity,
};
use serde_json::{Map, Value, json};

mod session;

pub use session::FakeSession;

/// The token of every fake run.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The consumer's end of an unbounded queue.
pub struct ChannelSource(pub Receiver<Publication>);

impl PublicationSource for ChannelSource {
    fn next(&mut self) -> Option<Publication> {
        self.0.try_recv().ok()
    }

    fn missed(&self) -> u64 {
        0
    }
}

/// The real clocks.
pub fn clock() -> Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "stands in for the clock module, which this crate does not know"
    )]
    let unix = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Clock::new(|| LslTime(lsl::local_clock()), unix)
}

/// Two components of velocity.
pub fn components() -> Vec<Component> {
    ["vx", "vy"]
        .map(|name| Component { name: String::from(name), unit: String::from("workspace widths/s") })
        .to_vec()
}

/// What stays the same in a fake session.
pub fn session() -> SessionInfo {
    SessionInfo {
        session: String::from("11111111-2222-4333-8444-555555555555"),
        run: 1_700_000_000,
        instance: String::from("fake"),
        participant: String::from("P0"),
        version: String::from("0.0.0"),
        bin_ms: 20.0,
        components: components(),
        workspace: Workspace { width: 1.0, height: 1.0 },
    }
}

/// A tick of a cursor on a circle around the middle, in `state`.
pub fn tick(seq: u64, now: LslTime, state: OutputState, reason: Option<Reason>) -> TickPublication {
    let phase = seq as f64 * 0.02;
    let moves = f64::from(u8::from(state.moves()));
    let mut intent = Intent::zero(2);
    let velocity = [-0.3 * phase.sin(), 0.3 * phase.cos()];
    intent.mean_mut().copy_from_slice(&velocity);
    let (wide, turn) = (0.004 + 0.002 * (phase / 3.0).sin(), (phase / 5.0).sin());
    intent.covariance_mut().copy_from_slice(&[wide, 0.6 * turn * wide, wide]);
    let newest = LslTime(now.0 - 0.0031);
    TickPublication {
        output: TickOutput {
            newest: Some(newest),
            state,
            reason,
            position: Position([0.5 + 0.3 * phase.cos(), 0.5 + 0.3 * phase.sin()]),
            velocity: Velocity(velocity.map(|value| value * moves)),
            intent: Some(intent),
            click: Some(Click { probability: 0.02, ..Click::default() }),
            row_one: seq == 0,
            ..TickOutput::neutral(seq, LslTime(now.0 - 0.003))
        },
        times: StageTimes {
            received: LslTime(now.0 - 0.000_4),
            closed: LslTime(now.0 - 0.000_3),
            decoded: LslTime(now.0 - 0.000_1),
        },
        age: Seconds(0.003),
        late: false,
    }
}

/// What the fake daemon is doing.
#[derive(Debug)]
struct Doing {
    state: OutputState,
    reason: Option<Reason>,
    next_seq: u64,
    next_event: u64,
    presses: u64,
    stopped_by: Vec<Actor>,
    requested: Vec<Mode>,
    /// Of each, whether it clears a stop.
    resumes: Vec<bool>,
    /// Files of models that came in, and which one decodes.
    models: Vec<Arc<[u8]>>,
    active: usize,
}

/// The model in this place of a fake run.
fn model(place: usize) -> ModelId {
    ModelId([if place == 0 { 0xab } else { place as u8 }; 32])
}

/// What is told of the model in this place.
fn entry(place: usize, file: &[u8], active: usize) -> ModelEntry {
    let decoder = DecoderInfo {
        name: String::from("dkf-nw"),
        model: model(place).to_hex(),
        quality: Value::Null,
        warnings: Vec::new(),
        poor: false,
        covariance: CovarianceKind::Varying,
    };
    let configured = place == 0;
    ModelEntry {
        decoder,
        source: if configured { ModelSource::Configured } else { ModelSource::Posted },
        by: if configured { Actor::Configuration } else { Actor::Operator },
        added: LslTime(1.0),
        train_bins: None,
        file: configured.then(|| String::from("model.safetensors")),
        bytes: file.len() as u64,
        active: place == active,
        doubt: None,
    }
}

/// The fake daemon's controls: what was asked of it, and the publications that follow from that.
pub struct FakeControls {
    hub: Hub,
    queue: Sender<Publication>,
    doing: Mutex<Doing>,
    bridge: OnceLock<Thread>,
    pub session: FakeSession,
}

impl FakeControls {
    fn heartbeat(&self, doing: &Doing) {
        self.send(&Publication::Heartbeat(Heartbeat {
            time: self.hub.clock().lsl(),
            state: doing.state,
            reason: doing.reason,
            last_seq: doing.next_seq.checked_sub(1),
            position: Position([0.5, 0.5]),
        }));
    }

    pub fn send(&self, publication: &Publication) {
        self.queue.send(*publication).unwrap();
        if let Some(bridge) = self.bridge.get() {
            bridge.unpark();
        }
    }

    /// Publishes the next tick.
    pub fn tick(&self) {
        let mut doing = self.doing.lock().unwrap();
        let mut publication = tick(doing.next_seq, self.hub.clock().lsl(), doing.state, doing.reason);
        if let Some(click) = &mut publication.output.click {
            click.presses = doing.presses;
        }
        doing.next_seq += 1;
        self.send(&Publication::Tick(publication));
    }

    /// Counts a press, which the next tick tells.
    pub fn press(&self) {
        self.doing.lock().unwrap().presses += 1;
    }

    /// Skips ticks, as if a full queue had refused them.
    pub fn skip(&self, ticks: u64) {
        self.doing.lock().unwrap().next_seq += ticks;
    }

    /// Publishes an event.
    pub fn emit(&self, kind: EventKind, data: Value) -> u64 {
        let mut doing = self.doing.lock().unwrap();
        let event_seq = doing.next_event;
        doing.next_event += 1;
        let body = EventBody::Other { kind, data };
        self.hub.publish_event(&Event::new(self.hub.clock().lsl(), event_seq, body).into());
        event_seq
    }

    pub fn stopped_by(&self) -> Vec<Actor> {
        self.doing.lock().unwrap().stopped_by.clone()
    }

    pub fn requested(&self) -> Vec<Mode> {
        self.doing.lock().unwrap().requested.clone()
    }

    pub fn resumes(&self) -> Vec<bool> {
        self.doing.lock().unwrap().resumes.clone()
    }
}

impl Controls for FakeControls {
    fn stop(&self, by: Actor) {
        let mut doing = self.doing.lock().unwrap();
        doing.state = OutputState::Hold;
        doing.reason = Some(Reason { cause: Cause::Stopped, by });
        doing.stopped_by.push(by);
        self.heartbeat(&doing);
    }

    fn request(
        &self,
        mode: Mode,
        resume: bool,
        by: Actor,
        _confirmed: &[Confirmation],
        model: Option<ModelId>,
    ) -> Result<(), ControlRefused> {
        if model.is_some_and(|model| model.to_hex() != "ab".repeat(32)) {
            return Err(ControlRefused::OtherModel(String::from("another model decodes: look at it")));
        }
        if mode == Mode::Calibrating {
            return Err(ControlRefused::NotNow(String::from("no task is loaded: name one under [task]")));
        }
        let mut doing = self.doing.lock().unwrap();
        doing.state = mode.into();
        doing.reason = Some(Reason { cause: Cause::Requested, by });
        doing.requested.push(mode);
        doing.resumes.push(resume);
        self.heartbeat(&doing);
        Ok(())
    }

    fn event(&self, kind: EventKind, _time: Option<LslTime>, data: Value) -> Result<u64, ControlRefused> {
        if kind == EventKind::Target && data.get("position").is_none() {
            return Err(ControlRefused::Invalid(String::from("a target has a position: [x, y], or null")));
        }
        Ok(self.emit(kind, data))
    }

    fn change_stages(&self, request: StagesRequest, _by: Actor) -> Result<(), ControlRefused> {
        match (request.stream.as_str(), request.at) {
            ("array", 0) => Ok(()),
            ("array", _) => Err(ControlRefused::NotNow(String::from("another change is under way"))),
            _ => Err(ControlRefused::Invalid(String::from("no such stream"))),
        }
    }

    fn decoder(&self) -> Option<DecoderInfo> {
        Some(DecoderInfo {
            name: String::from("dkf-nw"),
            model: model(self.doing.lock().unwrap().active).to_hex(),
            quality: Value::Null,
            warnings: Vec::new(),
            poor: false,
            covariance: CovarianceKind::Varying,
        })
    }

    fn models(&self) -> ModelList {
        let doing = self.doing.lock().unwrap();
        let entries = doing.models.iter().enumerate();
        let models = entries.map(|(place, file)| entry(place, file, doing.active)).collect();
        let active = Some(model(doing.active).to_hex());
        ModelList { models, active, before: None, wanted: None, forgotten: 0 }
    }

    fn add_model(&self, file: Arc<[u8]>, _by: Actor) -> Result<ModelEntry, ControlRefused> {
        if !file.starts_with(b"model") {
            return Err(ControlRefused::Invalid(String::from("the model posted: not a model")));
        }
        assert!(!file.ends_with(b"panic"), "as asked for");
        let mut doing = self.doing.lock().unwrap();
        let place = doing.models.iter().position(|known| *known == file).unwrap_or(doing.models.len());
        if place == doing.models.len() {
            doing.models.push(Arc::clone(&file));
        }
        Ok(entry(place, &file, doing.active))
    }

    fn activate_model(&self, id: ModelId, _by: Actor) -> Result<(), ControlRefused> {
        let mut doing = self.doing.lock().unwrap();
        let place = (0..doing.models.len()).find(|place| model(*place) == id);
        let place = place.ok_or_else(|| ControlRefused::UnknownModel(String::from("no such model")))?;
        if place == doing.active {
            return Err(ControlRefused::NotNow(String::from("it decodes already")));
        }
        doing.active = place;
        Ok(())
    }

    fn session(&self) -> Value {
        self.session.shown()
    }

    fn session_request(&self, asked: Value, by: Actor) -> Result<Value, ControlRefused> {
        self.session.request(&asked, by)
    }

    fn console_lost(&self, console: &str) {
        self.session.lose(console);
        self.stop(Actor::LostConsole);
    }

    fn streams(&self) -> Vec<StreamStatus> {
        let stream = |key: &str, health, detail: Option<&str>| StreamStatus {
            key: String::from(key),
            description: None,
            health,
            detail: detail.map(String::from),
            counts: StreamCounts { received: self.doing.lock().unwrap().next_seq, ..StreamCounts::default() },
            age_ms: Some(3.0),
            measured_rate_hz: Some(49.98),
            clock_offset_ms: Some(0.02),
            clock_uncertainty_ms: Some(0.05),
            arrival: None,
            settling_ms: None,
            channels_out: Vec::new(),
        };
        vec![
            stream("features", StreamHealth::Live, None),
            stream(
                "eye",
                StreamHealth::Stalled,
                Some("nothing for 2.3 s: is the eye tracker's program running?"),
            ),
        ]
    }

    fn status(&self) -> Map<String, Value> {
        let recording = json!({
            "state": "recording", "file": "fake.xdf", "bytes": 12_500_000, "minutes_left": 95.5, "problem": null,
            "lost_samples": 0, "lost_ticks": 0, "lost_events": 0, "lost_texts": 0, "lost_files": 0,
        });
        let own = json!({
            "realtime": {"priority": "refused"}, "session": "must not replace the server's", "recording": recording,
        });
        own.as_object().cloned().unwrap()
    }

    fn metrics_extra(&self) -> String {
        String::from("# TYPE fake gauge\nfake 1\n")
    }
}

/// A fake daemon with its hub, bridge and server.
pub struct FakeDaemon {
    pub server: Server,
    pub controls: Arc<FakeControls>,
    pub hub: Hub,
    pub ledger: Arc<Ledger>,
    pub bridge: Bridge,
}

/// The usual configuration: loopback, a free port, the fake token.
pub fn config() -> ServerConfig {
    ServerConfig::new("127.0.0.1:0".parse().unwrap(), Token::new(TOKEN).unwrap())
}

impl FakeDaemon {
    /// Starts hub, bridge and server; the first state is `control`.
    pub fn start(config: ServerConfig) -> Result<Self, ServerError> {
        let hub = Hub::new(session(), OutputState::Control, clock());
        let (queue, receiver) = unbounded();
        let doing = Doing {
            state: OutputState::Control,
            reason: None,
            next_seq: 0,
            next_event: 0,
            presses: 0,
            stopped_by: Vec::new(),
            requested: Vec::new(),
            resumes: Vec::new(),
            models: vec![Arc::from(&b"model at start"[..])],
            active: 0,
        };
        let controls = Arc::new(FakeControls {
            hub: hub.clone(),
            queue,
            doing: Mutex::new(doing),
            bridge: OnceLock::new(),
            session: FakeSession::default(),
        });
        let ledger = Arc::new(Ledger::new().unwrap());
        let steering: Arc<dyn Controls> = Arc::<FakeControls>::clone(&controls);
        let server = start_server(config, hub.clone(), steering, Arc::clone(&ledger))?;
        let bridge = hub.spawn_bridge(Box::new(ChannelSource(receiver)), Box::new(|_| {})).unwrap();
        controls.bridge.set(bridge.thread().unwrap().clone()).unwrap();
        Ok(Self { server, controls, hub, ledger, bridge })
    }
}
