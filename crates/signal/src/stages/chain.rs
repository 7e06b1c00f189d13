//! Stages in a row, built from one generation of settings.

use kalmind_types::GenerationId;
use serde::{Deserialize, Serialize};

use super::StageSettings;
use super::rows::Rows;
use super::stage::{Signal, Stage, StageError};
use super::state::{StateError, StateReader, StateWriter};

/// The stages of a chain, in the order in which samples pass them. Never changed: other settings are another generation,
/// and make another chain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainSettings(pub Vec<StageSettings>);

/// Why a chain cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// There is no stage in it.
    #[error("a chain of no stages; leave `stages` out to decode the samples as they are received")]
    NoStages,
    /// The stream is irregular: there is no time from one sample to the next that filters could be made for.
    #[error(
        "stages need a stream with a rate, and this one is irregular: set rate_hz under [[stream]] to what it sends"
    )]
    NoRate,
    /// A stage cannot be built.
    #[error("stage {number} ({name}): {error}")]
    Stage {
        /// Its place in the chain, from 1.
        number: usize,
        /// Its name.
        name: &'static str,
        /// What is wrong.
        error: StageError,
    },
}

/// Stages in a row with the rows between them. Built on any thread; everything else is for the thread of the stream's inlet,
/// and allocates nothing.
#[derive(Debug)]
pub struct Chain {
    generation: GenerationId,
    /// Each stage, and what it has given of the block that is worked on.
    stages: Vec<(Box<dyn Stage>, Rows)>,
    signal: Signal,
    delay: u64,
    settling: u64,
    block_rows: usize,
}

impl Chain {
    /// The chain for a raw signal, to be given at most `block_rows` rows at once. `generation` stands for the settings: the
    /// SHA-256 of their JSON text.
    ///
    /// # Errors
    /// When the stream has no rate, there are no stages, or one of them cannot be built.
    pub fn new(
        settings: &ChainSettings,
        generation: GenerationId,
        raw: &Signal,
        block_rows: usize,
    ) -> Result<Self, ChainError> {
        if !(raw.rate_hz > 0.0 && raw.rate_hz.is_finite()) {
            return Err(ChainError::NoRate);
        }
        let mut stages: Vec<Box<dyn Stage>> = Vec::with_capacity(settings.0.len());
        for (number, settings) in (1..).zip(&settings.0) {
            let signal = stages.last().map_or(raw, |stage| stage.signal());
            let built = settings.build(signal);
            stages.push(built.map_err(|error| ChainError::Stage { number, name: settings.name(), error })?);
        }
        Self::of(stages, generation, block_rows)
    }

    /// The chain of stages that have been built, each for what the one before gives.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(
        stages: Vec<Box<dyn Stage>>,
        generation: GenerationId,
        block_rows: usize,
    ) -> Result<Self, ChainError> {
        let signal = stages.last().ok_or(ChainError::NoStages)?.signal().clone();
        let (mut every, mut delay, mut settling) = (1_u64, 0_u64, 0_u64);
        for stage in &stages {
            delay = delay.saturating_add(stage.delay().saturating_mul(every));
            settling = settling.saturating_add(stage.settling().saturating_mul(every));
            every = stage.signal().every;
        }
        let mut rows = block_rows.max(1);
        let with_rows = |stage: Box<dyn Stage>| {
            rows = stage.most_rows(rows);
            let given = Rows::with_capacity(stage.signal().outputs.len(), rows);
            (stage, given)
        };
        let stages = stages.into_iter().map(with_rows).collect();
        Ok(Self { generation, stages, signal, delay, settling, block_rows: block_rows.max(1) })
    }

    /// What it was built from.
    pub fn generation(&self) -> GenerationId {
        self.generation
    }

    /// What comes out.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// What whoever configured its stages should know, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let stages = (1..).zip(&self.stages);
        let warnings = stages.filter_map(|(number, (stage, _)): (usize, _)| {
            stage.warning().map(|warning| format!("stage {number}: {warning}"))
        });
        warnings.collect()
    }

    /// How many raw rows more have to go in, at most, until the row that describes a sample comes out.
    pub fn delay(&self) -> u64 {
        self.delay
    }

    /// After how many raw rows it gives valid values, once it was restarted.
    pub fn settling(&self) -> u64 {
        self.settling
    }

    /// The most rows that one call may be given.
    pub fn block_rows(&self) -> usize {
        self.block_rows
    }

    /// The most rows that come out of one call with `rows` rows.
    pub fn most_rows(&self, rows: usize) -> usize {
        self.stages.iter().fold(rows, |rows, (stage, _)| stage.most_rows(rows))
    }

    /// Forgets everything: the next row is the first.
    pub fn restart(&mut self) {
        for (stage, _) in &mut self.stages {
            stage.restart();
        }
    }

    /// From the next row on these channels of the raw stream are no part of any sum of channels.
    pub(super) fn leave_out(&mut self, channels: &[bool]) {
        for (stage, _) in &mut self.stages {
            stage.leave_out(channels);
        }
    }

    /// Takes rows in and gives those that come out.
    pub fn process<'a>(&'a mut self, input: &'a Rows) -> &'a Rows {
        let mut rows = input;
        for (stage, output) in &mut self.stages {
            output.clear();
            stage.process(rows, output);
            rows = output;
        }
        rows
    }

    /// The most bytes that are taken down of what its stages remember.
    pub fn state_bytes(&self) -> usize {
        self.stages.iter().fold(0, |bytes, (stage, _)| stage.state_bytes().saturating_add(bytes))
    }

    /// Takes down what its stages remember.
    pub fn save(&self, state: &mut StateWriter<'_>) {
        for (stage, _) in &self.stages {
            stage.save(state);
        }
    }

    /// Goes on from what a chain of the same settings took down.
    ///
    /// # Errors
    /// Where that was another one; then the chain has to be restarted.
    pub fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.stages.iter_mut().try_for_each(|(stage, _)| stage.load(state))
    }
}
