//! What calibration makes of ticks that are not all as they should be.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

use kalmind_filter::LabelLaw;
use kalmind_session::{Calibration, CalibrationData, CalibrationError, CalibrationOptions, CalibrationTick};
use kalmind_signal::{FeatureStatistics, Preparation};
use kalmind_types::{CursorDrive, FeatureSet, LslTime, OutputState, Position, Target, TickOutput, Velocity};

const BIN_S: f64 = 0.02;

fn target(x: f64) -> Target {
    Target { position: Position([x, 0.5]), radius: 0.06 }
}

/// A tick of a cursor that stays on the centre; tests change what they are about.
fn tick(seq: u64) -> TickOutput {
    TickOutput {
        state: OutputState::Calibrating,
        position: Position([0.5, 0.5]),
        ..TickOutput::neutral(seq, LslTime(100.0 + seq as f64 * BIN_S))
    }
}

/// The features of a tick: they name it.
fn features(seq: u64) -> Vec<f64> {
    (0..4).map(|feature| seq as f64 * 10.0 + f64::from(feature)).collect()
}

fn options(law: LabelLaw) -> CalibrationOptions {
    CalibrationOptions { label_law: law, ..CalibrationOptions::default() }
}

/// Feeds the ticks 0..count, changed by `change`, with no first moments left out.
fn gathered(
    count: u64,
    change: impl Fn(&mut TickOutput, &mut Vec<f64>, &mut Option<Target>),
) -> CalibrationData {
    gathered_by(LabelLaw { skip_ms: 0.0, ..LabelLaw::default() }, count, change)
}

fn gathered_by(
    law: LabelLaw,
    count: u64,
    change: impl Fn(&mut TickOutput, &mut Vec<f64>, &mut Option<Target>),
) -> CalibrationData {
    let mut calibration = Calibration::new(options(law), 4);
    for seq in 0..count {
        let (mut output, mut values, mut shown) = (tick(seq), features(seq), Some(target(0.6)));
        change(&mut output, &mut values, &mut shown);
        calibration.observe(CalibrationTick {
            output: &output,
            features: &values,
            target: shown,
            trial: None,
            drive: CursorDrive::Label,
        });
    }
    calibration.data(false).unwrap()
}

fn column(data: &CalibrationData, column: usize) -> Vec<f64> {
    data.training.features.column(column).iter().copied().collect()
}

fn left_out(data: &CalibrationData) -> Vec<usize> {
    let mask = data.training.measurement.as_deref().unwrap();
    (0..mask.len()).filter(|&row| !mask[row]).collect()
}

#[test]
fn features_meet_the_label_of_the_cursor_displayed_at_the_bins_start() {
    let data =
        gathered(20, |output, _, _| output.position = Position([0.4 + 0.005 * output.seq as f64, 0.5]));
    assert_eq!(column(&data, 0), (1..20).map(|seq| f64::from(seq) * 10.0).collect::<Vec<_>>());
    for row in 0..19 {
        let displayed = 0.4 + 0.005 * row as f64;
        let expected = ((0.6 - displayed) / 0.4_f64).min(0.6);
        assert!(
            (data.training.states[(row, 0)] - expected).abs() < 1e-12
                && data.training.states[(row, 1)] == 0.0
        );
    }
    assert_eq!(data.training_mean, [100.0, 101.0, 102.0, 103.0]);
}

#[test]
fn a_trials_first_moments_train_the_state_model_only() {
    let data = gathered_by(LabelLaw::default(), 60, |output, _, shown| {
        *shown = Some(target(if output.seq <= 30 { 0.6 } else { 0.4 }));
    });
    // 250 ms after the starts at ticks 0 and 30: the bins that start less than 12.5 bins later
    assert_eq!(left_out(&data), (0..13).chain(30..43).collect::<Vec<_>>());
    assert_eq!((data.training.rows(), data.measurement_rows), (59, 33));
}

#[test]
fn a_trial_of_its_own_number_starts_anew_on_the_same_target() {
    let mut calibration = Calibration::new(options(LabelLaw::default()), 4);
    for seq in 0..60 {
        let trial = Some(u64::from(seq > 30));
        let output = tick(seq);
        calibration.observe(CalibrationTick {
            output: &output,
            features: &features(seq),
            target: Some(target(0.6)),
            trial,
            drive: CursorDrive::Label,
        });
    }
    assert_eq!(left_out(&calibration.data(false).unwrap()), (0..13).chain(30..43).collect::<Vec<_>>());
}

