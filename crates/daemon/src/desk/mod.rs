//! The desk: the one thread on the slow side that steers the tick. Tasks, calibration, fits, model swaps and requests
//! all pass over it, so that the tick thread has one sender of commands and everything happens in one order.

mod handle;

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::Receiver;
use kalmind_acquisition::{
    Waker, clock,
    pool::PoolReader,
    ring::{Consumer, Producer},
};
use kalmind_engine::StagedModel;
use kalmind_filter::{DecoderSpec, LabelLaw};
use kalmind_fitting::FitSettings;
use kalmind_offline::{
    calibration_fit::{CalibrationFit, fit_calibration},
    model::{Demand, ModelInDoubt},
};
use kalmind_output::DecoderInfo;
use kalmind_session::{
    Calibration, CalibrationOptions, CalibrationTick, InForce, Radial8, Radial8Options, Radial8Tick,
    TaskStep, Timeline,
};
use kalmind_types::{
    Actor, ArrivalAction, ArrivalEvent, Cause, Command, Confirmation, CursorDrive, EventBody, InputArrival,
    LslTime, Mode, ModelEvent, OperatorAction, OperatorRequest, OutputState, Phase, Seconds, Target,
    TaskBlock, TaskState, TickOutput,
};

pub use handle::{DeskHandle, Message, Program, Progress, Stage};

use crate::{
    event_bus::EventBus,
    recorder::RecorderHandle,
    running::{arrival::InputArrivals, plane_streams::PositionSlot},
    tick::{QueuedCommand, StopLatch, TickRecord},
};

/// How long the desk waits when nothing wakes it.
const LONGEST_PARK: Duration = Duration::from_millis(100);
/// Targets that may be announced ahead of their time.
const ANNOUNCED: usize = 64;
/// Commands that may wait for the tick thread beyond its ring; more are dropped and counted.
const WAITING: usize = 256;

/// The desk's ends of the tick thread's queues.
#[derive(Debug)]
pub struct DeskQueues {
    /// Commands to the tick thread.
    pub commands: Producer<QueuedCommand>,
    /// Models to the tick thread.
    pub models: Producer<Box<StagedModel>>,
    /// Models back from it.
    pub retired: Consumer<Box<StagedModel>>,
    /// Whole ticks.
    pub records: PoolReader<TickRecord>,
    /// Wakes the tick thread.
    pub tick: Waker,
}

/// Everything the desk needs to know of the run.
#[derive(Debug)]
pub struct DeskSettings {
    /// What a model has to match.
    pub demand: Demand,
    /// Whether a guard stands in front of decoders whose options leave it open.
    pub guard: bool,
    /// The law that labels are made by.
    pub label_law: LabelLaw,
    /// What is fitted after an open loop; `None` fits nothing.
    pub calibrate: Option<DecoderSpec>,
    /// A task of the daemon's own.
    pub program: Option<Program>,
    /// Where models are recorded before they decode.
    pub recorder: Option<RecorderHandle>,
    /// Where another program puts the cursor.
    pub position: PositionSlot,
    /// Share of features without a valid value above which a bin does not train the decoder.
    pub max_masked: f64,
    /// Whether a task may go on after a long silence of the input, without the operator.
    pub task_may_resume: bool,
    /// How the streams arrive.
    pub arrivals: InputArrivals,
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    settings: DeskSettings,
    queues: DeskQueues,
    handle: DeskHandle,
    messages: Receiver<Message>,
    events: Arc<EventBus>,
    stop: Arc<StopLatch>,
    waiting: VecDeque<QueuedCommand>,
    radial8: Option<Radial8>,
    calibration: Option<Calibration>,
    block: Option<TaskBlock>,
    target: Option<Target>,
    /// When that one was shown.
    shown_at: LslTime,
    /// What the task told.
    timeline: Timeline,
    /// Targets of a task whose time is still to come.
    announced: Vec<(LslTime, Option<Target>)>,
    /// The features of a tick as calibration sees them.
    features: Vec<f64>,
    wanted: Option<Mode>,
    /// Whether a task wants arrival measured as soon as no block runs.
    measure_when_free: bool,
    /// The model that was put in last, where it was in doubt then.
    doubt: Option<ModelInDoubt>,
    newest: LslTime,
    /// The state of the newest tick.
    shown: Option<OutputState>,
}

