//! What the health of a raw stream's channels says of signals made by hand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may")]

use std::f64::consts::PI;

use kalmind_signal::{ChannelHealth, Signal};
use kalmind_types::ChannelFault;

const CHANNELS: usize = 6;

/// Nearly normal numbers: the sum of twelve uniform ones, from a seed.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// When the verdict on a channel changed, in seconds, and to what.
type Verdict = (f64, usize, Option<ChannelFault>);

fn health(rate_hz: f64) -> ChannelHealth {
    let raw = Signal::raw(rate_hz, (0..CHANNELS).map(|channel| (format!("c{channel}"), String::new())));
    ChannelHealth::new(CHANNELS, rate_hz, &raw, true).unwrap()
}

/// Verdicts on a signal of so many seconds.
fn verdicts(
    rate_hz: f64,
    seconds: f64,
    mut signal: impl FnMut(f64, usize, &mut Noise) -> f64,
) -> Vec<Verdict> {
    let (mut health, mut noise) = (health(rate_hz), Noise(0x9e37_79b9_7f4a_7c15));
    let (mut found, mut before) = (Vec::new(), [None; CHANNELS]);
    let (mut row, mut invalid) = ([0.0; CHANNELS], [false; CHANNELS]);
    for index in 0..(seconds * rate_hz) as u64 {
        let time = index as f64 / rate_hz;
        for (channel, (value, invalid)) in row.iter_mut().zip(&mut invalid).enumerate() {
            let given = signal(time, channel, &mut noise);
            *invalid = !given.is_finite();
            // the last one stands in, as in a derived stream
            *value = if given.is_finite() { given } else { *value };
        }
        health.take(&row, &invalid);
        if health.judge() {
            for (channel, (now, before)) in health.faults().zip(&mut before).enumerate() {
                if now != *before {
                    found.push(((index + 1) as f64 / rate_hz, channel, now));
                    *before = now;
                }
            }
        }
    }
    found
}

/// Broadband noise of 10 uV on slow waves of 200 uV, with a spike of 100 uV now and then.
fn array(time: f64, channel: usize, noise: &mut Noise) -> f64 {
    let slow = 200.0 * (2.0 * PI * (7.0 * time + channel as f64 / 9.0)).sin();
    let spike = if noise.uniform() < 0.001 { -100.0 } else { 0.0 };
    slow + 10.0 * noise.normal() + spike
}

/// EEG in volts: 10 uV of noise, alpha that waxes and wanes up to 50 uV, some line noise, an offset of 20 mV.
fn eeg(time: f64, channel: usize, noise: &mut Noise) -> f64 {
    let waxing = (2.0 * PI * 0.1 * time + channel as f64).sin().max(0.0);
    let alpha = 50e-6 * waxing * (2.0 * PI * 10.0 * time).sin();
    let line = 10e-6 * (2.0 * PI * 50.0 * time).sin();
    0.02 + alpha + line + 10e-6 * noise.normal()
}

/// A way in which a channel's healthy value at a time goes wrong.
type Fault = fn(f64, f64, &mut Noise) -> f64;

/// What goes wrong with a channel whose values are about one in size, and what it is found to be.
const FAULTS: [(&str, Fault, ChannelFault); 11] = [
    ("flat", |_, _, _| 0.0, ChannelFault::Flat),
    ("at the upper end", |_, _, _| 3e3, ChannelFault::Saturated),
    ("at the lower end", |_, _, _| -3e3, ChannelFault::Saturated),
    ("no numbers", |_, _, _| f64::NAN, ChannelFault::Nan),
    ("infinite", |_, _, _| f64::INFINITY, ChannelFault::Nan),
    ("a huge sine at 50 Hz", |_, time, _| 300.0 * (2.0 * PI * 50.0 * time).sin(), ChannelFault::LineNoise),
    ("noise", |value, _, noise| value + 300.0 * noise.normal(), ChannelFault::Disconnected),
    ("no contact", |value, _, _| 0.001 * value, ChannelFault::Disconnected),
    ("steps", |value, time, _| value + 1e3 * (time * 20.0).floor(), ChannelFault::Disconnected),
    (
        "comes and goes",
        |value, time, _| if (time * 5.0).fract() < 0.6 { 0.0 } else { value },
        ChannelFault::Flat,
    ),
    (
        "a square wave",
        |_, time, _| if (time * 37.0).fract() < 0.5 { 300.0 } else { -300.0 },
        ChannelFault::Saturated,
    ),
];

/// Each fault from 5 s to 8 s in some of the channels of a signal of this size: found within half a second, back about a second after
/// it ended.
fn is_found(rate_hz: f64, size: f64, healthy: fn(f64, usize, &mut Noise) -> f64, faulty: usize) {
    are_found(&FAULTS, rate_hz, size, healthy, faulty);
}

