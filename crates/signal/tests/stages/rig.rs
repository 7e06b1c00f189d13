//! Streams to run stages on: samples made up by index, cut into blocks, with gaps.

use kalmind_signal::{
    Chain, ChainSettings, DerivedStream, FilterKind, FilterSettings, Frequencies, Given, Mark, PowerSettings,
    Rows, STAGES, Signal, SpikesSettings, StageSettings,
};
use kalmind_types::{GenerationId, SampleRows};

pub(crate) const CHANNELS: usize = 3;
/// So that a gap of five samples is filled and one of six is not.
pub(crate) const RATE_HZ: f64 = 1000.0;
/// Rows that a chain is given at once, at most: small, so that blocks are cut within a chunk as well.
const BLOCK_ROWS: usize = 7;

/// A derived row, to be compared bit for bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) mark: Mark,
    pub(crate) bits: Vec<u64>,
    pub(crate) invalid: Vec<bool>,
}

impl Derived {
    pub(crate) fn value(&self, channel: usize) -> f64 {
        f64::from_bits(self.bits[channel])
    }
}

/// Some rows, and what is missing before them: so many indices, and so many samples that have none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) gap: u64,
    pub(crate) missing: u64,
    pub(crate) rows: usize,
}

/// What a stream gave, and its input log.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) rows: Vec<Derived>,
    pub(crate) log: Vec<Given>,
}

/// Values between -1 and 1, and none in sixty is not finite, by index alone.
pub(crate) fn raw(index: u64) -> [f64; CHANNELS] {
    let mut values = finite(index);
    if index % 61 == 60 {
        values[(index % 3) as usize] = [f64::NAN, f64::INFINITY, -1e200][(index / 61 % 3) as usize];
    }
    values
}

/// As [`raw`], all finite.
pub(crate) fn finite(index: u64) -> [f64; CHANNELS] {
    core::array::from_fn(|channel| {
        let mut mixed = (index * CHANNELS as u64 + channel as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 29)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

/// Each stage by itself, and chains of several.
pub(crate) fn chains() -> Vec<ChainSettings> {
    let each = STAGES.iter().map(|entry| ChainSettings(vec![(entry.example)()]));
    let all = ChainSettings(STAGES.iter().map(|entry| (entry.example)()).collect());
    let twice = ChainSettings(all.0.iter().chain(&all.0).cloned().collect());
    each.chain([all, twice]).chain(others()).collect()
}

/// What the examples do not show: filters that run back, and fewer rows that come out than go in.
fn others() -> impl Iterator<Item = ChainSettings> {
    let filter = FilterSettings {
        kind: FilterKind::BandPass,
        hz: Frequencies::Band([150.0, 300.0]),
        order: 2,
        quality: 30.0,
        harmonics: 1,
        zero_phase_ms: Some(40.0),
    };
    let spikes = SpikesSettings {
        scales: vec![0.3],
        multiple: -1.5,
        refractory_ms: 3.0,
        output_ms: 7.0,
        power: false,
    };
    let power = PowerSettings { output_ms: 5.0, over_ms: None, relative_to: vec![], log: true };
    let (spikes, power) = (StageSettings::Spikes(spikes), StageSettings::Power(power));
    let zero_phase = StageSettings::Filter(filter);
    let chains = [
        vec![zero_phase.clone()],
        vec![spikes.clone()],
        vec![power.clone(), spikes],
        vec![zero_phase, power],
    ];
    chains.into_iter().map(ChainSettings)
}

pub(crate) fn chain(settings: &ChainSettings, generation: u8) -> Chain {
    let channels = (0..CHANNELS).map(|channel| (format!("channel{channel}"), String::from("uV")));
    let signal = Signal::raw(RATE_HZ, channels);
    Chain::new(settings, GenerationId([generation; 32]), &signal, BLOCK_ROWS).unwrap()
}

pub(crate) fn stream(settings: &ChainSettings, generation: u8) -> DerivedStream {
    DerivedStream::new(chain(settings, generation), CHANNELS, RATE_HZ)
}

fn derived(output: &Rows) -> Vec<Derived> {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect();
    output
        .iter()
        .map(|row| Derived { mark: row.mark, bits: bits(row.values), invalid: row.invalid.to_vec() })
        .collect()
}

/// Gives rows from sample `first` on in chunks of these lengths, the rest at once.
pub(crate) fn take(stream: &mut DerivedStream, first: u64, values: &[f64], chunks: &[usize]) -> Vec<Derived> {
    let mut output = Rows::with_capacity(CHANNELS, 0);
    give(stream, first, 0, values, chunks, &mut output);
    derived(&output)
}

fn give(
    stream: &mut DerivedStream,
    first: u64,
    missing: u64,
    values: &[f64],
    chunks: &[usize],
    output: &mut Rows,
) {
    let (mut rest, mut index, mut missing) = (values, first, missing);
    for chunk in chunks.iter().copied().chain([usize::MAX / CHANNELS]) {
        let (now, later) = rest.split_at((chunk * CHANNELS).min(rest.len()));
        if !now.is_empty() {
            stream.take(index, core::mem::take(&mut missing), SampleRows::Double64(now), output);
        }
        index += (now.len() / CHANNELS) as u64;
        rest = later;
    }
}

/// What a stream makes of rows from sample 0 on, in one piece.
pub(crate) fn rows_of(stream: &mut DerivedStream, values: &[f64]) -> Vec<Derived> {
    take(stream, 0, values, &[])
}

/// What a stream makes of pieces, each given in chunks of these lengths.
pub(crate) fn run(stream: &mut DerivedStream, pieces: &[Piece], chunks: &[usize]) -> Outcome {
    let (mut output, mut index) = (Rows::with_capacity(CHANNELS, 0), 0);
    for piece in pieces {
        index += piece.gap;
        let end = index + piece.rows as u64;
        let values: Vec<f64> = (index..end).flat_map(raw).collect();
        give(stream, index, piece.missing, &values, chunks, &mut output);
        index = end;
    }
    Outcome { rows: derived(&output), log: stream.log().entries().to_vec() }
}

/// What one pass over an input log makes.
pub(crate) fn replay(settings: &ChainSettings, log: &[Given]) -> Vec<Derived> {
    replay_with(settings, log, raw)
}

/// As [`replay`], of samples that are all finite.
pub(crate) fn replay_finite(settings: &ChainSettings, log: &[Given]) -> Vec<Derived> {
    replay_with(settings, log, finite)
}

fn replay_with(settings: &ChainSettings, log: &[Given], sample: fn(u64) -> [f64; CHANNELS]) -> Vec<Derived> {
    let mut stream = stream(settings, 0);
    let mut output = Rows::with_capacity(CHANNELS, 0);
    for given in log {
        match *given {
            Given::Restart { .. } => stream.restart(&mut output),
            Given::Held(rows) => stream.hold(rows, &mut output),
            Given::Samples(range) => {
                let values: Vec<f64> = (range.first..range.end).flat_map(sample).collect();
                stream.samples(range.first, SampleRows::Double64(&values), &mut output);
            }
            Given::Generation { generation, at } => {
                stream.stage(Box::new(chain(settings, generation.0[0])), at).unwrap();
            }
            Given::LeftOut { first, channels } => stream.leave_out(first, channels),
            Given::Lost => unreachable!("nothing was lost"),
        }
    }
    assert_eq!(stream.log().entries(), log, "the log of a replay is the log that was replayed");
    derived(&output)
}
