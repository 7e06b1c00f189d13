//! Replay: the engine of the live tick, driven by a recording's samples and tick inputs.
//!
//! Nothing is recomputed that the recording knows: which samples a tick used, what the clocks did, what people asked for.
//! Everything else is computed anew, from the samples on.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use kalmind_engine::{Engine, EngineError, Examiner, History, HistoryRow};
use kalmind_filter::KernelPath;
use kalmind_signal::AdaptiveState;
use kalmind_types::{
    Cause, Command, IndexRange, ModelId, Samples, Seconds, StreamFeatures, StreamTime, TickOutput,
    WindowResults,
};

use super::{FORMAT, RecordedModelError, RecordedModels, RecordedSamples, SessionDocument, TickDocument};

/// Why a recording cannot be replayed, from the start or from a tick on.
#[derive(Debug, thiserror::Error)]
pub enum PlaybackError {
    /// The documents are of another version.
    #[error(
        "the recording's documents are of version {0}, and this program reads versions up to {FORMAT}: use a program of the version that wrote it"
    )]
    Format(u32),
    /// The session ran on a kernel path that this processor does not have.
    #[error(
        "the session's kernels ran as \"{recorded}\", which this processor does not have (it has {here}): the last digits would differ, so replay it on a processor that has it"
    )]
    KernelPath {
        /// The session's.
        recorded: String,
        /// The fastest one here.
        here: &'static str,
    },
    /// The engine's settings are contradictory.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A model that a tick swaps in.
    #[error(transparent)]
    Model(#[from] RecordedModelError),
}

/// The model that a command has take over, at once or later.
#[must_use]
pub fn swapped_in(command: &Command) -> Option<ModelId> {
    match *command {
        Command::SwapModel(id)
        | Command::SwapWarmed { model: id, .. }
        | Command::SwapAtGeneration { model: id, .. } => Some(id),
        _ => None,
    }
}

/// A session being replayed.
#[derive(Debug)]
pub struct Playback {
    engine: Engine,
    examiner: Examiner,
    samples: RecordedSamples,
    /// Ticks computed, for models that were shown them before they took over.
    history: History,
    guard: bool,
    path: KernelPath,
    models: RecordedModels,
    /// Those that take no part.
    lacking: HashSet<ModelId>,
}

impl Playback {
    /// An engine as the session had it.
    ///
    /// # Errors
    /// [`PlaybackError`].
    pub fn new(session: &SessionDocument) -> Result<Self, PlaybackError> {
        if !(1..=FORMAT).contains(&session.format) {
            return Err(PlaybackError::Format(session.format));
        }
        let path = KernelPath::named(&session.kernel_path).ok_or_else(|| PlaybackError::KernelPath {
            recorded: session.kernel_path.clone(),
            here: KernelPath::detect().as_str(),
        })?;
        let widths = session.engine.features.iter().map(StreamFeatures::row_width);
        let held = session.streams.iter().map(|stream| stream.held_samples);
        let mut engine = Engine::new(session.engine.clone())?.with_windows(&session.windows)?;
        if let Some(state) = &session.adaptive {
            engine.resume(state.clone());
        }
        // a session warms a model with no more than that, and swaps it in two bins later at most
        let rows = 2 * History::rows_of(Seconds::from_millis(session.bin_ms)) + 2;
        Ok(Self {
            history: History::new(engine.raw_features().len(), rows),
            examiner: engine.examiner(),
            engine,
            samples: RecordedSamples::new(widths.zip(held)),
            guard: session.guard,
            path,
            models: RecordedModels::default(),
            lacking: HashSet::new(),
        })
    }

    /// Samples of an input stream, in the order of the file.
    pub fn samples(&mut self, stream: usize, first: u64, stamps: Vec<StreamTime>, values: Samples) {
        self.samples.add(stream, first, stamps, values);
    }

    /// The models that ticks swap in: they need its parts before, and features of earlier ticks where they are packed.
    pub fn models(&mut self) -> &mut RecordedModels {
        &mut self.models
    }

