//! The desk: the one thread on the slow side that steers the tick. The session, fits, model swaps and requests all pass over
//! it, so that the tick thread has one sender of commands and everything happens in one order. What is to be done when is the
//! session's to say; the desk has the queues, threads and clocks that this takes.

mod arrivals;
mod channels;
mod fits;
mod generations;
mod handle;
mod learning;
mod models;
mod session;
mod states;
mod steered_stages;
mod stretch;
mod swaps;
#[cfg(test)]
mod tests;
mod warming;
mod windows;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
use kalmind_fitting::FitPool;
use kalmind_offline::calibration_fit::CalibrationFit;
use kalmind_offline::model::{Demand, IdentifiedModel, ModelInDoubt};
use kalmind_offline::session_fits::SessionFits;
use kalmind_session::{Session, SessionAction, SessionInput, SessionSettings};
use kalmind_types::{Actor, Command, FeatureLayout, LslTime, ModelId, OutputState, Seconds};

use self::{stretch::Learning, swaps::Swaps};
pub use handle::{DeskHandle, FROZEN, Message, Progress, SessionAnswer};
pub use steered_stages::{NextStages, StagesStatus, SteeredStages};
pub use stretch::{Learner, Stretch};
pub use windows::ToldWindow;

use crate::{
    event_bus::EventBus,
    models::{keeper::Keeper, saved::SavedModels, saved_session::SavedSession},
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
    /// What the session has to know of the run.
    pub session: SessionSettings,
    /// What there is to say of the session before, where it was interrupted.
    pub interrupted: Option<String>,
    /// Control experiment: labels in random order, by this seed.
    pub shuffled_labels: Option<u64>,
    /// Where models are recorded before they decode.
    pub recorder: Option<RecorderHandle>,
    /// Where another program puts the cursor.
    pub position: PositionSlot,
    /// Where fitted models are saved; `None` saves none.
    pub save: Option<SavedModels>,
    /// Whose the features are.
    pub layout: Arc<FeatureLayout>,
    /// How the streams arrive.
    pub arrivals: InputArrivals,
    /// The streams with stages.
    pub stages: Vec<SteeredStages>,
    /// What learns from stretches of rest.
    pub learner: Option<Learner>,
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
    session: Session,
    /// What the session wants done.
    actions: VecDeque<SessionAction>,
    /// Whether that is being done.
    carries_out: bool,
    /// Whether clients are not told which decoder moves the cursor.
    hid_decoder: bool,
    /// How many stops there had been when what is being done was asked for, where somebody asked.
    asked_after: Option<u64>,
    /// When its status was last shown, and whether it may have changed since.
    session_shown: Option<LslTime>,
    session_changed: bool,
    /// What fits run on, once there was one.
    fits: Option<Arc<FitPool>>,
    /// What they keep of each other, and the newest one that was asked for: one that was cancelled leaves nothing.
    fitting: SessionFits,
    fits_asked: Option<u64>,
    /// Whether nobody waits any more for the fit that was begun last.
    nobody_waits: Arc<AtomicBool>,
    /// When a model was last saved.
    fit_saved: Option<LslTime>,
    /// What the newest fit gave, until it is put in or another one comes.
    fitted: Option<CalibrationFit>,
    /// The features of a tick as calibration sees them.
    features: Vec<f64>,
    /// The model that was put in last, where it was in doubt then.
    doubt: Option<ModelInDoubt>,
    /// That model, or the one of the start.
    put_in: Option<ModelId>,
    /// The model whose adaptive state follows the signal, or did last.
    adapts: Option<ModelId>,
    /// The stretch of rest that is being learnt from.
    learning: Option<Learning>,
    /// What saves that state and where the session stands, once there was one.
    keeper: Option<Keeper>,
    /// Where the session stands, as it was saved last.
    saved_session: Option<SavedSession>,
    /// The one that the newest tick showed.
    decodes: Option<ModelId>,
    /// Those that were sent, until a tick has their commands.
    in_flight: Vec<ModelId>,
    /// The one that takes over with another generation of a stream's stages, and who asked for it.
    awaited: Option<(Arc<IdentifiedModel>, Actor)>,
    /// The state of the newest tick.
    shown: Option<OutputState>,
    /// When that came.
    ticked: Option<LslTime>,
    /// What clients are shown since, where no more come.
    silent: Option<OutputState>,
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
        let doubt = handle.progress().doubt;
        handle.update(|progress| {
            progress.stages = settings.stages.iter().map(SteeredStages::status).collect();
        });
        let rows = History::rows_of(Seconds::from_millis(settings.demand.bin_ms));
        let start = handle.models(|models| models.newest());
        let swaps = Swaps::new(settings.layout.width(), rows, examiner, start);
        let mut session = Session::new(settings.session.clone());
        let fitting = SessionFits::new(settings.demand.clone(), settings.guard, settings.shuffled_labels);
        if let Some(interrupted) = &settings.interrupted {
            session.say(interrupted);
        }
        // a page may ask before the desk's thread runs
        let shown = Arc::new(session.status());
        handle.update(|progress| progress.session = Some(shown));
        Self {
            settings,
            queues,
            handle,
            messages,
            events,
            stop,
            session,
            actions: VecDeque::new(),
            carries_out: false,
            asked_after: None,
            hid_decoder: false,
            session_shown: None,
            session_changed: true,
            doubt,
            put_in: None,
            fitted: None,
            adapts: None,
            learning: None,
            keeper: None,
            saved_session: None,
            decodes: start,
            in_flight: Vec::new(),
            awaited: None,
            waiting: VecDeque::new(),
            swaps,
            fits: None,
            fitting,
            fits_asked: None,
            nobody_waits: Arc::default(),
            fit_saved: None,
            features: Vec::new(),
            shown: None,
            ticked: None,
            silent: None,
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
            self.follow_silence();
            self.show_session();
            self.follow_arrival();
            self.follow_generations();
            self.follow_channels();
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
                if slow_input && let Some(command) = self.settings.arrivals.confirm() {
                    self.command(command);
                }
                if let Some(model) = model {
                    self.command(Command::ConfirmModel { model, by });
                }
                let granted = self.session.granted(mode);
                self.queue(QueuedCommand { command: Command::Request { mode: granted, resume, by }, stops });
                self.tell_session(SessionInput::ModeAsked(mode));
            }
            Message::Task { time, content } => {
                self.tell_session(SessionInput::Told { time, event: &content });
            }
            Message::Session { request, person, by, stops, answer } => {
                self.asked_after = Some(stops);
                let done = self.ask_session(SessionInput::Asked { request, person, by });
                self.asked_after = None;
                // whoever asked may be gone
                let _nobody_waits = answer.try_send(done);
            }
            Message::MeasureArrival => self.measure_arrival(),
            Message::Activate { model, staged, at, by } => self.activate(&model, staged, at, by),
            Message::ChangeStages { place, next, document, by } => {
                self.change_stages(place, *next, *document, by);
            }
            Message::Learnt { number, result } => self.learnt(number, result),
            Message::Fitted { number, result, fitting } => {
                if self.fits_asked == Some(number) {
                    self.fitting = *fitting;
                }
                self.fit_ended(number, result.map(|fit| *fit));
            }
        }
    }

    fn handle_record(&mut self, record: &TickRecord) {
        let output = &record.published.output;
        self.shown = Some(output.state);
        (self.ticked, self.silent) = (Some(clock::now()), None);
        self.follow_stages(&record.input);
        self.follow_state(record);
        if let Some(doubt) = &self.doubt {
            self.handle.update(|progress| progress.follow_doubt(doubt, record.model));
        }
        self.follow_swaps(record);
        // one for each tick: older ones have been overwritten, so this never fills the way to the tick
        if let Some(position) = self.settings.position.take() {
            self.command(Command::PlaceCursor(position));
        }
        self.follow_tick(record);
        ToldWindow::tell(&self.settings.windows, record, &self.events);
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
