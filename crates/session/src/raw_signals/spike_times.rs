//! When the spikes of a bin happen.

use kalmind_types::Seconds;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::SPIKE_TIMES;

/// No two spikes of a unit are closer than this, in seconds.
const REFRACTORY_S: f64 = 0.002;

/// Gives each spike of a bin's counts a time of its own in the bin: uniform over all ways of placing them so that no two of a unit
/// are closer than 2 ms, the last one of the bin before included.
#[derive(Clone, Debug)]
pub struct SpikeTimes {
    generator: ChaCha8Rng,
    bin: f64,
    /// Of each unit: how long before the next bin it spiked last, as a time below 0.
    last: Vec<f64>,
    placed: Vec<(f64, usize)>,
    unplaced: u64,
    draws: Vec<f64>,
}

impl SpikeTimes {
    /// Of so many units in bins of this width.
    pub fn new(seed: u64, units: usize, bin: Seconds) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(SPIKE_TIMES);
        Self {
            generator,
            bin: bin.0,
            last: vec![f64::NEG_INFINITY; units],
            placed: Vec::new(),
            unplaced: 0,
            draws: Vec::new(),
        }
    }

    /// The spikes of the next bin, in order of time: seconds from its start, and unit. A count is taken to the nearest whole
    /// number.
    pub fn place(&mut self, counts: &[f64]) -> &[(f64, usize)] {
        self.placed.clear();
        for (unit, (count, last)) in counts.iter().zip(&mut self.last).enumerate() {
            let earliest = (*last + REFRACTORY_S).max(0.0);
            let room = self.bin - earliest;
            let fit = if room > 0.0 { 1 + (room / REFRACTORY_S) as u64 } else { 0 };
            let wanted = count.round().max(0.0) as u64;
            let number = wanted.min(fit);
            self.unplaced += wanted - number;
            // what is left beside the silence after all but the last
            let span = room - number.saturating_sub(1) as f64 * REFRACTORY_S;
            self.draws.clear();
            self.draws.extend((0..number).map(|_| self.generator.random::<f64>() * span));
            self.draws.sort_unstable_by(f64::total_cmp);
            *last -= self.bin;
            for (before, draw) in self.draws.iter().enumerate() {
                let time = earliest + draw + before as f64 * REFRACTORY_S;
                self.placed.push((time, unit));
                *last = time - self.bin;
            }
        }
        self.placed.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        &self.placed
    }

    /// Spikes that found no place because there were more than fit into their bins: more than 500 a second.
    pub fn unplaced(&self) -> u64 {
        self.unplaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIN: Seconds = Seconds(0.02);

    #[test]
    fn every_spike_is_placed_once_in_its_bin_and_no_two_of_a_unit_are_close() {
        let mut times = SpikeTimes::new(3, 2, BIN);
        let mut newest = [f64::NEG_INFINITY; 2];
        for bin in 0..500_u32 {
            let counts = [f64::from(bin % 5), 1.0];
            let mut found = [0.0; 2];
            for (time, unit) in times.place(&counts).iter().copied() {
                assert!((0.0..BIN.0).contains(&time), "{time}");
                let at = f64::from(bin) * BIN.0 + time;
                assert!(at - newest[unit] > 0.002 - 1e-9, "unit {unit}: {} and {at}", newest[unit]);
                newest[unit] = at;
                found[unit] += 1.0;
            }
            assert_eq!(found.map(f64::to_bits), counts.map(f64::to_bits), "bin {bin}");
        }
        assert_eq!(times.unplaced(), 0);
    }

    #[test]
    fn times_are_spread_evenly_over_the_bin() {
        let mut times = SpikeTimes::new(1, 1, BIN);
        let mut tenths = [0_u32; 10];
        for _ in 0..20_000 {
            for (time, _) in times.place(&[1.0]) {
                tenths[(time / BIN.0 * 10.0) as usize] += 1;
            }
            // a bin without any, after which nothing is held back
            times.place(&[0.0]);
        }
        // 2000 each; a binomial deviation is 42
        assert!(tenths.iter().all(|count| (1830..2170).contains(count)), "{tenths:?}");
    }

    #[test]
    fn spikes_that_do_not_fit_are_counted() {
        let mut times = SpikeTimes::new(1, 1, BIN);
        let placed = times.place(&[40.0]).len() as u64;
        assert!((9..=11).contains(&placed), "{placed}");
        assert_eq!(times.unplaced(), 40 - placed);
        assert!(times.place(&[-3.0]).is_empty());
    }
}
