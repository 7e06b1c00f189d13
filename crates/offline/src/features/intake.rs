//! One recorded stream on its way into bins: gaps, stages, and what comes out of them, as an inlet does it.

use std::collections::VecDeque;

use kalmind_recording::xdf::synchronization::ClockCorrections;
use kalmind_signal::{Chain, ChainError, ChainSettings, DerivedStream, Rows, StampGaps};
use kalmind_types::{
    ClockOffset, LslTime, SampleBlock, SampleRows, Samples, Seconds, StreamHealth, StreamTime,
};

use super::{FeatureStages, FeatureStream};

/// Rows that a chain is given at once, at most. The result does not depend on it.
const BLOCK_ROWS: usize = 64;
/// The rate is measured over stretches of this many seconds,
const STRETCH: f64 = 1.0;
/// and judged where there are so many of them: pauses are in few.
const LEAST_STRETCHES: usize = 3;

/// A spike: a crossing of the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossing {
    /// The stream, by its place.
    pub stream: usize,
    /// The channel.
    pub channel: usize,
    /// When, on the recorder's clock.
    pub time: LslTime,
}

/// A sample that waits for its bin.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Which of the stream's samples it describes.
    index: u64,
    stamp: StreamTime,
    /// What brings it to the recorder's clock.
    offset: f64,
}

/// A recorded stream.
#[derive(Debug)]
pub(super) struct Intake {
    place: usize,
    corrections: ClockCorrections,
    channels: usize,
    rate_hz: f64,
    stages: Option<Derived>,
    /// The same up to where spikes are found, sample by sample.
    crossings: Option<Derived>,
    gaps: StampGaps,
    /// Index of the next sample.
    next: u64,
    /// Values of a sample that waits.
    width: usize,
    waiting: VecDeque<Waiting>,
    values: VecDeque<f64>,
    /// Samples that were given to bins.
    given: u64,
    row: Vec<f64>,
    #[expect(clippy::vec_box, reason = "blocks go to the binner and come back in their boxes")]
    spare: Vec<Box<SampleBlock>>,
    pub(super) counts: IntakeCounts,
}

/// What became of a stream's samples.
#[derive(Clone, Debug, Default)]
pub(super) struct IntakeCounts {
    pub(super) received: u64,
    /// Samples that the stamps leave out.
    pub(super) missing: u64,
    /// Samples whose stamp is no number.
    pub(super) unstamped: u64,
    /// Valid values that its stages made.
    pub(super) valid: u64,
    pub(super) first: Option<f64>,
    pub(super) last: Option<f64>,
    /// Where the stretch begins over which the rate is measured, and samples since then.
    stretch: Option<(f64, u64)>,
    /// What was measured over those before.
    rates_hz: Vec<f64>,
}

impl Intake {
    /// For the stream in this place of the plan.
    pub(super) fn new(
        place: usize,
        stream: &FeatureStream,
        offsets: &[(f64, f64)],
        finds_spikes: bool,
    ) -> Result<Self, ChainError> {
        let derived = |stages: &FeatureStages, settings: &ChainSettings| {
            Derived::new(stages, settings, stream.channels, stream.rate_hz)
        };
        let stages = stream.stages.as_ref();
        let of_crossings =
            stages.filter(|_| finds_spikes).and_then(|stages| Some((stages, stages.of_crossings()?)));
        let stages = stages.map(|stages| derived(stages, &stages.settings)).transpose()?;
        Ok(Self {
            place,
            corrections: ClockCorrections::of(offsets),
            channels: stream.channels,
            rate_hz: stream.rate_hz,
            width: stages.as_ref().map_or(stream.channels, |stages| stages.output.channels()),
            stages,
            crossings: of_crossings.map(|(stages, settings)| derived(stages, &settings)).transpose()?,
            gaps: StampGaps::new(stream.rate_hz),
            next: 0,
            waiting: VecDeque::new(),
            values: VecDeque::new(),
            given: 0,
            row: vec![0.0; stream.channels],
            spare: Vec::new(),
            counts: IntakeCounts::default(),
        })
    }

