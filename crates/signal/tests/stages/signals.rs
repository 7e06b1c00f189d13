//! References, spikes, power, decimation and blanking, against chains of numpy and scipy; and what is refused.

use kalmind_signal::{
    BlankSettings, ChannelName, DecimateSettings, FilterKind, FilterSettings, Frequencies, PowerSettings,
    RectifySettings, ReferenceKind, ReferenceSettings, Signal, SpikesSettings, StageSettings,
};

use kalmind_types::StreamOutput;

use crate::filters::{assert_near, numbers, run, signal};

const RATE_HZ: f64 = 30_000.0;
const CHANNELS: usize = 4;
/// Rows of which a row of a millisecond is made.
const WINDOW: usize = 30;

/// A line of the reference, by its name.
fn line(name: &str) -> Vec<f64> {
    let lines = include_str!("signals_by_scipy.txt").lines();
    numbers(lines.into_iter().find(|line| line.starts_with(&format!("{name} "))).unwrap())
}

/// The input with its trigger, and without that and the artifacts: as the generator makes the one of the other.
fn input() -> (Vec<f64>, Vec<f64>) {
    let all = line("input");
    let mut clean = Vec::new();
    for (at, row) in all.chunks_exact(CHANNELS + 1).enumerate() {
        let artifact = if (900..912).contains(&at) { 6000.0 } else { 0.0 };
        clean.extend(row[..CHANNELS].iter().map(|value| value - artifact));
    }
    (all, clean)
}

fn filter(kind: FilterKind, hz: Frequencies, order: u32) -> StageSettings {
    StageSettings::Filter(FilterSettings {
        kind,
        hz,
        order,
        quality: 30.0,
        harmonics: 1,
        zero_phase_ms: None,
    })
}

fn band() -> StageSettings {
    filter(FilterKind::BandPass, Frequencies::Band([250.0, 5000.0]), 3)
}

fn reference(kind: ReferenceKind) -> ReferenceSettings {
    ReferenceSettings {
        kind,
        arrays: vec![],
        array_channels: vec![],
        maps: vec![],
        average_of: vec![],
        excluded: vec![],
        channels: vec![],
        weights: vec![],
    }
}

fn average() -> StageSettings {
    StageSettings::Reference(reference(ReferenceKind::CommonAverage))
}

fn spikes(multiple: f64, power: bool) -> StageSettings {
    let scales = line("scales");
    StageSettings::Spikes(SpikesSettings { scales, multiple, refractory_ms: 1.0, output_ms: 1.0, power })
}

/// Asserts that what is valid is what is expected, to 1e-9; how much of it that is.
fn assert_valid(found: &(Vec<f64>, Vec<bool>), expected: &[f64], what: &str) -> usize {
    assert_eq!(found.0.len(), expected.len(), "{what}");
    let valid = |values: &[f64]| {
        let valid = values.iter().zip(&found.1).filter(|(_, valid)| **valid);
        valid.map(|(value, _)| *value).collect::<Vec<_>>()
    };
    assert_near(&valid(&found.0), &valid(expected), what);
    found.1.iter().filter(|valid| **valid).count()
}

/// The input holds a value at the end of the range in place of one: rows after it are not compared.
const CLEAN: usize = 3000;

fn clean() -> Vec<f64> {
    input().1[..CLEAN * CHANNELS].to_vec()
}

#[test]
fn spikes_are_those_of_numpy_sample_for_sample() {
    let expected = CLEAN / WINDOW * CHANNELS;
    for (name, multiple) in [("spikes", -3.5), ("rising", 3.0)] {
        let found =
            run(vec![band(), average(), spikes(multiple, false)], &signal(RATE_HZ, CHANNELS), &clean());
        let valid = assert_valid(&found, &line(name)[..expected], name);
        assert!(valid > expected / 2, "{name} {valid}");
    }
    let with_power = run(vec![band(), average(), spikes(-3.5, true)], &signal(RATE_HZ, CHANNELS), &clean());
    let (counts, powers) = (line("spikes"), line("power"));
    let both = counts.chunks_exact(CHANNELS).zip(powers.chunks_exact(CHANNELS));
    let both: Vec<f64> = both.take(CLEAN / WINDOW).flat_map(|(one, other)| [one, other].concat()).collect();
    assert!(assert_valid(&with_power, &both, "spikes and power") > expected);
}

