//! One run of the daemon: every thread and queue, made and wired in one place, ended in order.

use std::{
    net::SocketAddr,
    os::{linux::net::SocketAddrExt as _, unix::net},
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
    InletGuard, Marker, MarkerConfig, MarkerInlet, NumericInlet, StreamMonitor, ThreadStart, Waker, clock,
    pool::pool,
    ring::{Producer, ring},
};
use kalmind_engine::{Binner, Engine};
use kalmind_filter::DecoderSpec;
use kalmind_output::{
    Bridge, Clock, Controls, CursorLayout, CursorOutletConfig, DecoderInfo, EventsOutletConfig, Hub, Ledger,
    LedgerSnapshot, Limits, LslPublisher, Server, ServerConfig, SessionInfo, Token, Workspace,
    spawn_lsl_publisher, start_server,
};
use kalmind_session::{MarkerTable, OperatorAction, TaskEventContent, parse_marker};
use kalmind_types::{Actor, Command, Event, MAX_STREAMS, StreamStatus};
use serde_json::json;

use crate::{
    configuration::Configuration,
    controls::DaemonControls,
    desk::{Desk, DeskHandle, DeskQueues, DeskSettings, Message, Program},
    event_bus::EventBus,
    failure::{OrFail as _, Outcome},
    network::NetworkInForce,
    plan::{Plan, label_law, selector},
    realtime::{RealtimeSettings, Role},
    tick::{
        LaneSource, QueuedCommand, StopLatch, StreamInput, TickCounts, TickQueues, TickRecord, TickThread,
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
        let run = clock::clock_pair().unix as u64;
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
        let events = Arc::new(EventBus::new(hub.clone(), events_to_lsl));

        // the model that the configuration names decodes from the first tick on
        let (models_in, models) = ring(MODELS);
        let (mut commands_in, commands) = ring(COMMANDS);
        let (retired, retired_out) = ring(MODELS);
        let decoder = first_model(plan, &mut engine, &mut commands_in)?;
        let features = plan.demand.streams.iter().map(|stream| stream.channels).sum();
        let (records, records_out) = pool(RECORDS, || TickRecord::empty(features));

        let stop = Arc::new(StopLatch::default());
        let counts = Arc::new(TickCounts::default());
        let tick_waker = Waker::new();
        let (handle, messages) = DeskHandle::new(decoder);
        let settings = DeskSettings {
            demand: plan.demand.clone(),
            guard: configuration.decoder.guard,
            label_law: label_law(configuration),
            calibrate: options.calibrate,
            program: options.program,
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
        let Inlets { mut monitors, guards, streams } = Inlets::start(plan, &tick_waker, &realtime)?;
        let unknown_markers = Arc::new(AtomicU64::new(0));
        let follower = TaskFollower {
            table: plan.markers.clone(),
            desk: handle.clone(),
            events: Arc::clone(&events),
            stop: Arc::clone(&stop),
            tick: tick_waker.clone(),
            unknown: Arc::clone(&unknown_markers),
        };
        let markers = follower.start(configuration)?;
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

        let end = Arc::new(AtomicBool::new(false));
        let lanes = ArrayVec::from_iter([lsl_lane, hub_lane]);
        let thread = TickThread {
            engine,
            binner,
            streams,
            queues: TickQueues { commands, models, retired, records, desk: handle.waker(), lanes },
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

    /// What the run did so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            counts: self.controls.tick_counts().to_vec(),
            streams: self.controls.streams(),
            latency: self.ledger.snapshot(),
            events: self.controls.events.count(),
        }
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
        let summary = Summary {
            counts: self.controls.tick_counts().to_vec(),
            streams: self.controls.streams(),
            latency: self.ledger.snapshot(),
            events: self.controls.events.count(),
        };
        self.server.shutdown();
        summary
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
}

impl Inlets {
    fn start(plan: &Plan, tick: &Waker, realtime: &Arc<RealtimeSettings>) -> Outcome<Self> {
        let mut inlets = Self { monitors: Vec::new(), guards: Vec::new(), streams: ArrayVec::new() };
        for planned in &plan.streams {
            let mut inlet = planned.inlet.clone();
            let realtime = Arc::clone(realtime);
            let name = inlet.key.clone();
            inlet.on_start = Some(ThreadStart(Arc::new(move || drop(realtime.apply(Role::Stream, &name)))));
            let (blocks, monitor, guard) = NumericInlet::spawn(inlet, tick.clone()).or_stream()?.into_parts();
            inlets.monitors.push(Arc::clone(&monitor));
            inlets.guards.push(guard);
            inlets.streams.push(StreamInput { blocks, monitor });
        }
        Ok(inlets)
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
    let info = session_info(plan, session, run);
    let layout = CursorLayout {
        bin_ms: info.bin_ms,
        components: info.components,
        run,
        session: info.session,
        instance: info.instance,
        participant: info.participant,
        version: info.version,
        height: info.workspace.height,
    };
    (outlets, events, layout)
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
    fn start(self, configuration: &Configuration) -> Outcome<Option<(MarkerInlet, JoinHandle<()>)>> {
        let selection = configuration.task.selection();
        if selection.is_empty() {
            return Ok(None);
        }
        let (sink, received) = crossbeam_channel::bounded::<Marker>(MARKERS);
        let config = MarkerConfig { key: "task markers".to_owned(), selector: selector(selection) };
        let inlet = MarkerInlet::spawn(config, sink).or_stream()?;
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
