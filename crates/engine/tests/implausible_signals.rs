//! Dead arrays, absurd numbers and noise, in front of several decoders: masked, or `stale` within half a second, and never a
//! number that is not finite.
#![expect(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test that cannot build its subject has failed, and what stands still stands at an exact zero"
)]

mod rig;

use kalmind_filter::Model;
use kalmind_session::ParticipantOptions;
use kalmind_types::{
    Actor, Cause, Command, CursorDrive, LslTime, Mode, OutputState, Position, TaskState, TickOutput,
};
use rig::{Breaker, Fault, Loop, Rows, Subject, model};

const BIN_S: f64 = 0.02;
const UNITS: usize = 96;
/// Half a second of bins.
const HALF_A_SECOND: usize = 25;

/// What every decoder has to tell.
const FAULTS: [Fault; 15] = [
    Fault::Zero,
    Fault::Value(32767.0),
    Fault::Value(-32768.0),
    Fault::Value(1.0),
    Fault::RailWithin,
    Fault::Frozen,
    Fault::Noise(3.0),
    Fault::Noise(0.3),
    Fault::Noise(1.0),
    Fault::Value(1e308),
    Fault::Value(-1e59),
    Fault::Value(1e-310),
    Fault::Value(f64::INFINITY),
    Fault::Value(f64::NEG_INFINITY),
    Fault::Value(f64::NAN),
];

fn absurd(fault: Fault) -> bool {
    matches!(fault, Fault::Value(value) if value.is_nan() || value.abs() >= 1e4)
}

fn calibrated(seed: u64) -> (Subject, Rows) {
    let mut subject =
        Subject::new(ParticipantOptions { seed, units: UNITS, ..ParticipantOptions::default() });
    let rows = subject.calibrate(30.0);
    (subject, rows)
}

/// Bins before something breaks.
const SOUND: usize = 60;

/// The rows of `SOUND` bins and `bins` more, of a participant whose cursor stands still.
fn rows_to_break(subject: &mut Subject, bins: usize) -> Vec<Vec<f64>> {
    let mut row = vec![0.0; UNITS];
    let mut bin = |at: usize| {
        subject.row(LslTime(100.0 + at as f64 * BIN_S), Position([0.5, 0.5]), &mut row);
        row.clone()
    };
    (0..SOUND + bins).map(&mut bin).collect()
}

/// `SOUND` bins as they should be, then the rest with a part of the channels broken: what these gave, and how many of the
/// broken channels were under suspicion.
fn broken(model: &Model, rows: &[Vec<f64>], mut breaker: Breaker) -> Vec<(TickOutput, usize)> {
    let mut running = Loop::new(model, BIN_S, true, true);
    let mut outputs = Vec::new();
    for (tick, row) in rows.iter().enumerate() {
        let mut row = row.clone();
        if tick >= SOUND {
            breaker.apply(&mut row);
        }
        let output = running.tick(&row);
        let numbers = output.velocity.0.iter().chain(&output.position.0);
        assert!(
            numbers
                .chain(output.intent.iter().flat_map(kalmind_types::Intent::mean))
                .all(|value| value.is_finite())
        );
        if tick >= SOUND {
            outputs.push((output, running.suspects(breaker.broken())));
        } else {
            assert_eq!(output.state, OutputState::Control, "{:?} before anything broke", output.reason);
        }
    }
    outputs
}

#[test]
fn an_array_that_breaks_is_stale_within_half_a_second_whatever_decodes() {
    let (mut subject, rows) = calibrated(1);
    let sound = rows_to_break(&mut subject, HALF_A_SECOND);
    for decoder in ["kalman", "kalman-steady", "wiener:lags=3", "dkf-linear"] {
        let model = model(decoder, &rows, BIN_S);
        for (part, least) in [(1.0, 96), (0.5, 48)] {
            for fault in FAULTS {
                let breaker = Breaker::new(fault, part, &rows, 7);
                let outputs = broken(&model, &sound, breaker);
                let (last, _) = outputs.last().unwrap();
                let shown = format!("{decoder}, {fault:?} on {least}: {:?}", last.reason);
                assert_eq!(last.state, OutputState::Stale, "{shown}");
                assert!(last.reason.unwrap().cause.is_implausible_input(), "{shown}");
                assert_eq!(last.velocity.0, [0.0; 2], "{shown}");
                assert!(last.incomplete, "{shown}");
            }
        }
    }
}

