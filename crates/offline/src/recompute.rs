//! Derived streams computed again from the raw samples of a recording, compared bit for bit with what was decoded.

use std::{collections::VecDeque, path::Path};

use kalmind_signal::{Chain, ChainError, DerivedStream, Given, Rows, Signal};
use kalmind_types::{SampleRows, Samples};

use crate::recorded::{Item, ReadError, RecordDocument, SessionReader, StagesDocument, Wanted};

/// Rows that a chain is given at once, at most. The result does not depend on it.
const BLOCK_ROWS: usize = 256;

/// What a computation found of the derived streams of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Recomputed {
    /// Derived streams in the recording.
    pub streams: usize,
    /// Derived samples that were computed and compared.
    pub compared: u64,
    /// Recorded ones that could not be computed, since raw samples or what was given to the stages are not recorded; the
    /// comparison goes on after the next restart of the stages.
    pub not_computed: u64,
    /// The first sample that is not the recorded one: place of its stream, and its index.
    pub first_difference: Option<(usize, u64)>,
}

impl Recomputed {
    /// Whether every derived sample was computed and is the recorded one.
    #[must_use]
    pub fn identical(&self) -> bool {
        self.first_difference.is_none() && self.not_computed == 0
    }
}

/// Why derived streams cannot be computed again.
#[derive(Debug, thiserror::Error)]
pub enum RecomputeError {
    /// It is not a session's recording, or damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its stages cannot be built.
    #[error("the stages of stream {stream} cannot be built: {source}")]
    Stages {
        /// Its place.
        stream: usize,
        /// Why.
        source: ChainError,
    },
}

/// Computes the derived streams of a recording again. `progress` is told the bytes read and all bytes.
///
/// # Errors
/// [`RecomputeError`].
pub fn recompute(path: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Recomputed, RecomputeError> {
    let mut reader = SessionReader::open(path, Wanted { inputs: true, raw: true, ..Wanted::default() })?;
    let mut streams: Vec<Option<Stream>> = Vec::new();
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Session(session) if streams.is_empty() => {
                for (stream, input) in session.streams.iter().enumerate() {
                    let built = input.stages.as_ref().map(Stream::new).transpose();
                    streams.push(built.map_err(|source| RecomputeError::Stages { stream, source })?);
                }
            }
            Item::Raw(place, first, values) => {
                if let Some(stream) = streams.get_mut(place).and_then(Option::as_mut) {
                    stream.raw.push_back((first, values));
                    stream.go_on();
                }
            }
            Item::Samples(place, first, _, Samples::Double64(values)) => {
                if let Some(stream) = streams.get_mut(place).and_then(Option::as_mut) {
                    stream.recorded.add(first, &values);
                    stream.compare();
                }
            }
            Item::Document(RecordDocument::Given { stream: place, given }) => {
                if let Some(stream) = streams.get_mut(place).and_then(Option::as_mut) {
                    stream.given.push_back(given);
                    stream.go_on();
                }
            }
            _ => {}
        }
        let (read, length) = reader.progress();
        progress(read, length);
    }
    let mut found = Recomputed::default();
    for (place, stream) in streams.iter_mut().enumerate() {
        let Some(stream) = stream else { continue };
        stream.compare();
        found.streams += 1;
        found.compared += stream.compared;
        found.not_computed += stream.not_computed + stream.recorded.rows();
        found.first_difference =
            found.first_difference.or(stream.first_difference.map(|index| (place, index)));
    }
    Ok(found)
}

/// Samples by index, oldest first: runs of consecutive ones, each with the index of its first.
#[derive(Debug, Default)]
struct Bits {
    channels: usize,
    runs: VecDeque<(u64, VecDeque<u64>)>,
}

impl Bits {
    fn rows(&self) -> u64 {
        self.runs.iter().map(|(_, bits)| bits.len() as u64).sum::<u64>() / self.channels.max(1) as u64
    }

    fn add(&mut self, first: u64, values: &[f64]) {
        let bits = values.iter().map(|value| value.to_bits());
        match self.runs.back_mut() {
            Some((begin, run)) if *begin + (run.len() / self.channels.max(1)) as u64 == first => {
                run.extend(bits);
            }
            _ => self.runs.push_back((first, bits.collect())),
        }
    }

    /// Takes rows away from the front: those before this index; how many. Then the index of the first that is left.
    fn forget_before(&mut self, index: u64) -> (u64, Option<u64>) {
        let mut forgotten = 0;
        loop {
            let Some((first, run)) = self.runs.front_mut() else { return (forgotten, None) };
            let rows = index.saturating_sub(*first).min((run.len() / self.channels.max(1)) as u64);
            run.drain(..rows as usize * self.channels);
            *first += rows;
            forgotten += rows;
            if !run.is_empty() {
                return (forgotten, Some(*first));
            }
            self.runs.pop_front();
        }
    }
}

