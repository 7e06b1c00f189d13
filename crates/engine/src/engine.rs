//! One tick: samples named by a [`TickInput`] in, a [`TickOutput`] out.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use core::fmt;

use kalmind_filter::StepReport;
use kalmind_signal::FeatureExtractor;
use kalmind_types::{
    Cause, Command, CursorDrive, FeatureLayout, FeatureSet, IndexRange, Intent, LayoutError, LslTime,
    ModelId, OutputState, Position, SampleRows, Seconds, StreamTime, TaskState, TickInput, TickOutput,
    Velocity,
};

use self::{
    examined::{Examined, FeatureSets},
    models::Models,
};
pub use self::{models::StagedModel, settings::EngineSettings};
use crate::{OutputStates, cursor::Cursor, freshness::Freshness};

mod examination;
mod examined;
mod models;
mod settings;

/// Where the engine finds the samples that a tick input names: the live binner, a recording, the rows of a table.
pub trait SampleSource {
    /// Shows the values of samples `range` of `stream`, in order, in one or more pieces.
    fn rows(&self, stream: usize, range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>));
    /// The raw stamp of sample `index` of `stream`.
    fn stamp(&self, stream: usize, index: u64) -> Option<StreamTime>;
}

/// Why an engine could not be made, or a model not be staged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The model decodes another number of features than the streams give.
    #[error("the model takes {model} features; the configured streams give {streams}")]
    FeatureCount {
        /// Features of the model.
        model: usize,
        /// Features of the streams.
        streams: usize,
    },
    /// The streams' features cannot be laid out.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// The pure step of the tick. Owned by one thread; allocates at construction only.
pub struct Engine {
    settings: EngineSettings,
    extractor: FeatureExtractor,
    raw: Vec<f64>,
    sets: FeatureSets,
    models: Models,
    states: OutputStates,
    freshness: Freshness,
    cursor: Cursor,
    task: TaskState,
    intent: Option<Intent>,
    /// Time of the newest complete bin; before the first one, start of the first bin.
    last_complete: Option<LslTime>,
    /// Time of the newest bin that was screened.
    last_screened: Option<LslTime>,
    /// Start of the first of the bins, up to the newest, whose features the decoder could not use.
    unused_since: Option<LslTime>,
    /// Whether that is so for longer than `fallback_stale`.
    unusable: bool,
}

/// What a bin's samples gave.
struct Extracted {
    newest: Option<LslTime>,
    nonfinite: u32,
    /// Rows of another width than the stream's: cannot come from a live stream, and must not be decoded.
    misshapen: bool,
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("states", &self.states)
            .field("model", &self.model().map(ModelId::to_hex))
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine without a model.
    ///
    /// # Errors
    /// [`EngineError::Layout`] where the streams' features cannot be laid out.
    pub fn new(settings: EngineSettings) -> Result<Self, EngineError> {
        let extractor = FeatureExtractor::new(&settings.features)?;
        let width = extractor.layout().width();
        Ok(Self {
            raw: vec![f64::NAN; width],
            sets: FeatureSets::new(width),
            extractor,
            models: Models::default(),
            states: OutputStates::new(settings.start),
            freshness: Freshness::new(settings.stale_after, settings.auto_resume),
            cursor: Cursor::new(settings.cursor.clone()),
            task: TaskState::default(),
            intent: None,
            last_complete: None,
            last_screened: None,
            unused_since: None,
            unusable: false,
            settings,
        })
    }

    /// Takes a model that a later [`Command::SwapModel`] names. Where eight wait already, returns the oldest, which was never
    /// swapped in.
    ///
    /// # Errors
    /// Gives the model back with [`EngineError::FeatureCount`] where it does not fit the streams.
    pub fn stage(
        &mut self,
        model: Box<StagedModel>,
    ) -> Result<Option<Box<StagedModel>>, (EngineError, Box<StagedModel>)> {
        if model.decoder.features() != self.raw.len() {
            let error =
                EngineError::FeatureCount { model: model.decoder.features(), streams: self.raw.len() };
            return Err((error, model));
        }
        Ok(self.models.stage(model))
    }

    /// A model that a swap has put out of use, to be freed on the slow side. Call after each tick until there is none.
    pub fn take_retired(&mut self) -> Option<Box<StagedModel>> {
        self.models.take_retired()
    }

    /// The model that decodes.
    pub fn model(&self) -> Option<ModelId> {
        self.models.active.as_ref().map(|model| model.id)
    }

    /// The model that decodes, and why it may not control until somebody confirms it; none where it may.
    pub fn model_and_doubt(&self) -> Option<(ModelId, Option<Cause>)> {
        self.models.active_with_doubt()
    }