impl Desk {
    /// A desk that has not started.
    #[must_use]
    pub fn new(
        settings: DeskSettings,
        queues: DeskQueues,
        handle: DeskHandle,
        messages: Receiver<Message>,
        events: Arc<EventBus>,
        stop: Arc<StopLatch>,
    ) -> Self {
        if settings.program.is_some() {
            handle.update(|progress| progress.stage = Stage::Waiting);
        }
        let doubt = handle.progress().doubt;
        Self {
            settings,
            queues,
            handle,
            messages,
            events,
            stop,
            doubt,
            waiting: VecDeque::new(),
            radial8: None,
            calibration: None,
            block: None,
            target: None,
            shown_at: LslTime(f64::NEG_INFINITY),
            timeline: Timeline::running(),
            announced: Vec::new(),
            features: Vec::new(),
            wanted: None,
            measure_when_free: false,
            newest: LslTime::default(),
            shown: None,
        }
    }

    /// Starts the desk's thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(self) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("kalmind-desk".to_owned()).spawn(move || self.run())
    }

    fn run(mut self) {
        let _only_this_thread_attaches = self.handle.waker.attach();
        while !self.handle.ended.load(Ordering::Acquire) {
            while let Ok(message) = self.messages.try_recv() {
                self.handle_message(message);
            }
            while let Some(record) = self.queues.records.receive() {
                self.handle_record(&record);
                self.queues.records.give_back(record);
            }
            // models that the tick is done with are freed here
            while self.queues.retired.pop().is_some() {}
            self.follow_arrival();
            self.send_waiting();
            std::thread::park_timeout(LONGEST_PARK);
        }
    }

    fn handle_message(&mut self, message: Message) {
        match message {
            Message::Request { mode, resume, by, stops, slow_input, model } => {
                self.wanted = Some(mode);
                if slow_input && let Some(command) = self.settings.arrivals.confirm() {
                    self.command(command);
                }
                if let Some(model) = model {
                    self.command(Command::ConfirmModel { model, by });
                }
                self.queue(QueuedCommand { command: Command::Request { mode, resume, by }, stops });
            }
            Message::Task { time, content } => self.follow_task(time, &content),
            Message::MeasureArrival => self.measure_arrival(),
            Message::Fitted(Ok(fit)) => self.take_fit(*fit),
            Message::Fitted(Err(problem)) => {
                tracing::error!(problem, "the fit failed");
                let failed = ModelEvent::FitFailed { problem: problem.clone() };
                self.events.publish(clock::now(), EventBody::Model(failed));
                self.handle.update(|progress| progress.stage = Stage::Failed(problem));
            }
        }
    }

    /// A task by others: its targets, blocks and requests. It never clears a stop or a fault.
    fn follow_task(&mut self, time: LslTime, content: &EventBody) {
        self.timeline.take(time, content);
        match *content {
            EventBody::Operator(OperatorRequest { action, .. }) => self.follow_request(action),
            EventBody::Target(target) => self.announce(time, target),
            EventBody::TaskBlock { block, phase: Phase::Start } => self.begin_block(block),
            EventBody::TaskBlock { block, phase: Phase::End } => self.end_block(block),
            // nothing to do, or the daemon's own, which no task tells
            EventBody::Trial { .. }
            | EventBody::Arrival(_)
            | EventBody::Model(_)
            | EventBody::State(_)
            | EventBody::Recording(_)
            | EventBody::Other { .. } => {}
        }
    }

    fn follow_request(&mut self, action: OperatorAction) {
        match action {
            OperatorAction::Stop => {
                self.stop.set(Actor::Task);
                self.queues.tick.wake();
            }
            OperatorAction::MeasureArrival if self.is_free() => self.measure_arrival(),
            OperatorAction::MeasureArrival => {
                tracing::warn!(
                    "the task asks for a new measurement of how samples arrive; it waits until the block is over"
                );
                self.measure_when_free = true;
            }
            OperatorAction::Resume => self.accept_input(),
            OperatorAction::Idle | OperatorAction::Calibrating | OperatorAction::Control => {
                if let Some(mode) = action.mode() {
                    self.task_asks_for(mode);
                }
            }
        }
    }

    /// A task asks for a mode. Where it may, it agrees by that to go on after a long silence of the input.
    fn task_asks_for(&mut self, mode: Mode) {
        self.wanted = Some(mode);
        if OutputState::from(mode).moves() {
            self.accept_input();
        }
        self.command(Command::Request { mode, resume: false, by: Actor::Task });
    }

    /// A task agrees to go on after a long silence of the input; it counts where the configuration lets it.
    fn accept_input(&mut self) {
        if self.settings.task_may_resume {
            self.command(Command::AcceptInput { by: Actor::Task });
        }
    }

    /// Whether nobody is using the cursor: no block runs and nobody controls.
    fn is_free(&self) -> bool {
        let controls = self.wanted == Some(Mode::Control) || self.shown == Some(OutputState::Control);
        self.block.is_none() && self.radial8.is_none() && !controls
    }

    /// Tells the tick how the streams arrive, when it is known and when it is to be measured anew.
    fn follow_arrival(&mut self) {
        let is_free = self.is_free();
        if is_free && core::mem::take(&mut self.measure_when_free) {
            self.measure_arrival();
        } else if let Some(command) = self.settings.arrivals.look(is_free) {
            self.tell_arrival(command);
        }
    }

    fn measure_arrival(&mut self) {
        if let Some(command) = self.settings.arrivals.measure_anew() {
            self.tell_arrival(command);
        }
    }

    fn tell_arrival(&mut self, command: Command) {
        self.command(command);
        let input = self.settings.arrivals.board().now();
        let action = if input.state == InputArrival::Measuring {
            ArrivalAction::MeasuringArrival
        } else {
            ArrivalAction::ArrivalMeasured
        };
        let streams = self.settings.arrivals.streams();
        let arrival = ArrivalEvent { action, by: Actor::Daemon, input, streams };
        self.events.publish(clock::now(), EventBody::Arrival(arrival));
    }

    /// A target counts from its own time on; one that is announced ahead waits for it.
    fn announce(&mut self, time: LslTime, target: Option<Target>) {
        let now = clock::now();
        let is_ahead = time > now;
        if is_ahead && self.announced.len() < ANNOUNCED {
            self.announced.push((time, target));
        } else {
            self.show_target(if is_ahead { now } else { time }, target);
        }
    }

    fn show_announced(&mut self, now: LslTime) {
        self.announced.sort_by(|a, b| a.0.0.total_cmp(&b.0.0));
        while self.announced.first().is_some_and(|(time, _)| *time <= now) {
            let (time, target) = self.announced.remove(0);
            self.show_target(time, target);
        }
    }

    /// Shows a target, unless a newer one is shown already.
    fn show_target(&mut self, time: LslTime, target: Option<Target>) {
        if time < self.shown_at {
            return;
        }
        (self.shown_at, self.target) = (time, target);
        let drive = self.block.map_or(CursorDrive::Decoder, TaskBlock::drive);
        self.command(Command::Task(TaskState { target, drive }));
    }

    fn begin_block(&mut self, block: TaskBlock) {
        self.block = Some(block);
        if block == TaskBlock::OpenLoop {
            let demand = &self.settings.demand;
            let options = CalibrationOptions {
                label_law: self.settings.label_law,
                bin_ms: demand.bin_ms,
                max_masked: self.settings.max_masked,
            };
            let features: usize = demand.streams.iter().map(|stream| stream.channels).sum();
            self.calibration = Some(Calibration::new(options, features));
        }
        self.command(Command::Task(TaskState { target: self.target, drive: block.drive() }));
        self.task_asks_for(block.mode());
    }

    fn end_block(&mut self, block: TaskBlock) {
        if self.block == Some(block) {
            self.block = None;
            self.wanted = Some(Mode::Idle);
            self.command(Command::Request { mode: Mode::Idle, resume: false, by: Actor::Task });
        }
        if block == TaskBlock::OpenLoop {
            self.start_fit();
        }
    }

    fn start_fit(&mut self) {
        let Some(spec) = self.settings.calibrate else { return };
        let Some(calibration) = self.calibration.take() else { return };
        let demand = self.settings.demand.clone();
        let guard = self.settings.guard;
        let shuffle = self
            .settings
            .program
            .as_ref()
            .filter(|program| program.shuffled_labels)
            .map(|program| program.seed);
        let desk = self.handle.clone();
        self.handle.update(|progress| {
            if progress.stage != Stage::None {
                progress.stage = Stage::Fitting;
            }
        });
        let fit = move || {
            let fitted = fit_calibration(
                &calibration,
                &spec,
                &demand,
                shuffle,
                guard,
                &FitSettings::default(),
                &mut |_| {},
            );
            desk.send_patiently(Message::Fitted(fitted.map(Box::new).map_err(|error| error.to_string())));
        };
        if let Err(error) = std::thread::Builder::new().name("kalmind-fit".to_owned()).spawn(fit) {
            self.handle_message(Message::Fitted(Err(format!("no thread for the fit: {error}"))));
        }
    }

    fn take_fit(&mut self, fit: CalibrationFit) {
        let CalibrationFit { model, staged, rows, report } = fit;
        let (id, info, doubt) = (model.id, crate::decoder_info::decoder_info(&model), model.doubt());
        if let Some(recorder) = &self.settings.recorder {
            recorder.model(&model);
        }
        if self.queues.models.push(staged).is_err() {
            let problem = "the previous model is still being loaded".to_owned();
            return self.handle_message(Message::Fitted(Err(problem)));
        }
        self.command(Command::SwapModel(id));
        self.handle.update(|progress| {
            progress.fit = Some((info.name.clone(), rows));
            progress.decoder = Some(info.clone());
            progress.doubt.clone_from(&doubt);
        });
        self.doubt.clone_from(&doubt);
        let DecoderInfo { name: decoder, model: hash, covariance, quality, warnings, poor } = info;
        let (train_bins, covariance) = (Some(rows as u64), Some(covariance));
        let swapped = ModelEvent::Swapped { decoder, hash, train_bins, covariance, quality, warnings, poor };
        self.events.publish(clock::now(), EventBody::Model(swapped));
        for warning in &report.warnings {
            tracing::warn!("the new model: {warning}");
        }
        let program = self.settings.program.clone();
        if let Some(program) = program {
            if let Some(doubt) = doubt.filter(|_| program.confirms_poor_decoder) {
                self.command(Command::ConfirmModel { model: doubt.model, by: Actor::Daemon });
                let request = OperatorRequest {
                    confirmed: vec![Confirmation::PoorDecoder],
                    model: Some(doubt.model.to_hex()),
                    program: true,
                    ..OperatorRequest::new(OperatorAction::Control, Actor::Daemon)
                };
                self.events.publish(clock::now(), EventBody::Operator(request));
            }
            let duration = program.closed_loop.unwrap_or(Seconds(f64::INFINITY));
            let time = self.newest;
            if let Some(radial8) = &mut self.radial8 {
                let step = radial8.start(TaskBlock::ClosedLoop, duration, time);
                self.block = Some(TaskBlock::ClosedLoop);
                self.carry_out(step);
            }
            self.command(Command::Request { mode: Mode::Control, resume: false, by: Actor::Task });
        } else if let Some(mode @ Mode::Control) = self.wanted {
            // asked for while there was no model yet
            self.command(Command::Request { mode, resume: false, by: Actor::Task });
        }
    }

    fn handle_record(&mut self, record: &TickRecord) {
        let output = &record.published.output;
        self.newest = output.time;
        self.shown = Some(output.state);
        if let Some(doubt) = &self.doubt {
            self.handle.update(|progress| progress.follow_doubt(doubt, record.model));
        }
        self.show_announced(output.time);
        // one for each tick: older ones have been overwritten, so this never fills the way to the tick
        if let Some(position) = self.settings.position.take() {
            self.command(Command::PlaceCursor(position));
        }
        self.timeline.forget(record.input.start);
        if let Some(calibration) = &mut self.calibration {
            let InForce { target, trial, block } = self.timeline.over(record.input.start, record.input.time);
            // what is switched off when the decoder runs must not teach it either
            self.features.clear();
            let masked = record.input.masked;
            let used =
                |(feature, value): (usize, &f64)| if masked.is_masked(feature) { f64::NAN } else { *value };
            self.features.extend(record.features.iter().enumerate().map(used));
            let drive = block.map_or(CursorDrive::Decoder, TaskBlock::drive);
            let features = &self.features;
            calibration.observe(CalibrationTick { output, features, target, trial, drive });
        }
        self.run_program(output);
    }

    fn run_program(&mut self, output: &TickOutput) {
        let Some(program) = self.settings.program.clone() else { return };
        let Some(radial8) = &mut self.radial8 else {
            if output.reason.is_none_or(|reason| reason.cause != Cause::MeasuringArrival) {
                self.start_program(&program, output.time);
            }
            return;
        };
        let running = radial8.block();
        let tick = Radial8Tick { time: output.time, position: output.position, state: output.state };
        let step = radial8.step(tick);
        let (elapsed, score, now) = (radial8.elapsed().0, radial8.score().clone(), radial8.block());
        self.carry_out(step);
        self.handle.update(|progress| {
            progress.score = score;
            match now {
                Some(TaskBlock::OpenLoop) => progress.stage = Stage::OpenLoop(elapsed),
                Some(_) => progress.stage = Stage::ClosedLoop(elapsed),
                None => {}
            }
        });
        match (running, now) {
            (Some(TaskBlock::OpenLoop), None) => self.end_block(TaskBlock::OpenLoop),
            (Some(_), None) => {
                self.block = None;
                self.command(Command::Request { mode: Mode::Idle, resume: false, by: Actor::Task });
                self.handle.update(|progress| progress.stage = Stage::Done);
            }
            _ => {}
        }
    }

    fn start_program(&mut self, program: &Program, time: LslTime) {
        let options = Radial8Options { seed: program.seed, ..Radial8Options::default() };
        match Radial8::new(options) {
            Ok(mut radial8) => {
                let step = radial8.start(TaskBlock::OpenLoop, program.open_loop, time);
                self.radial8 = Some(radial8);
                self.begin_block(TaskBlock::OpenLoop);
                self.carry_out(step);
            }
            Err(error) => {
                let problem = error.to_string();
                self.handle.update(|progress| progress.stage = Stage::Failed(problem));
            }
        }
    }

    /// What a step of the daemon's own task wants told and done.
    fn carry_out(&mut self, step: TaskStep) {
        for event in step.events {
            self.timeline.take(event.time, &event.content);
            if let EventBody::Target(target) = event.content {
                (self.shown_at, self.target) = (event.time, target);
            }
            self.events.publish(event.time, event.content);
        }
        for command in step.commands {
            self.command(command);
        }
    }

    fn command(&mut self, command: Command) {
        let stops = self.stop.stops();
        self.queue(QueuedCommand { command, stops });
    }

    fn queue(&mut self, queued: QueuedCommand) {
        if let (Command::Task(_), Some(last)) = (&queued.command, self.waiting.back_mut())
            && matches!(last.command, Command::Task(_))
        {
            // without ticks only the task's newest state matters
            *last = queued;
        } else if self.waiting.len() < WAITING {
            self.waiting.push_back(queued);
        } else {
            self.handle.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(command = ?queued.command, "a command was dropped: too many are waiting for a tick");
        }
        self.send_waiting();
    }

    /// Hands commands over in order; what finds no room waits here for the next round.
    fn send_waiting(&mut self) {
        let mut sent = false;
        while let Some(command) = self.waiting.pop_front() {
            if let Err(full) = self.queues.commands.push(command) {
                self.waiting.push_front(full.0);
                break;
            }
            sent = true;
        }
        if sent {
            self.queues.tick.wake();
        }
    }
}