/// One derived stream, computed as far as what was given to it and the raw samples are read.
#[derive(Debug)]
struct Stream {
    derived: DerivedStream,
    channels: usize,
    /// Raw samples that were not used yet, by index of the first.
    raw: VecDeque<(u64, Samples)>,
    given: VecDeque<Given>,
    /// Whether the state of the stages is that of the recorded run.
    is_known: bool,
    /// Index of the derived sample that comes out next.
    next: u64,
    output: Rows,
    values: Vec<f64>,
    computed: Bits,
    recorded: Bits,
    compared: u64,
    not_computed: u64,
    first_difference: Option<u64>,
}

impl Stream {
    fn new(stages: &StagesDocument) -> Result<Self, ChainError> {
        let StagesDocument { settings, generation, rate_hz, channels } = stages;
        let raw = Signal::raw(*rate_hz, (0..*channels).map(|_| (String::new(), String::new())));
        let chain = Chain::new(settings, *generation, &raw, BLOCK_ROWS)?;
        let outputs = chain.signal().outputs.len();
        let bits = || Bits { channels: outputs, ..Bits::default() };
        Ok(Self {
            derived: DerivedStream::new(chain, *channels, *rate_hz),
            channels: *channels,
            raw: VecDeque::new(),
            given: VecDeque::new(),
            is_known: false,
            next: 0,
            output: Rows::with_capacity(outputs, BLOCK_ROWS),
            values: Vec::new(),
            computed: bits(),
            recorded: bits(),
            compared: 0,
            not_computed: 0,
            first_difference: None,
        })
    }

    /// Gives the stages what they were given, as far as it is here.
    fn go_on(&mut self) {
        while let Some(given) = self.given.front().copied() {
            match given {
                Given::Restart { derived } => {
                    self.derived.restart(&mut self.output);
                    self.keep();
                    self.next = derived;
                    self.is_known = true;
                }
                Given::Held(rows) if self.is_known => {
                    self.derived.hold(rows, &mut self.output);
                    self.keep();
                }
                Given::Samples(range) if self.is_known => {
                    if !self.take(range.first, range.end) {
                        return;
                    }
                }
                // its settings are not recorded
                Given::Generation { .. } | Given::Lost => self.is_known = false,
                Given::Held(_) | Given::Samples(_) => {}
            }
            self.given.pop_front();
        }
        self.compare();
    }

    /// Gives raw samples to the stages, as far as they are here; whether that were all. Where one was not recorded, what
    /// follows is not known until the next restart.
    fn take(&mut self, first: u64, end: u64) -> bool {
        let mut next = self.derived.next_index().unwrap_or(first).max(first);
        while next < end {
            let Some((begin, values)) = self.raw.front() else { return false };
            let run_end = begin + rows_in(values, self.channels);
            if *begin > next {
                self.is_known = false;
                return true;
            }
            if run_end > next {
                let (from, to) = ((next - begin) as usize, (end.min(run_end) - begin) as usize);
                let rows: SampleRows<'_> = values.rows(self.channels, from, to);
                self.derived.samples(next, rows, &mut self.output);
                next = begin + to as u64;
            }
            if next >= run_end {
                self.raw.pop_front();
            }
            self.keep();
        }
        true
    }

    /// Keeps what came out as the bits that the tick thread was given.
    fn keep(&mut self) {
        self.derived.log().clear();
        self.values.clear();
        for row in self.output.iter() {
            let valid = row.values.iter().zip(row.invalid);
            self.values.extend(valid.map(|(value, invalid)| if *invalid { f64::NAN } else { *value }));
        }
        self.output.clear();
        self.computed.add(self.next, &self.values);
        self.next += (self.values.len() / self.computed.channels.max(1)) as u64;
    }

    /// Compares what was computed and what was recorded, where both are here.
    fn compare(&mut self) {
        loop {
            let (_, Some(first)) = self.computed.forget_before(0) else { return };
            let (lost, Some(next)) = self.recorded.forget_before(first) else { return };
            self.not_computed += lost;
            // what is not recorded is a loss, which the recording tells of
            let (_, Some(first)) = self.computed.forget_before(next) else { return };
            let fronts = self.computed.runs.front_mut().zip(self.recorded.runs.front_mut());
            let Some(((begin, computed), (other, recorded))) = fronts else { return };
            if first != next {
                continue;
            }
            let channels = self.computed.channels.max(1);
            let bits = computed.len().min(recorded.len());
            let pairs = computed.drain(..bits).zip(recorded.drain(..bits));
            let difference = pairs.enumerate().find_map(|(at, (one, other))| (one != other).then_some(at));
            let rows = (bits / channels) as u64;
            (*begin, *other) = (*begin + rows, *other + rows);
            self.compared += rows;
            if let (Some(at), None) = (difference, self.first_difference) {
                self.first_difference = Some(first + (at / channels) as u64);
            }
        }
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