#[test]
fn single_invalid_features_take_the_mean_of_the_valid_ones() {
    let data = gathered(30, |output, values, _| {
        if output.seq == 5 {
            values[1] = f64::NAN;
        }
    });
    let valid = (1..30).filter(|seq| *seq != 5).map(|seq| f64::from(seq) * 10.0 + 1.0);
    let mean = valid.sum::<f64>() / 28.0;
    assert!((column(&data, 1)[4] - mean).abs() < 1e-12);
    assert!(left_out(&data).is_empty());
}

#[test]
fn rows_with_too_many_invalid_features_and_incomplete_bins_do_not_train_the_measurement() {
    let data = gathered(30, |output, values, _| match output.seq {
        5 => values[..2].fill(f64::INFINITY),
        9 => output.incomplete = true,
        12 => {
            output.incomplete = true;
            values.clear();
        }
        _ => {}
    });
    assert_eq!(left_out(&data), [4, 8, 11]);
    assert_eq!((data.training.rows(), data.measurement_rows), (29, 26));
    assert_eq!(data.training.segment_starts, [0], "the state model goes on through them");
    assert!(data.training.features.iter().all(|value| value.is_finite()));
}

#[test]
fn whatever_breaks_the_sequence_starts_a_segment() {
    let data = gathered(80, |output, _, shown| match output.seq {
        20 => *shown = None,
        30 => output.state = OutputState::Hold,
        40.. => {
            output.epoch = 1;
            output.seq += 10 * u64::from(output.seq >= 50);
        }
        _ => {}
    });
    // rows: ticks 1..=19, 21..=29, 31..=39, 41..=49, 51..=79
    assert_eq!(data.training.segment_starts, [0, 19, 28, 37, 46]);
    assert_eq!(data.training.rows(), 75);
}

#[test]
fn lagging_features_meet_the_label_of_before_within_a_segment() {
    let law = LabelLaw { skip_ms: 0.0, lag_ms: 60.0, ..LabelLaw::default() };
    let data = gathered_by(law, 30, |output, _, shown| {
        output.position = Position([0.4 + 0.005 * output.seq as f64, 0.5]);
        if output.seq == 15 {
            *shown = None;
        }
    });
    // the first three rows of each segment have no label of 60 ms before
    assert_eq!(column(&data, 0)[..2], [40.0, 50.0]);
    assert_eq!(data.training.segment_starts, [0, 11]);
    assert_eq!(column(&data, 0)[11..12], [190.0]);
    let expected = ((0.6 - 0.4) / 0.4_f64).min(0.6);
    assert!((data.training.states[(0, 0)] - expected).abs() < 1e-12);
}

#[test]
fn z_scored_features_have_mean_zero_and_deviation_one_and_dead_ones_are_named() {
    let mut calibration = Calibration::new(options(LabelLaw { skip_ms: 0.0, ..LabelLaw::default() }), 4);
    for seq in 0..50 {
        let mut values = features(seq * seq);
        values[2] = 7.0;
        values[3] = f64::NAN;
        let output = tick(seq);
        calibration.observe(CalibrationTick {
            output: &output,
            features: &values,
            target: Some(target(0.6)),
            trial: None,
            drive: CursorDrive::Label,
        });
    }
    let data = calibration.data(true).unwrap();
    let first = column(&data, 0);
    assert!(first.iter().sum::<f64>().abs() < 1e-9);
    assert!((first.iter().map(|value| value * value).sum::<f64>() / 49.0 - 1.0).abs() < 1e-12);
    assert!(
        column(&data, 2).iter().chain(&column(&data, 3)).all(|value| *value == 0.0),
        "constant, and dead"
    );
    assert_eq!(data.zscore.unwrap().standard_deviation[2..], [0.0, 0.0]);
    assert_eq!(data.dead_features, [3]);
}

