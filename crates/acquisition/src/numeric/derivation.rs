//! Stages at work on the data thread: raw samples in, blocks of the derived stream out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kalmind_signal::{Chain, DerivedCounts, DerivedStream, Rows};
use kalmind_types::{NumberFormat, SampleRows, Samples, Seconds, StreamHealth, StreamTime};

use crate::clock;
use crate::numeric::delivery::{PullContext, Senders};
use crate::numeric::gaps::StampGaps;
use crate::numeric::stages::{GivenTo, Stages};

/// A chain that is slower than real time for this long is overloaded.
const OVERLOADED_AFTER: Seconds = Seconds(1.0);
/// What was given to the stages is handed on this often where nothing happens.
const TOLD_EVERY: Seconds = Seconds(1.0);

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
}

impl Derivation {
    /// For samples that are taken in at most `samples` at once.
    pub(crate) fn new(stages: &Stages, chain: Chain, samples: usize, given_to: Option<GivenTo>) -> Self {
        let channels = stages.raw.outputs.len();
        let rate_hz = stages.raw.rate_hz;
        let (outputs, delay) = (chain.signal().outputs.len(), chain.delay() as usize);
        let stream = DerivedStream::new(chain, channels, rate_hz);
        Self {
            period: Seconds(1.0 / rate_hz),
            gaps: StampGaps::new(rate_hz),
            waiting: Samples::with_capacity(NumberFormat::Double64, channels * samples),
            first: 0,
            rows: 0,
            missing: 0,
            next: 0,
            stamps: Stamps {
                waiting: VecDeque::with_capacity(delay + 2 * samples + Stages::BLOCK_ROWS),
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
        if self.stream.log().entries().len() > 1 || self.untold as f64 * self.period.0 >= TOLD_EVERY.0 {
            self.tell();
        }
        if self.panicked {
            self.stamps.waiting.clear();
            return Ran { lost: rows as u64, sent: false };
        }
        self.deliver(senders, context, if restarted { self.first } else { 0 })
    }

    /// Hands on what was given to the stages.
    fn tell(&mut self) {
        self.untold = 0;
        let log = self.stream.log();
        if let Some(GivenTo(tell)) = &self.given_to {
            tell(log.entries());
        }
        log.clear();
    }

    /// Puts what came out into blocks; the stages began anew at sample `anew`, if they did.
    fn deliver(&mut self, senders: &mut Senders, context: PullContext, anew: u64) -> Ran {
        let mut ran = Ran::default();
        for row in self.output.iter() {
            ran.lost += self.stamps.forget_before(row.mark.index, anew);
            let Some(stamp) = self.stamps.describe() else { break };
            let stamp = StreamTime(stamp.0 + f64::from(row.mark.held) * self.period.0);
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
mod tests {
    use kalmind_signal::{ChainSettings, IdentitySettings, IirBackwardSettings, Signal, StageSettings};
    use kalmind_types::{GenerationId, SampleBlock};

    use super::*;
    use crate::numeric::delivery::BlockSender;
    use crate::pool::{PoolReader, pool};

    const ROOM: usize = 8;

    fn derivation() -> (Derivation, Senders, PoolReader<SampleBlock>) {
        derivation_of(StageSettings::Identity(IdentitySettings {}))
    }

    fn derivation_of(stage: StageSettings) -> (Derivation, Senders, PoolReader<SampleBlock>) {
        let stages = Stages {
            settings: ChainSettings(vec![stage]),
            generation: GenerationId::default(),
            raw: Signal::raw(1000.0, [(String::from("a"), String::new())]),
        };
        let chain = stages.chain().unwrap();
        let (writer, reader) = pool(16, || Stages::block(&chain, ROOM));
        let senders = Senders { tick: BlockSender::new(writer, ROOM), recorder: None, derived: None };
        (Derivation::new(&stages, chain, 64, None), senders, reader)
    }

    fn take(derivation: &mut Derivation, senders: &mut Senders, stamp: f64, value: f64) {
        let append = |samples: &mut Samples| {
            if let Samples::Double64(values) = samples {
                values.push(value);
            }
        };
        let missing = derivation.missing_before(Some(StreamTime(stamp)));
        if missing > 0 {
            derivation.run(senders, PullContext::default());
        }
        derivation.take(StreamTime(stamp), missing, append);
    }

    fn received(reader: &mut PoolReader<SampleBlock>) -> Vec<(f64, f64)> {
        let mut samples = Vec::new();
        while let Some(block) = reader.receive() {
            let Samples::Double64(values) = &block.values else { panic!("doubles") };
            samples.extend(block.stamps.iter().map(|stamp| stamp.0).zip(values.iter().copied()));
            reader.give_back(block);
        }
        samples
    }

    #[test]
    fn derived_samples_bear_the_stamps_of_those_that_they_describe_and_a_short_gap_is_filled() {
        let (mut derivation, mut senders, mut reader) = derivation();
        for index in (0..30).filter(|index| !(20..23).contains(index)) {
            let value = if index == 5 { f64::NAN } else { f64::from(index) };
            take(&mut derivation, &mut senders, 10.0 + f64::from(index) * 1e-3, value);
        }
        derivation.run(&mut senders, PullContext::default());
        senders.flush(PullContext::default());
        let samples = received(&mut reader);
        assert_eq!(samples.len(), 30);
        for (index, (stamp, value)) in samples.iter().enumerate() {
            assert!((stamp - 10.0 - index as f64 * 1e-3).abs() < 1e-9, "{samples:?}");
            match index {
                5 => assert!(value.is_nan(), "a value that was made up is not valid"),
                20..23 => assert!((value - 19.0).abs() < 1e-12),
                _ => assert!((value - index as f64).abs() < 1e-12),
            }
        }
        assert_eq!(derivation.counts().held, 3);
    }

    #[test]
    fn a_sample_that_is_refused_and_another_connection_leave_no_sample_behind() {
        let (mut derivation, mut senders, mut reader) = derivation();
        take(&mut derivation, &mut senders, 1.0, 1.0);
        derivation.run(&mut senders, PullContext::default());
        for index in 1..11 {
            let missing = derivation.missing_before(Some(StreamTime(1.0 + f64::from(index) * 1e-3)));
            derivation.lose(missing);
        }
        take(&mut derivation, &mut senders, 1.011, 2.0);
        derivation.run(&mut senders, PullContext::default());
        derivation.reconnected();
        take(&mut derivation, &mut senders, 7.0, 3.0);
        derivation.run(&mut senders, PullContext::default());
        senders.flush(PullContext::default());
        assert_eq!(received(&mut reader), [(1.0, 1.0), (1.011, 2.0), (7.0, 3.0)]);
        let counts = derivation.counts();
        assert_eq!((counts.samples, counts.held, counts.restarts), (3, 0, 3));
    }

    #[test]
    fn samples_of_a_block_that_a_restart_cuts_off_are_counted_as_lost() {
        let sections = vec![[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]];
        let settings = IirBackwardSettings { sections, block: 4 };
        let (mut derivation, mut senders, mut reader) = derivation_of(StageSettings::IirBackward(settings));
        let room = derivation.stamps.waiting.capacity();
        let (mut lost, mut given) = (0, 0);
        // ten samples, then nothing for longer than is filled, again and again; the block before the last is out each time
        for burst in 0..50 {
            for index in 0..10 {
                take(&mut derivation, &mut senders, f64::from(burst) + f64::from(index) * 1e-3, 1.0);
                given += 1;
            }
            lost += derivation.run(&mut senders, PullContext::default()).lost;
            senders.flush(PullContext::default());
            received(&mut reader);
        }
        assert_eq!((given, lost), (500, 49 * 6), "four are out of each ten, and the last six still wait");
        assert_eq!(derivation.stamps.waiting.capacity(), room);
    }

    #[test]
    fn stages_slower_than_the_samples_for_a_second_are_too_slow_until_they_are_not() {
        let mut load = Load::default();
        let second = |load: &mut Load, taken: f64| {
            for _ in 0..100 {
                load.note(Seconds(taken / 100.0), Seconds(0.010_01));
            }
            load.is_too_high
        };
        assert!(!second(&mut load, 0.5) && second(&mut load, 1.5) && second(&mut load, 1.5));
        assert!(!second(&mut load, 0.9));
    }
}
