//! Generations of a stream's stages on their way to the thread that runs them, and what became of them on the way back.

use kalmind_signal::Chain;
use kalmind_types::GenerationId;

use crate::ring::{Consumer, Full, Producer, ring};

/// Generations that may be on their way to a stream; more are handed back.
const ON_THEIR_WAY: usize = 2;
/// What there may be to tell of each: when it is in force, that it is, and the chain that it has followed.
const NEWS: usize = 4 * (ON_THEIR_WAY + 2);

/// Another generation of a stream's stages, built and ready to follow the one in force.
#[derive(Debug)]
pub struct NextGeneration {
    /// Its chain.
    pub chain: Box<Chain>,
    /// The raw sample from which it is to be in force. Where that comes before its filters can have settled, it is the first
    /// one at which they have.
    pub at: u64,
}

/// What became of a generation. Whoever takes a chain here frees it.
#[derive(Debug)]
pub enum GenerationNews {
    /// It runs beside the one in force, which it follows at this raw sample.
    Started {
        /// Which.
        generation: GenerationId,
        /// The sample.
        at: u64,
    },
    /// It is in force.
    InForce {
        /// Which.
        generation: GenerationId,
        /// Its number in blocks and ticks, counted from 0.
        number: u32,
        /// Index of the first derived sample that it made.
        first: u64,
    },
    /// It cannot follow the one in force: it gives other channels, another rate or another delay.
    Refused(Box<Chain>),
    /// A chain that was followed.
    Retired(Box<Chain>),
}

/// The slow side's end: generations go in, news come out. One thread at a time.
#[derive(Debug)]
pub struct GenerationControl {
    next: Producer<NextGeneration>,
    news: Consumer<GenerationNews>,
}

impl GenerationControl {
    /// Hands a generation to the stream's thread.
    ///
    /// # Errors
    /// Hands it back where two are on their way already.
    pub fn send(&mut self, next: NextGeneration) -> Result<(), NextGeneration> {
        self.next.push(next).map_err(|Full(next)| next)
    }

    /// What became of those that were sent.
    pub fn news(&mut self) -> Option<GenerationNews> {
        self.news.pop()
    }
}

/// The end of the thread that runs the stages. Allocates and frees nothing.
#[derive(Debug)]
pub(crate) struct GenerationPort {
    next: Consumer<NextGeneration>,
    /// One that has to wait until a change before it is over.
    waiting: Option<NextGeneration>,
    news: Producer<GenerationNews>,
}

/// A way for generations, and its two ends.
pub(crate) fn generations() -> (GenerationControl, GenerationPort) {
    let (next, taken) = ring(ON_THEIR_WAY);
    let (told, news) = ring(NEWS);
    (GenerationControl { next, news }, GenerationPort { next: taken, waiting: None, news: told })
}

impl GenerationPort {
    /// The generation that is to follow next, if there is one, and room to tell of it.
    pub(crate) fn take(&mut self) -> Option<NextGeneration> {
        // so that whatever there is to tell of it finds room
        if self.news.capacity() - self.news.len() < NEWS / 2 {
            return None;
        }
        self.waiting.take().or_else(|| self.next.pop())
    }

    /// Keeps one until the change before it is over.
    pub(crate) fn keep(&mut self, next: NextGeneration) {
        self.waiting = Some(next);
    }

    /// Tells what became of one.
    pub(crate) fn tell(&mut self, news: GenerationNews) {
        // only what there is room for is begun
        let _finds_room = self.news.push(news);
    }
}
