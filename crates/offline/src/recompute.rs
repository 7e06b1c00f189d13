//! Derived streams computed again from the raw samples of a recording, compared bit for bit with what was decoded.

use std::{collections::VecDeque, path::Path};

use kalmind_signal::ChainError;
use kalmind_types::Samples;

use crate::recorded::{
    Deriving, Item, ReadError, RecordedAs, ResumedAt, SessionReader, StagesDocument, Wanted,
};

/// What a computation found of the derived streams of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Recomputed {
    /// Derived streams in the recording.
    pub streams: usize,
    /// Derived samples that were computed and compared.
    pub compared: u64,
    /// Recorded ones that could not be computed, since raw samples or what was given to the stages are not recorded; the
    /// comparison goes on where the stages restarted, or what they remembered is recorded.
    pub not_computed: u64,
    /// Where it went on, the first ones.
    pub resumed: Vec<Resumed>,
    /// Where it went on beyond those.
    pub more_resumed: u64,
    /// The first sample that is not the recorded one: place of its stream, and its index.
    pub first_difference: Option<(usize, u64)>,
}

/// From where the comparison of a stream went on, after samples that could not be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Resumed {
    /// Its place.
    pub stream: usize,
    /// Index of the first derived sample that was computed again.
    pub sample: u64,
    /// By what the stages' state is known there.
    pub by: ResumedAt,
}

/// Places where a comparison went on that are named one by one.
const NAMED: usize = 100;

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
    let mut found = Recomputed::default();
    while let Some(item) = reader.next_item()? {
        let place = match &item {
            Item::Session(session) if streams.is_empty() => {
                for (stream, input) in session.streams.iter().enumerate() {
                    let built = input.stages.as_ref().map(Stream::new).transpose();
                    streams.push(built.map_err(|source| RecomputeError::Stages { stream, source })?);
                }
                None
            }
            Item::Raw(place, ..) | Item::Samples(place, ..) => Some(*place),
            Item::Document(document) => document.stages_of(),
            _ => None,
        };
        let stream = place.and_then(|place| Some((place, streams.get_mut(place)?.as_mut()?)));
        match (item, stream) {
            (Item::Samples(_, first, _, Samples::Double64(values)), Some((_, stream))) => {
                stream.recorded(first, &values);
            }
            // what cannot be compared is not kept
            (item, Some((place, stream))) if stream.is_comparable => {
                stream.deriving.take(item);
                stream.go_on(place, &mut found);
            }
            _ => {}
        }
        let (read, length) = reader.progress();
        progress(read, length);
    }
    for (place, stream) in streams.iter_mut().enumerate() {
        let Some(stream) = stream else { continue };
        stream.go_on(place, &mut found);
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
    deriving: Deriving,
    /// Whether the raw samples are recorded as well as the derived ones.
    is_comparable: bool,
    computed: Bits,
    recorded: Bits,
    compared: u64,
    not_computed: u64,
    first_difference: Option<u64>,
}

impl Stream {
    fn new(stages: &StagesDocument) -> Result<Self, ChainError> {
        let deriving = Deriving::new(stages)?;
        let bits = || Bits { channels: deriving.width(), ..Bits::default() };
        Ok(Self {
            is_comparable: stages.recorded == RecordedAs::Both,
            computed: bits(),
            recorded: bits(),
            compared: 0,
            not_computed: 0,
            first_difference: None,
            deriving,
        })
    }

    /// Derived samples that are recorded.
    fn recorded(&mut self, first: u64, values: &[f64]) {
        if self.is_comparable {
            self.recorded.add(first, values);
            self.compare();
        } else {
            self.not_computed += (values.len() / self.recorded.channels.max(1)) as u64;
        }
    }

    /// Computes what there is, and compares it.
    fn go_on(&mut self, place: usize, found: &mut Recomputed) {
        let Self { deriving, computed, .. } = self;
        deriving.go_on(&mut |samples| computed.add(samples.first, &samples.values));
        if let Some((sample, by)) = deriving.take_resumed().filter(|(sample, _)| *sample > 0) {
            if found.resumed.len() < NAMED {
                found.resumed.push(Resumed { stream: place, sample, by });
            } else {
                found.more_resumed += 1;
            }
        }
        self.compare();
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
