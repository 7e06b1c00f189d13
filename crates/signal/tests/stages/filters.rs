//! Filters designed from frequencies, against those that scipy designs; and what cannot be designed.

use kalmind_signal::{
    Chain, ChainSettings, DerivedStream, FilterKind, FilterSettings, Frequencies, PowerSettings, Rows,
    Signal, StageSettings,
};
use kalmind_types::{GenerationId, SampleRows};

/// The numbers after a word at the beginning of a line.
pub(crate) fn numbers(line: &str) -> Vec<f64> {
    line.split(' ').skip(1).map(|number| number.parse().unwrap()).collect()
}

/// A signal of channels that are called `a`, `b` and so on.
pub(crate) fn signal(rate_hz: f64, channels: usize) -> Signal {
    let channels = ('a'..).take(channels).map(|name| (name.to_string(), String::from("uV")));
    Signal::raw(rate_hz, channels)
}

/// What stages make of rows: the values and which of them are valid.
pub(crate) fn run(settings: Vec<StageSettings>, signal: &Signal, x: &[f64]) -> (Vec<f64>, Vec<bool>) {
    let chain = Chain::new(&ChainSettings(settings), GenerationId::default(), signal, 16).unwrap();
    let outputs = chain.signal().outputs.len();
    let mut derived = DerivedStream::new(chain, signal.outputs.len(), signal.rate_hz);
    let mut output = Rows::with_capacity(outputs, 0);
    derived.take(0, 0, SampleRows::Double64(x), &mut output);
    let values = output.iter().flat_map(|row| row.values.to_vec());
    (values.collect(), output.iter().flat_map(|row| row.invalid.iter().map(|invalid| !invalid)).collect())
}

/// Asserts that numbers are equal to 1e-9 of the largest of them.
pub(crate) fn assert_near(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 1e-9 * largest, "{what}, {number}: {found} {expected}");
    }
}

fn filter(kind: FilterKind, hz: Frequencies) -> FilterSettings {
    FilterSettings { kind, hz, order: 2, quality: 30.0, harmonics: 1, zero_phase_ms: None }
}

fn designs() -> Vec<FilterSettings> {
    use FilterKind::{BandPass, BandStop, HighPass, LowPass, Notch};
    let band =
        |kind, low, high, order| FilterSettings { order, ..filter(kind, Frequencies::Band([low, high])) };
    let edge = |kind, hz, order| FilterSettings { order, ..filter(kind, Frequencies::One(hz)) };
    vec![
        band(BandPass, 250.0, 5000.0, 3),
        FilterSettings { zero_phase_ms: Some(1.0), ..band(BandPass, 300.0, 1000.0, 4) },
        edge(HighPass, 1.0, 1),
        edge(HighPass, 250.0, 4),
        edge(LowPass, 40.0, 5),
        FilterSettings { zero_phase_ms: Some(20.0), ..edge(LowPass, 100.0, 2) },
        band(BandPass, 70.0, 150.0, 8),
        band(BandStop, 45.0, 55.0, 3),
        filter(Notch, Frequencies::One(50.0)),
        FilterSettings { quality: 20.0, harmonics: 4, ..filter(Notch, Frequencies::One(60.0)) },
    ]
}

#[test]
fn filters_designed_from_frequencies_give_what_those_of_scipy_give() {
    let lines: Vec<&str> = include_str!("filters_by_scipy.txt").lines().collect();
    let (x, designs) = (numbers(lines[0]), designs());
    let cases = lines[1..].chunks_exact(3);
    assert_eq!(cases.len(), designs.len());
    for (case, design) in cases.zip(designs) {
        let [rate_hz, _block] = numbers(case[0])[..] else { unreachable!("a case has two numbers") };
        let what = format!("{design:?}");
        let (found, _) = run(vec![StageSettings::Filter(design)], &signal(rate_hz, 2), &x);
        assert_near(&found, &numbers(case[2]), &what);
    }
}

