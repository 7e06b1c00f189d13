//! The mean of each channel: the sum of its values in the order of the samples, divided by their number.

use serde::{Deserialize, Serialize};

use super::reader::{ReaderError, ReaderKind, WindowReader, WindowShape};

/// Nothing can be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::empty_structs_with_brackets, reason = "it is read from a table")]
pub struct MeanSettings {}

#[derive(Clone, Debug)]
pub(super) struct Mean {
    channels: Vec<String>,
    sums: Vec<f64>,
    samples: u32,
}

impl ReaderKind for Mean {
    type Settings = MeanSettings;
    const NAME: &'static str = "mean";
    const ABOUT: &'static str = "the mean of each channel over the window";

    fn build(_settings: &MeanSettings, shape: &WindowShape) -> Result<Self, ReaderError> {
        let channels = shape.channels.clone();
        Ok(Self { sums: vec![0.0; channels.len()], channels, samples: 0 })
    }

    fn example() -> MeanSettings {
        MeanSettings {}
    }
}

impl WindowReader for Mean {
    fn names(&self) -> &[String] {
        &self.channels
    }

    fn begin(&mut self) {
        self.sums.fill(0.0);
        self.samples = 0;
    }

    fn row(&mut self, values: &[f64]) {
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum += value;
        }
        self.samples = self.samples.saturating_add(1);
    }

    fn finish(&mut self, values: &mut [f64]) {
        for (value, sum) in values.iter_mut().zip(&self.sums) {
            *value = sum / f64::from(self.samples);
        }
    }
}
