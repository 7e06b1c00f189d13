//! The simulated participant, seen from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]
#![expect(clippy::float_cmp, reason = "an intent of nothing is exactly zero, and equal draws are equal")]

use kalmind_session::{Drift, Offset, Participant, ParticipantError, ParticipantOptions, Profile};
use kalmind_types::{LslTime, Phase, Position, Seconds, Target, TaskBlock, Velocity};

const BIN_S: f64 = 0.02;

fn target(x: f64, y: f64) -> Target {
    Target { position: Position([x, y]), radius: 0.06 }
}

fn participant(options: ParticipantOptions) -> Participant {
    Participant::new(options).unwrap()
}

fn bin_time(bin: u32) -> LslTime {
    LslTime(10.0 + f64::from(bin) * BIN_S)
}

/// Counts of the next `bins` bins, from bin `first` on.
fn run(participant: &mut Participant, first: u32, bins: u32) -> Vec<Vec<f64>> {
    let mut counts = vec![0.0; participant.options().units];
    (first..first + bins)
        .map(|bin| {
            participant.counts(bin_time(bin), &mut counts);
            counts.clone()
        })
        .collect()
}

/// Mean count per unit.
fn means(counts: &[Vec<f64>]) -> Vec<f64> {
    (0..counts[0].len())
        .map(|unit| counts.iter().map(|row| row[unit]).sum::<f64>() / counts.len() as f64)
        .collect()
}

#[test]
fn the_same_messages_give_the_same_counts_in_whatever_order_they_arrive() {
    let messages: Vec<(LslTime, Position)> = (0..500_u32)
        .map(|bin| (bin_time(bin), Position([0.5 + 1e-4 * f64::from(bin), 0.5 - 2e-4 * f64::from(bin)])))
        .collect();
    let mut ordered = participant(ParticipantOptions::default());
    let mut reversed = ordered.clone();
    let mut twice = ordered.clone();
    for (time, position) in &messages {
        ordered.observe_state(*time, *position);
        twice.observe_state(*time, *position);
        twice.observe_state(*time, *position);
    }
    for (time, position) in messages.iter().rev() {
        reversed.observe_state(*time, *position);
    }
    for participant in [&mut ordered, &mut reversed, &mut twice] {
        participant.observe_target(bin_time(100), Some(target(0.8, 0.5)));
        participant.observe_target(bin_time(0), Some(target(0.2, 0.5)));
    }
    let expected = run(&mut ordered, 0, 400);
    assert_eq!(run(&mut reversed, 0, 400), expected);
    assert_eq!(run(&mut twice, 0, 400), expected);
    let total: f64 = expected.iter().flatten().sum();
    assert!(total > 1000.0, "the counts are alive: {total}");
}

#[test]
fn messages_that_come_while_it_runs_change_only_what_their_stamps_say() {
    let mut early = participant(ParticipantOptions::default());
    let mut late = early.clone();
    early.observe_state(bin_time(0), Position([0.5, 0.5]));
    early.observe_target(bin_time(0), Some(target(0.2, 0.5)));
    early.observe_target(bin_time(50), Some(target(0.8, 0.5)));
    late.observe_state(bin_time(0), Position([0.5, 0.5]));
    late.observe_target(bin_time(0), Some(target(0.2, 0.5)));
    let expected = run(&mut early, 0, 100);
    let mut counts = run(&mut late, 0, 60);
    late.observe_target(bin_time(50), Some(target(0.8, 0.5)));
    counts.extend(run(&mut late, 60, 40));
    assert_eq!(counts, expected);
}

#[test]
fn other_seeds_are_other_participants() {
    let counts =
        |seed| run(&mut participant(ParticipantOptions { seed, ..ParticipantOptions::default() }), 0, 50);
    assert_ne!(counts(1), counts(2));
}

