//! `refit-kalman`: intentions turned toward the targets, and a Kalman filter fitted to them (Gilja et al., Nature
//! Neuroscience 15, 2012, 1752-1757).
//!
//! While a participant moves a decoded cursor, what they meant in each bin is taken to be a velocity of the same speed that
//! points from the cursor straight to the target, and zero while the cursor is held in it. H, R, A, G and S are then those of
//! `kalman` for these intentions. Rows without a target train A and G with their states as they are, and nothing else. With
//! `feedback=position` the features are regressed on the intention and on the cursor that was displayed during the bin
//! ([`TaskSample::cursor`](kalmind_filter::TaskSample), the position of the tick before), from the middle of the workspace.

use std::borrow::Cow;

use nalgebra::DMatrix;

use crate::decoders::kalman::fit_kalman_given;
use crate::decoders::kind::DecoderFit;
use crate::{FitError, FitReport};
use kalmind_filter::decoders::refit_kalman::runtime::CENTRE;
use kalmind_filter::options::Feedback;
use kalmind_filter::{Options, Parameters, RefitKalmanParameters, TaskSample, TrainingData};

/// See the module.
pub(super) const FIT: DecoderFit = DecoderFit {
    // intentions on hold are zero by construction
    rests_at_zero: true,
    decodes: intentions,
    ..DecoderFit::of(|job| Ok(Parameters::RefitKalman(fit_refit(job.data, &job.spec.options, job.report)?)))
};

/// Fits `refit-kalman`. Cost: that of `kalman`.
fn fit_refit(
    data: &TrainingData,
    options: &Options,
    report: &mut FitReport,
) -> Result<RefitKalmanParameters, FitError> {
    let dimension = data.states.ncols();
    if dimension < 2 {
        return Err(FitError::NoPlane { found: dimension });
    }
    let task = data.task.as_deref().ok_or(FitError::NoTargets { problem: "no task was given" })?;
    let turned = toward_targets(data, task);
    if turned.measurement_rows().is_empty() {
        return Err(FitError::NoTargets { problem: "no row that may train has a target" });
    }
    report.measurement_rows = turned.measurement_rows().len();
    let held = task.iter().filter(|sample| sample.target.is_some() && sample.hold).count();
    report.uses("held_rows", held);
    report.uses("rows_without_target", task.iter().filter(|sample| sample.target.is_none()).count());
    let known = match options.feedback.unwrap_or_default() {
        Feedback::None => None,
        Feedback::Position => {
            Some(DMatrix::from_fn(task.len(), 2, |row, axis| CENTRE.to(task[row].cursor)[axis]))
        }
    };
    let (kalman, feedback) = fit_kalman_given(&turned, known.as_ref(), options, report)?;
    Ok(RefitKalmanParameters { kalman, feedback })
}

/// The rows with the intentions, which the decoder is meant to give.
fn intentions(data: &TrainingData) -> Cow<'_, TrainingData> {
    data.task.as_deref().map_or(Cow::Borrowed(data), |task| Cow::Owned(toward_targets(data, task)))
}

/// The same rows with the intentions of those that have a target, which alone may train the measurement model.
pub(crate) fn toward_targets(data: &TrainingData, task: &[TaskSample]) -> TrainingData {
    let mut turned = data.clone();
    for (row, sample) in task.iter().enumerate() {
        let Some(target) = sample.target else { continue };
        let speed = data.states[(row, 0)].hypot(data.states[(row, 1)]);
        let [x, y] = sample.cursor.to(target);
        let distance = sample.cursor.distance(target);
        // on the very centre of the target there is no direction left, and nothing to be meant
        let factor = if sample.hold || distance <= 0.0 { 0.0 } else { speed / distance };
        turned.states[(row, 0)] = factor * x;
        turned.states[(row, 1)] = factor * y;
    }
    turned.measurement = Some(
        (0..data.rows()).map(|row| data.may_train_measurement(row) && task[row].target.is_some()).collect(),
    );
    turned
}

#[cfg(test)]
mod tests {
    use kalmind_types::Position;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::decoders::kalman::fit_kalman;

    fn sample(cursor: [f64; 2], target: Option<[f64; 2]>, hold: bool) -> TaskSample {
        TaskSample { trial: 0, target: target.map(Position), cursor: Position(cursor), hold }
    }

    #[test]
    fn speed_is_kept_direction_is_the_targets_and_a_hold_is_zero() {
        let states = DMatrix::from_row_slice(
            5,
            3,
            &[3.0, 4.0, 7.0, 3.0, 4.0, 7.0, 3.0, 4.0, 7.0, 3.0, 4.0, 7.0, 0.0, 0.0, 7.0],
        );
        let task = [
            sample([0.5, 0.5], Some([0.5, 0.1]), false),
            sample([0.5, 0.5], Some([0.8, 0.9]), true),
            sample([0.5, 0.5], None, false),
            sample([0.5, 0.5], Some([0.5, 0.5]), false),
            sample([0.5, 0.5], Some([0.1, 0.1]), false),
        ];
        let turned = toward_targets(&TrainingData::new(DMatrix::zeros(5, 1), states), &task);
        let expected = DMatrix::from_row_slice(
            5,
            3,
            &[0.0, -5.0, 7.0, 0.0, 0.0, 7.0, 3.0, 4.0, 7.0, 0.0, 0.0, 7.0, 0.0, 0.0, 7.0],
        );
        assert!((&turned.states - expected).amax() < 1e-15, "{}", turned.states);
        assert_eq!(turned.measurement, Some(vec![true, true, false, true, true]));
    }