fn are_found(
    faults: &[(&str, Fault, ChannelFault)],
    rate_hz: f64,
    size: f64,
    healthy: fn(f64, usize, &mut Noise) -> f64,
    faulty: usize,
) {
    for (name, fault, expected) in faults.iter().copied() {
        let found = verdicts(rate_hz, 12.0, |time, channel, noise| {
            let value = healthy(time, channel, noise);
            if channel < faulty && (5.0..8.0).contains(&time) {
                fault(value / size, time, noise) * size
            } else {
                value
            }
        });
        for channel in 0..CHANNELS {
            let of: Vec<_> = found.iter().filter(|(_, at, _)| *at == channel).collect();
            if channel >= faulty {
                assert!(of.is_empty(), "{name} at {rate_hz} Hz in {faulty}: {of:?}");
                continue;
            }
            let [(begin, _, Some(first)), .., (end, _, None)] = of[..] else {
                panic!("{name} at {rate_hz} Hz in {faulty}: channel {channel}: {found:?}")
            };
            assert!(*begin > 5.0 && *begin < 5.5, "{name} at {rate_hz} Hz in {faulty}: {of:?}");
            assert!(*end > 8.7 && *end < 10.5, "{name} at {rate_hz} Hz in {faulty}: {of:?}");
            assert_eq!(*first, expected, "{name} at {rate_hz} Hz in {faulty}");
        }
    }
}

#[test]
fn faults_of_an_array_are_found_in_half_a_second_and_forgotten() {
    is_found(30_000.0, 10.0, array, 1);
}

#[test]
fn faults_of_eeg_are_found_in_half_a_second_and_forgotten() {
    is_found(1000.0, 10e-6, |time, channel, noise| eeg(time, channel, noise) - 0.02, 1);
}

#[test]
fn what_shows_without_comparison_is_found_in_all_channels_at_once() {
    // standing still and being no number; who is unlike all others is not everyone
    let healthy: fn(f64, usize, &mut Noise) -> f64 = |time, channel, noise| eeg(time, channel, noise) - 0.02;
    are_found(&FAULTS[..5], 1000.0, 10e-6, healthy, CHANNELS);
}

#[test]
fn a_channel_that_is_passed_over_is_not_judged_and_nobody_is_compared_with_it() {
    let mut health = health(1000.0);
    health.pass_over(&[1, 2, 3, 4, 99]);
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for index in 0..3000 {
        let time = f64::from(index) / 1000.0;
        // most are flat from the start
        let row: [f64; CHANNELS] = core::array::from_fn(|channel| match channel {
            1..=4 => 0.0,
            _ => eeg(time, channel, &mut noise),
        });
        health.take(&row, &[false; CHANNELS]);
        assert!(!health.judge() && health.faults().all(|fault| fault.is_none()), "{time}");
    }
}

#[test]
fn faults_of_half_of_the_channels_at_once_are_found() {
    is_found(1000.0, 10e-6, |time, channel, noise| eeg(time, channel, noise) - 0.02, 3);
}

#[test]
fn what_most_channels_have_become_for_good_is_usual_after_a_while() {
    let gain = |time: f64| if time < 5.0 { 1.0 } else { 40.0 };
    let found = verdicts(1000.0, 60.0, |time, channel, noise| gain(time) * eeg(time, channel, noise));
    for channel in 0..CHANNELS {
        let of: Vec<_> = found.iter().filter(|(_, other, _)| *other == channel).collect();
        let [(_, _, Some(ChannelFault::Disconnected)), (back, _, None)] = of[..] else { panic!("{of:?}") };
        assert!((35.0..45.0).contains(back), "{of:?}");
    }
}

#[test]
fn ten_minutes_of_healthy_channels_raise_no_alarm() {
    let none: Vec<Verdict> = Vec::new();
    assert_eq!(verdicts(160.0, 600.0, eeg), none, "EEG in volts");
    assert_eq!(verdicts(1000.0, 600.0, eeg), none, "EEG at 1 kHz");
    let microvolts = |time, channel, noise: &mut Noise| (eeg(time, channel, noise) * 1e6).round();
    assert_eq!(verdicts(160.0, 600.0, microvolts), none, "EEG in whole microvolts");
    assert_eq!(
        verdicts(250.0, 600.0, |_, _, noise| noise.normal().round()),
        none,
        "of a size of its last digit"
    );
}

#[test]
fn ten_minutes_of_an_array_raise_no_alarm() {
    assert_eq!(verdicts(30_000.0, 600.0, array), []);
}

#[test]
fn a_channel_that_is_dead_or_far_too_large_from_the_start_is_found() {
    let found = verdicts(1000.0, 3.0, |time, channel, noise| match channel {
        0 => 0.0,
        1 => 1e3 * eeg(time, channel, noise),
        _ => eeg(time, channel, noise),
    });
    let [(_, 0, Some(ChannelFault::Flat)), (_, 1, Some(ChannelFault::Disconnected))] = found[..] else {
        panic!("{found:?}")
    };
}

#[test]
fn a_loose_contact_is_out_for_twice_as_long_each_time() {
    // flat for a second, every five seconds
    let found = verdicts(1000.0, 60.0, |time, channel, noise| {
        if channel == 0 && (time / 4.0).fract() > 0.75 { 0.0 } else { eeg(time, channel, noise) }
    });
    assert!((4..=8).contains(&found.len()), "not every time: {found:?}");
}

#[test]
fn a_channel_that_is_a_copy_of_its_neighbour_is_healthy_by_itself() {
    let mut before = 0.0;
    let found = verdicts(1000.0, 10.0, |time, channel, noise| {
        before = if channel == 1 && time > 5.0 { before } else { eeg(time, channel, noise) };
        before
    });
    assert_eq!(found, [], "found by none of the limits, by design");
}

#[test]
fn a_stream_that_is_too_slow_is_not_judged() {
    let raw = Signal::raw(50.0, [(String::from("count"), String::new())]);
    assert!(ChannelHealth::new(1, 50.0, &raw, true).is_none());
}
