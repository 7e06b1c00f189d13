//! How often each unit is named: the first value of each sample is a unit, from 0, and what stands behind it (a waveform) is left
//! out. Where there is one unit, every sample is of it, whatever its values. No event at all is a count of zero: whether the sender was there to tell of one, its bin says.

use super::{Channel, Reduction};

pub(super) struct Events;

impl Reduction for Events {
    const ABOUT: &'static str = "how often each unit is named, by the first value of a sample";
    const OF_NONE: f64 = 0.0;

    fn take(kept: f64, _sample: f64) -> f64 {
        kept + 1.0
    }

    fn finish(kept: f64, _valid: u64) -> f64 {
        kept
    }

    fn take_row<T>(units: &mut [Channel], row: &[T], to_f64: impl Fn(&T) -> f64) -> u32 {
        let named = row.first().map_or(f64::NAN, to_f64);
        // below 0, a fraction or no number at all: no unit
        let unit = if named >= 0.0 && named.fract() == 0.0 { named as usize } else { usize::MAX };
        let unit = match units {
            [only] => Some(only),
            units => units.get_mut(unit),
        };
        let Some(unit) = unit else { return 1 };
        unit.kept = Self::take(unit.kept, named);
        unit.valid = unit.valid.saturating_add(1);
        0
    }
}
