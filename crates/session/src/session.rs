//! The session: a preset's blocks, what is gathered and fitted in them, what the session says of the decoder, and what people
//! ask for, as one state machine.
//!
//! *Invariant:* pure, as the whole crate: [`Session::handle`] takes what happened and gives what is to be done, in order; the
//! same inputs give the same actions. Whoever owns it brings queues, threads and clocks. STOP never passes over it: it is in
//! force before a session hears of it, and the session sees it as the state of the next tick.

mod action;
mod asked;
mod blocks;
mod click_options;
mod clicks;
mod compare;
mod fits;
mod fitting;
mod input;
mod preset;
mod reference;
mod request;
mod rest;
mod score;
mod settings;
mod shown;
mod signal_check;
mod status;
mod told;
mod verdict;

use std::collections::VecDeque;

use kalmind_types::{
    Actor, Cause, Command, CursorTuning, EventBody, LslTime, Mode, ModelId, OutputState, SessionChange,
    SessionEvent, Target, TaskBlock, TaskState,
};

use self::{
    click_options::ClickOptions, compare::Comparison, fits::Fits, reference::Learning, score::Scoring,
    signal_check::SignalCheck, verdict::Judge,
};
use crate::{Calibration, Task, Timeline};

pub use action::{FitOrder, SessionAction};
pub use compare::{ComparedStatus, ComparisonStatus, DifferenceStatus};
pub use input::{FittedModel, SessionInput, SessionTick};
pub use preset::{AssistancePoint, BlockPlan, ComparePlan, Preset, PresetError};
pub use reference::ReferenceStatus;
pub use request::{Person, SessionOptions, SessionRefused, SessionRequest};
pub use score::ScoreStatus;
pub use settings::SessionSettings;
pub use signal_check::SignalCheckStatus;
pub use status::{
    ActionStatus, AssistanceStatus, BlockStatus, ControlStatus, FitStatus, OptionStatus, PresetStatus,
    SessionState, SessionStatus,
};
pub use verdict::{Verdict, VerdictKind};

/// The session. Lives off the tick thread: its answers allocate.
#[derive(Debug)]
pub struct Session {
    settings: SessionSettings,
    preset: Option<Preset>,
    participant: Option<String>,
    /// Who is in charge.
    person: Person,
    state: SessionState,
    /// Why it stands still, where it was paused.
    paused: Option<String>,
    /// What went wrong, in words, until something else happens.
    problem: Option<String>,
    /// The preset's block that runs, or comes next.
    at: usize,
    /// Those of the preset, as far as they got.
    blocks: Vec<BlockRecord>,
    /// Presents the targets of the block that runs.
    task: Option<Box<dyn Task>>,
    /// What the newest signal check has seen.
    signals: Option<SignalCheck>,
    /// Seconds of the block that runs; of rest, where it rests.
    elapsed: f64,
    /// How much the cursor is helped, as the tick was told last, and by what it moves.
    helped: TaskState,
    /// The most help in the trial that runs, 0 to 1.
    trial_help: f64,
    /// A block that a task by others runs.
    told_block: Option<TaskBlock>,
    target: Option<Target>,
    /// When that one was shown.
    shown_at: LslTime,
    /// What tasks told.
    timeline: Timeline,
    /// Targets of a task by others whose time is still to come.
    announced: Vec<(LslTime, Option<Target>)>,
    calibration: Option<Calibration>,
    fits: Fits,
    judge: Judge,
    /// What was said of the decoder last.
    said: VerdictKind,
    /// The model that was put in last, and those that are on their way.
    model: Option<FittedModel>,
    coming: Vec<FittedModel>,
    /// The newest ones that were put in: another one that decodes has earned no verdict.
    ours: VecDeque<ModelId>,
    /// Decoders that are compared after the preset's blocks, and those of them that are fitted.
    comparison: Option<Comparison>,
    compared: Vec<FittedModel>,
    /// What the newest tick showed: the model that decodes, and whether something decodes clicks.
    decodes: Option<(ModelId, bool)>,
    decodes_clicks: bool,
    shown: Option<OutputState>,
    /// Why it shows that, and since when there has been a signal that could be used.
    shown_cause: Option<Cause>,
    fresh_since: Option<LslTime>,
    /// The state of the output since then, where no more ticks come.
    silent: Option<OutputState>,
    newest: Option<LslTime>,
    wanted: Option<Mode>,
    /// Whether somebody wants the decoder to move the cursor in `calibrating` alone.
    keeps_calibrating: bool,
    /// Whether a task wants arrival measured as soon as no block runs.
    measure_when_free: bool,
    tuning: CursorTuning,
    clicks: ClickOptions,
    /// Stretches of rest, and what was learnt of them.
    learning: Learning,
    assistance_scale: f64,
    overridden_by: Option<String>,
    notes: usize,
    /// What other programs told while the preset's blocks ran.
    beside: u64,
    called: Option<LslTime>,
    /// When the first block began.
    begun: Option<LslTime>,
    /// Seconds from then to the first target that the participant acquired with hardly any help.
    first_target_s: Option<f64>,
}

