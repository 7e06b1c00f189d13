//! What a bin's samples become, seen from outside the crate.

#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

use kalmind_signal::{AcceptError, FeatureExtractor, FeatureStatistics, Preparation, PreparationError};
use kalmind_types::{Binning, FeatureSet, LayoutError, SampleRows, StreamFeatures, StreamOutput};
use proptest::prelude::*;

fn stream(binning: Binning, channels: usize) -> StreamFeatures {
    StreamFeatures::of_channels(binning, channels, None)
}

fn extractor(streams: &[StreamFeatures]) -> FeatureExtractor {
    FeatureExtractor::new(streams).unwrap()
}

#[test]
fn streams_stand_one_after_the_other_in_the_configured_order() {
    let mut extractor =
        extractor(&[stream(Binning::Mean, 2), stream(Binning::Sum, 3), stream(Binning::Sample, 1)]);
    let places: Vec<_> = extractor.layout().streams().map(|(_, features)| features).collect();
    assert_eq!((extractor.layout().width(), places), (6, vec![0..2, 2..5, 5..6]));
    extractor.reset();
    extractor.accept(2, SampleRows::Int8(&[-7])).unwrap();
    extractor.accept(1, SampleRows::Int32(&[1, 2, 3, 10, 20, 30])).unwrap();
    extractor.accept(0, SampleRows::Float32(&[1.0, 2.0, 2.0, 5.0])).unwrap();
    assert_eq!(extractor.finish().values, [1.5, 3.5, 11.0, 22.0, 33.0, -7.0]);
}

#[test]
fn non_finite_values_are_left_out_and_counted() {
    let mut extractor = extractor(&[stream(Binning::Mean, 2), stream(Binning::Sample, 2)]);
    extractor.reset();
    extractor.accept(0, SampleRows::Double64(&[1.0, f64::NAN, 3.0, f64::INFINITY])).unwrap();
    extractor.accept(1, SampleRows::Float32(&[f32::NEG_INFINITY, 4.0])).unwrap();
    let raw = extractor.finish();
    assert_eq!(raw.nonfinite, 3);
    assert_eq!((raw.values[0], raw.values[3]), (2.0, 4.0));
    assert!(raw.values[1].is_nan() && raw.values[2].is_nan());
}

#[test]
fn no_sample_is_not_a_count_of_zero() {
    let mut extractor = extractor(&[stream(Binning::Sum, 1)]);
    extractor.accept(0, SampleRows::Int64(&[3])).unwrap();
    assert_eq!(extractor.finish().values, [3.0]);
    extractor.reset();
    assert!(extractor.finish().values[0].is_nan());
    extractor.accept(0, SampleRows::Int64(&[0, 0])).unwrap();
    assert_eq!(extractor.finish().values, [0.0]);
}

#[test]
fn a_sum_that_overflows_is_no_feature() {
    let mut extractor = extractor(&[stream(Binning::Sum, 1)]);
    extractor.accept(0, SampleRows::Double64(&[f64::MAX, f64::MAX])).unwrap();
    assert!(extractor.finish().values[0].is_nan());
}

#[test]
fn refused_rows_leave_the_bin_as_it_was() {
    let mut extractor = extractor(&[stream(Binning::Sum, 2)]);
    extractor.accept(0, SampleRows::Int16(&[1, 2])).unwrap();
    assert_eq!(
        extractor.accept(0, SampleRows::Int16(&[1, 2, 3])),
        Err(AcceptError::PartialRow { values: 3, width: 2 })
    );
    assert_eq!(
        extractor.accept(1, SampleRows::Int16(&[])),
        Err(AcceptError::UnknownStream { stream: 1, streams: 1 })
    );
    assert_eq!(extractor.finish().values, [1.0, 2.0]);
}

#[test]
fn the_rows_of_a_derived_stream_are_as_wide_as_its_outputs() {
    let output = |name: &str, channel| StreamOutput {
        name: name.to_owned(),
        unit: String::new(),
        channel: Some(channel),
        sources: Vec::new(),
    };
    let outputs = Some(vec![output("a low", 0), output("a high", 0), output("b low", 1)]);
    let derived = StreamFeatures { outputs, ..stream(Binning::Mean, 2) };
    let mut extractor = extractor(&[derived, stream(Binning::Sum, 1)]);
    extractor.accept(0, SampleRows::Float32(&[1.0, 2.0, 3.0, 3.0, 4.0, 5.0])).unwrap();
    extractor.accept(1, SampleRows::Int8(&[7])).unwrap();
    assert_eq!(extractor.finish().values, [2.0, 3.0, 4.0, 7.0]);
    assert_eq!(
        extractor.accept(0, SampleRows::Float32(&[1.0, 2.0])),
        Err(AcceptError::PartialRow { values: 2, width: 3 })
    );
}

#[test]
fn impossible_layouts_are_refused() {
    assert_eq!(FeatureExtractor::new(&[]).unwrap_err(), LayoutError::NoFeatures);
    assert_eq!(FeatureExtractor::new(&[stream(Binning::Sum, 0)]).unwrap_err(), LayoutError::NoFeatures);
    let labels = StreamFeatures { labels: Some(vec!["a".to_owned()]), ..stream(Binning::Sum, 2) };
    assert_eq!(
        FeatureExtractor::new(&[labels]).unwrap_err(),
        LayoutError::Labels { stream: 0, channels: 2, labels: 1 }
    );
}