#[test]
fn absurd_values_of_few_channels_are_masked_in_their_bin_and_decoding_goes_on() {
    let (mut subject, rows) = calibrated(2);
    let sound = rows_to_break(&mut subject, 100);
    let model = model("kalman-steady", &rows, BIN_S);
    for part in [0.01, 0.1] {
        for fault in FAULTS.into_iter().filter(|fault| absurd(*fault)) {
            let breaker = Breaker::new(fault, part, &rows, 7);
            let broken_channels = breaker.broken();
            for (output, named) in broken(&model, &sound, breaker) {
                assert_eq!(output.state, OutputState::Control, "{fault:?}: {:?}", output.reason);
                assert!(!output.incomplete && named.max(output.masked_features as usize) >= broken_channels);
            }
        }
    }
}

#[test]
fn few_dead_units_are_masked_when_their_silence_is_improbable_and_control_goes_on() {
    let (mut subject, rows) = calibrated(3);
    let sound = rows_to_break(&mut subject, 1000);
    let model = model("kalman-steady", &rows, BIN_S);
    for fault in [Fault::Zero, Fault::Frozen, Fault::Value(1.0), Fault::RailWithin, Fault::Value(1e-310)] {
        let breaker = Breaker::new(fault, 0.1, &rows, 7);
        let broken_channels = breaker.broken();
        let outputs = broken(&model, &sound, breaker);
        assert!(outputs.iter().all(|(output, _)| output.state == OutputState::Control), "{fault:?}");
        let (_, named) = outputs.last().unwrap();
        assert!(named + 1 >= broken_channels, "{fault:?}: {named} of {broken_channels} named after 20 s");
    }
}

#[test]
fn floating_point_channels_with_a_common_pattern_show_noise_of_the_same_variance() {
    // ten sources, each in many channels, with a memory of their own
    let mut sources = [0.0; 10];
    let (mut random, n) = (0.3_f64, 32);
    let mut next = || {
        random = (random * 3.9 * (1.0 - random)).clamp(1e-6, 1.0 - 1e-6);
        random - 0.5
    };
    let mut rows = Rows::new(n);
    let row = |sources: &mut [f64; 10], next: &mut dyn FnMut() -> f64| -> Vec<f64> {
        for source in sources.iter_mut() {
            *source = 0.8 * *source + next();
        }
        (0..n).map(|at| sources[at % 3] + 0.5 * sources[at % 10] + 0.2 * next() + 7.0).collect()
    };
    for at in 0..1500 {
        let angle = f64::from(at) * 0.03;
        let values = row(&mut sources, &mut next);
        let label = [angle.sin() + 0.1 * next(), angle.cos() + 0.1 * next()];
        rows.push(&values, kalmind_types::Velocity(label));
    }
    let model = model("kalman", &rows, BIN_S);
    for fault in [Fault::Noise(1.0), Fault::Noise(0.3), Fault::Frozen, Fault::Zero, Fault::RailWithin] {
        let mut running = Loop::new(&model, BIN_S, true, true);
        let mut breaker = Breaker::new(fault, 1.0, &rows, 5);
        for tick in 0..400 {
            let mut values = row(&mut sources, &mut next);
            if tick >= 375 {
                breaker.apply(&mut values);
            }
            let output = running.tick(&values);
            if tick < 375 {
                assert_eq!(output.state, OutputState::Control, "{:?}", output.reason);
            } else if tick == 399 {
                assert_eq!(output.state, OutputState::Stale, "{fault:?}");
            }
        }
    }
}