    /// A cursor that moves to targets in wrong directions at the right speed, features of the true intention and of the
    /// cursor's position.
    fn session(rows: usize, seed: u64) -> (TrainingData, DMatrix<f64>, DMatrix<f64>) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let tuning = DMatrix::from_fn(8, 2, |_, _| random.random_range(-2.0..2.0));
        let feedback = DMatrix::from_fn(8, 2, |_, _| random.random_range(-2.0..2.0));
        let mut states = DMatrix::zeros(rows, 2);
        let mut features = DMatrix::zeros(rows, 8);
        let mut task = Vec::new();
        let mut cursor = Position([0.5, 0.5]);
        let mut target = Position([0.8, 0.3]);
        for row in 0..rows {
            if row % 40 == 0 {
                target = Position([random.random_range(0.0..1.0), random.random_range(0.0..1.0)]);
            }
            let distance = cursor.distance(target);
            let hold = distance < 0.05;
            let [x, y] = cursor.to(target);
            let speed = 0.2 + 0.3 * distance;
            let meant = if hold { [0.0, 0.0] } else { [x / distance * speed, y / distance * speed] };
            let angle: f64 =
                0.8 * <StandardNormal as rand_distr::Distribution<f64>>::sample(&StandardNormal, &mut random);
            let (sin, cos) = angle.sin_cos();
            let moved = [cos * meant[0] - sin * meant[1], sin * meant[0] + cos * meant[1]];
            let position = CENTRE.to(cursor);
            for feature in 0..8 {
                let noise: f64 = StandardNormal.sample(&mut random);
                features[(row, feature)] = (0..2)
                    .map(|axis| {
                        tuning[(feature, axis)] * meant[axis] + feedback[(feature, axis)] * position[axis]
                    })
                    .sum::<f64>()
                    + 1.0
                    + 0.05 * noise;
            }
            states[(row, 0)] = moved[0];
            states[(row, 1)] = moved[1];
            task.push(TaskSample { trial: (row / 40) as u64, target: Some(target), cursor, hold });
            cursor = Position([cursor.0[0] + 0.1 * moved[0], cursor.0[1] + 0.1 * moved[1]]);
        }
        (TrainingData { task: Some(task), ..TrainingData::new(features, states) }, tuning, feedback)
    }

    fn options(feedback: Feedback) -> Options {
        Options { feedback: Some(feedback), intercept: Some(true), ..Options::default() }
    }

    #[test]
    fn turned_intentions_and_position_feedback_recover_what_the_features_depend_on() {
        let (data, tuning, feedback) = session(2000, 31);
        let mut report = FitReport::default();
        let refit = fit_refit(&data, &options(Feedback::Position), &mut report).unwrap();
        assert!((&refit.kalman.observation - &tuning).amax() < 0.05);
        assert!((refit.feedback.unwrap() - feedback).amax() < 0.05);
        assert!((refit.kalman.observation_noise[(0, 0)] - 0.0025).abs() < 3e-4);
        assert!(refit.kalman.observation_offset.iter().all(|offset| (offset - 1.0).abs() < 0.02));
        assert!(report.hyperparameters["held_rows"].as_u64().unwrap() > 20);
        // the velocities as they were say something else
        let plain = fit_kalman(&data, &options(Feedback::None), &mut FitReport::default()).unwrap();
        assert!((&plain.observation - &tuning).amax() > 0.3);
    }

    #[test]
    fn the_refit_follows_the_targets() {
        let (data, ..) = session(800, 32);
        let fitted = |data: &TrainingData| {
            fit_refit(data, &options(Feedback::None), &mut FitReport::default()).unwrap().kalman
        };
        let mut mirrored = data.clone();
        for sample in mirrored.task.iter_mut().flatten() {
            let cursor = sample.cursor.0;
            sample.target =
                sample.target.map(|Position([x, y])| Position([2.0 * cursor[0] - x, 2.0 * cursor[1] - y]));
        }
        let (before, after) = (fitted(&data), fitted(&mirrored));
        // every intention points the other way
        assert!((&before.observation + &after.observation).amax() < 1e-9);
        assert!(before.observation.amax() > 0.5);
    }

    #[test]
    fn what_a_refit_cannot_do_without_is_named() {
        let (data, ..) = session(400, 33);
        let fails = |data: &TrainingData, feedback| {
            fit_refit(data, &options(feedback), &mut FitReport::default()).unwrap_err()
        };
        let no_task = TrainingData { task: None, ..data.clone() };
        let error = fails(&no_task, Feedback::None);
        assert!(matches!(error, FitError::NoTargets { .. }) && error.to_string().contains("--task"));
        let mut no_targets = data.clone();
        no_targets.task.iter_mut().flatten().for_each(|sample| sample.target = None);
        assert!(matches!(fails(&no_targets, Feedback::None), FitError::NoTargets { .. }));
        let line = TrainingData { states: data.states.columns(0, 1).into_owned(), ..data.clone() };
        assert_eq!(fails(&line, Feedback::None), FitError::NoPlane { found: 1 });
        let mut all_held = data.clone();
        all_held.task.iter_mut().flatten().for_each(|sample| sample.hold = true);
        assert!(matches!(fails(&all_held, Feedback::None), FitError::CollinearStates { .. }));
        let mut still = data.clone();
        still.task.iter_mut().flatten().for_each(|sample| sample.cursor = Position([0.2, 0.4]));
        assert_eq!(fails(&still, Feedback::Position), FitError::CollinearCursor);
        let masked = TrainingData { measurement: Some((0..400).map(|row| row < 9).collect()), ..data };
        assert!(matches!(fails(&masked, Feedback::Position), FitError::TooFewRows { .. }));
    }
}
