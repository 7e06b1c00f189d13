//! The desk: the one thread on the slow side that steers the tick. Tasks, calibration, fits, model swaps and requests
//! all pass over it, so that the tick thread has one sender of commands and everything happens in one order.

mod arrivals;
mod calibration;
mod generations;
mod handle;
mod models;
mod program;
mod states;
mod steered_stages;
mod swaps;
mod task;
#[cfg(test)]
mod tests;
mod warming;
mod windows;

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
use kalmind_engine::{Examiner, History, StagedModel};
use kalmind_filter::{DecoderSpec, LabelLaw};
use kalmind_fitting::FitPool;
use kalmind_offline::model::{Demand, IdentifiedModel, ModelInDoubt};
use kalmind_session::{Calibration, Task, Timeline};
use kalmind_types::{
    Actor, ChannelMask, Command, EventBody, FeatureLayout, LslTime, Mode, ModelEvent, ModelId, OutputState,
    Seconds, Target, TaskBlock,
};

use self::swaps::Swaps;
pub use handle::{DeskHandle, Message, Program, Progress, Stage};
pub use steered_stages::{NextStages, StagesStatus, SteeredStages};
pub use windows::ToldWindow;

use crate::{
    event_bus::EventBus,
    models::{saved::SavedModels, saved_state::StateKeeper},
    recorder::RecorderHandle,
    running::{arrival::InputArrivals, plane_streams::PositionSlot},
    tick::{QueuedCommand, StopLatch, TickRecord},
};

/// How long the desk waits when nothing wakes it.
const LONGEST_PARK: Duration = Duration::from_millis(100);
/// Commands that may wait for the tick thread beyond its ring; more are dropped and counted.
const WAITING: usize = 256;
/// What becomes of a model whose command is one of those.
const TOO_MANY: &str = "too many commands wait for a tick";

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
    /// The part of the features that may lack a valid value in a bin that trains the decoder.
    pub max_masked: f64,
    /// Where fitted models are saved; `None` saves none.
    pub save: Option<SavedModels>,
    /// Whose the features are.
    pub layout: Arc<FeatureLayout>,
    /// Channels that are switched off.
    pub masked: ChannelMask,
    /// Whether a task may go on after a long silence of the input, without the operator.
    pub task_may_resume: bool,
    /// How the streams arrive.
    pub arrivals: InputArrivals,
    /// The streams with stages.
    pub stages: Vec<SteeredStages>,
    /// Windows at events.
    pub windows: Vec<ToldWindow>,
}

/// What is done once a model is on its way to the tick, or once it is known that it does not go there, and why.
type Then = Box<dyn FnOnce(&mut Desk, Result<(), String>) + Send>;

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
    swaps: Swaps<Then>,
    task: Option<Box<dyn Task>>,
    calibration: Option<Calibration>,
    /// What fits run on, once there was one.
    fits: Option<Arc<FitPool>>,
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
    /// That model, or the one of the start.
    put_in: Option<ModelId>,
    /// The newest one that was fitted.
    fitted: Option<ModelId>,
    /// The model whose adaptive state follows the signal, or did last.
    adapts: Option<ModelId>,
    /// What saves that state, once there was one.
    keeper: Option<StateKeeper>,
    /// The one that the newest tick showed.
    decodes: Option<ModelId>,
    /// Those that were sent, until a tick has their commands.
    in_flight: Vec<ModelId>,
    /// The one that takes over with another generation of a stream's stages, and who asked for it.
    awaited: Option<(Arc<IdentifiedModel>, Actor)>,
    newest: LslTime,
    /// The state of the newest tick.
    shown: Option<OutputState>,
}

impl Desk {
    /// A desk that has not started; `examiner` is the engine's, for models that are shown the past before they take over.
    #[must_use]
    pub fn new(
        settings: DeskSettings,
        queues: DeskQueues,
        examiner: Examiner,
        handle: DeskHandle,
        messages: Receiver<Message>,
        events: Arc<EventBus>,
        stop: Arc<StopLatch>,
    ) -> Self {
        if settings.program.is_some() {
            handle.update(|progress| progress.stage = Stage::Waiting);
        }
        let doubt = handle.progress().doubt;
        handle.update(|progress| {
            progress.stages = settings.stages.iter().map(SteeredStages::status).collect();
        });
        let rows = History::rows_of(Seconds::from_millis(settings.demand.bin_ms));
        let start = handle.models(|models| models.newest());
        let swaps = Swaps::new(settings.layout.width(), rows, examiner, start);
        Self {
            settings,
            queues,
            handle,
            messages,
            events,
            stop,
            doubt,
            put_in: None,
            fitted: None,
            adapts: None,
            keeper: None,
            decodes: start,
            in_flight: Vec::new(),
            awaited: None,
            waiting: VecDeque::new(),
            swaps,
            task: None,
            calibration: None,
            fits: None,
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
            while let Some(model) = self.queues.retired.pop() {
                self.take_back(model);
            }
            self.follow_arrival();
            self.follow_generations();
            let busy = self.warm();
            self.send_waiting();
            if !busy {
                std::thread::park_timeout(LONGEST_PARK);
            }
        }
        self.keep_last_state();
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
            Message::Activate { model, staged, at, by } => self.activate(&model, staged, at, by),
            Message::ChangeStages { place, next, document, by } => {
                self.change_stages(place, *next, *document, by);
            }
            Message::Fitted(Ok(fit)) => self.take_fit(*fit),
            Message::Fitted(Err(problem)) => {
                tracing::error!(problem, "the fit failed");
                let failed = ModelEvent::FitFailed { problem: problem.clone() };
                self.events.publish(clock::now(), EventBody::Model(failed));
                self.handle.update(|progress| progress.stage = Stage::Failed(problem));
            }
        }
    }

    fn handle_record(&mut self, record: &TickRecord) {
        let output = &record.published.output;
        self.newest = output.time;
        self.shown = Some(output.state);
        self.follow_stages(&record.input);
        self.follow_state(record);
        if let Some(doubt) = &self.doubt {
            self.handle.update(|progress| progress.follow_doubt(doubt, record.model));
        }
        self.follow_swaps(record);
        self.show_announced(output.time);
        // one for each tick: older ones have been overwritten, so this never fills the way to the tick
        if let Some(position) = self.settings.position.take() {
            self.command(Command::PlaceCursor(position));
        }
        self.learn(record);
        ToldWindow::tell(&self.settings.windows, record, &self.events);
        self.run_program(output);
    }

    fn command(&mut self, command: Command) {
        let stops = self.stop.stops();
        self.queue(QueuedCommand { command, stops });
    }

    /// Whether a command that comes now is kept: asked before a model is sent, which is nothing without its command.
    fn has_room(&self) -> bool {
        self.waiting.len() < WAITING
    }

    fn queue(&mut self, queued: QueuedCommand) {
        self.swaps.note(queued.command);
        // what takes a model back is no more than those that sent one
        let takes_back = matches!(queued.command, Command::ForgetAwaited { .. });
        if let (Command::Task(_), Some(last)) = (&queued.command, self.waiting.back_mut())
            && matches!(last.command, Command::Task(_))
        {
            // without ticks only the task's newest state matters
            *last = queued;
        } else if takes_back || self.has_room() {
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