#[test]
fn a_short_fault_ends_by_itself_and_a_long_one_waits_for_the_operator() {
    let (mut subject, rows) = calibrated(4);
    let model = model("kalman-steady", &rows, BIN_S);
    for (bins, after) in [(40, OutputState::Control), (150, OutputState::Stale)] {
        let mut running = Loop::new(&model, BIN_S, true, true);
        let mut breaker = Breaker::new(Fault::Zero, 1.0, &rows, 7);
        let mut row = vec![0.0; UNITS];
        let mut last = None;
        for tick in 0..500 + bins {
            subject.row(running.time(), Position([0.5, 0.5]), &mut row);
            if (250..250 + bins).contains(&tick) {
                breaker.apply(&mut row);
            }
            last = Some(running.tick(&row));
        }
        let last = last.unwrap();
        assert_eq!(last.state, after, "after {bins} bins");
        assert!(!last.incomplete);
        let cause = last.reason.map(|reason| reason.cause);
        assert_eq!(cause == Some(Cause::AwaitsResume), after == OutputState::Stale, "{cause:?}");
    }
}

#[test]
fn a_model_without_statistics_still_tells_a_dead_array() {
    let (mut subject, rows) = calibrated(5);
    let sound = rows_to_break(&mut subject, HALF_A_SECOND);
    let model = Model { guard: None, ..model("kalman-steady", &rows, BIN_S) };
    for fault in [Fault::Zero, Fault::Frozen, Fault::Value(1e308), Fault::Value(32767.0)] {
        let breaker = Breaker::new(fault, 1.0, &rows, 7);
        let outputs = broken(&model, &sound, breaker);
        assert_eq!(outputs.last().unwrap().0.state, OutputState::Stale, "{fault:?}");
    }
}

#[test]
fn switched_off_nothing_is_implausible() {
    let (_, rows) = calibrated(6);
    let model = model("kalman-steady", &rows, BIN_S);
    let mut running = Loop::new(&model, BIN_S, true, false);
    assert!(running.engine.plausibility_checks().is_empty());
    for _bin in 0..200 {
        assert_eq!(running.tick(&[0.0; UNITS]).state, OutputState::Control);
    }
}

#[test]
fn the_next_decoder_may_be_calibrated_where_the_last_one_no_longer_fits() {
    let (mut subject, rows) = calibrated(6);
    let model = model("kalman-steady", &rows, BIN_S);
    let mut running = Loop::new(&model, BIN_S, true, true);
    let mut breaker = Breaker::new(Fault::Noise(3.0), 1.0, &rows, 7);
    let mut row = vec![0.0; UNITS];
    let mut tick = |running: &mut Loop, commands: &[Command]| {
        subject.row(running.time(), Position([0.5, 0.5]), &mut row);
        breaker.apply(&mut row);
        for command in commands {
            running.command(*command);
        }
        running.tick(&row)
    };
    let mut last = None;
    for _ in 0..200 {
        last = Some(tick(&mut running, &[]));
    }
    assert_eq!(last.unwrap().state, OutputState::Stale, "four seconds: longer than returns by itself");
    // a task's open loop, which resumes nothing
    let gather = TaskState { drive: CursorDrive::Label, ..TaskState::default() };
    let request = Command::Request { mode: Mode::Calibrating, resume: false, by: Actor::Task };
    let first = tick(&mut running, &[Command::Task(gather), request]);
    assert_eq!(first.velocity.0, [0.0, 0.0]);
    let then = tick(&mut running, &[]);
    assert_eq!(then.state, OutputState::Calibrating, "{:?}", then.reason);
    // and back to control with the signals as they are: not one bin moves
    let control = Command::Request { mode: Mode::Control, resume: false, by: Actor::Task };
    for commands in [&[control][..], &[], &[]] {
        assert_eq!(tick(&mut running, commands).velocity.0, [0.0, 0.0]);
    }
}