    /// The first samples that a tick names and the recording does not have: stream and range.
    #[must_use]
    pub fn missing(&self, tick: &TickDocument<'_>) -> Option<(usize, IndexRange)> {
        let streams = tick.input.streams.iter().enumerate();
        let windows = tick.input.windows.iter().filter(|window| window.missing.is_none());
        streams
            .flat_map(|(stream, input)| input.ranges.iter().map(move |range| (stream, *range)))
            .chain(windows.map(|window| (usize::from(window.stream), window.range())))
            .find(|(stream, range)| !self.samples.has(*stream, *range))
    }

    /// Models that a tick swaps in and that the recording does not say the whole of, since features are lost that they were
    /// fitted to. They take no part in the replay: what decodes before them goes on.
    pub fn lacking(&mut self, tick: &TickDocument<'_>) -> Vec<RecordedModelError> {
        let mut errors = Vec::new();
        for id in tick.input.commands.iter().filter_map(swapped_in) {
            if !self.lacking.contains(&id)
                && let Err(error @ RecordedModelError::TickMissing { .. }) =
                    self.models.get(tick.input.seq, id)
            {
                self.lacking.insert(id);
                errors.push(error);
            }
        }
        errors
    }

    /// Computes a tick.
    ///
    /// # Errors
    /// [`PlaybackError::Model`].
    pub fn tick(&mut self, tick: &TickDocument<'_>) -> Result<TickOutput, PlaybackError> {
        for command in &tick.input.commands {
            match *command {
                Command::SwapModel(id) | Command::SwapAtGeneration { model: id, .. } => {
                    self.stage(tick.input.seq, id, None)?;
                }
                Command::SwapWarmed { model, from, through } => {
                    self.stage(tick.input.seq, model, Some((from, through)))?;
                }
                _ => {}
            }
        }
        let Self { engine, samples, .. } = self;
        let stepped = catch_unwind(AssertUnwindSafe(|| engine.step(&tick.input, &*samples)));
        while self.engine.take_retired().is_some() {}
        let output = match stepped {
            Ok(output) if !tick.panicked => output,
            // what a panic left behind is repeated by the same panic
            _ => self.engine.fault(&tick.input, Cause::Panicked),
        };
        let Self { engine, history, .. } = self;
        let row = HistoryRow::of(&tick.input, engine.bin_facts(), engine.raw_features());
        history.follow(&row.moved(engine.moved()), engine.adaptive());
        Ok(output)
    }

    /// The adaptive state after the newest tick, where what decodes has one.
    #[must_use]
    pub fn adaptive(&self) -> Option<&AdaptiveState> {
        self.engine.adaptive()
    }

    /// The raw features of the newest tick.
    #[must_use]
    pub fn raw_features(&self) -> &[f64] {
        self.engine.raw_features()
    }

    /// What was read from the windows of the newest tick.
    #[must_use]
    pub fn windows(&self) -> &WindowResults {
        self.engine.windows()
    }

    /// Builds a model for the swap in this tick, as the session did. One that the session refused as not fitting is
    /// refused here for the same reason, and one that came late comes late here. Ticks of its history that the recording
    /// lacks are missing there as well, and have been reported as such.
    fn stage(&mut self, seq: u64, id: ModelId, history: Option<(u64, u64)>) -> Result<(), PlaybackError> {
        if self.lacking.contains(&id) {
            return Ok(());
        }
        let model = self.models.get(seq, id)?;
        let mut staged = model.stage(self.guard, self.path).map_err(|error| {
            RecordedModelError::Unusable { model: id.to_hex(), problem: error.to_string() }
        })?;
        if let Some((from, through)) = history {
            let Self { history, examiner, .. } = self;
            let held = history.held().unwrap_or((1, 0));
            let first = from.max(held.0);
            // the session's own history began there
            let before = history.before(first);
            for row in (first..=through.min(held.1)).filter_map(|seq| history.row(seq)) {
                let before = before.as_ref().filter(|_| row.seq == first);
                staged.warm(&HistoryRow { before, ..row }, examiner);
            }
        }
        drop(self.engine.stage(staged));
        Ok(())
    }
}
