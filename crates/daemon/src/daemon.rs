//! One run of the daemon: every thread and queue, made and wired in one place, ended in order.

use std::{
    net::SocketAddr,
    os::{linux::net::SocketAddrExt as _, unix::net},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use arrayvec::ArrayVec;
use crossbeam_channel::Receiver;
use kalmind_acquisition::{
    InletConfig, InletGuard, InletParts, Marker, MarkerConfig, MarkerInlet, NumericInlet, StreamMonitor,
    ThreadStart, Waker, clock,
    ring::{Producer, ring},
};
use kalmind_engine::{Binner, Engine};
use kalmind_filter::DecoderSpec;
use kalmind_output::{
    Bridge, Clock, Controls, CursorLayout, CursorOutletConfig, CursorRow, DecoderInfo, EventsOutletConfig,
    Hub, Ledger, LedgerSnapshot, Limits, LslPublisher, Server, ServerConfig, SessionInfo, Token, Workspace,
    spawn_lsl_publisher, start_server,
};
use kalmind_session::{MarkerTable, OperatorAction, TaskEventContent, parse_marker};
use kalmind_types::{Actor, Command, Event, EventKind, MAX_STREAMS, StreamStatus};
use serde_json::{Value, json};

use crate::{
    configuration::Configuration,
    controls::DaemonControls,
    desk::{Desk, DeskHandle, DeskQueues, DeskSettings, Message, Program},
    event_bus::EventBus,
    failure::{OrFail as _, Outcome},
    network::NetworkInForce,
    plan::{Plan, RecordedExtra, label_law, selector},
    realtime::{RealtimeSettings, Role},
    recorded::{ClockReading, ConfigurationText, FORMAT, InputStream, SessionDocument},
    recorder::{self, Recorder, RecorderStatus, RunningRecorder, clock_reading},
    tick::{
        LaneSource, QueuedCommand, RecordLane, StopLatch, StreamInput, TickCounts, TickQueues, TickThread,
        lane, silence_panics_here,
    },
};

/// Publications that may wait for the LSL publisher or the hub: five seconds at 200 Hz.
const LANE: usize = 1024;
/// Ticks that may wait for the desk.
const RECORDS: usize = 512;
/// Commands that may wait for the tick thread.
const COMMANDS: usize = 256;
/// Models that may wait, either way.
const MODELS: usize = 8;
/// Events that may wait for the LSL publisher.
const EVENTS: usize = 4096;
/// Markers that may wait to be understood.
const MARKERS: usize = 256;

/// What a run adds to its plan.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// A task of the daemon's own.
    pub program: Option<Program>,
    /// What is fitted after an open loop.
    pub calibrate: Option<DecoderSpec>,
    /// The file to record to; where there is none, the configuration may name a folder.
    pub record: Option<PathBuf>,
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    controls: Arc<DaemonControls>,
    ledger: Arc<Ledger>,
    token: Token,
    server: Server,
    publisher: LslPublisher,
    bridge: Bridge,
    end: Arc<AtomicBool>,
    tick: JoinHandle<()>,
    desk: JoinHandle<()>,
    inlets: Vec<InletGuard>,
    markers: Option<(MarkerInlet, JoinHandle<()>)>,
    recorded_texts: Vec<MarkerInlet>,
    recorder: Option<RunningRecorder>,
    _instance: net::UnixListener,
}

/// What a run did, for the summary at its end.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What the tick thread counted: name, help, value.
    pub counts: Vec<(&'static str, &'static str, u64)>,
    /// The streams as they stood.
    pub streams: Vec<StreamStatus>,
    /// Latencies.
    pub latency: LedgerSnapshot,
    /// Events published.
    pub events: u64,
    /// What the recorder did, if there was one.
    pub recording: Option<Value>,
    /// What the recording has lost, in a sentence, if anything.
    pub recording_loss: Option<String>,
}

