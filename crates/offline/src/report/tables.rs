//! The tables of the page: accuracy with intervals, and what each fit chose.

use std::fmt::Write as _;

use kalmind_fitting::{
    FitReport,
    bootstrap::Interval,
    chance_level::{LEAST_SHIFT, SHIFTS, Scores},
    scores::Figures,
};

use super::markup::{Escaped, number, table};
use crate::{
    evaluation::{
        comparison::{Compared, Comparison, Intervals, Spread},
        split::Scheme,
        text::{step_us, uncertainty_text},
    },
    findings::plain,
};

/// One sentence over the page: which rows, how many, how long.
pub(super) fn summary(comparison: &Comparison) -> String {
    let splits = &comparison.splits;
    let count = splits.test_rows();
    let judged = format!("{count} rows, {} s", number(count as f64 * comparison.bin_ms / 1e3, 0));
    let recordings = match comparison.recordings.len() {
        1 => String::new(),
        several => format!(" of each of {several} recordings"),
    };
    let mut text = match &splits.scheme {
        Scheme::Folds { rows: Some(rows), folds } => {
            format!("{folds} folds of rows {}..{}{recordings} ({judged})", rows.start, rows.end)
        }
        Scheme::Folds { rows: None, folds } => format!("{folds} folds{recordings} ({judged})"),
        Scheme::Rows { train: Some(train), test } => format!(
            "Trained on rows {}..{}, tested on rows {}..{}{recordings} ({judged})",
            train.start, train.end, test.start, test.end
        ),
        Scheme::Rows { train: None, test } => {
            format!("A fitted model on rows {}..{}{recordings} ({count} rows)", test.start, test.end)
        }
        Scheme::LeaveOneOut => {
            format!("{} recordings, each tested by a fit to all others ({judged})", splits.splits.len())
        }
        Scheme::Files => {
            let files: Vec<&str> = splits
                .splits
                .iter()
                .map(|split| comparison.recordings[split.recording].name.as_str())
                .collect();
            let trained = match splits.splits.first().map_or(0, |split| split.train.len()) {
                0 => "A fitted model".to_owned(),
                1 => "Trained on one recording".to_owned(),
                several => format!("Trained on {several} recordings"),
            };
            format!("{trained}, tested on {} ({judged})", files.join(", "))
        }
    };
    if comparison.seeds.len() > 1 {
        let _infallible = write!(text, "; means of {} seeds", comparison.seeds.len());
    }
    if let Some(limit) = comparison.saturate {
        let _infallible = write!(text, "; features kept within {limit} training standard deviations");
    }
    text.push('.');
    text
}

/// Figures with intervals, then differences.
pub(super) fn accuracy(comparison: &Comparison, intervals: &Intervals) -> String {
    let rows = comparison.decoders.iter().zip(&intervals.decoders).map(|(decoder, of)| {
        let mut cells = vec![Escaped(&decoder.spec.to_string()).to_string()];
        cells.extend(figure_cells(&decoder.figures().values(), &of.figures));
        ("", cells)
    });
    let heads = ["decoder", "nRMSE", "MAAE", "NEES", "in 50 %", "in 90 %", "in 99 %", "log score"];
    let mut html = table("Figures, each with its 95 % interval", &heads, &[], rows);
    if comparison.decoders.len() > 1 {
        let first = &comparison.decoders[0];
        let base = first.figures().values();
        let rows = comparison.decoders.iter().zip(&intervals.decoders).filter_map(|(decoder, of)| {
            let own = decoder.figures().values();
            let mut cells = vec![Escaped(&decoder.spec.to_string()).to_string()];
            let differences: [f64; 7] = core::array::from_fn(|figure| own[figure] - base[figure]);
            cells.extend(figure_cells(&differences, of.differences.as_ref()?));
            Some(("", cells))
        });
        let caption =
            format!("Differences to {}, each with its 95 % interval", Escaped(&first.spec.to_string()));
        html += &table(&caption, &heads, &[], rows);
    }
    html += &spreads(comparison);
    let bootstrap = intervals.bootstrap;
    let left_out = match comparison.rows_left_out() {
        0 => String::new(),
        1 => " 1 row with zero truth is left out of the angles.".to_owned(),
        rows => format!(" {rows} rows with zero truth are left out of the angles."),
    };
    html += &details(comparison);
    let _infallible = write!(
        html,
        "<p class=\"note\">nRMSE: root of the squared error over the squared truth. MAAE: mean angle between decoded and \
         true, in radians; moving: where the truth is faster than the training median. NEES: squared error in units of \
         the decoder's own covariance, 1 where that is calibrated. In 50, 90, 99 %: share of rows whose truth lies inside \
         the ellipsoid of that probability. Log score: mean log density of the truth, higher is better.{left_out} \
         Intervals: stationary bootstrap over test rows, {} resamples, blocks of {} rows on average, seed {}, the same \
         rows for all decoders; they do not cover the choice of training rows.</p>",
        bootstrap.resamples,
        number(bootstrap.block_rows, 1),
        bootstrap.seed
    );
    html
}

