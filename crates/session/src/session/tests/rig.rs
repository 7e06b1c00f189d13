//! A session between an engine that moves the cursor straight to targets and fits that end when the test says so.

use std::collections::BTreeMap;

use kalmind_types::{Click, CursorDrive, Position, Reason, Seconds, TickOutput, Velocity};

use super::super::*;
use crate::CalibrationOptions;

pub(super) const BIN_S: f64 = 0.02;

pub(super) fn block(block: TaskBlock, seconds: f64) -> BlockPlan {
    BlockPlan {
        block,
        title: block.name().to_owned(),
        instruction: String::new(),
        task: (!matches!(block, TaskBlock::SignalCheck | TaskBlock::Rest)).then(|| "radial8".to_owned()),
        options: BTreeMap::new(),
        seconds,
        rest_s: 0.0,
        assistance: Vec::new(),
        gather: None,
        refit_every_s: None,
        fit_after: None,
        fit_decoder: None,
        until_good_enough: false,
    }
}

pub(super) fn preset(blocks: Vec<BlockPlan>) -> Preset {
    Preset {
        name: "p".to_owned(),
        title: "P".to_owned(),
        about: String::new(),
        decoder: None,
        gain: None,
        gain_growth: None,
        blocks,
        compare: None,
    }
}

pub(super) fn model(number: u8, doubt: bool) -> FittedModel {
    FittedModel {
        id: ModelId([number; 32]),
        decoder: "kalman-steady".to_owned(),
        decodes_clicks: false,
        rows: 100,
        better_than_chance: Some(!doubt),
        p_value: Some(0.001),
        doubt: doubt.then(|| "no better than chance".to_owned()),
        warnings: Vec::new(),
    }
}

/// A session between an engine that moves the cursor straight to targets and fits that end when the test says so.
#[expect(clippy::struct_excessive_bools, reason = "each is a circumstance that a test sets")]
pub(super) struct Rig {
    pub(super) session: Session,
    pub(super) tick: u64,
    pub(super) state: OutputState,
    pub(super) cause: Option<Cause>,
    pub(super) position: Position,
    pub(super) task: TaskState,
    pub(super) decodes: Option<(ModelId, bool)>,
    /// What comes of clicks, where they are decoded.
    pub(super) click: Option<Click>,
    /// Whether what is fitted is in doubt, until somebody confirms it.
    pub(super) doubts: bool,
    /// Whether the decoder moves the cursor to the target.
    pub(super) is_good: bool,
    /// Whether models stay on their way.
    pub(super) is_slow: bool,
    pub(super) on_their_way: Vec<ModelId>,
    /// Whether features move where the cursor does not.
    pub(super) lively: bool,
    pub(super) orders: Vec<FitOrder>,
    /// Stretches of rest that are to be learnt from, and whether bins are incomplete.
    pub(super) rests: Vec<(u64, LslTime, LslTime)>,
    pub(super) is_incomplete: bool,
    pub(super) events: Vec<EventBody>,
    pub(super) commands: Vec<Command>,
    /// Every input's actions, as text.
    pub(super) log: Vec<String>,
}

impl Rig {
    pub(super) fn new(blocks: Vec<BlockPlan>) -> Self {
        let settings = SessionSettings {
            presets: vec![preset(blocks)],
            participant: Some("P1".to_owned()),
            simulated: false,
            seed: 1,
            decoder: Some("kalman-steady".to_owned()),
            calibration: CalibrationOptions::default(),
            features: 2,
            smoothing: Seconds(0.0),
            max_speed: 1.0,
            height: 1.0,
            task_may_resume: false,
            reference: None,
            cannot_learn: None,
        };
        Self {
            session: Session::new(settings),
            tick: 0,
            state: OutputState::Idle,
            cause: None,
            position: Position([0.5, 0.5]),
            task: TaskState::default(),
            decodes: None,
            click: None,
            doubts: false,
            is_good: true,
            lively: true,
            is_slow: false,
            on_their_way: Vec::new(),
            orders: Vec::new(),
            rests: Vec::new(),
            is_incomplete: false,
            events: Vec::new(),
            commands: Vec::new(),
            log: Vec::new(),
        }
    }