impl Daemon {
    /// Starts everything. Outlets and server exist when this returns; ticks begin with the first samples.
    ///
    /// # Errors
    /// What cannot be had: another daemon of this name, a port in use, a refused real-time setting that is required.
    #[expect(
        clippy::too_many_lines,
        reason = "the wiring of a run, in the order in which its parts are made"
    )]
    pub fn start(plan: &Plan, network: &NetworkInForce, options: RunOptions) -> Outcome<Self> {
        let configuration = &plan.configuration;
        let instance = claim_instance(&configuration.instance.name).or_work()?;
        let realtime = Arc::new(RealtimeSettings::new(configuration.realtime.clone()));
        realtime.lock_memory().or_work()?;

        let session = uuid::Uuid::new_v4().to_string();
        let started = clock_reading();
        let run = started.unix as u64;
        let mut recorder = begin_recording(plan, &options, started.unix)?;
        let record_handle = recorder.as_ref().map(Recorder::handle);
        let clock = Clock::new(clock::now, || clock::clock_pair().unix);
        let engine_settings = plan.engine();
        let mut engine = Engine::new(engine_settings).or_usage()?;
        let hub = Hub::new(session_info(plan, &session, run), engine.states().state(), clock.clone());
        let ledger = Arc::new(Ledger::new().or_work()?);

        // publishers first: no client shall miss the first tick
        let (lsl_lane, lsl_source) = lane(LANE);
        let (hub_lane, hub_source) = lane(LANE);
        let (events_to_lsl, lsl_events) = crossbeam_channel::bounded(EVENTS);
        let identity = (session.as_str(), run);
        let publisher = start_publisher(
            plan,
            identity,
            lsl_source,
            lsl_events,
            Arc::clone(&ledger),
            clock,
            Arc::clone(&realtime),
        )?;
        let bridge = hub.spawn_bridge(Box::new(hub_source)).or_work()?;
        let events = Arc::new(EventBus::new(hub.clone(), events_to_lsl, record_handle.clone()));

        // the model that the configuration names decodes from the first tick on
        let (models_in, models) = ring(MODELS);
        let (mut commands_in, commands) = ring(COMMANDS);
        let (retired, retired_out) = ring(MODELS);
        let decoder = first_model(plan, &mut engine, &mut commands_in)?;
        if let (Some(recorder), Some(model)) = (&record_handle, &plan.model) {
            recorder.model(model);
        }
        let features = plan.demand.streams.iter().map(|stream| stream.channels).sum();

        let stop = Arc::new(StopLatch::default());
        let counts = Arc::new(TickCounts::default());
        let tick_waker = Waker::new();
        let (handle, messages) = DeskHandle::new(decoder);
        let (desk_lane, records_out) = RecordLane::new(RECORDS, features, handle.waker());
        let lost_records = desk_lane.lost();
        let mut records = ArrayVec::from_iter([desk_lane]);
        let recorded_ticks = recorder.as_ref().map(|recorder| {
            let (lane, ticks) = recorder.ticks(features);
            records.push(lane);
            ticks
        });
        let settings = DeskSettings {
            demand: plan.demand.clone(),
            guard: configuration.decoder.guard,
            label_law: label_law(configuration),
            calibrate: options.calibrate,
            program: options.program,
            recorder: record_handle.clone(),
            max_masked: plan.calibration_mask(),
        };
        let tick = tick_waker.clone();
        let queues = DeskQueues {
            commands: commands_in,
            models: models_in,
            retired: retired_out,
            records: records_out,
            tick,
        };
        let desk =
            Desk::new(settings, queues, handle.clone(), messages, Arc::clone(&events), Arc::clone(&stop));

        let binner = Binner::new(plan.binner(), plan.masked).or_usage()?;
        let Inlets { mut monitors, guards, streams, recorded_texts } =
            Inlets::start(plan, &tick_waker, &realtime, recorder.as_mut())?;
        let unknown_markers = Arc::new(AtomicU64::new(0));
        let follower = TaskFollower {
            table: plan.markers.clone(),
            desk: handle.clone(),
            events: Arc::clone(&events),
            stop: Arc::clone(&stop),
            tick: tick_waker.clone(),
            unknown: Arc::clone(&unknown_markers),
        };
        let markers = follower.start(configuration, recorder.as_mut())?;
        monitors.extend(markers.iter().map(|(inlet, _)| Arc::clone(&inlet.status)));

        let controls = Arc::new(DaemonControls {
            stop: Arc::clone(&stop),
            tick: tick_waker.clone(),
            desk: handle.clone(),
            events: Arc::clone(&events),
            hub: hub.clone(),
            monitors,
            counts: Arc::clone(&counts),
            realtime: Arc::clone(&realtime),
            configuration: json!({
                "file": configuration.source.file_name,
                "sha256": configuration.source.sha256,
            }),
            network: network.status(),
            recording: record_handle.as_ref().map(|recorder| Arc::clone(recorder.status())),
            lost_records,
            unknown_markers: Arc::clone(&unknown_markers),
            told_stop: Mutex::new(None),
        });
        let token = match &configuration.server.token {
            Some(token) => Token::new(token.clone()).or_usage()?,
            None => Token::random().or_work()?,
        };
        let server_config = server_config(configuration, token.clone());
        let steered: Arc<dyn Controls> = Arc::<DaemonControls>::clone(&controls);
        let server = start_server(server_config, hub, steered, Arc::clone(&ledger)).or_work()?;

        let recorder = match recorder.zip(recorded_ticks) {
            Some((recorder, ticks)) => {
                let document = session_document(plan, &session, run, started);
                let row = CursorRow::new(&cursor_layout(plan, &session, run));
                let told = Arc::clone(&events);
                let announce: recorder::Announce = Arc::new(move |data| {
                    told.publish(clock::now(), EventKind::Fault, data);
                });
                Some(recorder.start(&document, row, ticks, announce).or_work()?)
            }
            None => None,
        };
        let end = Arc::new(AtomicBool::new(false));
        let lanes = ArrayVec::from_iter([lsl_lane, hub_lane]);
        let thread = TickThread {
            engine,
            binner,
            streams,
            queues: TickQueues { commands, models, retired, records, lanes },
            stop,
            counts,
            width: kalmind_types::Seconds::from_millis(plan.bin_ms),
            end: Arc::clone(&end),
        };
        let tick = spawn_tick(thread, tick_waker, realtime)?;
        let desk = desk.spawn().or_work()?;
        Ok(Self {
            controls,
            ledger,
            token,
            server,
            publisher,
            bridge,
            end,
            tick,
            desk,
            inlets: guards,
            markers,
            recorded_texts,
            recorder,
            _instance: instance,
        })
    }

    /// What requests go through.
    #[must_use]
    pub fn controls(&self) -> &Arc<DaemonControls> {
        &self.controls
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// The page's address with the token that lets it steer.
    #[must_use]
    pub fn page(&self) -> String {
        let mut address = self.address();
        if address.ip().is_unspecified() {
            // every address is this machine's; this one is sure to be answered
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}/#token={}", self.token.reveal())
    }

    /// What came of the real-time settings.
    #[must_use]
    pub fn realtime(&self) -> Vec<crate::realtime::Outcome> {
        self.controls.realtime.outcomes()
    }

    /// The recording, if there is one.
    #[must_use]
    pub fn recording(&self) -> Option<&Arc<RecorderStatus>> {
        self.recorder.as_ref().map(|recorder| recorder.handle().status())
    }

    /// What the run did so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(&self.controls, &self.ledger)
    }

    /// Whether the threads that must not end still run.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.tick.is_finished() && !self.desk.is_finished()
    }

    /// Stops the cursor, lets every client know, and ends every thread. Takes a second or two.
    pub fn shut_down(mut self, by: Actor) -> Summary {
        self.controls.stop(by);
        // the tick thread answers a stop with a heartbeat at once; two rounds of its longest park are ample
        std::thread::park_timeout(std::time::Duration::from_millis(60));
        drop(self.markers.take());
        self.recorded_texts.clear();
        // each may wait for a dead outlet: all at once, not one after the other
        std::thread::scope(|scope| {
            for inlet in self.inlets.drain(..) {
                scope.spawn(move || drop(inlet));
            }
        });
        self.controls.desk.end();
        self.end.store(true, Ordering::Release);
        self.controls.tick.wake();
        let ended = [("tick", self.tick.join()), ("desk", self.desk.join())];
        for (name, result) in ended {
            if result.is_err() {
                tracing::error!(thread = name, "a thread had panicked");
            }
        }
        let _counts = self.publisher.stop();
        self.bridge.stop();
        let mut summary = Summary::of(&self.controls, &self.ledger);
        if let Some(recorder) = self.recorder.take() {
            let reason = serde_json::to_value(by).ok();
            let reason = reason.as_ref().and_then(Value::as_str).unwrap_or_default();
            let status = Arc::clone(recorder.handle().status());
            recorder.finish(reason, summary.json());
            summary.recording = Some(status.json());
            summary.recording_loss = status.loss();
        }
        self.server.shutdown();
        summary
    }
}