#[test]
fn artifacts_are_left_out_and_the_counts_around_them_are_those_of_numpy() {
    let blank = StageSettings::Blank(BlankSettings {
        saturation: Some(32_000.0),
        trigger: Some(ChannelName::Label(String::from("e"))),
        trigger_above: 0.5,
        blank_ms: 0.5,
    });
    let found = run(vec![blank, band(), spikes(-4.0, false)], &signal(RATE_HZ, CHANNELS + 1), &input().0);
    let valid = assert_valid(&found, &line("blanked"), "blanked");
    assert!(valid > found.1.len() / 3, "{valid} of {}", found.1.len());
    let is_valid = |millisecond: usize, channel: usize| found.1[millisecond * CHANNELS + channel];
    assert!((0..CHANNELS).all(|channel| is_valid(29, channel) && !is_valid(30, channel)), "the trigger");
    assert!(is_valid(100, 0) && is_valid(100, 1) && !is_valid(100, 2), "the channel at the end of its range");
}

#[test]
fn power_is_that_of_numpy() {
    let squares = line("scales").iter().map(|scale| scale * scale).collect();
    let power = |over_ms, relative_to, log| {
        StageSettings::Power(PowerSettings { output_ms: 1.0, over_ms, relative_to, log })
    };
    let windows = CLEAN / WINDOW;
    let found = run(vec![band(), average(), power(None, vec![], false)], &signal(RATE_HZ, 4), &clean());
    assert_near(&found.0, &line("power")[..windows * CHANNELS], "power");
    let found = run(vec![band(), average(), power(Some(10.0), squares, true)], &signal(RATE_HZ, 4), &clean());
    let first = 9 * CHANNELS;
    assert_near(&found.0[first..], &line("smooth")[..(windows - 9) * CHANNELS], "log of relative power");
}

#[test]
fn decimation_and_envelopes_are_those_of_scipy() {
    let decimate = |low_pass_hz, order| {
        StageSettings::Decimate(DecimateSettings { factor: 30, low_pass_hz: Some(low_pass_hz), order })
    };
    let values = CLEAN / WINDOW * CHANNELS;
    let found = run(vec![decimate(400.0, 8)], &signal(RATE_HZ, CHANNELS), &clean());
    assert_near(&found.0, &line("decimated")[..values], "decimated");
    let rectify = StageSettings::Rectify(RectifySettings {});
    let found = run(vec![band(), rectify, decimate(50.0, 2)], &signal(RATE_HZ, CHANNELS), &clean());
    assert_near(&found.0, &line("envelope")[..values], "envelope");
}

fn names(list: &[usize]) -> Vec<ChannelName> {
    list.iter().map(|channel| ChannelName::Index(*channel)).collect()
}

/// References and the name of what numpy makes.
fn references() -> Vec<(&'static str, ReferenceSettings)> {
    let (average, weights) = (reference(ReferenceKind::CommonAverage), numbers_of_weights());
    let lists = |kind, lists: &[&[usize]]| ReferenceSettings {
        channels: lists.iter().map(|list| names(list)).collect(),
        ..reference(kind)
    };
    vec![
        ("bipolar", lists(ReferenceKind::Bipolar, &[&[0, 1], &[2, 3]])),
        ("laplacian", lists(ReferenceKind::Laplacian, &[&[0, 1, 2], &[3, 0, 1, 2]])),
        ("quietest", ReferenceSettings { average_of: names(&[0, 2]), ..average.clone() }),
        ("arrays", ReferenceSettings { arrays: vec![[2, 4], [0, 2]], ..average }),
        (
            "regression",
            ReferenceSettings { weights: weights.clone(), ..reference(ReferenceKind::Regression) },
        ),
        ("matrix", ReferenceSettings { weights: weights[..3].to_vec(), ..reference(ReferenceKind::Matrix) }),
    ]
}

fn numbers_of_weights() -> Vec<Vec<f64>> {
    vec![
        vec![9.0, 0.5, 0.25, 0.0],
        vec![0.125, 9.0, 0.0, -0.5],
        vec![0.0, 0.75, 9.0, 0.25],
        vec![0.5, 0.0, 0.5, 9.0],
    ]
}

