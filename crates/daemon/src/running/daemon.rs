//! One run of the daemon: every thread and queue, made and wired in one place, ended in order.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use arrayvec::ArrayVec;
use kalmind_acquisition::{InletGuard, MarkerInlet, Waker, clock, ring::ring};
use kalmind_engine::{Binner, Engine};
use kalmind_filter::DecoderSpec;
use kalmind_output::{Bridge, Controls, CursorRow, Hub, Ledger, LslPublisher, Server, Token, start_server};
use kalmind_session::Preset;
use kalmind_types::{Actor, EventBody, InputDelay, OutputState, StateChange};
use serde_json::{Value, json};

use crate::{
    controls::DaemonControls,
    desk::{Desk, DeskHandle, DeskQueues, DeskSettings, ToldWindow},
    event_bus::EventBus,
    failure::{OrFail as _, Outcome},
    models::saved::SavedModels,
    process::{instance::InstanceLock, lsl_network::NetworkInForce, open_files},
    recorder::{self, Recorder, RecorderStatus, RunningRecorder},
    running::{
        arrival::InputArrivals,
        event_markers::{self, EventMarkers},
        inlets::Inlets,
        late_streams::LateStreams,
        plane_streams::{PlaneStreams, PositionSlot},
        recording::{begin_recording, session_document},
        resting::Resting,
        session::session_settings,
        summary::Summary,
        tick_start::{UnreadWindows, first_model, spawn_tick},
    },
    stage_changes::StageChanges,
    starting::{
        outlets::{LANE, Outlets, cursor_layout, session_info},
        plan::Plan,
        resuming::Resuming,
    },
    state_events::{SilenceLimits, StateEvents},
    task_follower::{MarkerCounts, TaskFollower},
    tick::{QueuedCommand, RecordLane, StopLatch, TickCounts, TickQueues, TickThread, lane},
};

/// Ticks that may wait for the desk.
const RECORDS: usize = 512;
/// Commands that may wait for the tick thread.
const COMMANDS: usize = 256;
/// Models that may wait, either way.
const MODELS: usize = 8;

