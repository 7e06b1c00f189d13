//! One run of the daemon: every thread and queue, made and wired in one place, ended in order.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use arrayvec::ArrayVec;
use kalmind_acquisition::{
    InletConfig, InletGuard, InletParts, MarkerConfig, MarkerInlet, NumericInlet, StreamMonitor,
    StreamSelector, ThreadStart, Waker, clock,
    ring::{Producer, ring},
};
use kalmind_engine::{Binner, Engine};
use kalmind_filter::DecoderSpec;
use kalmind_offline::recorded::{ConfigurationText, FORMAT, InputStream, SessionDocument};
use kalmind_output::{
    Bridge, Controls, CursorRow, Hub, Ledger, LedgerSnapshot, LslPublisher, Server, ServerConfig, Token,
    start_server,
};
use kalmind_types::{
    Actor, Command, EventBody, InputDelay, MAX_STREAMS, OutputState, StateChange, StreamDescription,
    StreamFeatures, StreamStatus,
};
use serde_json::{Value, json};

use crate::{
    configuration::Configuration,
    controls::DaemonControls,
    desk::{Desk, DeskHandle, DeskQueues, DeskSettings, Program},
    event_bus::EventBus,
    failure::{OrFail as _, Outcome},
    process::{
        instance::InstanceLock,
        lsl_network::NetworkInForce,
        open_files,
        realtime::{RealtimeSettings, Role},
    },
    recorder::{self, Recorder, RecorderStatus, RunningRecorder},
    running::{
        arrival::InputArrivals,
        late_streams::{Awaited, LateStreams},
        plane_streams::{PlaneStreams, PositionSlot},
    },
    starting::{
        outlets::{Identity, LANE, Outlets, cursor_layout, session_info},
        plan::{Plan, RecordedExtra},
    },
    state_events::{SilenceLimits, StateEvents},
    task_follower::{MARKERS, MarkerCounts, TaskFollower},
    tick::{
        QueuedCommand, RecordLane, StopLatch, StreamInput, TickCounts, TickQueues, TickThread, lane,
        silence_panics_here,
    },
};

/// Ticks that may wait for the desk.
const RECORDS: usize = 512;
/// Commands that may wait for the tick thread.
const COMMANDS: usize = 256;
/// Models that may wait, either way.
const MODELS: usize = 8;

/// Samples in a block of an irregular stream that is only recorded, and its blocks: a burst of 65,536 samples.
const IRREGULAR_BLOCK: usize = 256;
const IRREGULAR_BLOCKS: usize = 256;

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
    places: PlaneStreams,
    late: Option<LateStreams>,
    recorder: Option<RunningRecorder>,
    _instance: InstanceLock,
}

