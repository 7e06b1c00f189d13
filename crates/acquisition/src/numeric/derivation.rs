//! Stages at work on the data thread: raw samples in, blocks of the derived stream out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kalmind_signal::{Chain, DerivedCounts, DerivedStream, Rows, StagedError, StampGaps};
use kalmind_types::{LslTime, NumberFormat, SampleRows, Samples, Seconds, StreamHealth, StreamTime};

use crate::clock;
use crate::monitor::StreamMonitor;
use crate::numeric::channels_out::ChannelsOut;
use crate::numeric::delivery::{PullContext, Senders};
use crate::numeric::generations::{GenerationNews, GenerationPort, NextGeneration};
use crate::numeric::stages::{GivenTo, Stages, Told};

/// A chain that is slower than real time for this long is overloaded.
const OVERLOADED_AFTER: Seconds = Seconds(1.0);
/// What was given to the stages is handed on this often where nothing happens.
const TOLD_EVERY: Seconds = Seconds(1.0);
/// Another generation that is to be in force later than this from now is refused.
const LONGEST_CHANGE: Seconds = Seconds(600.0);
/// What the stages remember is handed on this often.
const CHECKPOINT_EVERY: Seconds = Seconds(60.0);
/// Stages that remember more than this have no checkpoints: to copy it would keep the samples waiting.
const LARGEST_CHECKPOINT: usize = 16 << 20;

/// Why a derived stream gives nothing, or not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A stage panicked; nothing comes any more.
    Panicked,
    /// The stages are slower than the samples come.
    TooSlow,
}

impl Trouble {
    pub(crate) fn health(self) -> StreamHealth {
        match self {
            Self::Panicked => StreamHealth::Fault,
            Self::TooSlow => StreamHealth::Overloaded,
        }
    }

    /// What is wrong, and what to do.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Panicked => {
                "one of its stages failed, so nothing is decoded from it any more: restart Kalmind, and report what it logged"
            }
            Self::TooSlow => {
                "its stages take longer than its samples take to come: leave stages or channels out, or use a faster computer"
            }
        }
    }
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ran {
    /// Samples that came to nothing: no block was free, the stages began anew before anything was made of them, or one has
    /// panicked.
    pub(crate) lost: u64,
    /// Whether the tick thread got a block.
    pub(crate) sent: bool,
}

/// The stages of a stream and the samples on their way through them. Belongs to the data thread; allocates at construction
/// only, as long as no more samples are taken between two runs than it was built for.
#[derive(Debug)]
pub(crate) struct Derivation {
    stream: DerivedStream,
    period: Seconds,
    gaps: StampGaps,
    /// Values of samples that wait for the next run: consecutive ones.
    waiting: Samples,
    /// Index of the first of them, how many wait, and how many are missing before them.
    first: u64,
    rows: usize,
    missing: u64,
    /// Index of the next raw sample.
    next: u64,
    stamps: Stamps,
    output: Rows,
    /// How often the stages have begun anew.
    restarts: u64,
    load: Load,
    panicked: bool,
    /// Who records what was given to the stages, and how long it was not told, in samples.
    given_to: Option<GivenTo>,
    untold: usize,
    /// A checkpoint, and how many samples the last one is ago; none where there are none.
    checkpoint: Option<(Vec<u8>, usize)>,
    /// Which generation made the newest derived sample, and those that are to follow.
    generation: u32,
    generations: GenerationPort,
    channels_out: ChannelsOut,
}

impl Derivation {
    /// For samples that are taken in at most `samples` at once.
    pub(crate) fn new(
        stages: &Stages,
        chain: Chain,
        samples: usize,
        given_to: Option<GivenTo>,
        generations: GenerationPort,
    ) -> Self {
        let channels = stages.raw.outputs.len();
        let rate_hz = stages.raw.rate_hz;
        let (outputs, every) = (chain.signal().outputs.len(), chain.signal().every);
        // samples whose derived ones are still to come
        let owed = chain.delay().saturating_add(every) as usize;
        let mut stream = DerivedStream::new(chain, channels, rate_hz);
        if stages.channel_health {
            stream = stream.with_channel_health(&stages.settings).unwatched(&stages.unwatched);
        }
        let names = stages.raw.outputs.iter().map(|channel| channel.name.clone()).collect();
        let bytes = Some(stream.checkpoint_bytes()).filter(|bytes| *bytes <= LARGEST_CHECKPOINT);
        Self {
            checkpoint: bytes.filter(|_| given_to.is_some()).map(|bytes| (Vec::with_capacity(bytes), 0)),
            generation: 0,
            generations,
            channels_out: ChannelsOut::new(names),
            period: Seconds(1.0 / rate_hz),
            gaps: StampGaps::new(rate_hz),
            waiting: Samples::with_capacity(NumberFormat::Double64, channels * samples),
            first: 0,
            rows: 0,
            missing: 0,
            next: 0,
            stamps: Stamps {
                waiting: VecDeque::with_capacity(owed + 2 * samples + Stages::BLOCK_ROWS),
                described: None,
            },
            output: Rows::with_capacity(outputs, stream.most_rows(samples)),
            restarts: 0,
            load: Load::default(),
            panicked: false,
            given_to,
            untold: 0,
            stream,
        }
    }