#[test]
fn the_reaction_comes_after_the_delay_of_its_kind() {
    let mut participant = participant(ParticipantOptions::default());
    participant.observe_state(bin_time(0), Position([0.5, 0.5]));
    participant.observe_target(bin_time(0), None);
    participant.observe_target(bin_time(100), Some(target(0.9, 0.5)));
    run(&mut participant, 100, 12);
    assert_eq!(participant.intent().speed(), 0.0, "bin 111 is 0.22 s after the target");
    run(&mut participant, 112, 2);
    assert!((participant.intent().speed() - 0.6).abs() < 1e-12, "bin 113 is 0.26 s after the target");
    participant.observe_state(bin_time(120), Position([0.9, 0.5]));
    run(&mut participant, 114, 15);
    assert!(participant.intent().speed() > 0.5, "bin 128 is 0.16 s after the state");
    run(&mut participant, 129, 2);
    assert_eq!(participant.intent().speed(), 0.0, "bin 130 is 0.2 s after the state: the cursor is there");
}

#[test]
fn the_oldest_message_counts_where_none_is_old_enough() {
    let mut participant = participant(ParticipantOptions::default());
    run(&mut participant, 0, 1);
    assert_eq!(participant.intent().speed(), 0.0, "it has seen nothing yet");
    participant.observe_state(bin_time(0), Position([0.5, 0.5]));
    participant.observe_target(bin_time(0), Some(target(0.5, 0.6)));
    run(&mut participant, 1, 1);
    assert!((participant.intent().speed() - 0.25).abs() < 1e-12);
}

#[test]
fn the_intended_direction_wanders_by_ten_degrees() {
    let mut participant = participant(ParticipantOptions::default());
    participant.observe_state(bin_time(0), Position([0.1, 0.5]));
    participant.observe_target(bin_time(0), Some(target(0.9, 0.5)));
    let angles: Vec<f64> = (0..50_000)
        .map(|bin| {
            run(&mut participant, bin, 1);
            participant.intent().0[1].atan2(participant.intent().0[0]).to_degrees()
        })
        .collect();
    let deviation = (angles.iter().map(|angle| angle * angle).sum::<f64>() / angles.len() as f64).sqrt();
    assert!((deviation - 10.0).abs() < 1.0, "{deviation}");
    let products: f64 =
        angles.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / (angles.len() - 1) as f64;
    let correlation = products / (deviation * deviation);
    assert!((correlation - (-BIN_S / 0.3_f64).exp()).abs() < 0.01, "{correlation}");
}

#[test]
fn rates_at_rest_are_those_of_the_law() {
    // log rates are ln 8 + 0.6 N + 0.1 N' N'' : their mean over units and seeds is close to ln 8
    let mut log_rates = Vec::new();
    for seed in 0..10 {
        let mut participant = participant(ParticipantOptions { seed, ..ParticipantOptions::default() });
        let counts = run(&mut participant, 0, 3000);
        log_rates
            .extend(means(&counts).into_iter().filter(|mean| *mean > 0.0).map(|mean| (mean / BIN_S).ln()));
    }
    let mean = log_rates.iter().sum::<f64>() / log_rates.len() as f64;
    let variance = log_rates.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / log_rates.len() as f64;
    assert!((mean - 8.0_f64.ln()).abs() < 0.06, "{mean}");
    assert!((variance.sqrt() - 0.6).abs() < 0.04, "{}", variance.sqrt());
}

#[test]
fn a_quarter_of_the_units_does_not_care_where_the_target_is() {
    let options = ParticipantOptions { modulation: 10.0, units: 40, ..ParticipantOptions::default() };
    let rate_towards = |x: f64, y: f64| {
        let mut participant = participant(options.clone());
        participant.observe_state(bin_time(0), Position([0.5, 0.5]));
        participant.observe_target(bin_time(0), Some(target(x, y)));
        means(&run(&mut participant, 0, 2000))
    };
    let rates: Vec<Vec<f64>> =
        [(0.9, 0.5), (0.5, 0.9), (0.1, 0.5), (0.5, 0.1)].iter().map(|&(x, y)| rate_towards(x, y)).collect();
    let steady = (0..40)
        .filter(|&unit| {
            let of_unit = || rates.iter().map(|rates| rates[unit]);
            of_unit().fold(0.0, f64::max) < 1.5 * of_unit().fold(f64::INFINITY, f64::min)
        })
        .count();
    assert!((10..=12).contains(&steady), "{steady} of 40 are steady");
}

