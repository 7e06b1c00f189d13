//! The test against chance: how often it passes where there is nothing to decode, and whether it does where there is.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

mod calibrations;

use calibrations::{Source, calibrate, rows, tested};
use kalmind_filter::{TaskSample, TrainingData};
use kalmind_session::{CalibrationData, ChanceTest, Untestable};
use kalmind_types::Position;
use nalgebra::DMatrix;
use rand::{RngExt as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// How other people's tasks show targets.
#[derive(Clone, Copy, Debug)]
enum Task {
    /// Eight places in rounds, and back to the centre each time.
    CentreOutAndBack,
    /// One of eight places drawn with replacement; the cursor is put on the centre before each.
    Unbalanced,
    /// Left or right; the cursor is put in the middle before each.
    TwoTargets,
    /// Anywhere, from one target to the next, so that far targets take longer.
    Anywhere,
    /// Four corners, never one twice in a row.
    Corners,
    /// The places around the centre, one after another.
    Clockwise,
    /// To the left and back.
    ThereAndBack,
}

const FEATURES: usize = 6;

/// Targets and cursors' starts.
fn targets(task: Task, trials: usize, generator: &mut ChaCha8Rng) -> Vec<(Position, Position)> {
    let centre = Position([0.5, 0.5]);
    let around = |place: usize| {
        let (sin, cos) = (place as f64 * core::f64::consts::FRAC_PI_4).sin_cos();
        Position([0.5 + 0.3 * cos, 0.5 + 0.3 * sin])
    };
    let mut round: Vec<usize> = Vec::new();
    let mut at = centre;
    (0..trials)
        .map(|trial| {
            let target = match task {
                Task::CentreOutAndBack if trial % 2 == 1 => centre,
                Task::CentreOutAndBack => {
                    if round.is_empty() {
                        round.extend(0..8);
                        round.shuffle(generator);
                    }
                    around(round.pop().unwrap())
                }
                Task::Unbalanced => around(generator.random_range(0..8)),
                Task::TwoTargets => Position([if generator.random() { 0.9 } else { 0.1 }, 0.5]),
                Task::Anywhere => Position([generator.random(), generator.random()]),
                Task::Corners => loop {
                    let corner =
                        Position([0.2, 0.8].map(|_: f64| if generator.random() { 0.8 } else { 0.2 }));
                    if corner != at {
                        break corner;
                    }
                },
                Task::Clockwise => around(trial % 8),
                Task::ThereAndBack => Position([if trial % 2 == 0 { 0.1 } else { 0.9 }, 0.5]),
            };
            let start = if matches!(task, Task::Unbalanced | Task::TwoTargets | Task::Clockwise) {
                centre
            } else {
                at
            };
            at = target;
            (start, target)
        })
        .collect()
}

/// A table with features that drift, walk at random and follow the time since a trial's start, and of which the first two
/// have `gain` of the direction.
fn table(task: Task, trials: usize, gain: f64, seed: u64) -> TrainingData {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let shown = targets(task, trials, &mut generator);
    let mut samples = Vec::new();
    let mut values: Vec<f64> = Vec::new();
    let mut walk = [0.0; FEATURES];
    for (trial, (start, target)) in shown.into_iter().enumerate() {
        let way = start.to(target);
        let distance = start.distance(target).max(1e-9);
        let bins = 4 + (12.0 * distance) as usize;
        for bin in 0..bins {
            let part = bin as f64 / bins as f64;
            let cursor = Position([0, 1].map(|axis| start.0[axis] + part * way[axis]));
            samples.push(TaskSample { trial: trial as u64, target: Some(target), cursor, hold: false });
            for (feature, walked) in walk.iter_mut().enumerate() {
                let normal = |generator: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(generator) };
                *walked += 0.3 * normal(&mut generator);
                let direction = way.get(feature).map_or(0.0, |way| gain * way / distance);
                values.push(
                    direction
                        + *walked
                        + normal(&mut generator)
                        + 3.0 * part
                        + 0.05 * (trial * feature) as f64,
                );
            }
        }
    }
    let features = DMatrix::from_row_slice(samples.len(), FEATURES, &values);
    let states = DMatrix::zeros(samples.len(), 2);
    TrainingData { task: Some(samples), ..TrainingData::new(features, states) }
}

