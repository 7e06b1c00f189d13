//! A derived stream: raw samples in as they come, with gaps and with values that are no numbers; derived samples out.

use kalmind_types::{ChannelFault, GenerationId, IndexRange, SampleRows};

use super::StageSettings;
use super::chain::{Chain, ChainSettings};
use super::channel_health::ChannelHealth;
use super::given::{Given, InputLog};
use super::left_out::{LeftOut, TOGETHER};
use super::rows::{Mark, Row, Rows};
use super::state::{StateError, StateReader, StateWriter};
use super::succession::{StagedError, Succession, most_waiting};

/// Longer gaps are not filled, in seconds: the chain restarts.
const LONGEST_HELD: f64 = 0.005;

/// Larger values count as not finite: no amplifier gives them, and filters would run over.
const LARGEST: f64 = 1e60;

/// What was made of a derived stream's input since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DerivedCounts {
    /// Raw samples given.
    pub samples: u64,
    /// Values that were not finite, and replaced by their channel's last valid one.
    pub nonfinite: u64,
    /// Rows filled in for short gaps.
    pub held: u64,
    /// Restarts: the first start, and one for each longer gap.
    pub restarts: u64,
    /// Raw samples that were given again, and not taken.
    pub repeated: u64,
    /// Derived samples that came out.
    pub derived: u64,
}

/// The samples of a derived stream, made from raw ones: a pure function of the settings and of what its
/// [log](Self::log) says it was given, whatever the blocks.
///
/// - A value that is not finite is replaced by the last valid one of its channel (0 before the first) and counted. What
///   depends on it is not valid until the filters have forgotten it.
/// - A gap of at most 5 ms is filled with the last row. After a longer one the chain restarts in steady state, and gives
///   nothing valid until it has settled.
/// - A channel that is left out is not valid, nor is what depends on it: it is no part of averages and regressions. Sums of
///   channels are made without it, until filters have forgotten what it was like.
/// - Another generation of settings is in force from exactly the sample that was named.
///
/// Belongs to the thread of the stream's inlet. After construction nothing is allocated, as long as the rows that are handed
/// in to be appended to have [room](Self::most_rows).
#[derive(Debug)]
pub struct DerivedStream {
    channels: usize,
    rate_hz: f64,
    succession: Succession,
    /// Rows of the longest gap that is filled.
    most_held: u64,
    /// Index of the next raw sample; none before the first.
    next: Option<u64>,
    /// The raw samples after the newest start, while the stages settle; empty until the first comes.
    settling: IndexRange,
    /// The last valid value of each channel.
    kept: Vec<f64>,
    /// Whether it stood in for the last sample's.
    made_up: Vec<bool>,
    input: Rows,
    /// Which channels are left out, and who says so; none where whoever gives the samples does.
    left_out: LeftOut,
    health: Option<ChannelHealth>,
    log: InputLog,
    counts: DerivedCounts,
}

impl DerivedStream {
    /// A stream of `channels` raw channels at `rate_hz`, which this chain, built for them, makes into another one.
    pub fn new(chain: Chain, channels: usize, rate_hz: f64) -> Self {
        let input = Rows::with_capacity(channels, chain.block_rows());
        Self {
            channels,
            rate_hz,
            succession: Succession::new(Box::new(chain)),
            most_held: (LONGEST_HELD * rate_hz) as u64,
            next: None,
            settling: IndexRange { first: 0, end: 0 },
            kept: vec![0.0; channels],
            made_up: vec![false; channels],
            input,
            left_out: LeftOut::new(channels),
            health: None,
            log: InputLog::default(),
            counts: DerivedCounts::default(),
        }
    }

    /// The same stream, which leaves out channels that are not healthy, for as long as they are not. To make it again, what its
    /// log says was left out is [left out](Self::leave_out), and nothing is judged.
    #[must_use]
    pub fn with_channel_health(mut self, settings: &ChainSettings) -> Self {
        let ChainSettings(stages) = settings;
        // the sizes of artifacts, which a stage leaves out, are no matter
        let judges_sizes = !stages.iter().any(|stage| matches!(stage, StageSettings::Blank(_)));
        let derived = self.succession.current().signal();
        self.health = ChannelHealth::new(self.channels, self.rate_hz, derived, judges_sizes);
        self
    }