/// What a run did, for the summary at its end.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What the tick thread counted: name, help, value.
    pub counts: Vec<(&'static str, &'static str, u64)>,
    /// The streams as they stood.
    pub streams: Vec<StreamStatus>,
    /// How late the input was.
    pub input: InputDelay,
    /// Latencies.
    pub latency: LedgerSnapshot,
    /// How long each output state was shown, in seconds on the local clock.
    pub state_seconds: Vec<(OutputState, f64)>,
    /// Events published.
    pub events: u64,
    /// What the recorder did, if there was one.
    pub recording: Option<Value>,
    /// Lines of the log that nobody took.
    pub dropped_lines: u64,
    /// What came over the task stream.
    pub task: Value,
    /// What of it never matched, for people.
    pub task_sentences: Vec<String>,
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
    pub fn start(
        plan: &Plan,
        outlets: Outlets,
        network: &NetworkInForce,
        options: RunOptions,
    ) -> Outcome<Self> {
        let configuration = &plan.configuration;
        // publishers first: no client shall miss the first tick
        let Outlets {
            identity,
            instance,
            realtime,
            ledger,
            clock,
            publisher,
            lane: lsl_lane,
            events: events_to_lsl,
            ..
        } = outlets.with_width(configuration, plan.bin_ms)?;
        let mut recorder = begin_recording(plan, &options, identity.started.unix)?;
        let record_handle = recorder.as_ref().map(Recorder::handle);
        let engine_settings = plan.engine();
        let mut engine = Engine::new(engine_settings).or_usage()?;
        let info = session_info(configuration, &identity, plan.bin_ms);
        let at_start =
            if plan.arrival_rules().measured { OutputState::Idle } else { engine.states().state() };
        let hub = Hub::new(info, at_start, clock);
        let (hub_lane, hub_source) = lane(LANE);
        let woken = publisher.thread().cloned();
        let events = Arc::new(EventBus::new(hub.clone(), events_to_lsl, woken, record_handle.clone()));
        let task_may_resume = configuration.task.may_resume;
        let limits = SilenceLimits {
            stale_after: engine.stale_after(),
            auto_resume: engine.auto_resume(),
            task_may_resume,
        };
        let labels = feature_labels(&plan.demand.streams);
        let mut state_events = StateEvents::new(Arc::clone(&events), limits, labels.clone());
        let on_change = Box::new(move |change: &StateChange| state_events.tell(change));
        let bridge = hub.spawn_bridge(Box::new(hub_source), on_change).or_work()?;

        // the model that the configuration names decodes from the first tick on
        let (models_in, models) = ring(MODELS);
        let (mut commands_in, commands) = ring(COMMANDS);
        let (retired, retired_out) = ring(MODELS);
        first_model(plan, &mut engine, &mut commands_in)?;
        if let (Some(recorder), Some(model)) = (&record_handle, &plan.model) {
            recorder.model(model);
        }
        let features = plan.demand.streams.iter().map(|stream| stream.channels).sum();
        let binner = Binner::new(plan.binner(), plan.masked).or_usage()?;
        let tick_waker = Waker::new();
        let Inlets { mut monitors, guards, streams, recorded_texts, late } =
            Inlets::start(plan, &tick_waker, &realtime, recorder.as_mut())?;
        let required = streams.iter().zip(&plan.streams).filter(|(_, planned)| planned.binning.required);
        let arrivals = InputArrivals::new(
            plan.arrival_rules(),
            required.map(|(stream, _)| Arc::clone(&stream.monitor)).collect(),
        );
        let input = arrivals.board();
        // before the first tick, and so before anything can move
        let _empty_ring_has_room = commands_in.push(QueuedCommand { command: arrivals.command(), stops: 0 });

        let stop = Arc::new(StopLatch::new(tick_waker.clone()));
        let counts = Arc::new(TickCounts::default());
        if !configuration.decoder.plausibility {
            tracing::warn!(
                "[decoder] plausibility = false: a dead or disconnected array will move the cursor"
            );
        }
        let (handle, messages) = DeskHandle::new(plan.model.as_ref());
        let (desk_lane, records_out) = RecordLane::new(RECORDS, features, handle.waker());
        let lost_records = desk_lane.lost();
        let mut records = ArrayVec::from_iter([desk_lane]);
        let recorded_ticks = recorder.as_ref().map(|recorder| {
            let (lane, ticks) = recorder.ticks(features);
            records.push(lane);
            ticks
        });
        let position = PositionSlot::default();
        let settings = DeskSettings {
            demand: plan.demand.clone(),
            guard: configuration.decoder.guard,
            label_law: configuration.task.label_law,
            calibrate: options.calibrate,
            program: options.program,
            recorder: record_handle.clone(),
            max_masked: plan.calibration_mask(),
            position: position.clone(),
            task_may_resume,
            arrivals,
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

        let marker_counts = Arc::new(MarkerCounts::new(&plan.markers));
        let follower = TaskFollower {
            table: plan.markers.clone(),
            desk: handle.clone(),
            events: Arc::clone(&events),
            stop: Arc::clone(&stop),
            counts: Arc::clone(&marker_counts),
            may_resume: task_may_resume,
        };
        let mut places = PlaneStreams::default();
        places.follow_position(configuration, position).or_work()?;
        follower.follow_targets(configuration, &mut places)?;
        monitors.extend(places.monitors());
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
            plausibility: configuration.decoder.plausibility,
            labels,
            realtime: Arc::clone(&realtime),
            configuration: json!({
                "file": configuration.source.file_name,
                "sha256": configuration.source.sha256,
            }),
            network: network.status(),
            input,
            recording: record_handle.as_ref().map(|recorder| Arc::clone(recorder.status())),
            lost_records,
            markers: marker_counts,
            told_stop: Mutex::new(None),
            task_may_resume,
        });
        let token = match &configuration.server.token {
            Some(token) => Token::new(token.clone()).or_usage()?,
            None => Token::random().or_work()?,
        };
        let server_config = server_config(configuration, token.clone());
        open_files::raise_limit(&server_config.limits);
        let steered: Arc<dyn Controls> = Arc::<DaemonControls>::clone(&controls);
        let server = start_server(server_config, hub, steered, Arc::clone(&ledger)).or_work()?;

        let recorder = match recorder.zip(recorded_ticks) {
            Some((recorder, ticks)) => {
                let document = session_document(plan, &identity);
                let row = CursorRow::new(&cursor_layout(configuration, &identity, plan.bin_ms));
                let told = Arc::clone(&events);
                let announce: recorder::Announce = Arc::new(move |fault| {
                    told.publish(clock::now(), EventBody::Recording(fault));
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
            places,
            late,
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
    pub fn realtime(&self) -> Vec<crate::process::realtime::Outcome> {
        self.controls.realtime.outcomes()
    }

    /// How late the input is.
    #[must_use]
    pub fn input(&self) -> InputDelay {
        self.controls.input.now()
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
        drop(core::mem::take(&mut self.places));
        self.recorded_texts.clear();
        // each may wait for a dead outlet: all at once, not one after the other
        let late = self.late.take();
        std::thread::scope(|scope| {
            scope.spawn(move || drop(late));
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
                tracing::error!(thread = name, "a thread panicked");
            }
        }
        // the hub first: the events of the last changes go to the LSL outlet too
        self.bridge.stop();
        let _counts = self.publisher.stop();
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
            input: controls.input.now(),
            latency: ledger.snapshot(),
            state_seconds: controls.hub.state_seconds().to_vec(),
            events: controls.events.count(),
            recording: controls.recording.as_ref().map(|recording| recording.json()),
            dropped_lines: crate::log::dropped_lines(),
            task: controls.markers.json(),
            task_sentences: controls.markers.sentences(),
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

/// The label of every feature, or its index where its stream names none; streams one after the other.
fn feature_labels(streams: &[StreamFeatures]) -> Vec<String> {
    let mut labels = Vec::new();
    for stream in streams {
        match &stream.labels {
            Some(named) => labels.extend(named.iter().cloned()),
            None => labels.extend((labels.len()..labels.len() + stream.channels).map(|at| at.to_string())),
        }
    }
    labels
}

/// What a recording says of the session.
fn session_document(plan: &Plan, identity: &Identity) -> SessionDocument {
    let configuration = &plan.configuration;
    let subject = &configuration.subject;
    let info = session_info(configuration, identity, plan.bin_ms);
    SessionDocument {
        format: FORMAT,
        version: info.version,
        session: info.session,
        run: info.run,
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
            // without the token: a recording is handed on; what steers a daemon is not
            toml: configuration.source.text.clone(),
        },
        clock: identity.started,
    }
}

/// The inlets of a run, taken apart: for status pages, for the end, for the tick thread.
struct Inlets {
    monitors: Vec<Arc<StreamMonitor>>,
    guards: Vec<InletGuard>,
    streams: ArrayVec<StreamInput, MAX_STREAMS>,
    recorded_texts: Vec<MarkerInlet>,
    late: Option<LateStreams>,
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
            late: None,
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
        let InletParts { blocks, status, guard, .. } =
            NumericInlet::spawn(config, Waker::new()).or_stream()?.into_parts();
        recorder.add_numbers(description.clone(), key, None, blocks);
        self.monitors.push(status);
        self.guards.push(guard);
        Ok(())
    }
}

/// How a further stream of numbers is received: whatever its age or clock, it is recorded.
pub(crate) fn recorded_config(
    key: String,
    selector: StreamSelector,
    description: &StreamDescription,
) -> InletConfig {
    let mut config = InletConfig::new(key, selector, description.clone());
    config.limits.backlog_ms = f64::INFINITY;
    config.limits.bad_clock_ms = f64::INFINITY;
    if description.nominal_rate_hz > 0.0 {
        config.blocks = recorder::blocks(description.nominal_rate_hz, config.block_samples);
    } else {
        // nothing says how many come at once
        (config.block_samples, config.blocks) = (IRREGULAR_BLOCK, IRREGULAR_BLOCKS);
    }
    config
}

/// Stages the model that the configuration names, to be swapped in at the first tick.
fn first_model(plan: &Plan, engine: &mut Engine, commands: &mut Producer<QueuedCommand>) -> Outcome<()> {
    let Some(model) = &plan.model else { return Ok(()) };
    let staged = model.stage_live(plan.configuration.decoder.guard).or_usage()?;
    if let Err((error, _)) = engine.stage(staged) {
        return Err(error).or_usage();
    }
    let _empty_ring_has_room =
        commands.push(QueuedCommand { command: Command::SwapModel(model.id), stops: 0 });
    Ok(())
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

fn server_config(configuration: &Configuration, token: Token) -> ServerConfig {
    let server = &configuration.server;
    ServerConfig {
        allowed_hosts: server.allowed_hosts.clone(),
        allowed_origins: server.allowed_origins.clone(),
        limits: server.limits,
        ..ServerConfig::new(server.bind, token)
    }
}