/// A block of the preset, as far as it got.
#[derive(Clone, Debug, Default)]
struct BlockRecord {
    state: BlockState,
    score: Option<ScoreStatus>,
    /// What that is made of.
    scoring: Scoring,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum BlockState {
    #[default]
    Waiting,
    Running,
    Done,
    Skipped,
}

impl Session {
    /// A session in which nothing was opened yet.
    #[must_use]
    pub fn new(settings: SessionSettings) -> Self {
        let SessionSettings { smoothing, max_speed, .. } = settings;
        Self {
            participant: settings.participant.clone(),
            learning: Learning::of(settings.reference.clone()),
            settings,
            preset: None,
            person: Person::default(),
            state: SessionState::Closed,
            paused: None,
            problem: None,
            at: 0,
            blocks: Vec::new(),
            task: None,
            signals: None,
            elapsed: 0.0,
            helped: TaskState::default(),
            trial_help: 0.0,
            told_block: None,
            target: None,
            shown_at: LslTime(f64::NEG_INFINITY),
            timeline: Timeline::running(),
            announced: Vec::new(),
            calibration: None,
            fits: Fits::default(),
            judge: Judge::new(),
            said: VerdictKind::None,
            model: None,
            coming: Vec::new(),
            ours: VecDeque::new(),
            comparison: None,
            compared: Vec::new(),
            decodes: None,
            decodes_clicks: false,
            shown: None,
            shown_cause: None,
            fresh_since: None,
            silent: None,
            newest: None,
            wanted: None,
            keeps_calibrating: false,
            measure_when_free: false,
            tuning: CursorTuning { gain: 1.0, gain_growth: 0.0, smoothing, max_speed },
            clicks: ClickOptions::default(),
            assistance_scale: 1.0,
            overridden_by: None,
            notes: 0,
            beside: 0,
            called: None,
            begun: None,
            first_target_s: None,
        }
    }

    /// Shows a sentence to whoever looks, until something else happens.
    pub fn say(&mut self, text: &str) {
        self.problem = Some(text.to_owned());
    }

    /// Takes what happened at `now` (on the LSL clock) and appends what is to be done, in order.
    ///
    /// # Errors
    /// [`SessionRefused`] where something is asked for that makes no sense, or not now; nothing is done then.
    pub fn handle(
        &mut self,
        now: LslTime,
        input: SessionInput<'_>,
        actions: &mut Vec<SessionAction>,
    ) -> Result<(), SessionRefused> {
        match input {
            SessionInput::Tick(tick) => self.tick(now, &tick, actions),
            SessionInput::Silent(state) => self.silent = Some(state),
            SessionInput::Told { time, event } => self.told(now, time, event, actions),
            SessionInput::Asked { request, person, by } => {
                return self.asked(now, request, person, by, actions);
            }
            SessionInput::ModeAsked(mode) => self.mode_asked(now, mode, actions),
            SessionInput::Fitted { number, result } => self.fitted(now, number, result, actions),
            SessionInput::Learnt { number, result } => self.learnt(now, number, result, actions),
            SessionInput::StagesComing(coming) => self.learning.stages_are_coming = coming,
            SessionInput::StagesChanged => self.stages_changed(),
            SessionInput::PutIn { model, result } => self.put_in(now, model, result, actions),
        }
        Ok(())
    }

    /// Whether nobody is using the cursor: no block runs and nobody controls.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let controls = self.wanted == Some(Mode::Control) || self.shown == Some(OutputState::Control);
        let runs = self.runs_preset();
        self.told_block.is_none() && !(runs && self.paused.is_none()) && !controls
    }

