//! Stages that work on many channels and rows at once, against the same written out plainly: the same bits, whatever the shape.

use kalmind_signal::{
    Chain, ChainSettings, ChannelName, DerivedStream, ReferenceKind, ReferenceSettings, Rows, Signal,
    SpikesSettings, StageSettings,
};
use kalmind_types::{GenerationId, SampleRows};
use proptest::prelude::*;

const RATE_HZ: f64 = 1000.0;
/// Gaps that are filled.
const MOST_HELD: u64 = 5;

/// Numbers that look random, by a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as usize % end
    }

    fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// Between -1 and 1; now and then 0.
    fn number(&mut self) -> f64 {
        if self.one_in(9) { 0.0 } else { self.below(1 << 40) as f64 / (1_u64 << 39) as f64 - 1.0 }
    }

    fn value(&mut self) -> f64 {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e200, -0.0, 5e-324];
        if self.one_in(70) { odd[self.below(odd.len())] } else { self.number() }
    }
}

/// What a stream is given.
#[derive(Clone, Debug)]
enum Step {
    /// Rows after so many that are missing.
    Rows { missing: u64, values: Vec<Vec<f64>> },
    /// The first channels, a bit each, are left out from here on, and the others are not.
    LeaveOut(u32),
    /// Another stream goes on from a checkpoint.
    GoOn,
}

/// Values, and which of them are not valid.
type Row = (Vec<f64>, Vec<bool>);

/// What goes into the first stage.
#[derive(Default)]
struct Plain {
    rows: Vec<Row>,
    /// In each row, the channels that are no part of sums.
    absent: Vec<Vec<bool>>,
    /// Rows at which the stages began anew, and the index of the sample there.
    starts: Vec<(usize, usize)>,
}

/// A channel that is back is absent for `settling` samples more.
fn plain(steps: &[Step], channels: usize, settling: u64) -> Plain {
    let mut plain = Plain::default();
    let (mut row, mut index, mut out) = ((vec![0.0; channels], vec![false; channels]), 0, vec![0; channels]);
    for step in steps {
        match step {
            Step::GoOn => {}
            Step::LeaveOut(bits) => {
                for (channel, out) in out.iter_mut().enumerate() {
                    match (bits >> channel & 1 == 1, *out == u64::MAX) {
                        (true, false) => *out = u64::MAX,
                        (false, true) => *out = settling,
                        _ => {}
                    }
                }
            }
            Step::Rows { missing, values } => {
                if plain.starts.is_empty() || *missing > MOST_HELD {
                    plain.starts.push((plain.rows.len(), index));
                    row = (vec![0.0; channels], vec![false; channels]);
                    out.iter_mut().filter(|out| **out < u64::MAX).for_each(|out| *out = 0);
                } else {
                    for _ in 0..*missing {
                        plain.rows.push(row.clone());
                        plain.absent.push(out.iter().map(|out| *out > 0).collect());
                    }
                }
                for values in values {
                    plain.absent.push(out.iter().map(|out| *out > 0).collect());
                    for channel in 0..channels {
                        let is_usable = values[channel].abs() <= 1e60;
                        row.0[channel] = if is_usable { values[channel] } else { row.0[channel] };
                        row.1[channel] = !is_usable || out[channel] == u64::MAX;
                        let is_back = out[channel] < u64::MAX;
                        out[channel] -= u64::from(is_back && out[channel] > 0);
                    }
                    plain.rows.push(row.clone());
                    index += 1;
                }
            }
        }
    }
    plain
}

fn regression(settings: &ReferenceSettings, excluded: &[bool], row: &Row) -> Row {
    let bad: Vec<bool> = row.1.iter().zip(excluded).map(|(invalid, out)| *invalid || *out).collect();
    let mut values = row.0.clone();
    for array in settings.members(values.len()) {
        for to in &array {
            values[*to] = array.iter().fold(0.0, |sum, from| {
                let weight = if from == to { 1.0 } else { -settings.weights[*to][*from] };
                sum + weight * if bad[*from] { 0.0 } else { row.0[*from] }
            });
        }
    }
    (values, bad)
}

