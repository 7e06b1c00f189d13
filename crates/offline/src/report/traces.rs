//! Decoded and true components over time, and errors over time.

use kalmind_fitting::{accuracy::chi_square_quantile, scores::RowScore};
use kalmind_types::lower_triangle_index;
use maud::{Markup, html};

use super::{
    parts::number,
    plot::{Plot, figure, legend, range_of},
};
use crate::evaluation::comparison::{Compared, Comparison, Run};

/// Rows that a trace shows at most: more could not be told apart.
const ROWS_SHOWN: usize = 200;
/// Paths that are shown, and their length in rows.
const PATHS: usize = 6;
const PATH_ROWS: usize = 30;
/// Points of a line over all rows.
const POINTS: usize = 600;

/// For each decoder its components over time with their bands, and paths of all decoders.
pub(super) fn decoded_and_true(comparison: &Comparison) -> Markup {
    let Some(truth) = comparison.truth.first() else { return html! {} };
    let rows = truth.nrows().min(ROWS_SHOWN);
    let first_row = first_row(comparison);
    let mut html = html! {
        p class="note" {
            "The first " (rows) " of " (comparison.splits.test_rows()) " test rows. Grey: truth. Band: the decoder's own 90 % \
             interval of each component."
        }
    };
    let ranges: Vec<(f64, f64)> = (0..comparison.components.len())
        .map(|component| {
            let decoded = comparison.decoders.iter().filter_map(|decoder| decoder.shown().next());
            let decoded = decoded.flat_map(|run| run.decoded.intents.iter().take(rows));
            let decoded = decoded.map(|intent| intent.mean()[component]);
            range_of(truth.column(component).iter().take(rows).copied().chain(decoded))
        })
        .collect();
    for (series, decoder) in comparison.decoders.iter().enumerate() {
        let Some(run) = decoder.shown().next() else { continue };
        let name = decoder.spec.to_string();
        html.0 += &html! { h3 { (name) } }.0;
        for (component, component_name) in comparison.components.iter().enumerate() {
            let x = |row: usize| (first_row + row) as f64;
            let half_width = |row: usize| {
                let variance =
                    run.decoded.intents[row].covariance()[lower_triangle_index(component, component)];
                (chi_square_quantile(1, 0.9) * variance).sqrt()
            };
            let mean = |row: usize| run.decoded.intents[row].mean()[component];
            let band: Vec<(f64, f64, f64)> = (0..rows)
                .map(|row| (x(row), mean(row) - half_width(row), mean(row) + half_width(row)))
                .collect();
            let title = format!("{component_name} over time: truth and {name}");
            let chart = Plot::new(&title, (1000.0, 150.0), (x(0), x(rows)), ranges[component])
                .axes("row", component_name)
                .band(series, &band)
                .truth((0..rows).map(|row| (x(row), truth[(row, component)])))
                .solid(series, (0..rows).map(|row| (x(row), mean(row))))
                .svg();
            html.0 += &figure(&chart, "").0;
        }
    }
    html.0 += &paths(comparison).0;
    html
}

/// The first test row, as it is counted in its recording.
fn first_row(comparison: &Comparison) -> usize {
    let split = &comparison.splits.splits[0];
    comparison.own_rows(&split.test, split.recording).start
}

