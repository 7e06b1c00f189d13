//! A derived stream of a recording made again, from the raw samples and from what was given to its stages, as they are read.

use std::collections::VecDeque;

use kalmind_signal::{Chain, ChainError, ChainSettings, DerivedStream, Given, Rows, Signal};
use kalmind_types::{GenerationId, SampleRows, Samples, StreamTime};

use super::{CheckpointPart, Item, RecordDocument, StagesDocument};

/// Rows that a chain is given at once, at most. The result does not depend on it.
const BLOCK_ROWS: usize = 256;

/// Derived samples that came out, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DerivedSamples {
    /// Index of the first.
    pub first: u64,
    /// Their stamps.
    pub stamps: Vec<StreamTime>,
    /// Their values, NaN where one is not valid, as the tick thread was given them.
    pub values: Vec<f64>,
}

/// From what the stages of a stream were gone on with, after their state was not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResumedAt {
    /// They were restarted.
    Restart,
    /// What they remembered is recorded.
    Checkpoint,
}

/// What the stages went through, in the order of the file.
#[derive(Debug)]
enum Step {
    Given(Given),
    Checkpoint { derived: u64, state: Vec<u8> },
}

/// One derived stream, made as far as what was given to it and the raw samples are read.
#[derive(Debug)]
pub struct Deriving {
    derived: DerivedStream,
    raw_signal: Signal,
    /// The settings of its generations, as far as they are read.
    settings: Vec<(GenerationId, ChainSettings)>,
    /// Raw samples that were not used yet, by index of the first.
    raw: VecDeque<(u64, Samples)>,
    /// Stamps of the raw samples that derived ones may still describe, by index.
    stamps: VecDeque<(u64, StreamTime)>,
    steps: VecDeque<Step>,
    parts: Vec<CheckpointPart>,
    /// Whether the state of the stages is that of the recorded run.
    is_known: bool,
    /// Index of the derived sample that comes out next.
    next: u64,
    output: Rows,
    resumed: Option<(u64, ResumedAt)>,
}

impl Deriving {
    /// For a stream with these stages at the beginning.
    ///
    /// # Errors
    /// When they cannot be built.
    pub fn new(stages: &StagesDocument) -> Result<Self, ChainError> {
        let StagesDocument { settings, generation, rate_hz, channels, .. } = stages;
        let raw_signal = Signal::raw(*rate_hz, (0..*channels).map(|_| (String::new(), String::new())));
        let chain = Chain::new(settings, *generation, &raw_signal, BLOCK_ROWS)?;
        let output = Rows::with_capacity(chain.signal().outputs.len(), BLOCK_ROWS);
        Ok(Self {
            derived: DerivedStream::new(chain, *channels, *rate_hz),
            raw_signal,
            settings: vec![(*generation, settings.clone())],
            raw: VecDeque::new(),
            stamps: VecDeque::new(),
            steps: VecDeque::new(),
            parts: Vec::new(),
            is_known: false,
            next: 0,
            output,
            resumed: None,
        })
    }

    /// Values of a derived sample.
    #[must_use]
    pub fn width(&self) -> usize {
        self.derived.chain().signal().outputs.len()
    }

    /// Index of the derived sample that comes out next; none where that is not known before the stages restart or a
    /// checkpoint is reached.
    #[must_use]
    pub fn next_index(&self) -> Option<u64> {
        self.is_known.then_some(self.next)
    }

    /// Where the state of the stages came to be known again, since this was last asked: index of the first derived sample
    /// that is made again, and by what.
    pub fn take_resumed(&mut self) -> Option<(u64, ResumedAt)> {
        self.resumed.take()
    }

    /// Takes in what concerns the stream of what was read, in the order of the file.
    pub fn take(&mut self, item: Item) {
        match item {
            Item::Raw(_, first, stamps, values) => self.raw(first, &stamps, values),
            Item::Document(RecordDocument::Given { given, .. }) => self.steps.push_back(Step::Given(given)),
            Item::Document(RecordDocument::Stages { stages, .. }) => {
                self.settings.push((stages.generation, stages.settings));
            }
            Item::Document(RecordDocument::Checkpoint(part)) => self.checkpoint(part),
            _ => {}
        }
    }

