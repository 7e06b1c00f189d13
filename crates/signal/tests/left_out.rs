//! Channels that a derived stream leaves out because they are not healthy, and the same stream made again from its log.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may")]

use kalmind_signal::{
    Chain, ChainSettings, ChannelName, DerivedStream, FilterKind, FilterSettings, Frequencies, Given,
    IdentitySettings, ReferenceKind, ReferenceSettings, Rows, Signal, SpikesSettings, StageSettings,
};
use kalmind_types::{ChannelFault, GenerationId, SampleRows};

const CHANNELS: usize = 40;
const RATE_HZ: f64 = 1000.0;
/// Channel that stands still, from and to which sample.
const DEAD: usize = 35;
const FROM: u64 = 2050;
const TO: u64 = 3050;
const END: u64 = 6000;

/// A value made of its place alone, noisy to look at.
fn value(index: u64, channel: usize) -> f64 {
    if channel == DEAD && (FROM..TO).contains(&index) {
        return 7.0;
    }
    let mut bits = (index * CHANNELS as u64 + channel as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 40) as f64 / (1_u64 << 24) as f64 - 0.5
}

fn values(first: u64, end: u64) -> Vec<f64> {
    (first..end).flat_map(|index| (0..CHANNELS).map(move |channel| value(index, channel))).collect()
}

fn reference(kind: ReferenceKind, weights: Vec<Vec<f64>>) -> StageSettings {
    let (arrays, none): (_, Vec<ChannelName>) = (Vec::new(), Vec::new());
    StageSettings::Reference(ReferenceSettings {
        kind,
        arrays,
        array_channels: vec![],
        maps: vec![],
        average_of: none.clone(),
        excluded: none,
        channels: Vec::new(),
        weights,
    })
}

fn high_pass() -> StageSettings {
    StageSettings::Filter(FilterSettings {
        kind: FilterKind::HighPass,
        hz: Frequencies::One(20.0),
        order: 2,
        quality: 30.0,
        harmonics: 1,
        zero_phase_ms: None,
    })
}

fn stream(settings: &ChainSettings) -> DerivedStream {
    let signal = Signal::raw(RATE_HZ, (0..CHANNELS).map(|channel| (channel.to_string(), String::new())));
    let chain = Chain::new(settings, GenerationId([0; 32]), &signal, 64).unwrap();
    DerivedStream::new(chain, CHANNELS, RATE_HZ)
}

fn rows(stream: &DerivedStream) -> Rows {
    Rows::with_capacity(stream.chain().signal().outputs.len(), 0)
}

/// What comes out of a stream that is given everything in chunks of these lengths, over and over, and its log.
fn run(settings: &ChainSettings, chunks: &[u64]) -> (Rows, Vec<Given>) {
    let mut stream = stream(settings).with_channel_health(settings);
    let (mut output, mut first) = (rows(&stream), 0);
    for chunk in chunks.iter().cycle() {
        let end = (first + chunk).min(END);
        stream.take(first, 0, SampleRows::Double64(&values(first, end)), &mut output);
        first = end;
        if first == END {
            break;
        }
    }
    (output, stream.log().entries().to_vec())
}

fn replay(stream: &mut DerivedStream, log: &[Given], output: &mut Rows) {
    for given in log {
        match *given {
            Given::Restart { .. } => stream.restart(output),
            Given::Samples(range) => {
                let values = values(range.first, range.end);
                stream.samples(range.first, SampleRows::Double64(&values), output);
            }
            Given::LeftOut { first, channels } => stream.leave_out(first, channels),
            _ => panic!("{given:?}"),
        }
    }
}

/// Samples at which the dead channel is left out and taken in again.
fn changes(log: &[Given]) -> [u64; 2] {
    let mut at = Vec::new();
    for pair in log.windows(2) {
        if let [Given::Samples(range), Given::LeftOut { first: 32, channels }] = pair {
            assert_eq!(*channels, if at.is_empty() { 1 << (DEAD - 32) } else { 0 });
            at.push(range.end);
        }
    }
    at.try_into().unwrap()
}

#[test]
fn a_flat_channel_is_no_part_of_the_common_average_and_back_when_it_is_healthy() {
    let settings = ChainSettings(vec![reference(ReferenceKind::CommonAverage, Vec::new())]);
    let (output, log) = run(&settings, &[17]);
    let [out, back] = changes(&log);
    assert!((FROM + 100..FROM + 500).contains(&out) && (TO + 900..TO + 1500).contains(&back));
    assert_eq!(output.len() as u64, END);
    for row in output.iter() {
        let index = row.mark.index;
        let is_out = (out..back).contains(&index);
        let members: Vec<usize> = (0..CHANNELS).filter(|channel| !(is_out && *channel == DEAD)).collect();
        let sum: f64 = members.iter().map(|channel| value(index, *channel)).sum();
        let expected = value(index, 0) - sum / members.len() as f64;
        assert!((row.values[0] - expected).abs() < 1e-12, "sample {index}");
        assert_eq!(
            (row.invalid[0], row.invalid[DEAD]),
            (false, is_out),
            "its own value alone, sample {index}"
        );
    }
}