#[test]
fn harder_options_do_what_they_say() {
    let base = ParticipantOptions::default();
    let dropped = run(&mut participant(ParticipantOptions { drop: 10, ..base.clone() }), 0, 4000);
    let silent = means(&dropped).into_iter().filter(|mean| *mean == 0.0).count();
    assert_eq!(silent, 10);

    let offset = vec![Offset { unit: 3, deviations: 5.0 }];
    let plain = run(&mut participant(base.clone()), 0, 200);
    let shifted = run(&mut participant(ParticipantOptions { offsets: offset, ..base.clone() }), 0, 200);
    let shift = shifted[0][3] - plain[0][3];
    assert!(shift > 0.1);
    for (plain, shifted) in plain.iter().zip(&shifted) {
        assert!((shifted[3] - plain[3] - shift).abs() < 1e-12 && shifted[4] == plain[4]);
    }

    let drift = Drift { baseline_per_min: 1.0, ..Drift::default() };
    let mut drifting = participant(ParticipantOptions { drift, ..base.clone() });
    let start = means(&run(&mut drifting, 0, 1000));
    drifting.counts(bin_time(9000), &mut vec![0.0; 96]);
    let later = means(&run(&mut drifting, 9001, 1000));
    let moved = start
        .iter()
        .zip(&later)
        .filter(|(start, later)| later.max(**start) > 3.0 * later.min(**start))
        .count();
    assert!(moved > 30, "{moved} of 96 baselines moved by more than a factor of 3 in 3 minutes");

    let noisy = run(&mut participant(ParticipantOptions { noise: 1.0, ..base.clone() }), 0, 200);
    assert_ne!(noisy, plain);
    let slow = ParticipantOptions { state_delay: Seconds(0.5), ..base };
    let mut slow = participant(slow);
    slow.observe_state(bin_time(0), Position([0.5, 0.5]));
    slow.observe_state(bin_time(10), Position([0.9, 0.5]));
    slow.observe_target(bin_time(0), Some(target(0.9, 0.5)));
    run(&mut slow, 11, 20);
    assert!(slow.intent().speed() > 0.5, "0.4 s after the newest state it acts on the one before");
}

/// Speeds that a mismatched participant means, bin by bin, from a target at 0.9 on, while it sees the cursor at 0.5.
fn mismatched(seed: u64, block: TaskBlock, bins: u32) -> Vec<f64> {
    let options = ParticipantOptions { seed, profile: Profile::Mismatch, ..ParticipantOptions::default() };
    let mut participant = participant(options);
    participant.observe_state(bin_time(0), Position([0.5, 0.5]));
    participant.observe_block(bin_time(0), block, Phase::Start);
    participant.observe_target(bin_time(10), Some(target(0.8, 0.5)));
    let mut counts = vec![0.0; 96];
    (10..10 + bins)
        .map(|bin| {
            participant.counts(bin_time(bin), &mut counts);
            participant.intent().speed()
        })
        .collect()
}

#[test]
fn a_mismatched_participant_reacts_at_another_time_in_each_trial_and_lapses_in_a_few() {
    let (mut reactions, mut lapses) = (Vec::new(), 0);
    for seed in 0..1000 {
        let speeds = mismatched(seed, TaskBlock::ClosedLoop, 150);
        let reacted = speeds.iter().position(|speed| *speed > 0.0).unwrap();
        reactions.push(reacted as f64 * BIN_S);
        lapses += usize::from(speeds[reacted..].contains(&0.0) || reacted as f64 * BIN_S > 0.47);
        assert!(speeds.iter().all(|speed| *speed <= 0.6 + 1e-12));
    }
    reactions.retain(|reaction| *reaction <= 0.47);
    let mean = reactions.iter().sum::<f64>() / reactions.len() as f64;
    assert!(reactions.iter().all(|reaction| *reaction >= 0.15 - 1e-9));
    assert!((mean - 0.31).abs() < 0.01, "uniform from 150 to 450 ms, to the next bin: {mean}");
    assert!((8..=34).contains(&lapses), "2 % of 1000: {lapses}");
}

