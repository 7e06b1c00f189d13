//! Fills pooled blocks with samples and stamps every loss on the block after it.

use kalmind_types::{ClockOffset, LslTime, SampleBlock, Samples, Seconds, StreamHealth, StreamTime};

use crate::pool::PoolWriter;

/// The longest time that samples wait for others to share their block with them, as long as blocks are not scarce.
const LONGEST_WAIT: Seconds = Seconds(0.016);

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
    /// Which generation of the stream's stages made the samples.
    pub generation: u32,
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
    /// When the first sample of the block arrived.
    begun: LslTime,
    /// Index of the next sample of the stream.
    next_index: u64,
    /// Lost since the last block.
    lost: u64,
    /// What blocks that are begun from now on say of how long stages settle.
    settling: Seconds,
}

impl BlockSender {
    /// Sends blocks of at most `samples_per_block` samples (the room that the pool's blocks were built with).
    #[must_use]
    pub fn new(pool: PoolWriter<SampleBlock>, samples_per_block: usize) -> Self {
        Self {
            pool,
            block: None,
            samples_per_block: samples_per_block.max(1),
            begun: LslTime::default(),
            next_index: 0,
            lost: 0,
            settling: Seconds(0.0),
        }
    }

    /// Takes one sample that arrived at `arrival`; `append` writes its values behind those of the block. `false`: no block was free, the sample is
    /// dropped and counted.
    pub fn deliver(
        &mut self,
        stamp: StreamTime,
        arrival: LslTime,
        append: impl FnOnce(&mut Samples),
    ) -> bool {
        if self.block.is_none() {
            self.begun = arrival;
            self.block = self.pool.claim().map(|mut block| {
                block.stamps.clear();
                block.values.clear();
                block.first_index = self.next_index;
                block.lost_before = core::mem::take(&mut self.lost);
                block.settling = self.settling;
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

    /// The stages go on settling for so long, from the next sample on; zero where they have settled. What was taken has to be
    /// [sent](Self::flush) first where that is no longer so.
    pub fn settle(&mut self, settling: Seconds) {
        self.settling = settling;
    }

    /// Whether they settle.
    #[must_use]
    pub fn settles(&self) -> bool {
        self.settling.0 > 0.0
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

    /// How long it may still take until [`flush`](Self::flush), if no sample comes that fills the block: zero says
    /// flush now; infinite where nothing was taken.
    ///
    /// As long as the reader has at most half of the blocks, received ones that it keeps included, nothing waits. A
    /// sender that pushes its samples one by one would use up a block for each, and a reader keeps them until its bin
    /// is closed; so from then on samples wait for others to share their block, the longer the fewer blocks are left
    /// (up to 16 ms), and when an eighth is left until the block is full or the stream pauses.
    #[must_use]
    pub fn may_wait(&self, now: LslTime) -> Seconds {
        if self.block.is_none() {
            return Seconds(f64::INFINITY);
        }
        let items = self.pool.items() as f64;
        // the block in hand is neither free nor the reader's
        let kept = items - 1.0 - self.pool.free() as f64;
        let scarcity = 2.0 * kept / items - 1.0;
        if self.is_full() || scarcity <= 0.0 {
            return Seconds(0.0);
        }
        if scarcity > 0.75 {
            return Seconds(f64::INFINITY);
        }
        let wait = LONGEST_WAIT.0 * (2.0 * scarcity).min(1.0);
        Seconds((self.begun.0 + wait - now.0).max(0.0))
    }

    /// Sends what was taken, if anything; whether a block was sent.
    pub fn flush(&mut self, context: PullContext) -> bool {
        let Some(mut block) = self.block.take() else { return false };
        block.received = context.received;
        block.clock = context.clock;
        block.health = context.health.unwrap_or(StreamHealth::Waiting);
        block.connection = context.connection;
        block.generation = context.generation;
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

/// Where samples go. All count every sample, so an index means the same sample to the readers of a stream; that of stages
/// is another stream than the one they are made from.
pub(crate) struct Senders {
    /// To the tick thread: what can be decoded.
    pub(crate) tick: BlockSender,
    /// To a recorder: all of them.
    pub(crate) recorder: Option<BlockSender>,
    /// To a recorder, too, where the stream has stages: the samples that the tick thread gets.
    pub(crate) derived: Option<BlockSender>,
}

impl Senders {
    /// Sends what was taken; whether the tick thread got a block. The recorder's goes first, so that whoever has seen a
    /// tick has its samples.
    pub(crate) fn flush(&mut self, context: PullContext) -> bool {
        for recorder in [&mut self.recorder, &mut self.derived].into_iter().flatten() {
            recorder.flush(context);
        }
        self.tick.flush(context)
    }

    pub(crate) fn is_full(&self) -> bool {
        let recorders = [&self.recorder, &self.derived];
        self.tick.is_full() || recorders.into_iter().flatten().any(BlockSender::is_full)
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::NumberFormat;

    use super::*;
    use crate::pool::{PoolReader, pool};

    fn sender(blocks: usize, room: usize) -> (BlockSender, PoolReader<SampleBlock>) {
        let (writer, reader) = pool(blocks, || SampleBlock::with_capacity(NumberFormat::Float32, 1, room));
        (BlockSender::new(writer, room), reader)
    }

    fn deliver(sender: &mut BlockSender, at: f64) -> bool {
        sender.deliver(StreamTime(at), LslTime(at), |samples| {
            if let Samples::Float32(values) = samples {
                values.push(0.0);
            }
        })
    }

    fn flush(sender: &mut BlockSender, at: f64) {
        sender.flush(PullContext { received: LslTime(at), ..PullContext::default() });
    }

    /// Runs `bins` bins of a stream that is pushed sample by sample into 64 blocks of 64, with a reader that receives
    /// blocks at once and keeps them until it has a bin's samples. Gives samples lost, and the longest time in seconds
    /// that a sample waited.
    fn run(rate_hz: f64, samples_per_bin: usize, bins: usize) -> (u64, f64) {
        let (mut sender, mut reader) = sender(64, 64);
        let (mut kept, mut samples, mut lost, mut longest) = (Vec::new(), 0, 0, 0.0_f64);
        for index in 0..samples_per_bin * bins {
            let (now, next) = (index as f64 / rate_hz, (index + 1) as f64 / rate_hz);
            deliver(&mut sender, now);
            // what the data thread does after each pull, and when none brought anything in time
            let due = now + sender.may_wait(LslTime(now)).0;
            if due <= next {
                flush(&mut sender, due);
            }
            while let Some(block) = reader.receive() {
                samples += block.len();
                lost += block.lost_before;
                longest = longest.max(block.received.0 - block.stamps[0].0);
                kept.push(block);
            }
            if samples >= samples_per_bin {
                samples = 0;
                for block in kept.drain(..) {
                    reader.give_back(block);
                }
            }
        }
        (lost + sender.lost_so_far(), longest)
    }

    #[test]
    fn a_bins_blocks_kept_by_the_reader_cost_no_sample_of_a_sender_that_pushes_one_by_one() {
        // 5 kHz and 20 ms, and then bins as long as they may be
        for (rate_hz, samples_per_bin) in [
            (5000.0, 100),
            (5000.0, 1000),
            (1000.0, 200),
            (500.0, 100),
            (450.0, 90),
            (250.0, 50),
            (30_000.0, 1800),
        ] {
            let (lost, longest) = run(rate_hz, samples_per_bin, 50);
            assert_eq!(lost, 0, "{samples_per_bin} samples a bin at {rate_hz} Hz");
            assert!(longest <= LONGEST_WAIT.0 + 1e-9, "waited {longest} s at {rate_hz} Hz");
        }
    }

    #[test]
    fn nothing_waits_while_blocks_are_plenty() {
        let (mut sender, mut reader) = sender(64, 64);
        assert_eq!(sender.may_wait(LslTime(0.0)), Seconds(f64::INFINITY), "there is nothing to flush");
        let mut kept = Vec::new();
        for index in 0..33 {
            assert!(deliver(&mut sender, f64::from(index)));
            assert_eq!(sender.may_wait(LslTime(f64::from(index))), Seconds(0.0), "{index} blocks kept");
            flush(&mut sender, 0.0);
            kept.extend(reader.receive());
        }
        assert!(deliver(&mut sender, 40.0));
        assert!(sender.may_wait(LslTime(40.0)).0 > 0.0, "more than half are kept");
        for block in kept {
            reader.give_back(block);
        }
        assert_eq!(sender.may_wait(LslTime(40.0)), Seconds(0.0), "given back, so nothing waits any more");
    }

    #[test]
    fn a_pool_of_one_block_sends_it_at_once() {
        let (mut sender, _reader) = sender(1, 4);
        assert!(deliver(&mut sender, 0.0));
        assert_eq!(sender.may_wait(LslTime(0.0)), Seconds(0.0));
        flush(&mut sender, 0.0);
        assert!(!deliver(&mut sender, 0.0));
        assert_eq!(sender.lost_so_far(), 1);
    }
}