impl Summary {
    fn of(controls: &DaemonControls, ledger: &Ledger) -> Self {
        Self {
            counts: controls.tick_counts().to_vec(),
            streams: controls.streams(),
            latency: ledger.snapshot(),
            events: controls.events.count(),
            recording: controls.recording.as_ref().map(|recording| recording.json()),
            recording_loss: controls.recording.as_ref().and_then(|recording| recording.loss()),
        }
    }
}

/// The recording of a run, if there is to be one: its file stands, and there is room for it.
fn begin_recording(plan: &Plan, options: &RunOptions, unix: f64) -> Outcome<Option<Recorder>> {
    let configuration = &plan.configuration;
    let participant = configuration.subject.code.as_deref().unwrap_or_default();
    let in_folder = || {
        let name = recorder::file_name(&configuration.instance.name, participant, unix);
        configuration.record.folder.as_ref().map(|folder| folder.join(name))
    };
    let Some(path) = options.record.clone().or_else(in_folder) else { return Ok(None) };
    let recorder = Recorder::create(&path, plan.bytes_per_second(), configuration.record.free_hours);
    recorder.map(Some).or_work()
}

/// What a recording says of the session.
fn session_document(plan: &Plan, session: &str, run: u64, started: ClockReading) -> SessionDocument {
    let configuration = &plan.configuration;
    let subject = &configuration.subject;
    let info = session_info(plan, session, run);
    SessionDocument {
        format: FORMAT,
        version: info.version,
        session: info.session,
        run,
        instance: info.instance,
        participant: info.participant,
        subject: subject.json(),
        bin_ms: plan.bin_ms,
        components: info.components,
        workspace: [info.workspace.width, info.workspace.height],
        kernel_path: kalmind_filter::kernel_path().to_owned(),
        guard: configuration.decoder.guard,
        engine: plan.engine(),
        streams: plan
            .streams
            .iter()
            .map(|stream| InputStream {
                key: stream.inlet.key.clone(),
                held_samples: (stream.inlet.blocks * stream.inlet.block_samples) as u64,
            })
            .collect(),
        configuration: ConfigurationText {
            file: configuration.source.file_name.clone(),
            sha256: configuration.source.sha256.clone(),
            // a recording is handed on; what steers a daemon is not
            toml: match &configuration.server.token {
                Some(token) => configuration.source.text.replace(token.as_str(), "left out of the recording"),
                None => configuration.source.text.clone(),
            },
        },
        clock: started,
    }
}