/// What a run adds to its plan.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Presets that a session can open.
    pub presets: Vec<Preset>,
    /// Decides whatever is random in a session's tasks; when the run began, where nobody states it.
    pub seed: Option<u64>,
    /// Control experiment: fits to labels in random order.
    pub shuffled_labels: bool,
    /// Whether a simulated participant means what a person's hand does.
    pub hand: bool,
    /// What is fitted where a preset says nothing else.
    pub calibrate: Option<DecoderSpec>,
    /// The file to record to; where there is none, the configuration may name a folder.
    pub record: Option<PathBuf>,
    /// Where fitted models are saved.
    pub save: Option<SavedModels>,
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
    tick: JoinHandle<UnreadWindows>,
    windows: Vec<ToldWindow>,
    desk: JoinHandle<()>,
    inlets: Vec<InletGuard>,
    markers: Option<(MarkerInlet, JoinHandle<()>)>,
    event_markers: EventMarkers,
    recorded_texts: Vec<MarkerInlet>,
    places: PlaneStreams,
    late: Option<LateStreams>,
    recorder: Option<RunningRecorder>,
    _instance: InstanceLock,
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
        let mut recorder = begin_recording(plan, options.record.as_deref(), identity.started.unix)?;
        let record_handle = recorder.as_ref().map(Recorder::handle);
        let engine = Engine::new(plan.engine()).and_then(|engine| engine.with_windows(&plan.windows));
        let mut engine = engine.or_usage()?;
        if let Some(state) = plan.resuming.as_ref().and_then(Resuming::state) {
            engine.resume(state.clone());
        }
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
        let counts = Arc::new(TickCounts::default());
        let streams = plan.streams.iter().map(|stream| stream.inlet.key.clone()).collect();
        let mut state_events = StateEvents::new(
            Arc::clone(&events),
            limits,
            Arc::clone(&counts),
            Arc::clone(&plan.layout),
            streams,
        );
        let on_change = Box::new(move |change: &StateChange| state_events.tell(change));
        let bridge = hub.spawn_bridge(Box::new(hub_source), on_change).or_work()?;

        // the model that the configuration names decodes from the first tick on
        let (models_in, models) = ring(MODELS);
        let (mut commands_in, commands) = ring(COMMANDS);
        let (retired, retired_out) = ring(MODELS);
        first_model(plan, &mut engine, &mut commands_in)?;
        if let (Some(recorder), Some(model)) = (&record_handle, &plan.model) {
            recorder.model(model, None);
        }
        let features = plan.layout.width();
        let values = engine.most_window_values();
        let binner = Binner::new(plan.binner(), plan.masked.clone()).or_usage()?;
        let binner = event_markers::cutting(plan, binner);
        let tick_waker = Waker::new();
        let Inlets { mut monitors, guards, stages, streams, recorded_texts, late } =
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
        if !configuration.decoder.plausibility {
            tracing::warn!(
                "[decoder] plausibility = false: a dead or disconnected array will move the cursor"
            );
        }
        let start = plan.model.as_ref().zip(plan.origin());
        if let Some((model, origin)) = &start {
            events.publish(origin.added, origin.event(model));
        }
        let (handle, messages) = DeskHandle::new(start);
        let (desk_lane, records_out) = RecordLane::new(RECORDS, features, values, handle.waker());
        let lost_records = desk_lane.lost();
        let mut records = ArrayVec::from_iter([desk_lane]);
        let recorded_ticks = recorder.as_ref().map(|recorder| {
            let (lane, ticks) = recorder.ticks(features, values);
            records.push(lane);
            ticks
        });
        let position = PositionSlot::default();
        let seed = options.seed.unwrap_or(identity.run);
        let changes = Arc::new(StageChanges::of(plan));
        let resting = Resting::of(plan, record_handle.clone(), options.save.as_ref(), &changes, &handle);
        let settings = DeskSettings {
            demand: plan.demand.clone(),
            guard: configuration.decoder.guard,
            session: session_settings(plan, options.presets, seed, options.calibrate.as_ref(), &resting),
            interrupted: plan
                .resuming
                .as_ref()
                .and_then(|resuming| resuming.interrupted().map(str::to_owned)),
            shuffled_labels: options.shuffled_labels.then_some(seed),
            save: options.save,
            recorder: record_handle.clone(),
            layout: Arc::clone(&plan.layout),
            position: position.clone(),
            arrivals,
            stages,
            learner: resting.ok().map(Resting::learner),
            windows: ToldWindow::all_of(plan),
        };
        let tick = tick_waker.clone();
        let queues = DeskQueues {
            commands: commands_in,
            models: models_in,
            retired: retired_out,
            records: records_out,
            tick,
        };
        let (bus, latch) = (Arc::clone(&events), Arc::clone(&stop));
        let desk = Desk::new(settings, queues, engine.examiner(), handle.clone(), messages, bus, latch);

        let hands = options.hand.then(Arc::default);
        let marker_counts = Arc::new(MarkerCounts::new(&plan.markers));
        let follower = TaskFollower {
            table: plan.markers.clone(),
            desk: handle.clone(),
            events: Arc::clone(&events),
            stop: Arc::clone(&stop),
            counts: Arc::clone(&marker_counts),
            may_resume: task_may_resume,
            hands: hands.clone(),
        };
        let (event_markers, markers_to_tick) =
            EventMarkers::start(plan, &tick_waker, &counts, recorder.as_mut())?;
        monitors.extend(event_markers.monitors());
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
            layout: Arc::clone(&plan.layout),
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
            demand: plan.demand.clone(),
            stages: changes,
            guard: configuration.decoder.guard,
            task_may_resume,
            hands,
        });
        let token = match &configuration.server.token {
            Some(token) => Token::new(token.clone()).or_usage()?,
            None => Token::random().or_work()?,
        };
        let server_config = configuration.server.config(token.clone());
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
            queues: TickQueues { commands, models, retired, markers: markers_to_tick, records, lanes },
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
            windows: ToldWindow::all_of(plan),
            desk,
            inlets: guards,
            markers,
            event_markers,
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
        let (late, event_markers) = (self.late.take(), core::mem::take(&mut self.event_markers));
        std::thread::scope(|scope| {
            scope.spawn(move || drop((late, event_markers)));
            for inlet in self.inlets.drain(..) {
                scope.spawn(move || drop(inlet));
            }
        });
        self.controls.desk.end();
        self.end.store(true, Ordering::Release);
        self.controls.tick.wake();
        let (tick, desk) = (self.tick.join(), self.desk.join());
        for (name, panicked) in [("tick", tick.is_err()), ("desk", desk.is_err())] {
            if panicked {
                tracing::error!(thread = name, "a thread panicked");
            }
        }
        ToldWindow::tell_unread(&self.windows, &tick.unwrap_or_default(), &self.controls.events);
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
