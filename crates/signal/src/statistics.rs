//! Means and deviations of features over many bins.

/// Mean and standard deviation of each feature, as measured over a block of bins.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureStatistics {
    /// Mean of the finite values; 0 where a feature has none.
    pub mean: Vec<f64>,
    /// Standard deviation of the finite values (divided by their number, as `numpy.std` does); 0 for a constant feature.
    pub deviation: Vec<f64>,
}

impl FeatureStatistics {
    /// Measures row-major `values` with `width` features a row. Non-finite values are left out, an incomplete last row is
    /// ignored. Two passes in row order; for fitting, not for the tick.
    pub fn measure(values: &[f64], width: usize) -> Self {
        if width == 0 {
            return Self { mean: Vec::new(), deviation: Vec::new() };
        }
        let mean = column_means(values, width, |_, value| value);
        let deviation = column_means(values, width, |feature, value| (value - mean[feature]).powi(2))
            .into_iter()
            .map(f64::sqrt)
            .collect();
        Self { mean, deviation }
    }
}

/// The mean of `of(feature, value)` over the finite values of each column; exactly the value where all are the same.
fn column_means(values: &[f64], width: usize, of: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    // sum, number, the first of them, whether all are like it
    let mut columns = vec![(0.0, 0_u64, 0.0, true); width];
    for row in values.chunks_exact(width) {
        for (feature, (value, (sum, count, first, same))) in row.iter().zip(&mut columns).enumerate() {
            if value.is_finite() {
                let value = of(feature, *value);
                if *count == 0 {
                    *first = value;
                }
                *same &= value.to_bits() == first.to_bits();
                *sum += value;
                *count += 1;
            }
        }
    }
    let mean =
        |(sum, count, first, same): (f64, u64, f64, bool)| if same { first } else { sum / count as f64 };
    columns.into_iter().map(mean).collect()
}
