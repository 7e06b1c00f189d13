//! Whether covariances hold what they say.

use kalmind_filter::scores::{self, RowScore};

use super::{
    courses::{running, window_rows},
    plot::{Plot, figure, legend},
};
use crate::evaluation::comparison::Comparison;

/// Nominal against found coverage, and NEES over time.
pub(super) fn section(comparison: &Comparison) -> String {
    let names: Vec<String> = comparison.decoders.iter().map(|decoder| decoder.spec.to_string()).collect();
    let dimension = comparison.components.len();
    let nominal: Vec<f64> = (1..100).map(|percent| f64::from(percent) / 100.0).collect();
    let mut plot = Plot::new(
        "coverage: part of the truth within each ellipsoid against the part that it should hold, all decoders",
        (420.0, 394.0),
        (0.0, 1.0),
        (0.0, 1.0),
    )
    .axes("should hold", "holds")
    .reference([(0.0, 0.0), (1.0, 1.0)]);
    for (series, decoder) in comparison.decoders.iter().enumerate() {
        let rows: Vec<RowScore> = decoder.shown().flat_map(|run| run.rows.iter().copied()).collect();
        let found = scores::coverage_curve(&rows, dimension, &nominal);
        plot = plot.course(series, nominal.iter().copied().zip(found));
    }
    let nees = running(comparison, "NEES", Some(1.0), |run, near| {
        let near = &run.rows[near];
        near.iter().map(|row| row.squared_distance).sum::<f64>() / (near.len() * dimension) as f64
    });
    format!(
        "{}{}{}",
        legend(&names, false),
        figure(
            &plot.svg(),
            "On the diagonal the covariance is honest; below it the decoder is surer than it should be."
        ),
        figure(
            &nees,
            &format!(
                "Squared error in units of the decoder's own covariance, running mean over {} rows: 1 is honest, more is \
                 too sure.",
                window_rows(comparison.splits.test.len())
            )
        )
    )
}