#[test]
fn sums_of_channels_are_made_without_it_until_filters_have_forgotten_it() {
    let weights =
        vec![vec![1.0; CHANNELS], (0..CHANNELS).map(|channel| f64::from(channel == DEAD)).collect()];
    let settings = ChainSettings(vec![high_pass(), reference(ReferenceKind::Matrix, weights)]);
    let (output, log) = run(&settings, &[100]);
    let settling = stream(&settings).chain().settling();
    assert!(settling > 10);
    let [out, back] = changes(&log);
    for row in output.iter().filter(|row| row.mark.index >= settling) {
        let is_absent = (out..back + settling).contains(&row.mark.index);
        // what is made of it alone is nothing without it
        assert_eq!(row.invalid, [false, is_absent], "sample {}", row.mark.index);
        assert_eq!(row.values[1] == 0.0, is_absent, "sample {}", row.mark.index);
    }
}

#[test]
fn any_cut_gives_the_bits_of_one_pass_over_the_log() {
    for stages in [
        vec![StageSettings::Identity(IdentitySettings {})],
        vec![high_pass(), reference(ReferenceKind::CommonAverage, Vec::new())],
        vec![high_pass(), reference(ReferenceKind::Matrix, vec![vec![0.5; CHANNELS]; 3])],
    ] {
        let settings = ChainSettings(stages);
        let (whole, log) = run(&settings, &[END]);
        for chunks in [&[1_u64][..], &[3, 100, 7, 250], &[99], &[64, 1000]] {
            assert_eq!(run(&settings, chunks), (whole.clone(), log.clone()), "{chunks:?}");
        }
        let mut stream = stream(&settings);
        let mut again = rows(&stream);
        replay(&mut stream, &log, &mut again);
        assert_eq!((again, stream.log().entries()), (whole, log.as_slice()));
    }
}

#[test]
fn a_checkpoint_and_a_restart_know_what_is_left_out() {
    let settings =
        ChainSettings(vec![high_pass(), reference(ReferenceKind::Matrix, vec![vec![0.5; CHANNELS]; 3])]);
    let (_, log) = run(&settings, &[END]);
    let [out, back] = changes(&log);
    let mut first = stream(&settings);
    let mut ignored = rows(&first);
    for at in [out + 10, back + 10] {
        // as it was at that sample
        first = stream(&settings);
        first.restart(&mut ignored);
        for (begin, end, bits) in [(0, out, 1 << (DEAD - 32)), (out, back, 0), (back, END, 0)] {
            let end = end.min(at);
            if begin < end {
                first.samples(begin, SampleRows::Double64(&values(begin, end)), &mut ignored);
            }
            if end < at || begin == end {
                first.leave_out(32, bits);
            }
        }
        let mut checkpoint = Vec::with_capacity(first.checkpoint_bytes());
        assert!(first.save(&mut checkpoint) && checkpoint.len() <= first.checkpoint_bytes());
        let mut second = stream(&settings);
        second.load(&checkpoint).unwrap();
        let (mut one, mut other) = (rows(&first), rows(&second));
        for (stream, output) in [(&mut first, &mut one), (&mut second, &mut other)] {
            stream.samples(at, SampleRows::Double64(&values(at, at + 500)), output);
        }
        assert_eq!(one, other, "from sample {at}");
    }
    first.leave_out(0, 5);
    first.log().clear();
    first.restart(&mut ignored);
    let [Given::Restart { .. }, Given::LeftOut { first: 0, channels: 5 }] = first.log().entries() else {
        panic!("{:?}", first.log().entries())
    };
}

#[test]
fn what_is_wrong_is_told_with_how_often_it_has_changed() {
    let settings = ChainSettings(vec![StageSettings::Identity(IdentitySettings {})]);
    let mut stream = stream(&settings).with_channel_health(&settings);
    let mut output = rows(&stream);
    stream.take(0, 0, SampleRows::Double64(&values(0, TO)), &mut output);
    let (changes, faults) = stream.channel_faults().unwrap();
    let faults: Vec<(usize, ChannelFault)> =
        faults.enumerate().filter_map(|(channel, fault)| Some((channel, fault?))).collect();
    let [(DEAD, ChannelFault::Saturated)] = faults[..] else { panic!("{faults:?}") };
    assert_eq!(changes, 1);
}

#[test]
fn a_channel_that_spikes_far_more_often_than_the_others_is_left_out() {
    let settings = ChainSettings(vec![StageSettings::Spikes(SpikesSettings {
        scales: vec![0.1],
        multiple: -4.0,
        refractory_ms: 1.0,
        output_ms: 1.0,
        power: false,
    })]);
    let mut stream = stream(&settings).with_channel_health(&settings);
    let mut output = rows(&stream);
    let mut values = values(0, 2000);
    for (index, row) in values.chunks_mut(CHANNELS).enumerate().skip(1000) {
        row[3] = if index % 2 == 0 { 0.45 } else { -0.45 };
    }
    stream.take(0, 0, SampleRows::Double64(&values), &mut output);
    let (_, faults) = stream.channel_faults().unwrap();
    let found: Vec<_> = faults.enumerate().filter_map(|(channel, fault)| Some((channel, fault?))).collect();
    assert_eq!(found, [(3, ChannelFault::RateOutlier)]);
    assert!(output.iter().skip(1500).all(|row| row.invalid[3] && !row.invalid[2]));
}