/// Whether so few of `runs` would come with a probability of one in a thousand or more, if each came with `probability`
/// (normal bound).
fn not_too_many(count: usize, runs: usize, probability: f64) -> bool {
    let expected = runs as f64 * probability;
    count as f64 <= expected + 3.1 * (expected * (1.0 - probability)).sqrt()
}

#[test]
fn without_direction_p_values_are_no_smaller_than_chance_makes_them() {
    const RUNS: usize = 200;
    for task in [Task::CentreOutAndBack, Task::Unbalanced, Task::TwoTargets, Task::Anywhere, Task::Corners] {
        let p_values: Vec<f64> = (0..RUNS)
            .map(|seed| {
                let result = ChanceTest::once(seed as u64).look(&table(task, 28, 0.0, seed as u64), None);
                result.p_value.unwrap()
            })
            .collect();
        let below = |limit: f64| p_values.iter().filter(|p_value| **p_value <= limit).count();
        let counts = [below(0.05), below(0.2)];
        assert!(not_too_many(counts[0], RUNS, 0.05), "{task:?}: {counts:?} at 0.05 and 0.2");
        assert!(not_too_many(counts[1], RUNS, 0.2), "{task:?}: {counts:?} at 0.05 and 0.2");
        // of 40 expected, fewer than 23 would come once in a thousand times
        assert!(counts[1] >= 23, "{task:?}: {counts:?}: hardly a small p-value, so nothing could ever pass");
    }
}

#[test]
fn direction_is_found_in_every_task_that_draws_targets_at_random() {
    for task in [Task::CentreOutAndBack, Task::Unbalanced, Task::TwoTargets, Task::Anywhere, Task::Corners] {
        for seed in 0..5 {
            let result = ChanceTest::once(seed).look(&table(task, 60, 12.0, seed), None);
            assert!(result.better_than_chance, "{task:?}, seed {seed}: {result:?}");
        }
    }
}

#[test]
fn targets_that_follow_from_each_other_are_told_and_never_pass() {
    let result = ChanceTest::once(1).look(&table(Task::Clockwise, 60, 6.0, 1), None);
    assert_eq!((result.untestable, result.better_than_chance), (Some(Untestable::PredictableOrder), false));
    let result = ChanceTest::once(1).look(&table(Task::ThereAndBack, 60, 6.0, 1), None);
    assert_eq!(result.untestable, Some(Untestable::TooFewOrders { orders: 1, needed: 400 }));
    assert!(!result.better_than_chance);
}

#[test]
fn without_targets_or_with_few_trials_nothing_is_claimed() {
    let mut data = table(Task::Unbalanced, 8, 6.0, 1);
    let result = ChanceTest::once(1).look(&data, None);
    assert_eq!(result.untestable, Some(Untestable::TooFewTrials { trials: 8, needed: 12 }));
    assert_eq!((result.p_value, result.mean_cosine, result.better_than_chance), (None, None, false));
    data.task = None;
    assert_eq!(ChanceTest::once(1).look(&data, None).untestable, Some(Untestable::NoTargets));
}

#[test]
fn what_is_between_the_events_of_a_trial_and_what_follows_a_gap_in_it_is_no_trial() {
    let whole = table(Task::Corners, 40, 12.0, 3);
    // the last one may still be under way
    let trials = ChanceTest::once(1).look(&whole, None).trials;
    assert!((38..=40).contains(&trials), "{trials}");
    // the number of a trial comes a bin before its target, and first moments do not measure
    let mut told = whole.clone();
    let task = told.task.as_mut().unwrap();
    let mut measures = vec![true; task.len()];
    let mut before: Option<TaskSample> = None;
    for (row, sample) in task.iter_mut().enumerate() {
        let first = before.is_none_or(|before| before.trial / 2 != sample.trial);
        sample.trial *= 2;
        if first {
            measures[row] = false;
            if let Some(before) = before {
                sample.target = before.target;
                sample.trial += 1;
            }
        }
        before = Some(*sample);
    }
    told.measurement = Some(measures);
    let found = ChanceTest::once(1).look(&told, None);
    assert!((36..=40).contains(&found.trials) && found.better_than_chance, "{found:?}");
    // a gap in the middle of every third trial
    let mut broken = whole;
    let task = broken.task.as_ref().unwrap();
    let middle = |trial: u64| {
        let rows: Vec<usize> = (0..task.len()).filter(|&row| task[row].trial == trial).collect();
        rows[rows.len() - 2]
    };
    broken.segment_starts = (0..40).step_by(3).map(middle).collect();
    let found = ChanceTest::once(1).look(&broken, None);
    assert_eq!(found.trials, trials, "what came before the gap counts, once: {found:?}");
}