    pub(super) fn handle(&mut self, input: SessionInput<'_>) -> Result<(), SessionRefused> {
        let mut actions = Vec::new();
        let now = LslTime(self.tick as f64 * BIN_S);
        let result = self.session.handle(now, input, &mut actions);
        for action in actions {
            self.log.push(format!("{now:?} {action:?}").chars().take(400).collect());
            match action {
                SessionAction::Command(command) => self.command(command),
                SessionAction::Publish { event, .. } => self.events.push(event),
                SessionAction::Fit(order) => self.orders.push(*order),
                SessionAction::CancelFit { number } => self.orders.retain(|order| order.number != number),
                SessionAction::Learn { number, from, to } => self.rests.push((number, from, to)),
                SessionAction::CancelLearning { number } => self.rests.retain(|rest| rest.0 != number),
                SessionAction::PutIn(id) if self.is_slow => self.on_their_way.push(id),
                SessionAction::TakeBack(id) => self.on_their_way.retain(|other| *other != id),
                SessionAction::PutIn(id) => {
                    self.decodes = Some((id, self.doubts));
                    self.handle(SessionInput::PutIn { model: id, result: Ok(()) }).unwrap();
                }
                SessionAction::MeasureArrival => {}
            }
        }
        result
    }

    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Request { mode, resume, .. }
                if resume || (self.state != OutputState::Hold && self.cause.is_none()) =>
            {
                (self.state, self.cause) = (mode.into(), None);
            }
            Command::Task(task) => self.task = task,
            Command::PlaceCursor(position) => self.position = position,
            Command::ConfirmModel { model, .. } => {
                self.decodes = self.decodes.map(|(id, doubt)| (id, doubt && id != model));
            }
            _ => {}
        }
        self.commands.push(command);
    }

    pub(super) fn ask_as(&mut self, console: &str, request: SessionRequest) -> Result<(), SessionRefused> {
        let person = Person { operator: Some("AB".to_owned()), console: Some(console.to_owned()) };
        self.handle(SessionInput::Asked { request, person, by: Actor::Operator })
    }

    pub(super) fn ask(&mut self, request: SessionRequest) -> Result<(), SessionRefused> {
        self.ask_as("page", request)
    }

    pub(super) fn open(&mut self) {
        self.ask(SessionRequest::Open { preset: "p".to_owned(), participant: None }).unwrap();
        self.ask(SessionRequest::Start).unwrap();
    }

    pub(super) fn tick(&mut self) {
        self.tick += 1;
        let time = LslTime(self.tick as f64 * BIN_S);
        let moves = self.state.moves() && (self.is_good || self.task.drive == CursorDrive::Label);
        let velocity = match self.task.target.filter(|_| moves) {
            Some(target) => {
                let [x, y] = self.position.to(target.position);
                Velocity([x / 0.4, y / 0.4]).limited(0.6)
            }
            None => Velocity::default(),
        };
        self.position = Position([0, 1].map(|axis| self.position.0[axis] + BIN_S * velocity.0[axis]));
        let output = TickOutput {
            state: self.state,
            position: self.position,
            velocity,
            click: self.click,
            incomplete: self.is_incomplete,
            reason: self.cause.map(|cause| Reason { cause, by: Actor::Daemon }),
            ..TickOutput::neutral(self.tick, time)
        };
        let noise = if self.lively { (self.tick % 7) as f64 / 100.0 } else { 0.0 };
        let features = velocity.0.map(|value| value + noise);
        let tick = SessionTick {
            start: LslTime((self.tick - 1) as f64 * BIN_S),
            output: &output,
            features: &features,
            model: self.decodes,
        };
        self.handle(SessionInput::Tick(tick)).unwrap();
    }

    pub(super) fn seconds(&mut self, seconds: f64) {
        for _ in 0..(seconds / BIN_S).round() as u64 {
            self.tick();
        }
    }

    pub(super) fn fit(&mut self, result: Result<FittedModel, String>) {
        let number = self.orders.remove(0).number;
        self.handle(SessionInput::Fitted { number, result }).unwrap();
    }

    pub(super) fn state(&self) -> SessionState {
        self.session.status().state
    }

    pub(super) fn changes(&self) -> Vec<&SessionChange> {
        let change = |event: &'_ EventBody| matches!(event, EventBody::Session(_));
        let session = self.events.iter().filter(|event| change(event));
        session
            .filter_map(|event| match event {
                EventBody::Session(event) => Some(&event.change),
                _ => None,
            })
            .collect()
    }
}

pub(super) fn refused(result: Result<(), SessionRefused>) -> String {
    result.unwrap_err().to_string()
}