fn matrix(settings: &ReferenceSettings, excluded: &[bool], absent: &[bool], row: &Row) -> Row {
    let made = settings.weights.iter().map(|weights| {
        let (mut sum, mut is_invalid, mut all, mut lost) = (0.0, false, 0.0, 0.0);
        for (from, weight) in weights.iter().enumerate() {
            let weight = if excluded[from] { 0.0 } else { *weight };
            sum += weight * if absent[from] { 0.0 } else { row.0[from] };
            is_invalid |= row.1[from] && !absent[from] && weight != 0.0;
            all += weight.abs();
            lost += if absent[from] { weight.abs() } else { 0.0 };
        }
        (sum, is_invalid || (lost > 0.0 && 2.0 * lost >= all))
    });
    made.unzip()
}

/// Spikes and powers of whole windows, of rows that begin at a start.
fn spikes(settings: &SpikesSettings, index: usize, rows: &[Row]) -> Vec<Row> {
    let (refractory, width) = (settings.refractory_ms as usize, (settings.output_ms as usize).max(1));
    let threshold =
        |channel: usize| -settings.multiple.abs() * settings.scales[channel % settings.scales.len()];
    let is_below =
        |at: usize, channel: usize| -settings.multiple.signum() * rows[at].0[channel] < threshold(channel);
    let settle = refractory.max(1);
    let is_invalid =
        |at: usize, channel: usize| at < settle || rows[at - settle..=at].iter().any(|row| row.1[channel]);
    let channels = rows.first().map_or(0, |row| row.0.len());
    let found: Vec<Vec<usize>> = (0..channels)
        .map(|channel| {
            let mut found: Vec<usize> = Vec::new();
            for (at, row) in rows.iter().enumerate().skip(1) {
                let crosses = is_below(at, channel) && !is_below(at - 1, channel) && !row.1[channel];
                if crosses && found.last().is_none_or(|last| at - last >= refractory) {
                    found.push(at);
                }
            }
            found
        })
        .collect();
    let first = (width - index % width) % width;
    let windows = (first..rows.len()).step_by(width).map(|from| from..from + width);
    let of_window = |window: core::ops::Range<usize>| {
        let counts = found.iter().map(|found| found.iter().filter(|at| window.contains(at)).count() as f64);
        let invalid: Vec<bool> =
            (0..channels).map(|channel| window.clone().any(|at| is_invalid(at, channel))).collect();
        let of_counts = invalid.iter().enumerate().map(|(channel, bad)| *bad || threshold(channel) >= 0.0);
        let mut made: Row = (counts.collect(), of_counts.collect());
        if settings.power {
            let square = |at: usize, channel: usize| rows[at].0[channel] * rows[at].0[channel];
            let sum = |channel: usize| window.clone().fold(0.0, |sum, at| sum + square(at, channel));
            made.0.extend((0..channels).map(|channel| sum(channel) / width as f64));
            made.1.extend(invalid);
        }
        made
    };
    windows.filter(|window| window.end <= rows.len()).map(of_window).collect()
}

/// Stages of some shape.
struct Case {
    channels: usize,
    reference: Option<ReferenceSettings>,
    excluded: Vec<bool>,
    spikes: Option<SpikesSettings>,
}

impl Case {
    fn new(numbers: &mut Numbers) -> Self {
        let channels = 1 + numbers.below(27);
        let excluded: Vec<bool> = (0..channels).map(|_| numbers.one_in(8)).collect();
        let kind = if numbers.one_in(2) { ReferenceKind::Regression } else { ReferenceKind::Matrix };
        let is_matrix = kind == ReferenceKind::Matrix;
        let mut array_channels: Vec<Vec<usize>> = vec![vec![]; 4];
        if !is_matrix && !numbers.one_in(4) {
            // what falls to the last is in none
            (0..channels).for_each(|channel| array_channels[numbers.below(4)].push(channel));
            array_channels.pop();
        }
        array_channels.retain(|array| !array.is_empty());
        let outputs = if is_matrix { 1 + numbers.below(27) } else { channels };
        let mut row = || (0..channels).map(|_| numbers.number()).collect();
        let weights = (0..outputs).map(|_| row()).collect();
        let names = excluded.iter().enumerate().filter(|(_, is_out)| **is_out);
        let reference = ReferenceSettings {
            kind,
            arrays: vec![],
            array_channels,
            maps: vec![],
            average_of: vec![],
            excluded: names.map(|(channel, _)| ChannelName::Index(channel)).collect(),
            channels: vec![],
            weights,
        };
        let (has_reference, has_spikes) = [(true, false), (false, true), (true, true)][numbers.below(3)];
        let of = if has_reference { outputs } else { channels };
        let scales = (0..if numbers.one_in(2) { 1 } else { of }).map(|_| numbers.number().abs());
        let spikes = SpikesSettings {
            scales: scales.collect(),
            multiple: [-1.0, -0.25, 0.5, -2.0][numbers.below(4)],
            refractory_ms: numbers.below(8) as f64,
            output_ms: numbers.below(7) as f64,
            power: numbers.one_in(2),
        };
        Self {
            channels,
            excluded,
            reference: has_reference.then_some(reference),
            spikes: has_spikes.then_some(spikes),
        }
    }