#[test]
fn references_are_those_of_numpy() {
    for (name, settings) in references() {
        let x = &clean()[..40 * CHANNELS];
        let found = run(vec![StageSettings::Reference(settings)], &signal(RATE_HZ, CHANNELS), x);
        assert_near(&found.0, &line(name), name);
        assert!(found.1.iter().all(|valid| *valid), "{name}");
    }
}

#[test]
fn arrays_of_channels_that_are_no_neighbours_give_what_neighbours_do() {
    let x = &clean()[..40 * CHANNELS];
    // channels 1 and 2 change places
    let turned =
        |values: &[f64]| values.chunks_exact(4).flat_map(|row| [row[0], row[2], row[1], row[3]]).collect();
    let regression =
        || ReferenceSettings { weights: numbers_of_weights(), ..reference(ReferenceKind::Regression) };
    let weights: Vec<Vec<f64>> = [0, 2, 1, 3].iter().map(|row| turned(&numbers_of_weights()[*row])).collect();
    let average = || reference(ReferenceKind::CommonAverage);
    let apart = vec![vec![2, 0], vec![1, 3]];
    for (neighbours, others) in [
        (ReferenceSettings { arrays: vec![[0, 2], [2, 4]], ..average() }, average()),
        (
            ReferenceSettings { arrays: vec![[0, 2], [2, 4]], ..regression() },
            ReferenceSettings { weights, ..regression() },
        ),
    ] {
        let others = ReferenceSettings { array_channels: apart.clone(), ..others };
        let made = |settings| {
            StageSettings::Reference(settings).build(&signal(RATE_HZ, 4)).unwrap().signal().clone()
        };
        let sources =
            made(others.clone()).outputs.iter().map(|output| output.sources.clone()).collect::<Vec<_>>();
        assert_eq!(sources, [vec![0..1, 2..3], vec![1..2, 3..4], vec![0..1, 2..3], vec![1..2, 3..4]]);
        let expected = run(vec![StageSettings::Reference(neighbours)], &signal(RATE_HZ, 4), x).0;
        let found = run(vec![StageSettings::Reference(others)], &signal(RATE_HZ, 4), &turned(x)).0;
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&turned(&found)), bits(&expected));
    }
}

#[test]
fn channels_that_are_in_no_array_are_said() {
    let said = |settings: ReferenceSettings| {
        StageSettings::Reference(settings).build(&signal(1000.0, 5)).unwrap().warning().unwrap_or_default()
    };
    let average = || reference(ReferenceKind::CommonAverage);
    assert_eq!(said(average()), "");
    assert_eq!(
        said(ReferenceSettings { arrays: vec![[0, 4]], ..average() }),
        "channel 4 (counted from 0) is in no array, and stays as it is"
    );
    assert_eq!(
        said(ReferenceSettings { array_channels: vec![vec![1, 3]], ..average() }),
        "channels 0, 2, 4 (counted from 0) are in no array, and stay as they are"
    );
}

#[test]
fn a_channel_of_which_nothing_can_be_left_is_said() {
    let said = |settings: ReferenceSettings| {
        StageSettings::Reference(settings).build(&signal(1000.0, 2)).unwrap().warning().unwrap_or_default()
    };
    let average = |arrays: &[[usize; 2]]| {
        said(ReferenceSettings { arrays: arrays.to_vec(), ..reference(ReferenceKind::CommonAverage) })
    };
    let told = average(&[[0, 1]]);
    assert!(
        told.contains("channel 1 ")
            && told.ends_with("channel a is alone in its array: what comes of it is always 0"),
        "{told}"
    );
    assert_eq!(average(&[[0, 2]]), "");
    let of = |kind, channels: &[&[usize]]| {
        let channels = channels.iter().map(|channels| names(channels)).collect();
        said(ReferenceSettings { channels, ..reference(kind) })
    };
    let told = of(ReferenceKind::Bipolar, &[&[0, 1], &[1, 1]]);
    assert_eq!(told, "channel b is taken away from itself: what comes out is always 0");
    assert_eq!(of(ReferenceKind::Laplacian, &[&[0, 0, 1]]), "", "half of a difference");
}