    /// What the monitor of the input can tell with the model that decodes; nothing without one, and where it is off.
    pub fn plausibility_checks(&self) -> &'static [&'static str] {
        match &self.models.active {
            Some(model) if self.settings.plausibility => model.screen.checks(),
            _ => &[],
        }
    }

    /// The output states after the newest tick.
    pub fn states(&self) -> OutputStates {
        self.states
    }

    /// The output states as a tick with these commands would make them, its samples aside: what clients are shown while
    /// there is no tick. Real-time.
    pub fn preview(&self, commands: &[Command]) -> OutputStates {
        let mut states = self.states;
        for command in commands {
            obey_states(&mut states, *command);
        }
        note_model(&mut states, self.models.preview(commands));
        states
    }

    /// The cursor's position after the newest tick.
    pub fn position(&self) -> Position {
        self.cursor.position()
    }

    /// Which features the bins give.
    pub fn layout(&self) -> &FeatureLayout {
        self.extractor.layout()
    }

    /// The features of the newest tick that do not look as they did in training, corrected, masked or neither; those that
    /// stand behind the reason for its state among them.
    pub fn suspects(&self) -> &FeatureSet {
        &self.sets.suspects
    }

    /// The raw features of the newest tick, before masking and z-score; NaN where a channel had no valid sample.
    pub fn raw_features(&self) -> &[f64] {
        &self.raw
    }

    /// What the newest measurement alone said of the intent, where the decoder knows it: see
    /// [`unfiltered`](kalmind_filter::Decoder::unfiltered).
    pub fn unfiltered(&self) -> Option<&[f64]> {
        self.models.active.as_ref().and_then(|model| model.decoder.unfiltered())
    }

    /// How long the input may be silent before the state is `stale`.
    pub fn stale_after(&self) -> Seconds {
        self.settings.stale_after
    }

    /// How long `stale` may last and still return by itself.
    pub fn auto_resume(&self) -> Seconds {
        self.settings.auto_resume
    }

    /// One tick. Real-time: no allocation, lock or I/O; the cost is that of the decoder.
    pub fn step(&mut self, input: &TickInput, samples: &dyn SampleSource) -> TickOutput {
        let Extracted { newest, nonfinite: nonfinite_values, misshapen } = self.extract(input, samples);
        let arrived = !input.incomplete && !misshapen;
        let Examined { invalid, switched_off, guarded, failing } = self.examine(input, arrived);
        let complete = arrived && failing.is_none();

        // where the cursor stood while the bin's samples came in, before anything in this tick moves it
        let displayed = self.cursor.position();
        let gap = Seconds((input.time - *self.last_complete.get_or_insert(input.start)).0.abs());
        let moved_before = self.states.state().moves();
        let decoded_before = moved_before && self.is_decoding();
        self.note_freshness(complete, gap, input, if arrived { failing } else { None });
        let awaited = self.states.awaits_resume();
        for command in &input.commands {
            self.obey(*command);
        }
        if awaited && input.commands.contains(&Command::InputWasSilent) {
            // who asked to go on did so before the signal was back: it is for now that somebody has to agree
            self.states.await_resume();
        }
        note_model(&mut self.states, self.models.active_with_doubt());

        let restart = complete && gap.0 > self.settings.restart_after.0;
        let report = self.decode(complete, restart, displayed);
        self.note_use(input, complete, report.unused);
        let moves = self.states.state().moves();
        if restart || (!moved_before && moves) || (!decoded_before && moves && self.is_decoding()) {
            self.cursor.ramp();
        }
        if complete {
            self.last_complete = Some(input.time);
        }

        let velocity = self.move_cursor(input.time - input.start);
        let (state, reason) = self.states.shown();
        TickOutput {
            epoch: input.epoch,
            newest: newest.filter(|_| complete),
            incomplete: !complete,
            state,
            reason,
            position: self.cursor.position(),
            velocity,
            free_velocity: self.cursor.free_velocity(),
            intent: self.intent,
            masked_features: invalid.saturating_add(switched_off) as u32,
            nonfinite_values,
            row_one: report.row_one,
            fallback: report.fallback,
            guarded_channels: guarded.saturating_add(report.guarded_channels),
            ..TickOutput::neutral(input.seq, input.time)
        }
    }

    /// What a tick gives when the step before it panicked: fault, nothing moves, no intent.
    pub fn fault(&mut self, input: &TickInput, cause: Cause) -> TickOutput {
        for command in &input.commands {
            // the step may have ended before it obeyed; what keeps the cursor still must be in force whatever happens,
            // and what a person has confirmed must not have to be confirmed again because of a fault
            match *command {
                Command::Stop { by } => self.states.stop(by),
                Command::Arrival { input, .. } => self.states.input_arrival(input),
                Command::ConfirmModel { model, .. } => self.models.confirm(model),
                _ => {}
            }
        }
        self.states.fault(cause);
        self.intent = None;
        self.sets.suspects.clear();
        let velocity = self.cursor.rest();
        let (state, reason) = self.states.shown();
        TickOutput {
            epoch: input.epoch,
            incomplete: true,
            state,
            reason,
            position: self.cursor.position(),
            velocity,
            ..TickOutput::neutral(input.seq, input.time)
        }
    }

    fn extract(&mut self, input: &TickInput, samples: &dyn SampleSource) -> Extracted {
        let extractor = &mut self.extractor;
        extractor.reset();
        let mut newest: Option<LslTime> = None;
        let mut misshapen = false;
        for (stream, tick) in input.streams.iter().enumerate() {
            for range in &tick.ranges {
                samples
                    .rows(stream, *range, &mut |rows| misshapen |= extractor.accept(stream, rows).is_err());
            }
            let last = tick.ranges.last().map_or(0, |range| range.end);
            if last > 0
                && let Some(raw) = samples.stamp(stream, last.saturating_sub(1))
            {
                let stamp = raw.corrected(tick.offset);
                newest = Some(newest.map_or(stamp, |known| if stamp > known { stamp } else { known }));
            }
        }
        let raw = extractor.finish();
        for (kept, value) in self.raw.iter_mut().zip(raw.values) {
            *kept = *value;
        }
        Extracted { newest, nonfinite: raw.nonfinite, misshapen }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Request { resume, .. } => {
                let was_fault = self.states.state() == OutputState::Fault;
                obey_states(&mut self.states, command);
                if was_fault
                    && resume
                    && let Some(model) = &mut self.models.active
                {
                    model.restart();
                    self.intent = None;
                }
            }
            Command::Task(task) => self.task = task,
            Command::PlaceCursor(position) => self.cursor.place(position),
            Command::SwapModel(id) => {
                if self.models.swap(id) == Some(false) {
                    self.intent = None;
                }
            }
            Command::ConfirmModel { model, .. } => self.models.confirm(model),
            Command::Stop { .. }
            | Command::Fault(_)
            | Command::AcceptInput { .. }
            | Command::Arrival { .. } => {
                obey_states(&mut self.states, command);
            }
            // judged with the gap between the stamps, before any command
            Command::InputNotFresh | Command::InputWasSilent => {}
        }
    }

    fn decode(&mut self, complete: bool, restart: bool, displayed: Position) -> StepReport {
        let Some(model) = &mut self.models.active else {
            self.intent = None;
            return StepReport::default();
        };
        if restart {
            model.decoder.restart();
        }
        if model.decoder.takes_cursor() {
            model.decoder.observe_cursor(displayed);
        }
        let mut intent = Intent::zero(model.decoder.dimension());
        let newcomer = core::mem::take(&mut self.models.activated);
        let features = match complete {
            false => None,
            // it has not seen this bin
            true if newcomer => {
                let prepared = model.preparation.prepare(&self.raw, &self.sets.switched_off);
                let watched = self.settings.plausibility;
                Some(model.screen.screen(prepared.features, prepared.missing, watched).features)
            }
            true => Some(model.screen.features()),
        };
        let report = model.decoder.step(features, &mut intent);
        self.intent = report.valid.then_some(intent);
        if self.intent.is_some_and(|intent| !intent.is_finite()) {
            self.states.fault(Cause::NotFinite);
            self.intent = None;
        }
        report
    }

    fn move_cursor(&mut self, duration: Seconds) -> Velocity {
        match (self.states.state(), self.task.drive) {
            (OutputState::Calibrating, CursorDrive::Label) => {
                let wanted = self.task.target.map_or_else(Velocity::default, |target| {
                    self.settings.label_law.label(self.cursor.position(), target.position)
                });
                self.cursor.advance(wanted, duration)
            }
            (OutputState::Calibrating | OutputState::Control, _) => match &self.intent {
                Some(intent) if !self.states.decoder_is_kept_from_control() => {
                    self.cursor.decode(intent.mean(), duration)
                }
                _ => self.cursor.rest(),
            },
            _ => self.cursor.rest(),
        }
    }
}

/// What the model that decodes, and why it may not control, mean for the output states.
fn note_model(states: &mut OutputStates, model: Option<(ModelId, Option<Cause>)>) {
    match model {
        Some((_, doubt)) => states.doubt(doubt),
        None => states.no_model(),
    }
}

/// What a command does to the output states: the one place, for ticks and for previews.
fn obey_states(states: &mut OutputStates, command: Command) {
    match command {
        Command::Stop { by } => states.stop(by),
        Command::Request { mode, resume, by } => states.request(mode, resume, by),
        Command::AcceptInput { .. } => states.accept_input(),
        Command::Fault(cause) => states.fault(cause),
        Command::Arrival { input, .. } => states.input_arrival(input),
        // the tick that comes judges it anew
        Command::InputNotFresh if !states.input_is_fresh() => {}
        Command::InputNotFresh | Command::InputWasSilent => states.input_not_fresh(),
        Command::Task(_) | Command::PlaceCursor(_) | Command::SwapModel(_) | Command::ConfirmModel { .. } => {
        }
    }
}