#[test]
fn masked_and_missing_features_take_the_training_mean_before_the_z_score() {
    let statistics =
        FeatureStatistics { mean: vec![1.0, 2.0, 3.0, 4.0], deviation: vec![2.0, 4.0, 0.0, 1.0] };
    let mut preparation = Preparation::new(vec![3.0, 2.0, 3.5, 6.0], Some(statistics)).unwrap();
    let mut off = FeatureSet::none_of(4);
    assert!(off.insert(0));
    let prepared = preparation.prepare(&[99.0, 10.0, f64::NAN], &off);
    assert_eq!((prepared.features, prepared.missing.count()), ([1.0, 2.0, 0.5, 2.0].as_slice(), 3));
}

#[test]
fn without_a_z_score_features_pass_as_they_stand() {
    let mut preparation = Preparation::new(vec![0.5, 0.25], None).unwrap();
    let prepared = preparation.prepare(&[7.0, f64::INFINITY], &FeatureSet::default());
    assert_eq!((prepared.features, prepared.missing.count()), ([7.0, 0.25].as_slice(), 1));
}

#[test]
fn unusable_statistics_are_refused() {
    assert!(matches!(
        Preparation::new(vec![f64::NAN], None),
        Err(PreparationError::Unusable { what: "training mean", feature: 0, .. })
    ));
    let short = FeatureStatistics { mean: vec![0.0], deviation: vec![1.0] };
    assert_eq!(
        Preparation::new(vec![0.0, 0.0], Some(short)),
        Err(PreparationError::Width { features: 2, statistics: 1 })
    );
    let negative = FeatureStatistics { mean: vec![0.0], deviation: vec![-1.0] };
    assert!(matches!(
        Preparation::new(vec![0.0], Some(negative)),
        Err(PreparationError::Unusable { what: "z-score deviation", .. })
    ));
}

#[test]
fn statistics_leave_out_what_is_not_finite() {
    // numpy: nanmean, nanstd of [[1, 5, nan], [3, 5, nan], [8, inf -> nan, nan]]
    let values = [1.0, 5.0, f64::NAN, 3.0, 5.0, f64::NAN, 8.0, f64::INFINITY, f64::NAN];
    let statistics = FeatureStatistics::measure(&values, 3);
    assert_eq!(statistics.mean, [4.0, 5.0, 0.0]);
    assert!((statistics.deviation[0] - 2.943_920_288_775_949).abs() < 1e-15);
    assert_eq!(statistics.deviation[1..], [0.0, 0.0]);
}

#[test]
fn a_constant_feature_has_its_value_as_mean_and_no_deviation() {
    // the sum of 0.1 over seven rows, by seven, is not 0.1
    let statistics = FeatureStatistics::measure(&[0.1; 7], 1);
    assert_eq!((statistics.mean, statistics.deviation), (vec![0.1], vec![0.0]));
}

proptest! {
    /// Rows given in one run or cut anywhere, other streams in between, make the same bits.
    #[test]
    fn how_rows_are_cut_into_runs_does_not_matter(
        rows in prop::collection::vec(prop::array::uniform3(prop::num::f64::ANY), 0..20),
        cut in 0..20_usize,
    ) {
        let flat: Vec<f64> = rows.iter().flatten().copied().collect();
        for binning in [Binning::Sample, Binning::Mean, Binning::Sum] {
            let layout = [stream(binning, 3), stream(Binning::Sum, 1)];
            let mut whole = extractor(&layout);
            whole.accept(0, SampleRows::Double64(&flat)).unwrap();
            let mut pieces = extractor(&layout);
            let (head, tail) = flat.split_at(cut.min(rows.len()) * 3);
            pieces.accept(0, SampleRows::Double64(head)).unwrap();
            pieces.accept(1, SampleRows::Double64(&[1.0])).unwrap();
            pieces.accept(0, SampleRows::Double64(tail)).unwrap();
            let (whole, pieces) = (whole.finish(), pieces.finish());
            let bits = |values: &[f64]| values[..3].iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(whole.values), bits(pieces.values));
            prop_assert_eq!(whole.nonfinite, pieces.nonfinite);
            prop_assert_eq!(whole.nonfinite as usize, flat.iter().filter(|value| !value.is_finite()).count());
            prop_assert!(whole.values.iter().all(|value| value.is_finite() || value.is_nan()));
        }
    }

    /// Small integers are summed exactly, whatever the stream's number type.
    #[test]
    fn integers_are_summed_exactly(counts in prop::collection::vec(any::<i32>(), 1..50)) {
        let mut extractor = extractor(&[stream(Binning::Sum, 1)]);
        extractor.accept(0, SampleRows::Int32(&counts)).unwrap();
        let exact: i64 = counts.iter().map(|count| i64::from(*count)).sum();
        prop_assert_eq!(extractor.finish().values[0] as i64, exact);
    }

    /// What a decoder gets is finite and of a sensible size, whatever came in and whatever it is divided by.
    #[test]
    fn prepared_features_are_finite(raw in prop::collection::vec(prop::num::f64::ANY, 0..6)) {
        let zscore = FeatureStatistics { mean: vec![0.0; 4], deviation: vec![0.0, 1.0, 1e-300, 1e300] };
        for zscore in [None, Some(zscore)] {
            let divisors = if zscore.is_some() { [1.0, 1.0, 1e-300, 1e300] } else { [1.0; 4] };
            let mut preparation = Preparation::new(vec![0.0; 4], zscore).unwrap();
            let usable = |(value, divisor): &(&f64, f64)| value.abs() <= 1e60 && (*value / divisor).abs() <= 1e60;
            let valid = raw.iter().zip(divisors).filter(usable).count();
            let prepared = preparation.prepare(&raw, &FeatureSet::default());
            prop_assert!(prepared.features.iter().all(|value| value.abs() <= 1e60));
            prop_assert_eq!(prepared.missing.count(), 4 - valid);
        }
    }
}