#[test]
fn a_channel_that_is_excluded_or_not_valid_is_no_part_of_a_reference() {
    let row = [1.0, 2.0, 600.0, 6.0];
    let settings = ReferenceSettings { excluded: names(&[2]), ..reference(ReferenceKind::CommonAverage) };
    let excluded = run(vec![StageSettings::Reference(settings)], &signal(RATE_HZ, 4), &row);
    let broken = [1.0, 2.0, f64::NAN, 6.0];
    let invalid = run(vec![average()], &signal(RATE_HZ, 4), &broken);
    for (values, valid) in [excluded, invalid] {
        assert_near(&[values[0], values[1], values[3]], &[-2.0, -1.0, 3.0], "the mean of three is 3");
        assert_eq!(valid, [true, true, false, true]);
    }
    let weights = numbers_of_weights();
    let regression = StageSettings::Reference(ReferenceSettings {
        weights: weights.clone(),
        ..reference(ReferenceKind::Regression)
    });
    let (values, valid) = run(vec![regression], &signal(RATE_HZ, 4), &broken);
    assert_near(&[values[0], values[1], values[3]], &[0.0, 4.875, 5.5], "without the third channel");
    assert_eq!(valid, [true, true, false, true]);
    let matrix = StageSettings::Reference(ReferenceSettings {
        weights: weights[..3].to_vec(),
        ..reference(ReferenceKind::Matrix)
    });
    assert_eq!(run(vec![matrix], &signal(RATE_HZ, 4), &broken).1, [false, true, false]);
    let sources = |name: &str| {
        let settings = references().into_iter().find(|(other, _)| *other == name).unwrap().1;
        let stage = StageSettings::Reference(settings).build(&signal(RATE_HZ, 4)).unwrap();
        let outputs = &stage.signal().outputs;
        let each = |output: &StreamOutput| {
            let runs = output.sources.iter().map(|run| [run.start, run.end]).collect::<Vec<_>>();
            (output.name.clone(), runs)
        };
        outputs.iter().map(each).collect::<Vec<_>>()
    };
    assert_eq!(sources("bipolar"), [("a-b".to_owned(), vec![[0, 2]]), ("c-d".to_owned(), vec![[2, 4]])]);
    assert_eq!(sources("arrays")[3], ("d".to_owned(), vec![[2, 4]]));
}

#[test]
fn excluded_channels_that_a_matrix_has_weights_for_are_said() {
    let settings = |excluded: &[usize]| {
        let weights = vec![vec![1.0, -1.0, 0.0], vec![0.0, 0.0, 2.0], vec![0.5, 0.0, 0.5]];
        let settings =
            ReferenceSettings { weights, excluded: names(excluded), ..reference(ReferenceKind::Matrix) };
        StageSettings::Reference(settings).build(&signal(1000.0, 3)).unwrap().warning()
    };
    assert_eq!(settings(&[]), None);
    let said = settings(&[0]).expect("two sums lack it");
    assert!(said.contains("2 of 3 rows of `weights`"), "{said}");
}