    /// The same, which judges none of these raw channels.
    #[must_use]
    pub fn unwatched(mut self, channels: &[usize]) -> Self {
        if let Some(health) = &mut self.health {
            health.pass_over(channels);
        }
        self
    }

    /// What is wrong with the raw channels, where that is judged: one each, and how often that has changed.
    pub fn channel_faults(&self) -> Option<(u64, impl ExactSizeIterator<Item = Option<ChannelFault>>)> {
        self.health.as_ref().map(|health| (health.changes(), health.faults()))
    }

    /// From the next sample on, those of the 32 channels from `first` on whose bit is set in `channels` are left out, and the
    /// others are not.
    pub fn leave_out(&mut self, first: u32, channels: u32) {
        let settling = self.chain().settling();
        if self.left_out.set(first, channels, settling) {
            self.succession.leave_out(self.left_out.absent());
            self.log.push(Given::LeftOut { first, channels });
        }
    }

    /// Raw samples a second.
    pub fn rate_hz(&self) -> f64 {
        self.rate_hz
    }

    /// The chain in force.
    pub fn chain(&self) -> &Chain {
        self.succession.current()
    }

    /// What was given, and not recorded yet.
    pub fn log(&mut self) -> &mut InputLog {
        &mut self.log
    }

    /// What was made of it.
    pub fn counts(&self) -> DerivedCounts {
        self.counts
    }

    /// The generation that follows the one in force, and the first sample that it describes.
    pub fn next_generation(&self) -> Option<(GenerationId, u64)> {
        self.succession.next()
    }

    /// Index of the raw sample that comes next; none before the first.
    pub fn next_index(&self) -> Option<u64> {
        self.next
    }

    /// For how many raw samples, from the one with this index on, the stages settle after the newest start, by what they
    /// declare. Zero where they have, before there was a start, and for samples from before it.
    pub fn settling_from(&self, index: u64) -> u64 {
        if index < self.settling.first { 0 } else { self.settling.end.saturating_sub(index) }
    }

    /// The most rows that come out of one call with `rows` rows.
    pub fn most_rows(&self, rows: usize) -> usize {
        let chain = self.chain();
        let given = usize::try_from(self.most_held).unwrap_or(usize::MAX).saturating_add(rows);
        chain.most_rows(given).saturating_mul(2).saturating_add(most_waiting(chain))
    }

    /// Takes whole rows of raw samples, the first with this index, as an inlet receives them, and appends the derived samples
    /// that come out. Indices left out, and `missing` samples before these that have no index, are a gap.
    pub fn take(&mut self, first: u64, missing: u64, rows: SampleRows<'_>, output: &mut Rows) {
        match self.next.map(|next| first.saturating_sub(next).saturating_add(missing)) {
            Some(0) => {}
            Some(gap) if gap <= self.most_held => self.hold(u32::try_from(gap).unwrap_or(u32::MAX), output),
            None => self.restart(output),
            Some(gap) => {
                if let Some(health) = &mut self.health {
                    health.restart(gap);
                }
                self.restart(output);
            }
        }
        self.samples(first, rows, output);
    }

    /// The next sample is the first.
    pub fn restart(&mut self, output: &mut Rows) {
        let out = output.len();
        self.succession.restart(output);
        self.settling = IndexRange { first: u64::MAX, end: u64::MAX };
        // what was valid before is no part of what follows
        self.kept.fill(0.0);
        self.made_up.fill(false);
        self.count(output.len().saturating_sub(out));
        let generation = Some(self.chain().generation());
        let next = self.succession.next();
        self.log.push(Given::Restart { derived: self.counts.derived, generation, next });
        self.counts.restarts = self.counts.restarts.saturating_add(1);
        self.left_out.restart();
        self.succession.leave_out(self.left_out.absent());
        for (first, channels) in self.left_out.named().filter(|(_, channels)| *channels != 0) {
            self.log.push(Given::LeftOut { first, channels });
        }
    }