#[test]
fn assisted_trials_are_never_scored() {
    let data = table(Task::Unbalanced, 60, 6.0, 1);
    let task = data.task.clone().unwrap();
    let all = vec![true; data.rows()];
    let result = ChanceTest::once(1).look(&data, Some(&all));
    assert_eq!(result.untestable, Some(Untestable::TooFewTrials { trials: 0, needed: 12 }));
    // direction in assisted trials only: one assisted row is enough
    let mut helped = table(Task::Unbalanced, 60, 0.0, 1);
    let even = |trial: u64| trial.is_multiple_of(2);
    for (row, sample) in task.iter().enumerate().filter(|(_, sample)| even(sample.trial)) {
        let way = Position([0.5, 0.5]).to(sample.target.unwrap());
        helped.features[(row, 0)] += 100.0 * way[0];
    }
    let first = |row: usize| row == 0 || task[row - 1].trial != task[row].trial;
    let assisted: Vec<bool> = (0..task.len()).map(|row| first(row) && even(task[row].trial)).collect();
    let blind = ChanceTest::once(1).look(&helped, Some(&assisted));
    assert_eq!((blind.trials, blind.better_than_chance), (30, false));
    assert!(ChanceTest::once(1).look(&helped, None).better_than_chance, "the leak is there to be seen");
}

#[test]
fn looks_are_spent_when_trials_have_come_and_their_limits_sum_to_the_level() {
    let mut test = ChanceTest::repeatedly(1);
    let mut limits = Vec::new();
    for trials in 12..200 {
        let looks = test.looks();
        let due = trials >= test.next_look();
        let result = test.look(&table(Task::Unbalanced, trials, 0.0, 5), None);
        assert_eq!(result.looks, looks + usize::from(due));
        if due {
            limits.push(result.p_limit);
            assert_eq!(result.trials, trials);
        }
    }
    assert!(limits.len() > 8 && limits.iter().sum::<f64>() < kalmind_session::CHANCE_LEVEL);
}

#[test]
fn a_test_that_passed_stays_passed() {
    let mut test = ChanceTest::repeatedly(1);
    assert!(test.look(&table(Task::Unbalanced, 40, 6.0, 1), None).better_than_chance);
    let later = test.look(&table(Task::Unbalanced, 80, 0.0, 1), None);
    assert!(later.better_than_chance && later.p_value.unwrap() > 0.01);
}

#[test]
fn whole_calibrations_without_anything_to_decode_do_not_pass() {
    // at a level of 0.005, 2 of 12 would come once in 600 times
    for source in [Source::WhiteNoise, Source::SlowNoise, Source::OtherTargets(0.5)] {
        let passed = (0..12).filter(|&seed| tested(source, 100 + seed, 60.0, 32).0.is_some()).count();
        assert!(passed <= 1, "{source:?}: {passed} of 12");
    }
}

#[test]
fn the_participant_passes_within_the_open_loop() {
    for seed in 1..=5 {
        assert!(tested(Source::Participant(0.5), seed, 30.0, 96).0.is_some(), "seed {seed}");
        assert!(tested(Source::Participant(0.2), seed, 90.0, 96).0.is_some(), "seed {seed}, modulation 0.2");
    }
}

#[test]
fn labels_dealt_out_at_random_do_not_pass() {
    let mut data: Option<CalibrationData> = None;
    calibrate(Source::Participant(0.5), 1, 30.0, 96, |_, _, calibration| {
        data = calibration.data(true).ok();
        true
    });
    let data = data.unwrap();
    assert!(ChanceTest::once(1).look(&data.training, None).better_than_chance);
    for seed in 1..=3 {
        let shuffled = data.clone().with_shuffled_labels(seed);
        let result = ChanceTest::once(1).look(&shuffled.training, None);
        assert_eq!((result.untestable, result.better_than_chance), (None, false), "seed {seed}");
    }
}

#[test]
fn a_look_is_a_function_of_its_seed() {
    let data = rows(Source::Participant(0.1), 1, 30.0, 32);
    assert_eq!(ChanceTest::once(1).look(&data, None), ChanceTest::once(1).look(&data, None));
}