#[test]
fn a_mismatched_participant_makes_a_minimum_jerk_movement_in_an_open_loop_and_rests() {
    // seed 1 does not lapse
    let speeds = mismatched(1, TaskBlock::OpenLoop, 150);
    let moving: Vec<usize> = (0..speeds.len()).filter(|bin| speeds[*bin] > 0.0).collect();
    let (first, last) = (moving[0], moving[moving.len() - 1]);
    assert!((43..=46).contains(&(last - first + 1)), "0.9 s: {}", last - first + 1);
    let way: f64 = speeds.iter().map(|speed| speed * BIN_S).sum();
    // the fastest part is limited: a movement of 0.3 would reach 0.625
    assert!((0.29..=0.301).contains(&way), "{way}");
    let fastest = speeds.iter().copied().fold(0.0, f64::max);
    assert!((fastest - 0.6).abs() < 1e-12);
    assert!(speeds[last + 1..].iter().all(|speed| *speed == 0.0), "it rests");
}

#[test]
fn the_standard_drift_waits_for_the_end_of_calibration() {
    let base = ParticipantOptions::default();
    let mut drifting = participant(ParticipantOptions { drift: Drift::STANDARD, ..base.clone() });
    let mut steady = participant(base);
    assert_eq!(run(&mut drifting, 0, 3000), run(&mut steady, 0, 3000), "a minute without");
    drifting.observe_block(bin_time(3000), TaskBlock::OpenLoop, Phase::End);
    assert_ne!(run(&mut drifting, 60_000, 500), run(&mut steady, 60_000, 500));
}

#[test]
fn impossible_options_are_refused() {
    let base = ParticipantOptions::default();
    let refused = |options| Participant::new(options).unwrap_err();
    assert!(matches!(
        refused(ParticipantOptions { units: 0, ..base.clone() }),
        ParticipantError::OutOfRange { setting: "units", .. }
    ));
    assert!(matches!(
        refused(ParticipantOptions { modulation: f64::NAN, ..base.clone() }),
        ParticipantError::OutOfRange { setting: "modulation", .. }
    ));
    assert!(matches!(
        refused(ParticipantOptions { drop: 97, ..base.clone() }),
        ParticipantError::OutOfRange { setting: "drop", .. }
    ));
    let offsets = vec![Offset { unit: 96, deviations: 1.0 }];
    assert_eq!(
        refused(ParticipantOptions { offsets, ..base }),
        ParticipantError::NoSuchUnit { unit: 96, last: 95 }
    );
}

/// A participant that clicks beside one that does not; both see the cursor come into the target at bin 50.
fn clicking(options: &ParticipantOptions) -> [Participant; 2] {
    [false, true].map(|clicks| {
        let mut participant = participant(ParticipantOptions { clicks, ..options.clone() });
        participant.observe_target(bin_time(0), Some(target(0.8, 0.5)));
        participant.observe_state(bin_time(0), Position([0.5, 0.5]));
        participant.observe_state(bin_time(50), Position([0.79, 0.5]));
        participant
    })
}

#[test]
fn it_means_to_select_once_it_has_seen_the_cursor_in_the_target() {
    let [mut without, mut with] = clicking(&ParticipantOptions::default());
    let meant: Vec<u32> = (0..100)
        .filter(|bin| {
            let (plain, clicked) = (run(&mut without, *bin, 1), run(&mut with, *bin, 1));
            assert!(with.selects() || plain == clicked, "bin {bin}: nothing else is drawn");
            assert!(!without.selects());
            with.selects()
        })
        .collect();
    // it sees it 200 ms later, and is sure after 100 ms
    assert_eq!(meant, (65..80).collect::<Vec<u32>>());
}

/// By how much the log rate of each unit rises while a click is meant, over a few hundred acts.
fn rises(options: &ParticipantOptions) -> Vec<f64> {
    let [mut without, mut with] = clicking(options);
    let mut sums = vec![[0.0, 0.0]; 96];
    for bin in 0..16_000 {
        let (plain, clicked) = (run(&mut without, bin, 1), run(&mut with, bin, 1));
        for (sum, (plain, clicked)) in sums.iter_mut().zip(plain[0].iter().zip(&clicked[0])) {
            let counted = f64::from(u8::from(with.selects()));
            *sum = [sum[0] + counted * plain, sum[1] + counted * clicked];
        }
    }
    sums.iter().map(|[plain, clicked]| (clicked / plain).ln()).collect()
}