    /// Fills a gap with the last row, `rows` times.
    pub fn hold(&mut self, rows: u32, output: &mut Rows) {
        let Some(last) = self.next.and_then(|next| next.checked_sub(1)) else { return };
        let (mut held, out): (u32, _) = (0, output.len());
        while held < rows {
            let room = self.succession.until_left().min(self.chain().block_rows() as u64);
            self.input.clear();
            while held < rows && (self.input.len() as u64) < room {
                held = held.saturating_add(1);
                let mark = Mark { index: last, held, generation: 0 };
                self.input.push_like(Row { mark, values: &self.kept, invalid: &self.made_up });
            }
            self.succession.process(&self.input, output);
        }
        self.count(output.len().saturating_sub(out));
        self.log.push(Given::Held(rows));
        self.counts.held = self.counts.held.saturating_add(u64::from(rows));
    }

    /// Takes whole rows of raw samples, the first with this index, whatever came before them. Samples before the one that
    /// comes next are not taken again.
    pub fn samples(&mut self, first: u64, rows: SampleRows<'_>, output: &mut Rows) {
        match rows {
            SampleRows::Float32(values) => self.values(first, values, |value| f64::from(*value), output),
            SampleRows::Double64(values) => self.values(first, values, |value| *value, output),
            SampleRows::Int8(values) => self.values(first, values, |value| f64::from(*value), output),
            SampleRows::Int16(values) => self.values(first, values, |value| f64::from(*value), output),
            SampleRows::Int32(values) => self.values(first, values, |value| f64::from(*value), output),
            SampleRows::Int64(values) => self.values(first, values, |value| *value as f64, output),
        }
    }

    /// Starts a chain of another generation beside the one in force, which it follows at sample `at`. Its filters settle
    /// meanwhile: they have if `at` is at least [`Chain::settling`] samples ahead.
    ///
    /// # Errors
    /// See [`StagedError`].
    pub fn stage(&mut self, chain: Box<Chain>, at: u64) -> Result<(), StagedError> {
        let generation = chain.generation();
        self.succession.stage(chain, at, self.next.unwrap_or(0))?;
        self.succession.leave_out(self.left_out.absent());
        self.log.push(Given::Generation { generation, at });
        Ok(())
    }

    /// A chain that was followed and owes nothing any more, to be freed by another thread.
    pub fn take_retired(&mut self) -> Option<Box<Chain>> {
        self.succession.take_retired()
    }

    /// The most bytes of a checkpoint.
    pub fn checkpoint_bytes(&self) -> usize {
        let head = size_of::<GenerationId>().saturating_add(size_of::<u64>());
        let kept = self.channels.saturating_mul(size_of::<f64>().saturating_add(1));
        let stages = self.chain().state_bytes().saturating_add(self.left_out.state_bytes());
        stages.saturating_add(head).saturating_add(kept)
    }

    /// Writes a checkpoint: all that is needed to go on bit for bit. `false`, and nothing is written, while a change of
    /// generations is under way.
    pub fn save(&self, checkpoint: &mut Vec<u8>) -> bool {
        checkpoint.clear();
        let (Some(next), true) = (self.next, self.succession.is_quiet()) else { return false };
        let GenerationId(generation) = self.chain().generation();
        checkpoint.extend_from_slice(&generation);
        let mut state = StateWriter(checkpoint);
        state.whole(next);
        state.numbers(&self.kept);
        state.flags(&self.made_up);
        self.chain().save(&mut state);
        self.left_out.save(&mut state);
        true
    }

