//! A filter as second-order sections, run over rows of channels.

use super::stage::StageError;
use super::state::{StateError, StateReader, StateWriter};
use super::wide::compiled_wide;

/// States below this become 0: denormal numbers, which take many times as long, never come up.
const SMALLEST: f64 = 1e-30;

/// A filter has settled when what is left of its slowest oscillation is this fraction of what it was.
const SETTLED: f64 = 1e-3;

/// Filters that take longer to settle, in samples, are refused: nothing they give would ever be valid.
const LONGEST: u64 = 10_000_000;

/// A cascade of second-order sections in the transposed direct form II, and its state for each channel:
///
/// `y = b0 x + s1;  s1 = b1 x - a1 y + s2;  s2 = b2 x - a2 y`
///
/// The operations stand in this order, with no multiplication and addition made one; channels are independent of one
/// another, so the compiler may work on several at once, and the bits are the same on every processor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sections {
    channels: usize,
    /// `b0 b1 b2 a1 a2` of each.
    coefficients: Vec<[f64; 5]>,
    /// The state of each after an endless input of ones.
    at_ones: Vec<[f64; 2]>,
    /// For each section `s1` of all channels, then `s2` of all channels.
    states: Vec<f64>,
    settling: u64,
}

impl Sections {
    /// The filter, at rest on zeros, from rows of `b0 b1 b2 a0 a1 a2`.
    pub(super) fn new(sections: &[[f64; 6]], channels: usize) -> Result<Self, StageError> {
        if sections.is_empty() {
            return Err(StageError::new("`sections` is empty: a filter has at least one"));
        }
        let (mut coefficients, mut at_ones) = (Vec::new(), Vec::new());
        let (mut level, mut settling) = (1.0, 0_u64);
        for (number, section) in sections.iter().enumerate() {
            let [b0, b1, b2, a0, a1, a2] = *section;
            let wrong = |what: &str| StageError::new(format!("section {number} (counted from 0) {what}"));
            if section.iter().any(|value| !value.is_finite()) {
                return Err(wrong("holds what is no finite number"));
            }
            if a0.to_bits() != 1_f64.to_bits() {
                return Err(wrong("has an a0 that is not 1; divide its six numbers by a0"));
            }
            // the triangle in which both poles lie inside the unit circle
            if !(a2.abs() < 1.0 && a1.abs() < 1.0 + a2) {
                return Err(wrong("is not stable: a pole is not inside the unit circle"));
            }
            let gain = (b0 + b1 + b2) / (1.0 + a1 + a2);
            let second = b2 - a2 * gain;
            at_ones.push([level * (b1 - a1 * gain + second), level * second]);
            level *= gain;
            coefficients.push([b0, b1, b2, a1, a2]);
            settling = settling.saturating_add(
                forgotten_after(a1, a2).ok_or_else(|| wrong("settles too slowly to be of any use"))?,
            );
        }
        let states = vec![0.0; sections.len().saturating_mul(2).saturating_mul(channels)];
        Ok(Self { channels, coefficients, at_ones, states, settling })
    }

    /// Samples after which a value is as good as forgotten.
    pub(super) fn settling(&self) -> u64 {
        self.settling
    }

    /// Puts the filter at rest on zeros.
    pub(super) fn clear(&mut self) {
        self.states.fill(0.0);
    }

    /// Puts the filter into the state that an endless run of this row would have left.
    pub(super) fn settle_on(&mut self, row: &[f64]) {
        let states = self.states.chunks_exact_mut(self.channels.max(1));
        for (states, at_one) in states.zip(self.at_ones.iter().flatten()) {
            for (state, value) in states.iter_mut().zip(row) {
                *state = without_denormals(at_one * value);
            }
        }
    }

    /// Filters the next row, in place.
    pub(super) fn step(&mut self, row: &mut [f64]) {
        filtered(&self.coefficients, self.channels, &mut self.states, row);
    }

    pub(super) fn state_bytes(&self) -> usize {
        size_of_val(self.states.as_slice())
    }

    pub(super) fn save(&self, state: &mut StateWriter<'_>) {
        state.numbers(&self.states);
    }

    pub(super) fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        state.numbers(&mut self.states)
    }
}