    /// What keeps the derived stream from being what it should be.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        if self.panicked {
            Some(Trouble::Panicked)
        } else {
            self.load.is_too_high.then_some(Trouble::TooSlow)
        }
    }

    /// Shows which channels are left out by now, and how long the stages go on settling.
    pub(crate) fn show_channels(&mut self, monitor: &StreamMonitor, now: LslTime) {
        self.channels_out.show(&self.stream, monitor, now);
        let rows = self.stream.next_index().map_or(0, |next| self.stream.settling_from(next));
        monitor.set_settling((rows > 0).then_some(Seconds(rows as f64 * self.period.0)));
    }

    /// Which generation made the newest derived sample, counted from 0.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// What was made of the samples since the start.
    pub(crate) fn counts(&self) -> DerivedCounts {
        self.stream.counts()
    }

    /// Samples that are missing before the one with this stamp, by the stamps; none where that means nothing. What waits has
    /// to be [run](Self::run) first where there are any.
    pub(crate) fn missing_before(&mut self, stamp: Option<StreamTime>) -> u64 {
        if let Some(stamp) = stamp {
            self.gaps.before(stamp)
        } else {
            self.gaps.forget();
            0
        }
    }

    /// Takes a sample in, before which so many are missing; `append` writes its values behind those that wait.
    pub(crate) fn take(&mut self, stamp: StreamTime, missing: u64, append: impl FnOnce(&mut Samples)) {
        if self.rows == 0 {
            self.first = self.next;
            self.missing = self.missing.saturating_add(missing);
        }
        append(&mut self.waiting);
        self.rows += 1;
        self.stamps.waiting.push_back((self.next, stamp));
        self.next += 1;
    }

    /// A sample was received that the stages do not get: a hole. What waits was run before.
    pub(crate) fn lose(&mut self, missing: u64) {
        self.missing = self.missing.saturating_add(missing);
        self.next += 1;
    }

    /// Another connection: how many samples are missing before the next one is not known.
    pub(crate) fn reconnected(&mut self) {
        self.gaps = StampGaps::new(self.stream.rate_hz());
        // longer than any gap that is filled
        self.missing = u64::from(u32::MAX);
    }

    /// Runs the stages on what waits, and puts what comes out into blocks.
    pub(crate) fn run(&mut self, senders: &mut Senders, context: PullContext) -> Ran {
        if self.rows == 0 {
            return Ran::default();
        }
        self.begin_next();
        let begun = clock::now();
        let rows = self.rows;
        let missing = core::mem::take(&mut self.missing);
        let Self { stream, waiting, output, first, .. } = self;
        output.clear();
        let values = match waiting {
            Samples::Double64(values) => SampleRows::Double64(values),
            // the memory was made for doubles
            _ => SampleRows::Double64(&[]),
        };
        if !self.panicked {
            let run = catch_unwind(AssertUnwindSafe(|| stream.take(*first, missing, values, output)));
            self.panicked = run.is_err();
        }
        let restarted =
            core::mem::replace(&mut self.restarts, self.stream.counts().restarts) != self.restarts;
        self.load.note(clock::now() - begun, Seconds(rows as f64 * self.period.0));
        self.rows = 0;
        self.waiting.clear();
        self.untold += rows;
        let is_over = |samples: usize, time: Seconds| samples as f64 * self.period.0 >= time.0;
        if self.stream.log().entries().len() > 1 || is_over(self.untold, TOLD_EVERY) {
            self.tell();
        }
        if let Some((_, since)) = &mut self.checkpoint {
            *since += rows;
        }
        if self.panicked {
            return Ran { lost: self.stamps.forget_before(u64::MAX, u64::MAX), sent: false };
        }
        self.deliver(senders, context, if restarted { self.first } else { 0 })
    }

    /// Starts the generation that is to follow next, if there is one.
    fn begin_next(&mut self) {
        let Some(NextGeneration { chain, at }) = self.generations.take() else { return };
        let (generation, settled) = (chain.generation(), self.first.saturating_add(chain.settling()));
        // both run until then, and nothing else can follow
        let latest = settled.saturating_add((LONGEST_CHANGE.0 / self.period.0) as u64);
        if self.panicked || at > latest {
            return self.generations.tell(GenerationNews::Refused(chain));
        }
        match self.stream.stage(chain, at.max(settled)) {
            Ok(()) => {
                let at = at.max(settled);
                self.generations.tell(GenerationNews::Started { generation, at });
            }
            Err(StagedError::Busy(chain)) => self.generations.keep(NextGeneration { chain, at }),
            Err(StagedError::Past { chain, .. } | StagedError::Unlike(chain)) => {
                self.generations.tell(GenerationNews::Refused(chain));
            }
        }
    }

    /// Hands on what was given to the stages, and once a minute what they remember.
    fn tell(&mut self) {
        self.untold = 0;
        let log = self.stream.log();
        if let Some(GivenTo(tell)) = &self.given_to {
            tell(Told::Given(log.entries()));
        }
        log.clear();
        let Some((GivenTo(tell), (state, since))) = self.given_to.as_ref().zip(self.checkpoint.as_mut())
        else {
            return;
        };
        let is_due = *since as f64 * self.period.0 >= CHECKPOINT_EVERY.0;
        let derived = self.stream.counts().derived;
        // where there is no room for it, or generations change, it is tried again a second later; another generation may
        // remember more than there is room for
        let has_room = self.stream.checkpoint_bytes() <= state.capacity();
        if is_due
            && has_room
            && !self.panicked
            && self.stream.save(state)
            && tell(Told::Checkpoint { derived, state })
        {
            *since = 0;
        }
    }

    /// Puts what came out into blocks; the stages began anew at sample `anew`, if they did.
    fn deliver(&mut self, senders: &mut Senders, mut context: PullContext, anew: u64) -> Ran {
        let mut ran = Ran::default();
        context.generation = self.generation;
        for row in self.output.iter() {
            ran.lost += self.stamps.forget_before(row.mark.index, anew);
            let Some(stamp) = self.stamps.describe() else { break };
            let stamp = StreamTime(stamp.0 + f64::from(row.mark.held) * self.period.0);
            if row.mark.generation != self.generation {
                // a block is of one generation
                ran.sent |= senders.flush(context);
                (self.generation, context.generation) = (row.mark.generation, row.mark.generation);
                let (generation, first) = (self.stream.chain().generation(), senders.tick.next_index());
                self.generations.tell(GenerationNews::InForce { generation, number: self.generation, first });
            }
            let settling = Seconds(self.stream.settling_from(row.mark.index) as f64 * self.period.0);
            if senders.tick.settles() != (settling.0 > 0.0) {
                // nor does one hold both what may be invalid and what is not
                ran.sent |= senders.flush(context);
            }
            senders.tick.settle(settling);
            if senders.is_full() {
                ran.sent |= senders.flush(context);
            }
            let append = |samples: &mut Samples| {
                if let Samples::Double64(values) = samples {
                    let valid = row.values.iter().zip(row.invalid);
                    values.extend(valid.map(|(value, invalid)| if *invalid { f64::NAN } else { *value }));
                }
            };
            if let Some(recorder) = &mut senders.derived {
                recorder.deliver(stamp, context.received, append);
            }
            ran.lost += u64::from(!senders.tick.deliver(stamp, context.received, append));
        }
        ran.lost += self.stamps.forget_before(anew, anew);
        if let Some(chain) = self.stream.take_retired() {
            self.generations.tell(GenerationNews::Retired(chain));
        }
        ran
    }
}