/// The LSL outlets and their thread.
fn start_publisher(
    plan: &Plan,
    (session, run): (&str, u64),
    source: LaneSource,
    events: Receiver<Event>,
    ledger: Arc<Ledger>,
    clock: Clock,
    realtime: Arc<RealtimeSettings>,
) -> Outcome<LslPublisher> {
    let (outlets, events_outlet, layout) = outlets(plan, session, run);
    let on_start = Box::new(move || drop(realtime.apply(Role::Outlet, "LSL outlet")));
    spawn_lsl_publisher(
        outlets,
        events_outlet,
        layout,
        Box::new(source),
        events,
        ledger,
        clock,
        Some(on_start),
    )
    .or_work()
}

/// The inlets of a run, taken apart: for status pages, for the end, for the tick thread.
struct Inlets {
    monitors: Vec<Arc<StreamMonitor>>,
    guards: Vec<InletGuard>,
    streams: ArrayVec<StreamInput, MAX_STREAMS>,
    recorded_texts: Vec<MarkerInlet>,
}

impl Inlets {
    fn start(
        plan: &Plan,
        tick: &Waker,
        realtime: &Arc<RealtimeSettings>,
        mut recorder: Option<&mut Recorder>,
    ) -> Outcome<Self> {
        let mut inlets = Self {
            monitors: Vec::new(),
            guards: Vec::new(),
            streams: ArrayVec::new(),
            recorded_texts: Vec::new(),
        };
        for (index, planned) in plan.streams.iter().enumerate() {
            let mut inlet = planned.inlet.clone();
            let description = inlet.description.clone();
            let rate_hz = planned.binning.rate_hz.unwrap_or_default();
            inlet.recorded_blocks = recorder.as_ref().map(|_| recorder::blocks(rate_hz, inlet.block_samples));
            let realtime = Arc::clone(realtime);
            let name = inlet.key.clone();
            inlet.on_start = Some(ThreadStart(Arc::new(move || drop(realtime.apply(Role::Stream, &name)))));
            let parts = NumericInlet::spawn(inlet, tick.clone()).or_stream()?.into_parts();
            let InletParts { blocks, recorded, status: monitor, guard } = parts;
            if let Some((recorder, recorded)) = recorder.as_mut().zip(recorded) {
                recorder.add_numbers(description, planned.inlet.key.clone(), Some(index), recorded);
            }
            inlets.monitors.push(Arc::clone(&monitor));
            inlets.guards.push(guard);
            inlets.streams.push(StreamInput { blocks, monitor });
        }
        if let Some(recorder) = recorder {
            for extra in &plan.recorded {
                inlets.record(extra, recorder)?;
            }
        }
        Ok(inlets)
    }

