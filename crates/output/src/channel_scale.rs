//! How a cursor outlet puts numbers into a reader's units: factors and offsets by channel, and whole numbers that lose nothing
//! of a slow movement.

use serde::{Deserialize, Serialize};

/// Which of the cursor's numbers a reader goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// Position: `vx` and `vy` are what moved Kalmind's own cursor, so they are 0 where it stands at an edge.
    #[default]
    Position,
    /// Velocity: the reader keeps the position itself. `vx` and `vy` are what the decoder wants after gain, smoothing and
    /// speed limit, whatever edges Kalmind's own cursor has reached.
    Velocity,
}

/// A number for the cursor's channels, or one for each channel of the outlet.
#[derive(Clone, Debug, PartialEq)]
pub enum PerChannel {
    /// For those that it is about: a scale multiplies x, y, vx and vy, an offset is added to x and y.
    Cursor(f64),
    /// For every channel of the outlet in its order.
    Each(Vec<f64>),
}

impl PerChannel {
    /// The number of a channel; `otherwise` for one that a single number is not about.
    pub(crate) fn of(&self, channel: usize, is_about: bool, otherwise: f64) -> f64 {
        match self {
            Self::Cursor(number) if is_about => *number,
            Self::Cursor(_) => otherwise,
            Self::Each(numbers) => numbers.get(channel).copied().unwrap_or(otherwise),
        }
    }

    /// Whether there is one for each of `channels`, and all are finite.
    pub(crate) fn fits(&self, channels: usize) -> bool {
        match self {
            Self::Cursor(number) => number.is_finite(),
            Self::Each(numbers) => {
                numbers.len() == channels && numbers.iter().all(|number| number.is_finite())
            }
        }
    }
}

impl core::fmt::Display for PerChannel {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Cursor(number) => write!(formatter, "{number}"),
            Self::Each(numbers) => write!(formatter, "{numbers:?}"),
        }
    }
}

/// Rounds the channels of an outlet of whole numbers, to the nearest one, halves away from zero; what the format cannot hold
/// becomes the nearest that it can.
///
/// A channel that a reader adds up (`carries`) hands the part that was rounded away on to the next sample, so that the sum
/// over any stretch is off by half a unit at most, however slow the movement. An exact 0 leaves as 0: a cursor that stands,
/// stands. [`WholeNumbers::rest_unless`] forgets what is carried.
#[derive(Clone, Debug)]
pub(crate) struct WholeNumbers {
    carried: Vec<f64>,
    carries: Vec<bool>,
    least: f64,
    greatest: f64,
}

impl WholeNumbers {
    pub(crate) fn new(carries: Vec<bool>, least: f64, greatest: f64) -> Self {
        Self { carried: vec![0.0; carries.len()], carries, least, greatest }
    }

    /// The whole number that leaves for `value`. Allocates nothing.
    pub(crate) fn round(&mut self, channel: usize, value: f64) -> f64 {
        let carries = self.carries.get(channel).copied().unwrap_or(false) && value.abs() > 0.0;
        let Some(carried) = self.carried.get_mut(channel).filter(|_| carries) else {
            return value.round().clamp(self.least, self.greatest);
        };
        let whole = (value + *carried).round().clamp(self.least, self.greatest);
        // what the format cannot hold is not owed: the reader would move long after the participant has stopped
        *carried = (value + *carried - whole).clamp(-0.5, 0.5);
        whole
    }

    /// Where nothing moves, nothing is owed.
    pub(crate) fn rest_unless(&mut self, moves: bool) {
        if !moves {
            self.carried.fill(0.0);
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole numbers are exact")]
mod tests {
    use super::*;

    fn int16(carries: bool) -> WholeNumbers {
        WholeNumbers::new(vec![carries], f64::from(i16::MIN), f64::from(i16::MAX))
    }

    #[test]
    fn a_slow_movement_arrives_in_whole_numbers() {
        let mut rounding = int16(true);
        let mut sum = 0.0;
        for tick in 1..=1000 {
            let whole = rounding.round(0, 0.037);
            assert!((whole - whole.round()).abs() < 1e-12 && (0.0..=1.0).contains(&whole));
            sum += whole;
            assert!((sum - 0.037 * f64::from(tick)).abs() <= 0.5 + 1e-9, "tick {tick}");
        }
        let mut plain = int16(false);
        assert_eq!(
            (1..=1000).map(|_| plain.round(0, 0.037)).sum::<f64>(),
            0.0,
            "what is not added up is just rounded"
        );
    }

    #[test]
    fn standing_is_an_exact_zero_and_rest_forgets() {
        let mut rounding = int16(true);
        assert_eq!(rounding.round(0, 0.4), 0.0);
        assert_eq!(rounding.round(0, 0.0), 0.0);
        assert_eq!(rounding.round(0, 0.2), 1.0);
        rounding.round(0, 0.4);
        rounding.rest_unless(false);
        assert_eq!(rounding.round(0, 0.3), 0.0);
    }

    #[test]
    fn what_the_format_cannot_hold_is_not_owed() {
        let mut rounding = int16(true);
        assert_eq!(rounding.round(0, 1e9), 32_767.0);
        assert_eq!(rounding.round(0, -1e300), -32_768.0);
        assert!(rounding.round(0, 0.1).abs() <= 1.0);
    }

    #[test]
    fn one_number_is_for_the_cursor_and_a_list_for_every_channel() {
        let one = PerChannel::Cursor(3.0);
        assert_eq!((one.of(0, true, 1.0), one.of(5, false, 1.0)), (3.0, 1.0));
        let each = PerChannel::Each(vec![2.0, -2.0]);
        assert_eq!((each.of(1, false, 1.0), each.of(1, true, 1.0)), (-2.0, -2.0));
        assert!(each.fits(2) && !each.fits(3) && !PerChannel::Cursor(f64::NAN).fits(1));
    }
}