    /// Goes on from a checkpoint of a stream with the same settings.
    ///
    /// # Errors
    /// Where it is of another stream; then this one has to be restarted.
    pub fn load(&mut self, checkpoint: &[u8]) -> Result<(), StateError> {
        let (generation, state) = checkpoint.split_first_chunk().ok_or(StateError)?;
        if GenerationId(*generation) != self.chain().generation() || !self.succession.is_quiet() {
            return Err(StateError);
        }
        let mut state = StateReader(state);
        let next = state.whole()?;
        state.numbers(&mut self.kept)?;
        state.flags(&mut self.made_up)?;
        self.succession.current_mut().load(&mut state)?;
        self.left_out.load(&mut state)?;
        self.succession.leave_out(self.left_out.absent());
        if !state.0.is_empty() {
            return Err(StateError);
        }
        self.next = Some(next);
        Ok(())
    }

    fn values<T>(&mut self, first: u64, values: &[T], to_f64: impl Fn(&T) -> f64, output: &mut Rows) {
        let next = self.next.unwrap_or(first);
        let (mut index, out) = (first, output.len());
        let mut rows = values.chunks_exact(self.channels.max(1)).peekable();
        while index < next && rows.next().is_some() {
            index = index.saturating_add(1);
            self.counts.repeated = self.counts.repeated.saturating_add(1);
        }
        if self.settling.first == u64::MAX && rows.peek().is_some() {
            self.settling =
                IndexRange { first: index, end: index.saturating_add(self.succession.settling()) };
        }
        while rows.peek().is_some() {
            let begin = index;
            let until_change = self.succession.before(index, output).min(self.left_out.until_back());
            let until_verdict = self.health.as_ref().map_or(u64::MAX, |health| health.rows_left() as u64);
            let room = until_change.min(until_verdict).min(self.chain().block_rows() as u64);
            self.input.clear();
            while (self.input.len() as u64) < room
                && let Some(row) = rows.next()
            {
                let (values, invalid) = self.input.push(Mark { index, held: 0, generation: 0 });
                for ((given, value), invalid) in row.iter().zip(&mut *values).zip(&mut *invalid) {
                    *value = to_f64(given);
                    // also false for what is no number
                    let usable = value.abs() <= LARGEST;
                    *invalid = !usable;
                }
                let nonfinite = invalid.iter().filter(|invalid| **invalid).count() as u64;
                if nonfinite > 0 {
                    let values = values.iter_mut().zip(&self.kept).zip(&*invalid);
                    for ((value, kept), _) in values.filter(|(_, invalid)| **invalid) {
                        *value = *kept;
                    }
                }
                self.kept.copy_from_slice(values);
                self.made_up.copy_from_slice(invalid);
                if let Some(health) = &mut self.health {
                    health.take(values, invalid);
                }
                self.left_out.mark(invalid);
                self.left_out.mark(&mut self.made_up);
                self.counts.nonfinite = self.counts.nonfinite.saturating_add(nonfinite);
                index = index.saturating_add(1);
            }
            let before = output.len();
            self.succession.process(&self.input, output);
            self.next = Some(index);
            let rows = self.input.len() as u64;
            self.counts.samples = self.counts.samples.saturating_add(rows);
            self.log.push(Given::Samples(IndexRange { first: begin, end: index }));
            if self.left_out.pass(rows) {
                self.succession.leave_out(self.left_out.absent());
            }
            self.judge(output, before);
        }
        self.count(output.len().saturating_sub(out));
    }

    /// Leaves out what the window that may have ended shows; `before` derived rows are not new.
    fn judge(&mut self, output: &Rows, before: usize) {
        let Some(health) = &mut self.health else { return };
        health.count(output, before);
        if !health.judge() {
            return;
        }
        let mut first: u32 = 0;
        while let Some(health) = &self.health
            && (first as usize) < self.channels
        {
            let together = health.faults().skip(first as usize).take(TOGETHER);
            let channels = (0..).zip(together).fold(0_u32, |bits, (at, fault): (u32, _)| {
                bits | u32::from(fault.is_some()).checked_shl(at).unwrap_or(0)
            });
            self.leave_out(first, channels);
            first = first.saturating_add(TOGETHER as u32);
        }
    }

    fn count(&mut self, derived: usize) {
        self.counts.derived = self.counts.derived.saturating_add(derived as u64);
    }

    /// Which generation is in force, counted from 0.
    pub fn generation(&self) -> u32 {
        self.succession.generation()
    }
}
