//! Fills pooled blocks with samples and stamps every loss on the block after it.

use kalmind_types::{ClockOffset, LslTime, SampleBlock, Samples, StreamHealth, StreamTime};

use crate::pool::PoolWriter;

/// What a block says about the pull that its samples came from.
#[derive(Clone, Copy, Debug, Default)]
pub struct PullContext {
    /// When the pull returned.
    pub received: LslTime,
    /// The offset of the sender's clock as known then.
    pub clock: ClockOffset,
    /// Whether the stream was well.
    pub health: Option<StreamHealth>,
    /// How often the stream was connected anew.
    pub connection: u32,
}

/// The writer's side of a stream: sample after sample goes in, blocks come out at the pool's other end.
///
/// Counts every sample once: it is either in a block that was sent or in `lost_before` (and the hole before
/// `first_index`) of the next one. One thread; allocates nothing as long as a block has room.
#[derive(Debug)]
pub struct BlockSender {
    pool: PoolWriter<SampleBlock>,
    block: Option<Box<SampleBlock>>,
    samples_per_block: usize,
    /// Index of the next sample of the stream.
    next_index: u64,
    /// Lost since the last block.
    lost: u64,
}

impl BlockSender {
    /// Sends blocks of at most `samples_per_block` samples (the room that the pool's blocks were built with).
    #[must_use]
    pub fn new(pool: PoolWriter<SampleBlock>, samples_per_block: usize) -> Self {
        Self { pool, block: None, samples_per_block: samples_per_block.max(1), next_index: 0, lost: 0 }
    }

    /// Takes one sample; `append` writes its values behind those of the block. `false`: no block was free, the sample is
    /// dropped and counted.
    pub fn deliver(&mut self, stamp: StreamTime, append: impl FnOnce(&mut Samples)) -> bool {
        if self.block.is_none() {
            self.block = self.pool.claim().map(|mut block| {
                block.stamps.clear();
                block.values.clear();
                block.first_index = self.next_index;
                block.lost_before = core::mem::take(&mut self.lost);
                block
            });
        }
        self.next_index += 1;
        if let Some(block) = &mut self.block {
            block.stamps.push(stamp);
            append(&mut block.values);
            true
        } else {
            self.lost += 1;
            false
        }
    }

    /// Counts one sample that will not be delivered. What was taken before it is sent first, so that the hole stands
    /// where the sample was. Whether a block was sent.
    pub fn lose(&mut self, context: PullContext) -> bool {
        let sent = self.flush(context);
        self.next_index += 1;
        self.lost += 1;
        sent
    }

    /// Whether the block has no room for another sample; [`flush`](Self::flush) then.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.block.as_ref().is_some_and(|block| block.len() >= self.samples_per_block)
    }

    /// Whether the reader has yet to read more than half of the blocks. Then it pays to fill blocks before sending them:
    /// a slow reader loses nothing before the pool's whole room, in samples, is used up.
    #[must_use]
    pub fn reader_lags(&self) -> bool {
        self.pool.waiting() * 2 > self.pool.items()
    }

    /// Sends what was taken, if anything; whether a block was sent.
    pub fn flush(&mut self, context: PullContext) -> bool {
        let Some(mut block) = self.block.take() else { return false };
        block.received = context.received;
        block.clock = context.clock;
        block.health = context.health.unwrap_or(StreamHealth::Waiting);
        block.connection = context.connection;
        self.pool.send(block);
        true
    }

    /// Samples lost since the last block was begun: they will be in the next one's `lost_before`.
    #[must_use]
    pub fn lost_so_far(&self) -> u64 {
        self.lost
    }

    /// Samples taken so far, lost ones included: the index of the next one.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.next_index
    }
}
