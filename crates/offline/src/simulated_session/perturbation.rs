//! An offset on one channel while a block is evaluated, as an electrode gives that breaks after calibration.

use core::str::FromStr;

use kalmind_session::Calibration;
use serde::Serialize;

/// An offset on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Perturbation {
    /// Which channel; none: the one that says most of the labels.
    pub channel: Option<usize>,
    /// How much, in standard deviations of its calibration rows.
    pub deviations: f64,
}

impl FromStr for Perturbation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(channel, deviations)| {
            let channel = match channel.trim() {
                "best" => None,
                number => Some(number.parse().ok()?),
            };
            let deviations = deviations.trim().parse::<f64>().ok().filter(|value| value.abs() <= 1e6)?;
            Some(Self { channel, deviations })
        });
        parsed.ok_or_else(|| "CHANNEL:Z is expected, as in 3:5 or best:5".to_owned())
    }
}

impl Perturbation {
    /// The channel, and what is added to its counts; none where the rows are too few, or have no such channel.
    pub(super) fn offset(&self, rows: &Calibration) -> Option<(usize, f64)> {
        let data = rows.data(false).ok()?.training;
        let measured = data.measurement_rows();
        let channels = 0..data.features.ncols();
        let values =
            |channel: usize| measured.iter().map(|row| data.features[(*row, channel)]).collect::<Vec<_>>();
        let labels =
            [0, 1].map(|axis| measured.iter().map(|row| data.states[(*row, axis)]).collect::<Vec<_>>());
        let says = |channel: usize| {
            let values = values(channel);
            labels.iter().map(|label| squared_correlation(&values, label)).sum::<f64>()
        };
        let channel = match self.channel {
            Some(channel) => channels.contains(&channel).then_some(channel)?,
            None => channels.max_by(|a, b| says(*a).total_cmp(&says(*b)))?,
        };
        let values = values(channel);
        let (_, variance) = mean_and_variance(&values);
        Some((channel, self.deviations * variance.sqrt()))
    }
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count)
}

/// Zero where one of them never moves.
fn squared_correlation(a: &[f64], b: &[f64]) -> f64 {
    let ((mean_a, variance_a), (mean_b, variance_b)) = (mean_and_variance(a), mean_and_variance(b));
    let together = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f64>();
    let covariance = together / a.len().max(1) as f64;
    let scale = variance_a * variance_b;
    if scale > 0.0 { covariance * covariance / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perturbation_is_read_as_channel_and_deviations() {
        assert_eq!("3:5".parse(), Ok(Perturbation { channel: Some(3), deviations: 5.0 }));
        assert_eq!("best:-2.5".parse(), Ok(Perturbation { channel: None, deviations: -2.5 }));
        for nonsense in ["", "3", "worst:5", "3:nan", "3:1e9", "-1:5"] {
            assert!(nonsense.parse::<Perturbation>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn correlations_are_those_of_numpy() {
        // numpy.corrcoef([1, 2, 3, 5], [2, 1, 4, 4])[0, 1]**2
        let found = squared_correlation(&[1.0, 2.0, 3.0, 5.0], &[2.0, 1.0, 4.0, 4.0]);
        assert!((found - 0.559_788_359_788_359_7).abs() < 1e-12, "{found}");
        assert!(squared_correlation(&[1.0; 4], &[2.0, 1.0, 4.0, 4.0]).abs() < 1e-300);
    }
}
