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

use kalmind_filter::Button;
use kalmind_signal::{AdaptiveState, FeatureExtractor, Preparation};
use kalmind_types::{
    Cause, ClickTuning, Command, FeatureLayout, FeatureSet, Intent, LayoutError, LslTime, ModelId, Position,
    Seconds, TaskState, TickInput, TickOutput, WindowResults,
};

use self::models::{CATCH_UP, Models, Newcomer};
use self::staged::Decoded;
pub use self::{
    examined::{Examiner, SettlingStages},
    history::{BinFacts, History, HistoryRow},
    settings::EngineSettings,
    staged::StagedModel,
};
use crate::{OutputStates, SampleSource, WindowError, WindowSettings, cursor::Cursor, freshness::Freshness};

mod commands;
mod examination;
mod examined;
mod history;
mod models;
mod movement;
mod patience;
mod settings;
mod settling;
mod staged;
mod windows;

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
    /// What is to be read from windows cannot be read from them.
    #[error(transparent)]
    Window(#[from] WindowError),
}

/// The pure step of the tick. Owned by one thread; allocates at construction only.
pub struct Engine {
    settings: EngineSettings,
    examiner: Examiner,
    extractor: FeatureExtractor,
    raw: Vec<f64>,
    /// What else is known of the newest bin.
    bin: BinFacts,
    /// The newest bins, for models that have to catch up.
    recent: History,
    models: Models,
    states: OutputStates,
    freshness: Freshness,
    cursor: Cursor,
    /// What clicks made of it, with whichever models.
    button: Button,
    /// What an operator has set of what counts as a press.
    press: ClickTuning,
    task: TaskState,
    intent: Option<Intent>,
    /// Time of the newest complete bin; before the first one, start of the first bin.
    last_complete: Option<LslTime>,
    /// The same of bins that were complete or of settling stages: how long the input is silent is counted from there.
    last_heard: Option<LslTime>,
    /// What settled in the newest tick's bin, and kept it from being complete.
    settling: Option<SettlingStages>,
    patience: patience::Patience,
    /// The generations of the streams' stages in the newest bin, added up.
    generations: u64,
    /// Start of the first of the bins, up to the newest, whose features the decoder could not use.
    unused_since: Option<LslTime>,
    /// Whether that is so for longer than `fallback_stale`.
    unusable: bool,
    windows: windows::Windows,
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
            examiner: Examiner::new(&settings, extractor.layout()),
            raw: vec![f64::NAN; width],
            bin: BinFacts::default(),
            recent: History::new(width, CATCH_UP),
            extractor,
            models: Models::default(),
            states: OutputStates::new(settings.start),
            freshness: Freshness::new(settings.stale_after, settings.auto_resume),
            cursor: Cursor::new(settings.cursor.clone()),
            button: Button::default(),
            press: ClickTuning::default(),
            task: TaskState::default(),
            intent: None,
            last_complete: None,
            last_heard: None,
            settling: None,
            patience: patience::Patience::default(),
            generations: 0,
            unused_since: None,
            unusable: false,
            windows: windows::Windows::default(),
            settings,
        })
    }

    /// The same, reading these windows at events.
    ///
    /// # Errors
    /// [`EngineError::Window`].
    pub fn with_windows(mut self, windows: &[WindowSettings]) -> Result<Self, EngineError> {
        self.windows = windows::Windows::new(windows)?;
        Ok(self)
    }

    /// Takes a model that a later [`Command::SwapModel`] names. Where eight wait already, returns the oldest, which was never
    /// swapped in.
    ///
    /// # Errors
    /// Gives the model back with [`EngineError::FeatureCount`] where it does not fit the streams.
    pub fn stage(
        &mut self,
        mut model: Box<StagedModel>,
    ) -> Result<Option<Box<StagedModel>>, (EngineError, Box<StagedModel>)> {
        if model.decoder.features() != self.raw.len() {
            let error =
                EngineError::FeatureCount { model: model.decoder.features(), streams: self.raw.len() };
            model.past.turned_away = true;
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
        &self.examiner.sets.suspects
    }

    /// The raw features of the newest tick, before masking and z-score; NaN where a channel had no valid sample.
    pub fn raw_features(&self) -> &[f64] {
        &self.raw
    }

    /// What else a model has to know of the newest tick's bin.
    pub fn bin_facts(&self) -> BinFacts {
        self.bin
    }

    /// What was read from the windows of the newest tick, in the order of its input.
    pub fn windows(&self) -> &WindowResults {
        &self.windows.results
    }

    /// The most values that are read from a window.
    pub fn most_window_values(&self) -> usize {
        self.windows.most_values()
    }

    /// The adaptive state after the newest tick, where what decodes has one.
    pub fn adaptive(&self) -> Option<&AdaptiveState> {
        self.models.active.as_ref().and_then(|model| model.preparation.adaptive())
    }

    /// Which features moved it in the newest tick.
    pub fn moved(&self) -> Option<&FeatureSet> {
        self.models.active.as_ref().and_then(|model| model.preparation.moved())
    }

    /// Lets the first model go on from this adaptive state, where it has one of the same name and shape. Before the first
    /// tick.
    pub fn resume(&mut self, state: AdaptiveState) {
        self.models.resumed = Some(state);
    }

    /// By what it examines bins, for whoever shows them to models that wait for their swap.
    pub fn examiner(&self) -> Examiner {
        self.examiner.clone()
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
        // where the cursor stood while the bin's samples came in, before anything in this tick moves it
        let displayed = self.cursor.position();
        let decoding = self.decodes_after(input);
        self.bin = BinFacts { decoding, displayed, ..BinFacts::default() };
        let Extracted { newest, nonfinite: nonfinite_values, misshapen } = self.extract(input, samples);
        let arrived = !input.incomplete && !misshapen;
        self.bin.arrived = arrived;
        let mut found = self.examine(input);
        let mut complete = arrived && found.failing.is_none();

        self.settling = self.settling_in_time(input, arrived, &found);
        let settles = self.settling.is_some();
        let gap = Seconds((input.time - *self.last_complete.get_or_insert(input.start)).0.abs());
        let silent_for = Seconds((input.time - *self.last_heard.get_or_insert(input.start)).0.abs());
        let moved_before = self.states.state().moves();
        let decoded_before = moved_before && self.is_decoding();
        let failing = found.failing.filter(|_| arrived && !settles);
        self.note_freshness(complete || settles, silent_for, input, failing);
        self.note_settling(complete, gap);
        let awaited = self.states.awaits_resume();
        self.note_generations(input);
        for command in &input.commands {
            self.obey(*command);
        }
        self.models.swap_where_due(&input.streams, self.last_complete);
        if awaited && input.commands.contains(&Command::InputWasSilent) {
            // who asked to go on did so before the signal was back: it is for now that somebody has to agree
            self.states.await_resume();
        }
        self.note_model();

        if self.models.newcomer == Some(Newcomer::Warm) {
            // it decodes as if it had been there all along; whether the input is fresh, the model before has judged
            found = self.examine(input);
            complete = arrived && found.failing.is_none();
            self.end_settling(complete, gap);
            self.restart_where_asked();
        }
        let is_another = self.models.newcomer.is_some();
        let Decoded { report, restarted, clicking, .. } = self.decode(input, complete);
        let restart = restarted || complete && gap.0 > self.settings.restart_after.0;
        self.note_use(input, complete, report.unused);
        let moves = self.states.state().moves();
        if restart || (!moved_before && moves) || (!decoded_before && moves && self.is_decoding()) {
            self.cursor.ramp();
        }
        if complete {
            self.last_complete = Some(input.time);
        }
        if complete || settles {
            self.last_heard = Some(input.time);
        }
        self.remember(input);
        self.windows.read(input, samples);

        let velocity = self.move_cursor(input.time - input.start);
        let click = self.press(input.seq, clicking, complete, is_another);
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
            click,
            masked_features: found.masked as u32,
            nonfinite_values,
            row_one: report.row_one,
            fallback: report.fallback,
            guarded_channels: found.guarded.saturating_add(report.guarded_channels),
            ..TickOutput::neutral(input.seq, input.time)
        }
    }

    /// What a tick gives when the step before it panicked: fault, nothing moves, no intent.
    pub fn fault(&mut self, input: &TickInput, cause: Cause) -> TickOutput {
        self.obey_in_fault(input);
        self.models.newcomer = None;
        self.settling = None;
        self.states.fault(cause);
        self.intent = None;
        self.windows.fail(input);
        self.examiner.sets.suspects.clear();
        // what the step knew of its features, no other model can rely on
        self.bin.arrived = false;
        // nor how far it had come with the adaptive state
        self.models.turned |= self.adaptive().is_some();
        self.remember(input);
        let velocity = self.cursor.rest();
        let up = self.button.up(0.0);
        let click = self.button.is_used().then_some(up);
        let (state, reason) = self.states.shown();
        TickOutput {
            epoch: input.epoch,
            incomplete: true,
            state,
            reason,
            position: self.cursor.position(),
            velocity,
            click,
            ..TickOutput::neutral(input.seq, input.time)
        }
    }

    /// Keeps the bin of a tick for models that have to catch up.
    fn remember(&mut self, input: &TickInput) {
        let Self { models, bin, recent, raw, .. } = self;
        let preparation = models.active.as_ref().map(|model| &model.preparation);
        bin.weight = preparation.map_or(0.0, Preparation::weight);
        bin.turned = core::mem::take(&mut models.turned);
        recent.push(&HistoryRow::of(input, *bin, raw).moved(preparation.and_then(Preparation::moved)));
    }

    /// Where stages have other settings from this bin on, those before say nothing of what a model would have seen.
    fn note_generations(&mut self, input: &TickInput) {
        // none ever falls
        let numbers = input.streams.iter().map(|stream| u64::from(stream.generation));
        let generations = numbers.fold(0, u64::saturating_add);
        self.models.turned |= core::mem::replace(&mut self.generations, generations) != generations;
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

    fn decode(&mut self, input: &TickInput, complete: bool) -> Decoded {
        let Self { models, raw, bin, examiner, .. } = self;
        let newcomer = models.newcomer.take();
        let Some(model) = &mut models.active else {
            self.intent = None;
            return Decoded::default();
        };
        let row = HistoryRow::of(input, *bin, raw);
        if newcomer == Some(Newcomer::Cold) && complete {
            model.prepare(&row, examiner);
        }
        let decoded = model.decode(&row, complete, examiner);
        self.intent = decoded.intent;
        if self.intent.is_some_and(|intent| !intent.is_finite()) {
            self.states.fault(Cause::NotFinite);
            self.intent = None;
        }
        decoded
    }
}