#[test]
fn rows_with_a_running_z_score_are_scored_as_a_decoder_sees_them() {
    let law = LabelLaw { skip_ms: 0.0, lag_ms: 60.0, ..LabelLaw::default() };
    let mut calibration = Calibration::new(options(law), 4);
    let mut rows = Vec::new();
    for seq in 0..60 {
        let mut values = features(seq * seq % 37);
        if seq % 7 == 2 {
            values[1] = f64::NAN;
        }
        let output = TickOutput { incomplete: seq % 11 == 5, ..tick(seq) };
        calibration.observe(CalibrationTick {
            output: &output,
            features: &values,
            target: (seq != 30).then(|| target(0.6)),
            trial: None,
            drive: CursorDrive::Label,
        });
        // the first tick has no one before it, and one has no target; what follows that has, and is a row
        if seq > 0 && seq != 30 {
            rows.push(if output.incomplete { vec![f64::NAN; 4] } else { values });
        }
    }
    let data = calibration.running_data(0.05).unwrap();
    let zscore = data.zscore.clone().unwrap();
    let statistics = FeatureStatistics { mean: zscore.mean, deviation: zscore.standard_deviation };
    let mut decoder =
        Preparation::new(data.training_mean.clone(), Some(statistics)).unwrap().running(Some(0.05));
    let none = FeatureSet::none_of(4);
    let mut seen = Vec::new();
    for row in &rows {
        seen.push(decoder.prepare(row, &none).features.to_vec());
        decoder.adapt(row, true, &none);
    }
    assert_eq!(calibration.rows(), rows.len());
    assert!(data.gathered.len() < rows.len(), "some have no label of 60 ms before, and count all the same");
    for (at, gathered) in data.gathered.iter().enumerate() {
        let row: Vec<f64> = data.training.features.row(at).iter().copied().collect();
        assert_eq!(row, seen[*gathered], "row {at}");
    }
}

#[test]
fn shuffled_labels_are_the_same_labels_in_another_order() {
    let data =
        gathered(200, |output, _, _| output.position = Position([0.4 + 0.001 * output.seq as f64, 0.5]));
    let shuffled = data.clone().with_shuffled_labels(1);
    let sorted = |data: &CalibrationData| {
        let mut labels: Vec<f64> = data.training.states.column(0).iter().copied().collect();
        labels.sort_by(f64::total_cmp);
        labels
    };
    assert_eq!(sorted(&shuffled), sorted(&data));
    assert_ne!(shuffled.training.states, data.training.states);
    assert_eq!(shuffled.training.features, data.training.features);
    assert_eq!(shuffled, data.clone().with_shuffled_labels(1));
    assert_ne!(shuffled, data.with_shuffled_labels(2));
}

#[test]
fn too_little_to_fit_on_is_said_with_numbers() {
    let mut calibration = Calibration::new(options(LabelLaw::default()), 4);
    assert_eq!(calibration.data(true), Err(CalibrationError::TooFewRows { rows: 0, measurement_rows: 0 }));
    for seq in 0..20 {
        let output = tick(seq);
        calibration.observe(CalibrationTick {
            output: &output,
            features: &features(seq),
            target: Some(target(0.6)),
            trial: None,
            drive: CursorDrive::Label,
        });
    }
    assert_eq!(calibration.data(true), Err(CalibrationError::TooFewRows { rows: 19, measurement_rows: 6 }));
    assert_eq!((calibration.rows(), calibration.refused()), (19, 0));
}

#[test]
fn rows_in_which_the_decoder_moved_the_cursor_are_known() {
    let data = gathered(30, |output, _, _| {
        if output.seq >= 20 {
            output.state = OutputState::Control;
        }
    });
    let moved: Vec<usize> = (0..data.training.rows()).filter(|&row| data.decoder_moved[row]).collect();
    // the first tick has none before it, and makes no row
    assert_eq!(moved, (19..29).collect::<Vec<_>>());
}

#[test]
fn a_decoder_that_drives_while_calibrating_moves_the_cursor_where_it_is_not_at_rest() {
    let mut calibration = Calibration::new(options(LabelLaw { skip_ms: 0.0, ..LabelLaw::default() }), 4);
    for seq in 0..30 {
        let mut output = tick(seq);
        output.velocity = if seq >= 20 { Velocity([0.1, 0.0]) } else { Velocity::default() };
        calibration.observe(CalibrationTick {
            output: &output,
            features: &features(seq),
            target: Some(target(0.6)),
            trial: None,
            drive: CursorDrive::Decoder,
        });
    }
    let data = calibration.data(false).unwrap();
    let moved: Vec<usize> = (0..data.training.rows()).filter(|&row| data.decoder_moved[row]).collect();
    assert_eq!(moved, (19..29).collect::<Vec<_>>());
}