/// The paths that the first two components make when they are integrated from a common start.
fn paths(comparison: &Comparison) -> Markup {
    let (Some(truth), true) = (comparison.truth.first(), comparison.components.len() >= 2) else {
        return html! {};
    };
    let length = PATH_ROWS.min(truth.nrows());
    let count = PATHS.min(truth.nrows() / length.max(1));
    let first_row = first_row(comparison);
    let step = comparison.bin_ms / 1e3;
    let summed = |values: &mut dyn Iterator<Item = [f64; 2]>| {
        let mut at = [0.0, 0.0];
        core::iter::once(at)
            .chain(values.map(move |velocity| {
                at = [at[0] + step * velocity[0], at[1] + step * velocity[1]];
                at
            }))
            .map(|[x, y]| (x, y))
            .collect::<Vec<(f64, f64)>>()
    };
    let names: Vec<String> = comparison.decoders.iter().map(|decoder| decoder.spec.to_string()).collect();
    let one = |path: usize| {
        let start = path * (truth.nrows() - length) / count.saturating_sub(1).max(1);
        let rows = start..start + length;
        let true_path = summed(&mut rows.clone().map(|row| [truth[(row, 0)], truth[(row, 1)]]));
        let decoded: Vec<Vec<(f64, f64)>> = comparison
            .decoders
            .iter()
            .filter_map(|decoder| decoder.shown().next())
            .map(|run| {
                summed(&mut rows.clone().map(|row| {
                    let mean = run.decoded.intents[row].mean();
                    [mean[0], mean[1]]
                }))
            })
            .collect();
        let all = || true_path.iter().chain(decoded.iter().flatten());
        let (x, y) = (range_of(all().map(|point| point.0)), range_of(all().map(|point| point.1)));
        // the same scale on both axes
        let reach = 0.5 * (x.1 - x.0).max(y.1 - y.0);
        let around = |(low, high): (f64, f64)| (0.5 * (low + high) - reach, 0.5 * (low + high) + reach);
        let title = format!("path over rows {} to {}", first_row + rows.start, first_row + rows.end);
        // as wide as high within the frame
        let mut plot =
            Plot::new(&title, (310.0, 284.0), around(x), around(y)).axes("x", "y").truth(true_path);
        for (series, points) in decoded.into_iter().enumerate() {
            plot = plot.line(series, points);
        }
        figure(&plot.svg(), &format!("rows {}..{}", first_row + rows.start, first_row + rows.end))
    };
    html! {
        h3 { "Paths" }
        p class="note" {
            (comparison.components[0]) " and " (comparison.components[1]) " integrated over " (length) " rows from a common \
             start, as velocities: truth and all decoders."
        }
        (legend(&names, true))
        div class="figures" { @for path in 0..count { (one(path)) } }
    }
}

/// Running figures of all decoders.
pub(super) fn errors_over_time(comparison: &Comparison) -> Markup {
    let window = window_rows(comparison.splits.test_rows());
    let names: Vec<String> = comparison.decoders.iter().map(|decoder| decoder.spec.to_string()).collect();
    let angle = running(comparison, "mean angle in rad", None, |run, near| {
        let angles: Vec<f64> = run.rows[near].iter().filter_map(|row| row.angle).collect();
        angles.iter().sum::<f64>() / angles.len() as f64
    });
    let error = running(comparison, "error / truth (rms)", None, |run, near| {
        let power = run.rows.iter().map(|row| row.power).sum::<f64>() / run.rows.len() as f64;
        let near = &run.rows[near];
        (near.iter().map(|row| row.squared_error).sum::<f64>() / (near.len() as f64 * power)).sqrt()
    });
    let seconds = number(window as f64 * comparison.bin_ms / 1e3, 1);
    html! {
        p class="note" { "Running means over " (window) " rows (" (seconds) " s)." }
        (legend(&names, false))
        (figure(&angle, "Angle between decoded and true direction."))
        (figure(&error, "Error relative to the root mean square of the truth over all rows."))
    }
}

/// Rows of a running mean.
pub(super) fn window_rows(rows: usize) -> usize {
    (rows / 20).clamp(10.min(rows), 500)
}

/// A line for each decoder: what `of` says of the rows near each row, split by split; and a value to compare with.
pub(super) fn running(
    comparison: &Comparison,
    name: &str,
    reference: Option<f64>,
    of: impl Fn(&Run, core::ops::Range<usize>) -> f64,
) -> Markup {
    let rows = comparison.splits.test_rows();
    let (window, stride) = (window_rows(rows), (rows / POINTS).max(1));
    let lines: Vec<Vec<(f64, f64)>> = comparison
        .decoders
        .iter()
        .map(|decoder: &Compared| {
            let mut points = Vec::new();
            for run in decoder.shown() {
                let first = comparison.splits.splits[run.split].test.start;
                let scores: &[RowScore] = &run.rows;
                for row in (0..scores.len()).step_by(stride) {
                    let half = window.div_ceil(2);
                    let near = row.saturating_sub(half)..(row + half).min(scores.len());
                    points.push(((first + row) as f64, of(run, near)));
                }
                // the next split starts anew
                points.push((f64::NAN, f64::NAN));
            }
            points
        })
        .collect();
    // rows of several recordings are counted on
    let test = comparison.splits.span();
    let y = range_of(lines.iter().flatten().map(|point| point.1).chain([0.0]).chain(reference));
    let title = format!("{name} over time, all decoders");
    let mut plot =
        Plot::new(&title, (1000.0, 220.0), (test.start as f64, test.end as f64), (y.0.max(0.0), y.1))
            .axes("row", name);
    if let Some(reference) = reference {
        plot = plot.reference([(test.start as f64, reference), (test.end as f64, reference)]);
    }
    for (series, points) in lines.into_iter().enumerate() {
        plot = plot.line(series, points);
    }
    plot.svg()
}