    /// Raw samples.
    fn raw(&mut self, first: u64, stamps: &[StreamTime], values: Samples) {
        self.stamps.extend((first..).zip(stamps.iter().copied()));
        self.raw.push_back((first, values));
    }

    /// A part of what the stages remembered. One that is not whole is passed over.
    fn checkpoint(&mut self, part: CheckpointPart) {
        if part.part == 0 {
            self.parts.clear();
        }
        let CheckpointPart { derived, parts, .. } = part;
        self.parts.push(part);
        let is_whole = self.parts.len() as u64 == parts
            && (0..).zip(&self.parts).all(|(at, part)| (part.part, part.derived) == (at, derived));
        if is_whole {
            let bytes: Option<Vec<Vec<u8>>> = self.parts.iter().map(CheckpointPart::bytes).collect();
            if let Some(bytes) = bytes {
                self.steps.push_back(Step::Checkpoint { derived, state: bytes.concat() });
            }
            self.parts.clear();
        }
    }

    /// Gives the stages what they were given, as far as it is here, and hands on what comes out.
    pub fn go_on(&mut self, out: &mut dyn FnMut(DerivedSamples)) {
        while let Some(step) = self.steps.front() {
            match *step {
                Step::Given(Given::Restart { derived, generation, next }) => {
                    self.restart(derived, generation, next, out);
                }
                Step::Given(Given::Held(rows)) if self.is_known => {
                    self.derived.hold(rows, &mut self.output);
                    self.keep(out);
                }
                Step::Given(Given::Samples(range)) if self.is_known => {
                    if !self.give(range.first, range.end, out) {
                        return;
                    }
                }
                Step::Given(Given::Generation { generation, at }) if self.is_known => {
                    self.is_known = self.stage(generation, at);
                }
                Step::Given(Given::LeftOut { first, channels }) if self.is_known => {
                    self.derived.leave_out(first, channels);
                }
                Step::Given(Given::Lost) => self.is_known = false,
                Step::Given(Given::Samples(range)) => self.forget_before(range.end),
                Step::Given(Given::Held(_) | Given::Generation { .. } | Given::LeftOut { .. }) => {}
                Step::Checkpoint { derived, .. } => {
                    if let Some(Step::Checkpoint { state, .. }) = self.steps.front()
                        && !self.is_known
                    {
                        let state = state.clone();
                        self.load(derived, &state);
                    }
                }
            }
            self.steps.pop_front();
        }
    }

    /// The stages restarted, in this generation, with this one to follow; before there were several, none is named.
    fn restart(
        &mut self,
        derived: u64,
        generation: Option<GenerationId>,
        next: Option<(GenerationId, u64)>,
        out: &mut dyn FnMut(DerivedSamples),
    ) {
        let generation = generation.unwrap_or(self.derived.chain().generation());
        let is_another = !self.is_known
            || self.derived.chain().generation() != generation
            || self.derived.next_generation() != next;
        if is_another {
            if !self.begin(generation) {
                return;
            }
            if let Some((generation, at)) = next
                && !self.stage(generation, at)
            {
                return;
            }
        }
        self.derived.restart(&mut self.output);
        if !is_another {
            // what the stages had given already
            self.keep(out);
        }
        self.resume(derived, ResumedAt::Restart);
    }

    fn resume(&mut self, derived: u64, at: ResumedAt) {
        if !core::mem::replace(&mut self.is_known, true) {
            self.resumed = Some((derived, at));
        }
        self.next = derived;
    }

    /// Goes on from what the stages remembered.
    fn load(&mut self, derived: u64, state: &[u8]) {
        let Some(generation) = state.first_chunk().copied().map(GenerationId) else { return };
        if self.begin(generation) && self.derived.load(state).is_ok() {
            self.resume(derived, ResumedAt::Checkpoint);
        }
    }

