//! Which stages a stream's samples go through, and who records what was given to them.

use std::sync::Arc;

use kalmind_signal::{Chain, ChainError, ChainSettings, Given, Signal};
use kalmind_types::{GenerationId, NumberFormat, SampleBlock};

/// What is done to a stream's samples before the tick thread gets them.
#[derive(Clone, Debug, PartialEq)]
pub struct Stages {
    /// The stages.
    pub settings: ChainSettings,
    /// What stands for them.
    pub generation: GenerationId,
    /// What goes in: the stream's channels, and its rate.
    pub raw: Signal,
    /// Whether channels are left out while they are not healthy.
    pub channel_health: bool,
    /// Channels of which that is not told, as those that are masked anyway.
    pub unwatched: Vec<usize>,
}

impl Stages {
    /// Rows that a chain is given at once, at most.
    pub(crate) const BLOCK_ROWS: usize = 64;

    /// The chain.
    ///
    /// # Errors
    /// When it cannot be built for this stream.
    pub fn chain(&self) -> Result<Chain, ChainError> {
        Chain::new(&self.settings, self.generation, &self.raw, Self::BLOCK_ROWS)
    }

    /// A block of the derived stream, with room for `samples` rows.
    pub(crate) fn block(chain: &Chain, samples: usize) -> SampleBlock {
        SampleBlock::with_capacity(NumberFormat::Double64, chain.signal().outputs.len(), samples)
    }
}

/// What is told of a stream's stages, by the thread that runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// What was given to them, the newest last.
    Given(&'a [Given]),
    /// What they remember after all that was told before: they can be gone on from it, bit for bit.
    Checkpoint {
        /// Derived samples that have come out, since the start.
        derived: u64,
        /// What they remember.
        state: &'a [u8],
    },
}

/// Whoever records what is told of a stream's stages. Must neither wait nor allocate.
#[derive(Clone)]
pub struct GivenTo(pub Arc<Tell>);

/// Is told of stages; whether there was room for it.
pub type Tell = dyn Fn(Told<'_>) -> bool + Send + Sync;

impl core::fmt::Debug for GivenTo {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("GivenTo")
    }
}