    /// Values of a sample that comes out.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Takes a chunk of the file; tells of the crossings in it.
    pub(super) fn take(&mut self, stamps: &[f64], values: &Samples, tell: &mut dyn FnMut(Crossing)) {
        let mut begin = 0;
        let mut missing = 0;
        for (row, stamp) in stamps.iter().enumerate() {
            self.counts.saw(*stamp);
            if !stamp.is_finite() {
                self.run(begin..row, missing, stamps, values, tell);
                (begin, missing) = (row + 1, 0);
                self.gaps.forget();
                // a hole
                self.next += 1;
                continue;
            }
            if self.stages.is_some() {
                let before = self.gaps.before(StreamTime(*stamp));
                if before > 0 {
                    self.counts.missing += before;
                    self.run(begin..row, missing, stamps, values, tell);
                    (begin, missing) = (row, before);
                }
            }
        }
        self.run(begin..stamps.len(), missing, stamps, values, tell);
    }

    /// Passes over samples of a chunk: nothing is made of them, and they count.
    pub(super) fn pass_over(&mut self, stamps: &[f64]) {
        self.gaps.forget();
        self.next += stamps.len() as u64;
    }

    /// Takes consecutive samples, before which so many are missing.
    fn run(
        &mut self,
        rows: core::ops::Range<usize>,
        missing: u64,
        stamps: &[f64],
        values: &Samples,
        tell: &mut dyn FnMut(Crossing),
    ) {
        if rows.is_empty() {
            return;
        }
        let Self { corrections, stages, crossings, waiting, values: queue, row, next, place, counts, .. } =
            self;
        let given = values.rows(self.channels, rows.start, rows.end);
        let stamped: Vec<Waiting> = (*next..)
            .zip(&stamps[rows])
            .map(|(index, stamp)| Waiting {
                index,
                stamp: StreamTime(*stamp),
                offset: corrections.at(*stamp),
            })
            .collect();
        if let Some(crossings) = crossings {
            crossings.take(*next, missing, &stamped, given, |at, values, invalid| {
                for (channel, (count, invalid)) in values.iter().zip(invalid).enumerate() {
                    if *count > 0.0 && !invalid {
                        let time = at.stamp.corrected(Seconds(at.offset));
                        tell(Crossing { stream: *place, channel, time });
                    }
                }
            });
        }
        if let Some(stages) = stages {
            stages.take(*next, missing, &stamped, given, |at, values, invalid| {
                waiting.push_back(at);
                counts.valid += invalid.iter().filter(|invalid| !**invalid).count() as u64;
                let valid = values.iter().zip(invalid);
                queue.extend(valid.map(|(value, invalid)| if *invalid { f64::NAN } else { *value }));
            });
        } else {
            waiting.extend(&stamped);
            given.each_row(row, |row| queue.extend(row));
        }
        self.next += stamped.len() as u64;
    }

    /// Time of the sample that comes next, on the recorder's clock.
    pub(super) fn front(&self) -> Option<LslTime> {
        self.waiting.front().map(|waiting| waiting.stamp.corrected(Seconds(waiting.offset)))
    }

    /// Time of the newest one that waits.
    pub(super) fn back(&self) -> Option<LslTime> {
        self.waiting.back().map(|waiting| waiting.stamp.corrected(Seconds(waiting.offset)))
    }

    /// Which of the stream's samples the one that comes next describes, counted from the file's first.
    pub(super) fn front_index(&self) -> Option<u64> {
        Some(self.waiting.front()?.index)
    }

    /// The sample that comes next, as a block.
    pub(super) fn pop(&mut self) -> Option<Box<SampleBlock>> {
        let received = self.front()?;
        let Waiting { stamp, offset, .. } = self.waiting.pop_front()?;
        let mut block = self.spare.pop().unwrap_or_else(|| {
            Box::new(SampleBlock::with_capacity(kalmind_types::NumberFormat::Double64, self.width, 1))
        });
        block.stamps.clear();
        block.values.clear();
        block.stamps.push(stamp);
        if let Samples::Double64(values) = &mut block.values {
            values.extend(self.values.drain(..self.width));
        }
        (block.first_index, block.received, block.health) = (self.given, received, StreamHealth::Live);
        block.clock = ClockOffset { offset: Seconds(offset), uncertainty: Seconds(0.0) };
        self.given += 1;
        Some(block)
    }