/// What has no interval: angles while moving, correlations, and what it costs.
fn details(comparison: &Comparison) -> String {
    let rows = comparison.decoders.iter().map(|decoder| {
        let [p50, p99, longest] = step_us(&decoder.runs);
        let fallbacks: u64 = decoder.runs.iter().map(|run| run.decoded.fallback_steps).sum();
        let r_squared = decoder.scores().map_or(f64::NAN, |scores| scores.r_squared);
        let mut cells = vec![
            Escaped(&decoder.spec.to_string()).to_string(),
            number(decoder.mean_of_some(|run| run.accuracy.maae_moving).unwrap_or(f64::NAN), 3),
            number(r_squared, 3),
        ];
        cells.extend(
            (0..comparison.components.len())
                .map(|component| number(decoder.mean(|run| run.accuracy.correlation[component]), 3)),
        );
        cells.extend([
            fallbacks.to_string(),
            number(decoder.mean_of_some(|run| run.fit_seconds).unwrap_or(f64::NAN), 1),
            number(p50, 1),
            number(p99, 1),
            number(longest, 1),
        ]);
        ("", cells)
    });
    let correlations: Vec<String> =
        comparison.components.iter().map(|component| format!("correlation {}", Escaped(component))).collect();
    let mut heads = vec!["decoder", "MAAE moving", "R²"];
    heads.extend(correlations.iter().map(String::as_str));
    heads.extend(["fallback steps", "fit in s", "step in µs: median", "99 %", "longest"]);
    table("Further figures and cost", &heads, &[], rows) + &chance(comparison)
}

/// What the figures are by chance.
fn chance(comparison: &Comparison) -> String {
    let cells = |name: &str, scores: [Option<Scores>; 2]| {
        let [first, second] =
            scores.map(|scores| scores.unwrap_or(Scores::from_values([f64::NAN; 4])).values());
        let mut cells = vec![Escaped(name).to_string()];
        cells.extend(first.iter().zip(second).map(|(first, second)| {
            let reached =
                if second.is_nan() { String::new() } else { format!("<small>{}</small>", number(second, 3)) };
            format!("{}{reached}", number(*first, 3))
        }));
        ("", cells)
    };
    let decoders = comparison.decoders.iter().map(|decoder| {
        let (median, reached) = decoder.chance_level().map(|[median, reached]| (median, reached)).unzip();
        cells(&format!("{}, truth shifted", decoder.spec), [median, reached])
    });
    let constant = comparison.decoders.first().and_then(Compared::constant);
    let rows = decoders
        .chain(constant.map(|scores| cells("training mean as the only answer", [Some(scores), None])));
    let heads = ["by chance", "nRMSE", "R²", "correlation", "MAAE"];
    let caption = format!(
        "Chance level: the decoded rows against the truth shifted in circles ({SHIFTS} shifts of at least {} % of the rows), median, and \
         below it the figure that 5 % of the shifts reach or better",
        100.0 * LEAST_SHIFT
    );
    table(&caption, &heads, &[], rows)
}

/// nRMSE, MAAE, NEES, three coverages in percent, log score.
fn figure_cells(values: &[f64; 7], intervals: &[Interval; 7]) -> Vec<String> {
    const SHOWN: [(f64, usize); 7] =
        [(1.0, 3), (1.0, 3), (1.0, 2), (100.0, 1), (100.0, 1), (100.0, 1), (1.0, 2)];
    values
        .iter()
        .zip(intervals)
        .zip(SHOWN)
        .map(|((value, interval), (scale, digits))| {
            format!(
                "{}<small>{} to {}</small>",
                number(scale * value, digits),
                number(scale * interval.low, digits),
                number(scale * interval.high, digits)
            )
        })
        .collect()
}