    fn tick(&mut self, now: LslTime, tick: &SessionTick<'_>, actions: &mut Vec<SessionAction>) {
        let output = tick.output;
        let before = self.newest.replace(output.time);
        (self.shown, self.silent) = (Some(output.state), None);
        self.shown_cause = output.reason.map(|reason| reason.cause);
        if !output.incomplete && output.state != OutputState::Stale {
            self.fresh_since.get_or_insert(output.time);
        }
        // of a button that nothing drives any more the probability is zero
        self.decodes_clicks = output.click.is_some_and(|click| click.probability > 0.0);
        let before_it = core::mem::replace(&mut self.decodes, tick.model);
        let changes = tick.model.map(|(model, _)| model) != before_it.map(|(model, _)| model);
        if let Some((model, _)) = tick.model.filter(|(model, _)| changes && !self.ours.contains(model)) {
            self.judge.other_model();
            self.model.take_if(|ours| ours.id != model);
        }
        if tick.model.is_some() {
            self.judge.model_is_there();
        }
        self.show_announced(if now < output.time { output.time } else { now }, actions);
        self.learn(tick);
        if self.measure_when_free && self.is_free() {
            self.measure_when_free = false;
            actions.push(SessionAction::MeasureArrival);
        }
        self.step(tick, before, actions);
        self.say_verdict(output.time, actions);
    }

    /// Tells what there is to say of the decoder, where that is another thing than before.
    fn say_verdict(&mut self, time: LslTime, actions: &mut Vec<SessionAction>) {
        let Verdict { verdict, text, .. } = self.verdict();
        if self.preset.is_some() && self.said != verdict {
            self.said = verdict;
            let change = SessionChange::Verdict { verdict: verdict.name().to_owned(), text };
            self.publish(time, Actor::Daemon, change, actions);
        }
    }

    /// The block of the preset that runs, or comes next.
    fn plan(&self) -> Option<&BlockPlan> {
        self.preset.as_ref()?.blocks.get(self.at)
    }

    /// Whether nobody is to be told which decoder moves the cursor: decoders are being compared.
    #[must_use]
    pub fn hides_decoder(&self) -> bool {
        let runs = !matches!(self.state, SessionState::Closed | SessionState::Ready | SessionState::Done);
        runs && self.compared_block().is_some()
    }

    /// Whether the stages of the streams stay as they are: a block runs in which the decoder moves the cursor.
    #[must_use]
    pub fn freezes_stages(&self) -> bool {
        self.state == SessionState::Running && self.plan().is_some_and(is_decoded)
    }

    /// The place of the block that runs, or comes next, among those of a comparison.
    fn compared_block(&self) -> Option<usize> {
        let first = self.blocks.len().checked_sub(self.comparison.as_ref()?.count())?;
        self.at.checked_sub(first)
    }

    /// Whether the decoder may control: the verdict says so, or somebody answers for it.
    fn may_control(&self) -> bool {
        self.overridden_by.is_some() || self.verdict().verdict == VerdictKind::GoodEnough
    }

    fn publish(&self, time: LslTime, by: Actor, change: SessionChange, actions: &mut Vec<SessionAction>) {
        let operator = self.person.operator.clone();
        let event = EventBody::Session(Box::new(SessionEvent { change, by, operator }));
        actions.push(SessionAction::Publish { time, event });
    }

    /// Asks for a mode on behalf of a task. Where it may, it agrees by that to go on after a long silence of the input.
    fn ask_for(&mut self, mode: Mode, actions: &mut Vec<SessionAction>) {
        self.wanted = Some(mode);
        if OutputState::from(mode).moves() {
            self.accept_input(actions);
        }
        actions.push(SessionAction::Command(Command::Request { mode, resume: false, by: Actor::Task }));
    }

    /// A task agrees to go on after a long silence of the input; it counts where the configuration lets it.
    fn accept_input(&self, actions: &mut Vec<SessionAction>) {
        if self.settings.task_may_resume {
            actions.push(SessionAction::Command(Command::AcceptInput { by: Actor::Task }));
        }
    }
}

#[cfg(test)]
mod tests;

/// Whether the decoder moves the cursor in a block.
fn is_decoded(plan: &BlockPlan) -> bool {
    plan.block.mode() == Mode::Control
}