    fn stream(&self) -> DerivedStream {
        let reference = self.reference.clone().map(StageSettings::Reference);
        let settings = ChainSettings(
            reference.into_iter().chain(self.spikes.clone().map(StageSettings::Spikes)).collect(),
        );
        let channels = (0..self.channels).map(|channel| (format!("channel{channel}"), String::new()));
        let signal = Signal::raw(RATE_HZ, channels);
        let chain = Chain::new(&settings, GenerationId([0; 32]), &signal, 7).unwrap();
        DerivedStream::new(chain, self.channels, RATE_HZ)
    }

    fn steps(&self, numbers: &mut Numbers, goes_on: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..30 {
            let missing = if numbers.one_in(8) { 1 + numbers.below(9) as u64 } else { 0 };
            if numbers.one_in(8) {
                steps.push(Step::LeaveOut((numbers.below(1 << 32) & numbers.below(1 << 32)) as u32));
            }
            let rows = 1 + numbers.below(if goes_on { 3 } else { 13 });
            let mut row = || (0..self.channels).map(|_| numbers.value()).collect();
            steps.push(Step::Rows { missing, values: (0..rows).map(|_| row()).collect() });
            steps.extend(goes_on.then_some(Step::GoOn));
        }
        steps
    }

    fn expected(&self, steps: &[Step], settling: u64) -> Vec<Row> {
        let Plain { mut rows, absent, starts } = plain(steps, self.channels, settling);
        if let Some(settings) = &self.reference {
            for (row, absent) in rows.iter_mut().zip(&absent) {
                *row = match settings.kind {
                    ReferenceKind::Matrix => matrix(settings, &self.excluded, absent, row),
                    _ => regression(settings, &self.excluded, row),
                };
            }
        }
        let Some(settings) = &self.spikes else { return rows };
        let ends = starts.iter().skip(1).map(|(end, _)| *end).chain([rows.len()]);
        let runs = starts.iter().zip(ends);
        runs.flat_map(|((first, index), end)| spikes(settings, *index, &rows[*first..end])).collect()
    }

    fn found(&self, steps: &[Step]) -> Vec<Row> {
        let (mut stream, mut index) = (self.stream(), 0);
        let mut output = Rows::with_capacity(stream.chain().signal().outputs.len(), 0);
        for step in steps {
            match step {
                Step::Rows { missing, values } => {
                    stream.take(index, *missing, SampleRows::Double64(&values.concat()), &mut output);
                    index += values.len() as u64;
                }
                Step::LeaveOut(channels) => stream.leave_out(0, *channels),
                Step::GoOn => {
                    let mut checkpoint = Vec::new();
                    assert!(stream.save(&mut checkpoint));
                    stream = self.stream();
                    stream.load(&checkpoint).unwrap();
                }
            }
        }
        output.iter().map(|row| (row.values.to_vec(), row.invalid.to_vec())).collect()
    }
}

fn bits(rows: &[Row]) -> Vec<(Vec<u64>, &[bool])> {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect();
    rows.iter().map(|(values, invalid)| (bits(values), invalid.as_slice())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Channels that fill no tile, arrays whose channels are no neighbours or are left over, more or fewer sums than channels,
    /// values that are not valid, channels that are left out and come back, gaps and restarts, and a checkpoint after each few
    /// rows: every value and every flag is that of loops over one row and one channel at a time.
    #[test]
    fn sums_and_spikes_are_those_of_plain_loops_bit_for_bit(seed in any::<u64>(), goes_on in any::<bool>()) {
        let mut numbers = Numbers(seed);
        let case = Case::new(&mut numbers);
        let steps = case.steps(&mut numbers, goes_on);
        let expected = case.expected(&steps, case.stream().chain().settling());
        let found = case.found(&steps);
        prop_assert_eq!(bits(&found), bits(&expected), "{:?} {:?}", case.reference, case.spikes);
    }
}