compiled_wide! {
    /// A row through all sections, in place.
    fn filtered(coefficients: &[[f64; 5]], channels: usize, states: &mut [f64], row: &mut [f64]) = filtered_loops
}

#[expect(clippy::inline_always, reason = "it is compiled for each processor where it is called")]
#[inline(always)]
fn filtered_loops(coefficients: &[[f64; 5]], channels: usize, states: &mut [f64], row: &mut [f64]) {
    let states = states.chunks_exact_mut(channels.saturating_mul(2).max(1));
    for (states, [b0, b1, b2, a1, a2]) in states.zip(coefficients) {
        let (first, second) = states.split_at_mut(channels.min(states.len()));
        for ((value, first), second) in row.iter_mut().zip(first).zip(second) {
            let x = *value;
            let y = b0 * x + *first;
            *first = without_denormals(b1 * x - a1 * y + *second);
            *second = without_denormals(b2 * x - a2 * y);
            *value = y;
        }
    }
}

fn without_denormals(state: f64) -> f64 {
    if state.abs() < SMALLEST { 0.0 } else { state }
}

/// Samples until the slower of a section's two poles has decayed; none where that takes too long.
fn forgotten_after(a1: f64, a2: f64) -> Option<u64> {
    let discriminant = a1 * a1 - 4.0 * a2;
    let radius = if discriminant < 0.0 { a2.sqrt() } else { f64::midpoint(a1.abs(), discriminant.sqrt()) };
    // by multiplication alone: the same on every machine
    let (mut left, mut samples) = (1.0, 0_u64);
    while left > SETTLED {
        if samples >= LONGEST {
            return None;
        }
        left *= radius;
        samples = samples.saturating_add(1);
    }
    Some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_cannot_be_run_are_refused() {
        let problem = |section: [f64; 6]| Sections::new(&[section], 1).unwrap_err().to_string();
        assert!(problem([1.0, 0.0, 0.0, 2.0, 0.0, 0.0]).contains("a0"));
        assert!(problem([1.0, 0.0, 0.0, 1.0, -2.0, 1.0]).contains("not stable"), "a double integrator");
        assert!(problem([1.0, 0.0, 0.0, 1.0, 0.0, f64::NAN]).contains("finite"));
        assert!(problem([1.0, 0.0, 0.0, 1.0, -0.999_999_99, 0.0]).contains("slowly"));
        assert!(Sections::new(&[], 1).is_err());
    }

    #[test]
    fn a_filter_settled_on_a_value_gives_its_gain_times_that_value_at_once() {
        // gain (1 + 2 + 1) / (1 - 0.5 + 0.25) and then 0.5 / 0.1
        let mut sections =
            Sections::new(&[[1.0, 2.0, 1.0, 1.0, -0.5, 0.25], [0.5, 0.0, 0.0, 1.0, -0.9, 0.0]], 2).unwrap();
        sections.settle_on(&[3.0, -2.0]);
        for _ in 0..50 {
            let mut row = [3.0, -2.0];
            sections.step(&mut row);
            let ([one, other], gain) = (row, 4.0 / 0.75 * 5.0);
            assert!((one - 3.0 * gain).abs() < 1e-12 * gain && (other + 2.0 * gain).abs() < 1e-12 * gain);
        }
    }

    #[test]
    fn a_decaying_state_becomes_zero_and_no_denormal_number() {
        let mut sections = Sections::new(&[[1.0, 0.0, 0.0, 1.0, -0.5, 0.0]], 1).unwrap();
        sections.settle_on(&[1.0]);
        for _ in 0..200 {
            sections.step(&mut [0.0]);
            assert!(sections.states.iter().all(|state| *state == 0.0 || state.abs() >= SMALLEST));
        }
        assert_eq!(sections.states, [0.0, 0.0]);
    }

    #[test]
    fn settling_is_the_time_in_which_the_slower_pole_decays_to_a_thousandth() {
        assert_eq!(forgotten_after(-0.9, 0.0), Some(66), "ln 0.001 / ln 0.9 = 65.56");
        assert_eq!(forgotten_after(0.0, 0.81), Some(66), "two conjugate poles of radius 0.9");
        assert_eq!(forgotten_after(0.0, 0.0), Some(1), "nothing is remembered past the next sample");
    }
}
