//! The neurons of a simulated participant.

use core::f64::consts::TAU;

use rand::{RngExt as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::options::{ParticipantOptions, Profile};

/// Mean of the units' baseline rates (of their logarithms), in Hz.
const BASELINE_HZ: f64 = 8.0;
/// Standard deviation of the logarithms of the baseline rates.
const BASELINE_SPREAD: f64 = 0.6;
/// One unit in so many is not tuned.
const UNTUNED_ONE_IN: usize = 4;
/// While a click is meant, one untuned unit in so many raises its log rate by so much.
const CLICK_ONE_IN: usize = 2;
const CLICK_RISE: f64 = 0.8;
/// And of a mismatched participant one tuned unit in so many changes it by as much, up or down.
const MISMATCHED_CLICK_ONE_IN: usize = 4;
/// The stream of the signs: no bin and no trial has it.
const SIGNS: u64 = u64::MAX;

/// One neuron.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    pub(super) log_baseline: f64,
    /// Preferred direction, in radians.
    pub(super) direction: f64,
    pub(super) modulation: f64,
    pub(super) common_loading: f64,
    pub(super) rotation_per_min: f64,
    pub(super) baseline_per_min: f64,
    pub(super) silent: bool,
    /// Added to its log rate while a click is meant.
    pub(super) click: f64,
    /// Added to its counts.
    pub(super) offset: f64,
}

/// The units that the generator draws; which of them follow clicks takes nothing from it.
pub(super) fn draw_units(options: &ParticipantOptions, generator: &mut ChaCha8Rng) -> Vec<Unit> {
    let mut units: Vec<Unit> = (0..options.units)
        .map(|_| Unit {
            log_baseline: BASELINE_HZ.ln() + BASELINE_SPREAD * normal(generator),
            direction: TAU * generator.random::<f64>(),
            modulation: options.modulation * normal(generator).abs(),
            common_loading: normal(generator),
            rotation_per_min: options.drift.rotation_deg_per_min.to_radians() * normal(generator),
            baseline_per_min: options.drift.baseline_per_min * normal(generator),
            silent: false,
            click: 0.0,
            offset: 0.0,
        })
        .collect();
    let mut order: Vec<usize> = (0..options.units).collect();
    order.shuffle(generator);
    for &index in &order[..options.units / UNTUNED_ONE_IN] {
        units[index].modulation = 0.0;
    }
    follow_clicks(options, &order, &mut units);
    order.shuffle(generator);
    for &index in &order[..options.drop] {
        units[index].silent = true;
    }
    for offset in &options.offsets {
        let unit = &mut units[offset.unit];
        unit.offset += offset.deviations * (unit.log_baseline.exp() * options.bin.0).sqrt();
    }
    units
}

/// Which units change while a click is meant, and how: `order` has the untuned ones first.
fn follow_clicks(options: &ParticipantOptions, order: &[usize], units: &mut [Unit]) {
    let (untuned, tuned) = order.split_at(units.len() / UNTUNED_ONE_IN);
    for &index in &untuned[..untuned.len() / CLICK_ONE_IN] {
        units[index].click = CLICK_RISE;
    }
    if options.profile == Profile::Mismatch {
        let mut generator = ChaCha8Rng::seed_from_u64(options.seed);
        generator.set_stream(SIGNS);
        for &index in &tuned[..tuned.len() / MISMATCHED_CLICK_ONE_IN] {
            units[index].click = if generator.random() { CLICK_RISE } else { -CLICK_RISE };
        }
    }
}

/// A draw of N(0, 1).
pub(super) fn normal(generator: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(generator)
}