    /// A further stream, which goes to the recorder alone: whatever its age or clock, it is recorded.
    fn record(&mut self, extra: &RecordedExtra, recorder: &mut Recorder) -> Outcome<()> {
        let RecordedExtra { key, selector, description } = extra.clone();
        if description.format.is_none() {
            let (recorded, samples) = crossbeam_channel::bounded(MARKERS);
            let config = MarkerConfig { key: key.clone(), selector, recorded: Some(recorded) };
            let inlet = MarkerInlet::spawn(config, None).or_stream()?;
            recorder.add_texts(key, samples, &inlet);
            self.monitors.push(Arc::clone(&inlet.status));
            self.recorded_texts.push(inlet);
            return Ok(());
        }
        let mut config = InletConfig::new(key.clone(), selector, description.clone());
        config.limits.backlog_ms = f64::INFINITY;
        config.limits.bad_clock_ms = f64::INFINITY;
        config.blocks = recorder::blocks(description.nominal_rate_hz, config.block_samples);
        // the recorder looks every few milliseconds: nobody has to wake it
        let InletParts { blocks, status, guard, .. } =
            NumericInlet::spawn(config, Waker::new()).or_stream()?.into_parts();
        recorder.add_numbers(description, key, None, blocks);
        self.monitors.push(status);
        self.guards.push(guard);
        Ok(())
    }
}

/// Stages the model that the configuration names, to be swapped in at the first tick.
fn first_model(
    plan: &Plan,
    engine: &mut Engine,
    commands: &mut Producer<QueuedCommand>,
) -> Outcome<Option<DecoderInfo>> {
    let Some(model) = &plan.model else { return Ok(None) };
    let staged = model.stage_live(plan.configuration.decoder.guard).or_usage()?;
    if let Err((error, _)) = engine.stage(staged) {
        return Err(error).or_usage();
    }
    let _empty_ring_has_room =
        commands.push(QueuedCommand { command: Command::SwapModel(model.id), stops: 0 });
    Ok(Some(DecoderInfo { name: model.model.decoder.to_string(), model: model.id.to_hex() }))
}

/// Starts the tick thread and waits until its real-time settings are applied.
fn spawn_tick(thread: TickThread, waker: Waker, realtime: Arc<RealtimeSettings>) -> Outcome<JoinHandle<()>> {
    let (ready, applied) = mpsc::sync_channel(1);
    let handle = std::thread::Builder::new()
        .name("kalmind-tick".to_owned())
        .spawn(move || {
            let result = realtime.apply(Role::Tick, "tick");
            let go_on = result.is_ok();
            if ready.send(result).is_ok() && go_on {
                silence_panics_here();
                let _only_this_thread_attaches = waker.attach();
                thread.run();
            }
        })
        .or_work()?;
    applied.recv().or_work()?.or_work()?;
    Ok(handle)
}

/// One daemon an instance name: an abstract socket, which the system frees whatever way the process ends.
fn claim_instance(name: &str) -> anyhow::Result<net::UnixListener> {
    let address = net::SocketAddr::from_abstract_name(format!("kalmind-{name}"))?;
    net::UnixListener::bind_addr(&address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "another daemon named \"{name}\" runs on this machine; end it, or give this one another [instance] name"
        ),
        _ => error.into(),
    })
}

