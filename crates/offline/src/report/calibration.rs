//! Whether covariances are calibrated.

use kalmind_fitting::scores::{self, RowScore};
use maud::{Markup, html};

use super::{
    plot::{Plot, figure, legend},
    traces::{running, window_rows},
};
use crate::evaluation::comparison::Comparison;

/// Coverage against its nominal value, and NEES over time.
pub(super) fn section(comparison: &Comparison) -> Markup {
    let names: Vec<String> = comparison.decoders.iter().map(|decoder| decoder.spec.to_string()).collect();
    let dimension = comparison.components.len();
    let nominal: Vec<f64> = (1..100).map(|percent| f64::from(percent) / 100.0).collect();
    let mut plot = Plot::new(
        "coverage: share of the truth inside each ellipsoid against its nominal share, all decoders",
        (420.0, 394.0),
        (0.0, 1.0),
        (0.0, 1.0),
    )
    .axes("nominal coverage", "coverage")
    .reference([(0.0, 0.0), (1.0, 1.0)]);
    for (series, decoder) in comparison.decoders.iter().enumerate() {
        let rows: Vec<RowScore> = decoder.shown().flat_map(|run| run.rows.iter().copied()).collect();
        let found = scores::coverage_curve(&rows, dimension, &nominal);
        plot = plot.line(series, nominal.iter().copied().zip(found));
    }
    let nees = running(comparison, "NEES", Some(1.0), |run, near| {
        let near = &run.rows[near];
        near.iter().map(|row| row.squared_distance).sum::<f64>() / (near.len() * dimension) as f64
    });
    let window = window_rows(comparison.splits.test_rows());
    html! {
        (legend(&names, false))
        (figure(
            &plot.svg(),
            "On the diagonal the covariance is calibrated; below it the decoder is overconfident.",
        ))
        (figure(
            &nees,
            &format!(
                "Squared error relative to the decoder's own covariance, running mean over {window} rows: 1 is calibrated, \
                 more is overconfident."
            ),
        ))
    }
}