    fn chain(&self, generation: GenerationId) -> Option<Chain> {
        let (_, settings) = self.settings.iter().rev().find(|(known, _)| *known == generation)?;
        Chain::new(settings, generation, &self.raw_signal, BLOCK_ROWS).ok()
    }

    /// Begins anew with a generation; whether its settings are known. The state is not, yet.
    fn begin(&mut self, generation: GenerationId) -> bool {
        self.is_known = false;
        let Some(chain) = self.chain(generation) else { return false };
        self.output.clear();
        let rate_hz = self.derived.rate_hz();
        self.derived = DerivedStream::new(chain, self.raw_signal.outputs.len(), rate_hz);
        true
    }

    /// Starts a generation beside the one in force; whether that was possible.
    fn stage(&mut self, generation: GenerationId, at: u64) -> bool {
        drop(self.derived.take_retired());
        let Some(chain) = self.chain(generation) else { return false };
        self.derived.stage(Box::new(chain), at).is_ok()
    }

    /// Raw samples that can be of no use any more, since the state of the stages is not known.
    fn forget_before(&mut self, end: u64) {
        let channels = self.raw_signal.outputs.len();
        while self.raw.front().is_some_and(|(first, values)| first + rows_in(values, channels) <= end) {
            self.raw.pop_front();
        }
        // what a checkpoint remembers may describe them all the same
        let chain = self.derived.chain();
        let owed = end.saturating_sub(chain.delay() + chain.signal().every);
        while self.stamps.front().is_some_and(|(index, _)| *index < owed) {
            self.stamps.pop_front();
        }
    }

    /// Gives raw samples to the stages, as far as they are here; whether that were all. Where one was not recorded, what
    /// follows is not known until the next restart or checkpoint.
    fn give(&mut self, first: u64, end: u64, out: &mut dyn FnMut(DerivedSamples)) -> bool {
        let channels = self.raw_signal.outputs.len();
        let mut next = self.derived.next_index().unwrap_or(first).max(first);
        while next < end {
            let Some((begin, values)) = self.raw.front() else { return false };
            let (begin, run_end) = (*begin, begin + rows_in(values, channels));
            if begin > next {
                self.is_known = false;
                return true;
            }
            if run_end > next {
                let (from, to) = ((next - begin) as usize, (end.min(run_end) - begin) as usize);
                let rows: SampleRows<'_> = values.rows(channels, from, to);
                self.derived.samples(next, rows, &mut self.output);
                next = begin + to as u64;
            }
            if next >= run_end {
                self.raw.pop_front();
            }
            self.keep(out);
        }
        true
    }

    /// Hands on what came out, as the tick thread was given it.
    fn keep(&mut self, out: &mut dyn FnMut(DerivedSamples)) {
        self.derived.log().clear();
        drop(self.derived.take_retired());
        if self.output.is_empty() {
            return;
        }
        let mut samples = DerivedSamples { first: self.next, ..DerivedSamples::default() };
        let period = 1.0 / self.derived.rate_hz();
        for row in self.output.iter() {
            while self.stamps.front().is_some_and(|(index, _)| *index < row.mark.index) {
                self.stamps.pop_front();
            }
            let (index, stamp) = self.stamps.front().copied().unwrap_or_default();
            // before the first raw sample that is recorded, as far apart as the rate says
            let before = index.saturating_sub(row.mark.index) as f64 * period;
            samples.stamps.push(StreamTime(stamp.0 - before + f64::from(row.mark.held) * period));
            let valid = row.values.iter().zip(row.invalid);
            samples.values.extend(valid.map(|(value, invalid)| if *invalid { f64::NAN } else { *value }));
        }
        self.output.clear();
        self.next += samples.stamps.len() as u64;
        out(samples);
    }
}

fn rows_in(values: &Samples, channels: usize) -> u64 {
    let values = match values {
        Samples::Float32(values) => values.len(),
        Samples::Double64(values) => values.len(),
        Samples::Int8(values) => values.len(),
        Samples::Int16(values) => values.len(),
        Samples::Int32(values) => values.len(),
        Samples::Int64(values) => values.len(),
    };
    (values / channels.max(1)) as u64
}