/// How far figures spread between folds and between seeds.
fn spreads(comparison: &Comparison) -> String {
    let mut html = String::new();
    let mut add = |caption: &str, groups: &dyn Fn(&Compared) -> Vec<Figures>| {
        let rows = comparison.decoders.iter().map(|decoder| {
            let groups = groups(decoder);
            let mean = Figures::mean(&groups).values();
            let spread = Spread::of(&groups).map(|spread| spread.deviations.values());
            let cell = |figure: usize, scale: f64, digits: usize| {
                let spread = spread.map_or(f64::NAN, |spread| scale * spread[figure]);
                format!("{} ± {}", number(scale * mean[figure], digits), number(spread, digits))
            };
            let cells = vec![
                Escaped(&decoder.spec.to_string()).to_string(),
                cell(0, 1.0, 3),
                cell(1, 1.0, 3),
                cell(2, 1.0, 2),
                cell(3, 100.0, 1),
                cell(4, 100.0, 1),
                cell(6, 1.0, 2),
            ];
            ("", cells)
        });
        html += &table(
            caption,
            &["decoder", "nRMSE", "MAAE", "NEES", "in 50 %", "in 90 %", "log score"],
            &[],
            rows,
        );
    };
    if comparison.splits.folded() {
        add(
            &format!("Means over {} ± standard deviation between them", comparison.means_over()),
            &Compared::folds,
        );
    }
    if comparison.seeds.len() > 1 {
        add("Means ± standard deviation between seeds (– where no seed changes the fit)", &|decoder| {
            decoder.seeds().into_iter().map(|(_, figures)| figures).collect()
        });
    }
    html
}

/// Hyperparameters, what was tried, and warnings, fit by fit (of the first seed).
pub(super) fn fits(comparison: &Comparison) -> String {
    let mut html = String::new();
    for decoder in &comparison.decoders {
        let _infallible = writeln!(html, "<h3>{}</h3>", Escaped(&decoder.spec.to_string()));
        let _infallible = writeln!(
            html,
            "<p>RMSE of the tenth of the rows with the largest covariance over that of the tenth with the smallest, and rank \
             correlation of covariance and error: {}.</p>",
            Escaped(&uncertainty_text(decoder))
        );
        for warning in decoder.coverage_warnings(comparison.components.len()) {
            let _infallible = writeln!(html, "<p class=\"note\">Warning: {}.</p>", Escaped(&warning));
        }
        for run in decoder.shown() {
            if comparison.splits.folded() {
                let tested = comparison.described(run.split);
                let _infallible =
                    writeln!(html, "<details><summary>tested on {}</summary>", Escaped(&tested));
            }
            match &run.report {
                Some(report) => html += &fit(report),
                None => html += "<p class=\"note\">The model file has no fit report.</p>\n",
            }
            if comparison.splits.folded() {
                html += "</details>\n";
            }
        }
    }
    html
}

fn fit(report: &FitReport) -> String {
    let mut html = String::from("<dl>");
    let mut fact = |name: &str, value: String| {
        let _infallible = write!(html, "<dt>{}</dt><dd>{}</dd>", Escaped(name), Escaped(&value));
    };
    fact("rows", report.rows.to_string());
    let mut said = false;
    for (name, value) in &report.hyperparameters {
        fact(name, plain(value));
        said = true;
    }
    if let Some(radius) = report.spectral_radius {
        fact("spectral radius of the transition", number(radius, 4));
    }
    if let Some(bandwidth) = report.bandwidth.filter(|_| !report.hyperparameters.contains_key("bandwidth")) {
        fact("bandwidth", number(bandwidth, 4));
    }
    if let Some(error) = report.held_out_error {
        fact("nRMSE on held-out training rows", number(error, 4));
    }
    if let Some(coverage) = &report.held_out_coverage {
        let parts = [coverage.half, coverage.ninety, coverage.ninety_nine]
            .map(|part| format!("{} %", number(100.0 * part, 1)));
        fact("coverage of 50, 90, 99 % there", parts.join(", "));
    }
    html.push_str("</dl>\n");
    if !said && report.tried.is_empty() {
        html += "<p class=\"note\">Closed form: nothing to choose.</p>\n";
    }
    if !report.tried.is_empty() {
        let rows = report.tried.iter().zip(report.chosen()).map(|(tried, chosen)| {
            let cells = vec![
                Escaped(&tried.candidate).to_string(),
                number(tried.error, 4),
                if chosen { "chosen" } else { "" }.to_owned(),
            ];
            (if chosen { "chosen" } else { "" }, cells)
        });
        let _infallible = write!(
            html,
            "<details><summary>{} candidates tried</summary>\n{}</details>\n",
            report.tried.len(),
            table("Error on held-out training rows", &["candidate", "nRMSE", "use"], &[2], rows)
        );
    }
    if report.budget_used_up {
        html += "<p>The budget was used up: not everything was tried.</p>\n";
    }
    for warning in &report.warnings {
        let _infallible = writeln!(html, "<p>Warning: {}.</p>", Escaped(warning.trim_end_matches('.')));
    }
    html
}
