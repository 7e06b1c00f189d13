//! Counts as they are found again in broadband.

use kalmind_signal::{Chain, ChainError, ChainSettings, DerivedStream, Rows, Signal};
use kalmind_types::{GenerationId, SampleRows};

use super::broadband::{Broadband, BroadbandError, BroadbandOptions};

/// Raw rows that the stages take at once.
const BLOCK_ROWS: usize = 64;

/// Why counts cannot be found in such a signal.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DetectedError {
    /// There is no such signal.
    #[error(transparent)]
    Broadband(#[from] BroadbandError),
    /// The stages cannot be built for it.
    #[error(transparent)]
    Stages(#[from] ChainError),
    /// They give something else than a value a unit.
    #[error("the stages give {outputs} values a sample; one for each of {channels} electrodes is expected")]
    Outputs {
        /// Values that come out.
        outputs: usize,
        /// Electrodes.
        channels: usize,
    },
}

/// What a daemon would count: a participant's counts put as spikes into broadband, and what stages find of them there, summed
/// over the bin. The same stages in the same order as live, in simulated time.
#[derive(Debug)]
pub struct DetectedCounts {
    broadband: Broadband,
    stages: DerivedStream,
    next: u64,
    rows: Vec<f64>,
    found: Rows,
}

impl DetectedCounts {
    /// In a signal of these options, by these stages.
    ///
    /// # Errors
    /// [`DetectedError`].
    pub fn new(options: BroadbandOptions, stages: &ChainSettings) -> Result<Self, DetectedError> {
        let (channels, rate_hz) = (options.channels, options.rate_hz);
        let electrodes = (1..=channels).map(|channel| (format!("elec{channel}"), "uV".to_owned()));
        // one generation, whose name nobody asks for
        let raw = Signal::raw(rate_hz, electrodes);
        let chain = Chain::new(stages, GenerationId::default(), &raw, BLOCK_ROWS)?;
        let outputs = chain.signal().outputs.len();
        if outputs != channels {
            return Err(DetectedError::Outputs { outputs, channels });
        }
        let found = Rows::with_capacity(outputs, 0);
        let stages = DerivedStream::new(chain, channels, rate_hz);
        Ok(Self { broadband: Broadband::new(options)?, stages, next: 0, rows: Vec::new(), found })
    }

    /// Puts what is found in the next bin, of which these are the counts, in their place: not a number where nothing valid was.
    pub fn detect(&mut self, counts: &mut [f64]) {
        let Self { broadband, stages, next, rows, found } = self;
        broadband.bin(counts, rows);
        found.clear();
        stages.take(*next, 0, SampleRows::Double64(rows), found);
        // nobody makes it again
        stages.log().clear();
        *next += (rows.len() / broadband.options().channels) as u64;
        counts.fill(f64::NAN);
        for row in found.iter() {
            for ((count, value), invalid) in counts.iter_mut().zip(row.values).zip(row.invalid) {
                if !invalid {
                    *count = if count.is_nan() { *value } else { *count + value };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_spikes_are_found_and_little_else() {
        let stages = r#"[{ "stage": "filter", "kind": "band_pass", "hz": [250, 5000], "order": 2 },
            { "stage": "spikes", "scales": [10], "multiple": -4.5 }]"#;
        let stages: ChainSettings = serde_json::from_str(stages).expect("stages");
        let options = BroadbandOptions { channels: 4, ..BroadbandOptions::default() };
        let mut detected = DetectedCounts::new(options, &stages).expect("stages for broadband");
        let (mut given, mut found) = ([0.0; 4], [0.0; 4]);
        let mut counts = [0.0; 4];
        for bin in 0..1500_u32 {
            counts = [0.0, 1.0, f64::from(bin % 2), f64::from(bin % 3)];
            for (given, count) in given.iter_mut().zip(&counts) {
                *given += count;
            }
            detected.detect(&mut counts);
            for (found, count) in found.iter_mut().zip(counts).filter(|(_, count)| count.is_finite()) {
                *found += count;
            }
        }
        assert!(counts.iter().all(|count| count.is_finite()));
        // 30 s without a spike: what noise alone crosses, below 0.2 a second
        assert!(found[0] < 6.0, "{found:?}");
        for (given, found) in given.iter().zip(&found).skip(1) {
            assert!((0.97..1.02).contains(&(found / given)), "{found} of {given}");
        }
    }
}