#[test]
fn zeros_may_come_and_go_in_learnt_weights_among_the_channels_of_the_start() {
    let built = |weights: [[f64; 3]; 2]| {
        let weights = weights.map(Vec::from).to_vec();
        let settings = ReferenceSettings { weights, ..reference(ReferenceKind::Matrix) };
        StageSettings::Reference(settings).build(&signal(1000.0, 3)).unwrap().signal().clone()
    };
    let first = built([[1.0, 0.5, 0.0], [0.0, 1.0, 1.0]]);
    for (other, more) in [
        (built([[1.0, 0.0, 0.0], [0.0, 1.0, 2.0]]), None),
        (built([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), None),
        (built([[1.0, 0.5, 0.0], [0.1, 1.0, 1.0]]), Some("sum1")),
    ] {
        assert!(other.is_like(&first));
        assert_eq!(other.made_of_more(&first), more);
    }
    let fewer = Signal { outputs: first.outputs[..1].to_vec(), ..first.clone() };
    assert!(!fewer.is_like(&first) && !Signal { rate_hz: 500.0, ..first.clone() }.is_like(&first));
}

#[test]
fn a_flat_channel_has_no_threshold_and_no_valid_count() {
    let scales = vec![1.0, 0.0];
    let spikes = SpikesSettings { scales, multiple: -4.0, refractory_ms: 0.0, output_ms: 1.0, power: false };
    let (_, valid) = run(vec![StageSettings::Spikes(spikes)], &signal(1000.0, 2), &[0.0; 12]);
    assert_eq!(valid[6..], [true, false, true, false, true, false]);
}

#[test]
fn stages_that_do_not_fit_are_refused_with_what_would_do() {
    let spikes =
        |scales| SpikesSettings { scales, multiple: -4.5, refractory_ms: 1.0, output_ms: 1.0, power: false };
    let decimate = |factor, low_pass_hz| DecimateSettings { factor, low_pass_hz, order: 8 };
    let blank = |trigger: Option<&str>| BlankSettings {
        saturation: None,
        trigger: trigger.map(|label| ChannelName::Label(label.to_owned())),
        trigger_above: 0.5,
        blank_ms: 1.0,
    };
    let average = reference(ReferenceKind::CommonAverage);
    let power = PowerSettings { output_ms: 0.0, over_ms: None, relative_to: vec![], log: false };
    for (settings, of_signal, says) in [
        (StageSettings::Spikes(spikes(vec![])), false, "`scales`"),
        (StageSettings::Spikes(spikes(vec![1.0, 2.0])), true, "one each: 3"),
        (StageSettings::Spikes(SpikesSettings { multiple: 0.0, ..spikes(vec![1.0]) }), false, "`multiple`"),
        (StageSettings::Decimate(decimate(10, None)), true, "an edge at 40 Hz or below"),
        (StageSettings::Decimate(decimate(10, Some(50.0))), true, "below half the new rate, 50 Hz"),
        (StageSettings::Decimate(decimate(1, Some(50.0))), false, "`factor` is 1"),
        (StageSettings::Blank(blank(None)), false, "nothing would be left out"),
        (
            StageSettings::Blank(blank(Some("trigger"))),
            true,
            "no channel \"trigger\"; the channels are called a, b, c",
        ),
        (StageSettings::Power(power), false, "`output_ms` is 0"),
        (StageSettings::Reference(reference(ReferenceKind::Bipolar)), false, "`channels`"),
        (StageSettings::Reference(reference(ReferenceKind::Matrix)), false, "`weights`"),
        (
            StageSettings::Reference(ReferenceSettings { arrays: vec![[0, 2], [1, 3]], ..average.clone() }),
            false,
            "share channels",
        ),
        (
            StageSettings::Reference(ReferenceSettings { arrays: vec![[0, 96]], ..average.clone() }),
            true,
            "there are 3 channels",
        ),
        (
            StageSettings::Reference(ReferenceSettings {
                array_channels: vec![vec![0, 7]],
                ..average.clone()
            }),
            true,
            "there are 3 channels, so what has channel 7, counted from 0",
        ),
        (
            StageSettings::Reference(ReferenceSettings {
                array_channels: vec![vec![0, 1], vec![1]],
                ..average.clone()
            }),
            false,
            "`array_channels` share channels",
        ),
        (
            StageSettings::Reference(ReferenceSettings {
                arrays: vec![[0, 1]],
                maps: vec![String::new()],
                ..average.clone()
            }),
            false,
            "one of them will do",
        ),
        (
            StageSettings::Reference(ReferenceSettings {
                maps: vec![String::from("a.cmp")],
                ..average.clone()
            }),
            true,
            "`maps` name files",
        ),
        (
            StageSettings::Reference(ReferenceSettings { excluded: names(&[0, 1, 2]), ..average.clone() }),
            true,
            "no channel is left",
        ),
        (
            StageSettings::Reference(ReferenceSettings { excluded: names(&[3]), ..average }),
            true,
            "there is no channel 3; there are 3",
        ),
    ] {
        let error = settings.build(&signal(1000.0, 3)).unwrap_err();
        assert!(error.is_of_signal() == of_signal && error.to_string().contains(says), "{error}");
    }
}