#[test]
fn half_of_the_untuned_units_follow_a_click_and_of_a_mismatched_one_a_quarter_of_the_tuned() {
    let changed = |rises: &[f64]| -> [usize; 3] {
        let of = |low: f64, high: f64| rises.iter().filter(|rise| (low..high).contains(*rise)).count();
        [of(0.3, 1.3), of(-0.3, 0.3), of(-1.5, -0.3)]
    };
    let default = rises(&ParticipantOptions::default());
    assert_eq!(changed(&default), [12, 84, 0], "{default:?}");
    let mismatched =
        rises(&ParticipantOptions { profile: Profile::Mismatch, ..ParticipantOptions::default() });
    let [up, same, down] = changed(&mismatched);
    assert_eq!((up + down, same), (12 + 18, 66), "{mismatched:?}");
    assert!(down > 3, "{up} {down}");
}

/// What it means in bin `bin`, and that bin's counts.
fn meant(participant: &mut Participant, bin: u32) -> ([f64; 2], Vec<f64>) {
    let counts = run(participant, bin, 1).remove(0);
    (participant.intent().0, counts)
}

#[test]
fn a_hand_is_meant_from_40_to_240_ms_after_it_was_told_of_and_no_faster_than_the_law() {
    let led = ParticipantOptions { hand: true, ..ParticipantOptions::default() };
    let mut led = participant(led);
    // the cursor and its target are of no matter
    led.observe_state(bin_time(0), Position([0.5, 0.5]));
    led.observe_target(bin_time(0), Some(target(0.2, 0.5)));
    led.observe_hand(bin_time(30), Velocity([0.25, -0.5]));
    led.observe_hand(bin_time(60), Velocity([3.0, 4.0]));
    led.observe_hand(bin_time(62), Velocity([f64::NAN, 0.0]));
    led.observe_hand(bin_time(65), Velocity([0.0, 0.0]));
    for bin in 0..70 {
        let expected = match bin {
            32..=41 => [0.25, -0.5],
            // the direction is kept
            62..=66 => [0.36, 0.48],
            _ => [0.0, 0.0],
        };
        let (intent, _) = meant(&mut led, bin);
        for (meant, expected) in intent.iter().zip(expected) {
            assert!((meant - expected).abs() < 1e-12, "bin {bin}: {intent:?}");
        }
    }
}

#[test]
fn only_one_that_is_to_mean_a_hand_does_and_its_counts_follow() {
    let mut free = participant(ParticipantOptions::default());
    let mut told = free.clone();
    told.observe_hand(bin_time(0), Velocity([0.6, 0.0]));
    assert_eq!(run(&mut told, 0, 100), run(&mut free, 0, 100), "the default law knows no hand");
    // in whatever order it arrives, and as far as it is meant
    let led = |x: f64, reversed: bool| {
        let mut led = participant(ParticipantOptions { hand: true, ..ParticipantOptions::default() });
        let mut bins: Vec<u32> = (0..1000).collect();
        if reversed {
            bins.reverse();
        }
        for bin in bins {
            led.observe_hand(bin_time(bin), Velocity([x, 0.0]));
        }
        run(&mut led, 2, 990)
    };
    let [right, left] = [0.6, -0.6].map(|x| led(x, false));
    assert_eq!(led(0.6, true), right);
    let [right, left] = [means(&right), means(&left)];
    // Poisson: the difference of two means of 990 bins has the variance (a + b) / 990, so that without a hand this sum were
    // chi-square with 96 degrees of freedom: mean 96, standard deviation 14
    let sum: f64 = right.iter().zip(&left).map(|(a, b)| (a - b).powi(2) * 990.0 / (a + b)).sum();
    assert!(sum > 400.0, "the counts tell right from left: {sum}");
}
