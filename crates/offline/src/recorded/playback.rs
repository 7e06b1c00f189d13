//! Replay: the engine of the live tick, driven by a recording's samples and tick inputs.
//!
//! Nothing is recomputed that the recording knows: which samples a tick used, what the clocks did, what people asked for.
//! Everything else is computed anew, from the samples on.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use kalmind_engine::{Engine, EngineError, Examiner, History, HistoryRow};
use kalmind_filter::KernelPath;
use kalmind_signal::AdaptiveState;
use kalmind_types::{
    Cause, Command, IndexRange, ModelId, Samples, Seconds, StreamFeatures, StreamTime, TickOutput,
    WindowResults,
};

use super::{FORMAT, ModelPart, RecordedSamples, SessionDocument, TickDocument};
use crate::model::IdentifiedModel;

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
    /// A model that a tick swaps in is not in the recording, or not whole.
    #[error("tick {seq} swaps in the model {model}, of which the recording has {found} of {parts} parts")]
    ModelMissing {
        /// The tick.
        seq: u64,
        /// The model's identity.
        model: String,
        /// Parts found.
        found: usize,
        /// Parts in all; 0 where none was found.
        parts: u64,
    },
    /// A model in the recording cannot be used.
    #[error("the model {model} in the recording cannot be used: {problem}")]
    Model {
        /// Its identity.
        model: String,
        /// What is wrong with it.
        problem: String,
    },
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
    parts: HashMap<String, Vec<ModelPart>>,
    models: HashMap<ModelId, Arc<IdentifiedModel>>,
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
        let widths = session.engine.features.iter().map(StreamFeatures::width);
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
            parts: HashMap::new(),
            models: HashMap::new(),
        })
    }

    /// Samples of an input stream, in the order of the file.
    pub fn samples(&mut self, stream: usize, first: u64, stamps: Vec<StreamTime>, values: Samples) {
        self.samples.add(stream, first, stamps, values);
    }

    /// A part of a model's file.
    pub fn model_part(&mut self, part: ModelPart) {
        self.parts.entry(part.id.clone()).or_default().push(part);
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

    /// Computes a tick.
    ///
    /// # Errors
    /// [`PlaybackError::ModelMissing`] and [`PlaybackError::Model`].
    pub fn tick(&mut self, tick: &TickDocument<'_>) -> Result<TickOutput, PlaybackError> {
        for command in &tick.input.commands {
            match *command {
                Command::SwapModel(id) => self.stage(tick.input.seq, id, None)?,
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

    /// Models that are kept for further swaps.
    #[must_use]
    pub fn models(&self) -> usize {
        self.models.len()
    }

    /// Frees the models of which `is_needed` says no: no later tick swaps them in.
    pub fn keep_models(&mut self, is_needed: impl Fn(ModelId) -> bool) {
        self.models.retain(|id, _| is_needed(*id));
        self.parts.retain(|id, _| ModelId::from_hex(id).is_none_or(&is_needed));
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
        let model = match self.models.get(&id) {
            Some(model) => Arc::clone(model),
            None => self.assemble(seq, id)?,
        };
        let mut staged = model
            .stage(self.guard, self.path)
            .map_err(|error| PlaybackError::Model { model: id.to_hex(), problem: error.to_string() })?;
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

    fn assemble(&mut self, seq: u64, id: ModelId) -> Result<Arc<IdentifiedModel>, PlaybackError> {
        let hex = id.to_hex();
        let mut parts = self.parts.remove(&hex).unwrap_or_default();
        parts.sort_by_key(|part| part.part);
        parts.dedup_by_key(|part| part.part);
        let count = parts.first().map_or(0, |part| part.parts);
        if parts.is_empty() || parts.len() as u64 != count {
            return Err(PlaybackError::ModelMissing { seq, model: hex, found: parts.len(), parts: count });
        }
        let wrong = |problem: String| PlaybackError::Model { model: hex.clone(), problem };
        let bytes: Option<Vec<Vec<u8>>> = parts.iter().map(ModelPart::bytes).collect();
        let file = bytes.ok_or_else(|| wrong("its parts are not base64".to_owned()))?.concat();
        let model =
            IdentifiedModel::from_bytes(file.into(), true).map_err(|error| wrong(error.to_string()))?;
        if model.id != id {
            return Err(wrong(format!("its bytes are those of {}", model.id.to_hex())));
        }
        let model = Arc::new(model);
        self.models.insert(id, Arc::clone(&model));
        Ok(model)
    }
}