fn session_info(plan: &Plan, session: &str, run: u64) -> SessionInfo {
    let configuration = &plan.configuration;
    SessionInfo {
        session: session.to_owned(),
        run,
        instance: configuration.instance.name.clone(),
        participant: configuration.subject.code.clone().unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        bin_ms: plan.bin_ms,
        components: plan.demand.components.clone(),
        workspace: Workspace { width: 1.0, height: configuration.cursor.height },
    }
}

fn outlets(
    plan: &Plan,
    session: &str,
    run: u64,
) -> (Vec<CursorOutletConfig>, EventsOutletConfig, CursorLayout) {
    let configuration = &plan.configuration;
    let instance = &configuration.instance.name;
    let outlets = configuration
        .output
        .lsl
        .iter()
        .map(|outlet| CursorOutletConfig {
            name: outlet.name(instance),
            content_type: outlet.content_type.clone(),
            source_id: outlet.source_id(instance),
            format: outlet.format,
            scale: outlet.scale,
            channels: outlet.channels.clone(),
        })
        .collect();
    let events = EventsOutletConfig {
        name: configuration.output.events.name(instance),
        source_id: configuration.output.events.source_id(instance),
        ..EventsOutletConfig::default()
    };
    (outlets, events, cursor_layout(plan, session, run))
}

/// What every form of the cursor has in common.
fn cursor_layout(plan: &Plan, session: &str, run: u64) -> CursorLayout {
    let info = session_info(plan, session, run);
    CursorLayout {
        bin_ms: info.bin_ms,
        components: info.components,
        run,
        session: info.session,
        instance: info.instance,
        participant: info.participant,
        version: info.version,
        height: info.workspace.height,
    }
}

fn server_config(configuration: &Configuration, token: Token) -> ServerConfig {
    let server = &configuration.server;
    ServerConfig {
        allowed_hosts: server.allowed_hosts.clone(),
        allowed_origins: server.allowed_origins.clone(),
        limits: Limits {
            connections: server.max_connections,
            message_bytes: server.max_message_bytes,
            messages_per_second: server.max_messages_per_s,
            ..Limits::default()
        },
        ..ServerConfig::new(server.bind, token)
    }
}

/// What follows the task's marker stream: every marker becomes an event and a message to the desk.
struct TaskFollower {
    table: MarkerTable,
    desk: DeskHandle,
    events: Arc<EventBus>,
    stop: Arc<StopLatch>,
    tick: Waker,
    unknown: Arc<AtomicU64>,
}

impl TaskFollower {
    /// Starts following, where a stream is configured.
    fn start(
        self,
        configuration: &Configuration,
        recorder: Option<&mut Recorder>,
    ) -> Outcome<Option<(MarkerInlet, JoinHandle<()>)>> {
        let selection = configuration.task.selection();
        if selection.is_empty() {
            return Ok(None);
        }
        let (sink, received) = crossbeam_channel::bounded::<Marker>(MARKERS);
        let key = "task markers".to_owned();
        let (recorded, samples) = crossbeam_channel::bounded(MARKERS);
        let recorded = recorder.as_ref().map(|_| recorded);
        let config = MarkerConfig { key: key.clone(), selector: selector(selection), recorded };
        let inlet = MarkerInlet::spawn(config, sink).or_stream()?;
        if let Some(recorder) = recorder {
            recorder.add_texts(key, samples, &inlet);
        }
        let follow = move || received.iter().for_each(|marker| self.follow(&marker));
        let thread = std::thread::Builder::new().name("kalmind-task".to_owned()).spawn(follow);
        Ok(Some((inlet, thread.or_work()?)))
    }

    fn follow(&self, received: &Marker) {
        let marker = match parse_marker(&received.text, &self.table) {
            Ok(marker) => marker,
            Err(error) => {
                self.unknown.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "a marker of the task stream was not understood");
                return;
            }
        };
        if marker.content == TaskEventContent::Operator(OperatorAction::Stop) {
            // a stop waits in no queue
            self.stop.set(Actor::Task);
            self.tick.wake();
        }
        let time = marker.time.unwrap_or(received.time);
        self.events.publish(time, marker.content.kind(), marker.content.data());
        if !self.desk.send(Message::Task { time, content: marker.content }) {
            tracing::warn!("a task marker was refused: too many wait");
        }
    }
}