    /// Takes a block back.
    pub(super) fn give_back(&mut self, block: Box<SampleBlock>) {
        self.spare.push(block);
    }

    /// Samples a second by the stamps, where it differs from what is said by more than this part.
    pub(super) fn other_rate(&self, tolerance: f64) -> Option<f64> {
        let mut rates = self.counts.rates_hz.clone();
        rates.sort_by(f64::total_cmp);
        let measured = *rates.get(rates.len() / 2)?;
        let is_judged = self.rate_hz > 0.0 && rates.len() >= LEAST_STRETCHES;
        (is_judged && (measured / self.rate_hz - 1.0).abs() > tolerance).then_some(measured)
    }

    /// How long its stages settle after a start, in seconds; none without stages.
    pub(super) fn settling_s(&self) -> Option<f64> {
        self.stages.as_ref().map(|stages| stages.stream.chain().settling() as f64 * stages.period)
    }

    /// What was made of gaps and values that are no numbers, a sentence each.
    pub(super) fn remarks(&self, key: &str) -> Vec<String> {
        let IntakeCounts { missing, unstamped, .. } = self.counts;
        let derived = self.stages.as_ref().map(|stages| stages.stream.counts()).unwrap_or_default();
        let remark =
            |count: u64, what: &str| (count > 0).then(|| format!("stream \"{key}\": {count} {what}"));
        [
            remark(missing, "samples are missing, by its stamps"),
            remark(derived.restarts.saturating_sub(1), "times its stages began anew after a gap"),
            remark(derived.nonfinite, "values were no numbers, and what depends on them is not valid"),
            remark(unstamped, "samples were left out, whose stamp is no number"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl IntakeCounts {
    fn saw(&mut self, stamp: f64) {
        self.received += 1;
        if !stamp.is_finite() {
            self.unstamped += 1;
            return;
        }
        let (begin, count) = self.stretch.map_or((stamp, 0), |(begin, count)| (begin, count + 1));
        if stamp - begin >= STRETCH {
            self.rates_hz.push(count as f64 / (stamp - begin));
            self.stretch = Some((stamp, 0));
        } else {
            self.stretch = Some((begin, count));
        }
        self.first.get_or_insert(stamp);
        self.last = Some(stamp);
    }
}

/// Stages, and the stamps that what comes out of them may still describe.
#[derive(Debug)]
struct Derived {
    stream: DerivedStream,
    stamps: VecDeque<Waiting>,
    output: Rows,
    period: f64,
}

impl Derived {
    fn new(
        stages: &FeatureStages,
        settings: &ChainSettings,
        channels: usize,
        rate_hz: f64,
    ) -> Result<Self, ChainError> {
        let chain = Chain::new(settings, stages.generation, &stages.raw, BLOCK_ROWS)?;
        let output = Rows::with_capacity(chain.signal().outputs.len(), 0);
        let mut stream = DerivedStream::new(chain, channels, rate_hz);
        if stages.channel_health {
            stream = stream.with_channel_health(settings).unwatched(&stages.unwatched);
        }
        Ok(Self { stream, stamps: VecDeque::new(), output, period: 1.0 / rate_hz })
    }

    /// Gives the stages samples, and shows what comes out of them.
    fn take(
        &mut self,
        first: u64,
        missing: u64,
        stamps: &[Waiting],
        rows: SampleRows<'_>,
        mut show: impl FnMut(Waiting, &[f64], &[bool]),
    ) {
        self.stamps.extend(stamps);
        self.output.clear();
        self.stream.take(first, missing, rows, &mut self.output);
        self.stream.log().clear();
        for row in self.output.iter() {
            while self.stamps.pop_front_if(|stamp| stamp.index < row.mark.index).is_some() {}
            let Some(at) = self.stamps.front().copied() else { break };
            let held = f64::from(row.mark.held) * self.period;
            show(Waiting { stamp: StreamTime(at.stamp.0 + held), ..at }, row.values, row.invalid);
        }
    }
}