#[test]
fn filters_that_cannot_be_designed_are_refused_with_what_would_do() {
    let refuse = |settings: FilterSettings| {
        let error = StageSettings::Filter(settings).build(&signal(1000.0, 1)).unwrap_err();
        (error.is_of_signal(), error.to_string())
    };
    let low = filter(FilterKind::LowPass, Frequencies::One(500.0));
    let (of_signal, text) = refuse(low.clone());
    assert!(of_signal && text.contains("below 500 Hz"), "{text}");
    let (of_signal, text) =
        refuse(FilterSettings { harmonics: 10, ..filter(FilterKind::Notch, Frequencies::One(50.0)) });
    assert!(of_signal && text.contains("`harmonics`"), "{text}");
    for (settings, says) in [
        (FilterSettings { order: 0, ..low.clone() }, "`order` is 0"),
        (FilterSettings { order: 13, ..low.clone() }, "`order` is 13"),
        (FilterSettings { zero_phase_ms: Some(-1.0), ..low.clone() }, "`zero_phase_ms`"),
        (FilterSettings { quality: f64::NAN, ..low }, "`quality`"),
        (filter(FilterKind::LowPass, Frequencies::Band([1.0, 2.0])), "two numbers"),
        (filter(FilterKind::BandPass, Frequencies::One(1.0)), "hz = [lower, upper]"),
        (filter(FilterKind::BandPass, Frequencies::Band([2.0, 1.0])), "comes first"),
        (filter(FilterKind::HighPass, Frequencies::One(0.0)), "above 0"),
    ] {
        let (of_signal, text) = refuse(settings);
        assert!(!of_signal && text.contains(says), "{text}");
    }
}

#[test]
fn blocks_shorter_than_the_filter_settles_in_are_said_with_both_numbers() {
    let warning = |milliseconds| {
        let settings = FilterSettings {
            zero_phase_ms: Some(milliseconds),
            ..filter(FilterKind::HighPass, Frequencies::One(10.0))
        };
        StageSettings::Filter(settings).build(&signal(1000.0, 1)).unwrap().warning()
    };
    // the poles of a high-pass of order 2 at 10 Hz and 1000 Hz have the radius 0.9565: ln 0.001 / ln 0.9565 = 155.4
    let said = warning(155.0).expect("a sample too short");
    assert!(
        said.contains("blocks of 155 samples (155.0 ms)") && said.contains("after 156 (156.0 ms)"),
        "{said}"
    );
    assert_eq!(warning(156.0), None);
}

#[test]
fn what_settings_do_not_do_is_said() {
    let said = |stage: StageSettings| stage.build(&signal(1000.0, 2)).unwrap().warning().unwrap_or_default();
    let (hz, zero_phase_ms) = (Frequencies::One(50.0), None);
    let filter = |kind, order, quality, harmonics| {
        said(StageSettings::Filter(FilterSettings { kind, hz, order, quality, harmonics, zero_phase_ms }))
    };
    assert!(filter(FilterKind::Notch, 4, 30.0, 1).contains("`order` counts for nothing"));
    assert_eq!(filter(FilterKind::Notch, 2, 10.0, 2), "");
    for (quality, harmonics) in [(30.0, 2), (4.0, 1)] {
        assert!(filter(FilterKind::LowPass, 2, quality, harmonics).contains("they are of a notch"));
    }
    assert_eq!(filter(FilterKind::LowPass, 4, 30.0, 1), "");
    let power = |output_ms, over_ms| {
        said(StageSettings::Power(PowerSettings { output_ms, over_ms, relative_to: Vec::new(), log: false }))
    };
    assert!(power(50.0, Some(333.0)).contains("`over_ms` is 333, and the window is 350.0 ms long"));
    assert!(power(2.0, Some(1.0)).contains("the window is 2.0 ms long"));
    assert_eq!((power(50.0, Some(300.0)), power(1.4, None)), (String::new(), String::new()));
}