/// Stamps of the samples that derived ones may still describe, by index.
#[derive(Debug)]
struct Stamps {
    waiting: VecDeque<(u64, StreamTime)>,
    /// Index of the newest sample that a derived one described.
    described: Option<u64>,
}

impl Stamps {
    /// Forgets those of samples before this index: how many of them were given before the stages began `anew`, and nothing
    /// was made of them.
    fn forget_before(&mut self, index: u64, anew: u64) -> u64 {
        let mut lost = 0;
        while let Some((index, _)) = self.waiting.pop_front_if(|(waiting, _)| *waiting < index) {
            lost += u64::from(index < anew && Some(index) > self.described);
        }
        lost
    }

    /// The oldest one, which a derived sample describes.
    fn describe(&mut self) -> Option<StreamTime> {
        let (index, stamp) = *self.waiting.front()?;
        self.described = Some(index);
        Some(stamp)
    }
}

impl Drop for Derivation {
    fn drop(&mut self) {
        self.tell();
    }
}

/// How long the stages take, against how long the samples take to come.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    taken: f64,
    of: f64,
    is_too_high: bool,
}

impl Load {
    /// Work of `taken` on samples of `of`; judged each second.
    fn note(&mut self, taken: Seconds, of: Seconds) {
        self.taken += taken.0;
        self.of += of.0;
        if self.of >= OVERLOADED_AFTER.0 {
            *self = Self { taken: 0.0, of: 0.0, is_too_high: self.taken > self.of };
        }
    }
}

#[cfg(test)]
mod tests;
