//! The tables of the page: accuracy with intervals, and what each fit chose.

use std::fmt::Write as _;

use kalmind_fitting::{
    FitReport,
    bootstrap::Interval,
    chance_level::{LEAST_SHIFT, SHIFTS, Scores},
    scores::Figures,
};
use maud::{Markup, html};

use super::parts::{Row, cell, cell_over, facts, number, table};
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
    if let Some(by_trials) = splits.by_trials() {
        let _infallible = write!(text, "; {by_trials}");
    }
    text.push('.');
    text
}

/// Figures with intervals, then differences.
pub(super) fn accuracy(comparison: &Comparison, intervals: &Intervals) -> Markup {
    let heads = ["decoder", "nRMSE", "MAAE", "NEES", "in 50 %", "in 90 %", "in 99 %", "log score"];
    let own = comparison.decoders.iter().zip(&intervals.decoders).map(|(decoder, of)| {
        let mut cells = vec![cell(decoder.spec)];
        cells.extend(figure_cells(&decoder.figures().values(), &of.figures));
        cells
    });
    let bootstrap = intervals.bootstrap;
    html! {
        (table("Figures, each with its 95 % interval", &heads, &[], own))
        @if comparison.decoders.len() > 1 { (differences(comparison, intervals, &heads)) }
        (spreads(comparison))
        (details(comparison))
        p class="note" {
            "nRMSE: root of the squared error over the squared truth. MAAE: mean angle between decoded and true, in radians; \
             moving: where the truth is faster than the training median. NEES: squared error in units of the decoder's own \
             covariance, 1 where that is calibrated. In 50, 90, 99 %: share of rows whose truth lies inside the ellipsoid of \
             that probability. Log score: mean log density of the truth, higher is better."
            @match comparison.rows_left_out() {
                0 => {},
                1 => " 1 row with zero truth is left out of the angles.",
                rows => { " " (rows) " rows with zero truth are left out of the angles." },
            }
            " Intervals: stationary bootstrap over test rows, " (bootstrap.resamples) " resamples, blocks of "
            (number(bootstrap.block_rows, 1)) " rows on average, seed " (bootstrap.seed) ", the same rows for all decoders; \
             they do not cover the choice of training rows."
        }
    }
}

fn differences(comparison: &Comparison, intervals: &Intervals, heads: &[&str]) -> Markup {
    let first = &comparison.decoders[0];
    let base = first.figures().values();
    let rows = comparison.decoders.iter().zip(&intervals.decoders).filter_map(|(decoder, of)| {
        let own = decoder.figures().values();
        let mut cells = vec![cell(decoder.spec)];
        let differences: [f64; 7] = core::array::from_fn(|figure| own[figure] - base[figure]);
        cells.extend(figure_cells(&differences, of.differences.as_ref()?));
        Some(cells)
    });
    table(&format!("Differences to {}, each with its 95 % interval", first.spec), heads, &[], rows)
}

/// What has no interval: angles while moving, correlations, and what it costs.
fn details(comparison: &Comparison) -> Markup {
    let rows = comparison.decoders.iter().map(|decoder| {
        let [p50, p99, longest] = step_us(&decoder.runs);
        let fallbacks: u64 = decoder.runs.iter().map(|run| run.decoded.fallback_steps).sum();
        let r_squared = decoder.scores().map_or(f64::NAN, |scores| scores.r_squared);
        let figure = |value: f64, digits| cell(number(value, digits));
        let mut cells = vec![
            cell(decoder.spec),
            figure(decoder.mean_of_some(|run| run.accuracy.maae_moving).unwrap_or(f64::NAN), 3),
            figure(r_squared, 3),
        ];
        cells.extend(
            (0..comparison.components.len())
                .map(|component| figure(decoder.mean(|run| run.accuracy.correlation[component]), 3)),
        );
        cells.extend([
            cell(fallbacks),
            figure(decoder.mean_of_some(|run| run.fit_seconds).unwrap_or(f64::NAN), 1),
            figure(p50, 1),
            figure(p99, 1),
            figure(longest, 1),
        ]);
        cells
    });
    let correlations: Vec<String> =
        comparison.components.iter().map(|component| format!("correlation {component}")).collect();
    let mut heads = vec!["decoder", "MAAE moving", "R²"];
    heads.extend(correlations.iter().map(String::as_str));
    heads.extend(["fallback steps", "fit in s", "step in µs: median", "99 %", "longest"]);
    html! { (table("Further figures and cost", &heads, &[], rows)) (chance(comparison)) }
}

/// What the figures are by chance.
fn chance(comparison: &Comparison) -> Markup {
    let cells = |name: &str, scores: [Option<Scores>; 2]| {
        let [first, second] =
            scores.map(|scores| scores.unwrap_or(Scores::from_values([f64::NAN; 4])).values());
        let mut cells = vec![cell(name)];
        cells.extend(first.iter().zip(second).map(|(first, second)| {
            let figure = number(*first, 3);
            if second.is_nan() { cell(figure) } else { cell_over(&figure, &number(second, 3)) }
        }));
        cells
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
fn figure_cells(values: &[f64; 7], intervals: &[Interval; 7]) -> Vec<Markup> {
    const SHOWN: [(f64, usize); 7] =
        [(1.0, 3), (1.0, 3), (1.0, 2), (100.0, 1), (100.0, 1), (100.0, 1), (1.0, 2)];
    let pairs = values.iter().zip(intervals).zip(SHOWN);
    pairs
        .map(|((value, interval), (scale, digits))| {
            let shown = |value: f64| number(scale * value, digits);
            cell_over(&shown(*value), &format!("{} to {}", shown(interval.low), shown(interval.high)))
        })
        .collect()
}

/// How far figures spread between folds and between seeds.
fn spreads(comparison: &Comparison) -> Markup {
    let spread = |caption: &str, groups: &dyn Fn(&Compared) -> Vec<Figures>| {
        let rows = comparison.decoders.iter().map(|decoder| {
            let groups = groups(decoder);
            let mean = Figures::mean(&groups).values();
            let spread = Spread::of(&groups).map(|spread| spread.deviations.values());
            let figure = |figure: usize, scale: f64, digits: usize| {
                let spread = spread.map_or(f64::NAN, |spread| scale * spread[figure]);
                cell(format!("{} ± {}", number(scale * mean[figure], digits), number(spread, digits)))
            };
            vec![
                cell(decoder.spec),
                figure(0, 1.0, 3),
                figure(1, 1.0, 3),
                figure(2, 1.0, 2),
                figure(3, 100.0, 1),
                figure(4, 100.0, 1),
                figure(6, 1.0, 2),
            ]
        });
        let heads = ["decoder", "nRMSE", "MAAE", "NEES", "in 50 %", "in 90 %", "log score"];
        table(caption, &heads, &[], rows)
    };
    let between = format!("Means over {} ± standard deviation between them", comparison.means_over());
    html! {
        @if comparison.splits.folded() { (spread(&between, &Compared::folds)) }
        @if comparison.seeds.len() > 1 {
            (spread("Means ± standard deviation between seeds (– where no seed changes the fit)", &|decoder| {
                decoder.seeds().into_iter().map(|(_, figures)| figures).collect()
            }))
        }
    }
}

/// Hyperparameters, what was tried, and warnings, fit by fit (of the first seed).
pub(super) fn fits(comparison: &Comparison) -> Markup {
    let reported = |report: Option<&FitReport>| {
        report.map_or_else(|| html! { p class="note" { "The model file has no fit report." } }, fit)
    };
    html! {
        @for decoder in &comparison.decoders {
            h3 { (decoder.spec.to_string()) }
            p {
                "RMSE of the tenth of the rows with the largest covariance over that of the tenth with the smallest, and rank \
                 correlation of covariance and error: " (uncertainty_text(decoder)) "."
            }
            @for warning in decoder.coverage_warnings(comparison.components.len()) {
                p class="note" { "Warning: " (warning) "." }
            }
            @for run in decoder.shown() {
                @if comparison.splits.folded() {
                    details {
                        summary { "tested on " (comparison.described(run.split)) }
                        (reported(run.report.as_ref()))
                    }
                } @else { (reported(run.report.as_ref())) }
            }
        }
    }
}

fn fit(report: &FitReport) -> Markup {
    let mut found = vec![("rows", report.rows.to_string())];
    found.extend(report.hyperparameters.iter().map(|(name, value)| (name.as_str(), plain(value))));
    if let Some(radius) = report.spectral_radius {
        found.push(("spectral radius of the transition", number(radius, 4)));
    }
    if let Some(bandwidth) = report.bandwidth.filter(|_| !report.hyperparameters.contains_key("bandwidth")) {
        found.push(("bandwidth", number(bandwidth, 4)));
    }
    if let Some(error) = report.held_out_error {
        found.push(("nRMSE on held-out training rows", number(error, 4)));
    }
    if let Some(coverage) = &report.held_out_coverage {
        let parts = [coverage.half, coverage.ninety, coverage.ninety_nine]
            .map(|part| format!("{} %", number(100.0 * part, 1)));
        found.push(("coverage of 50, 90, 99 % there", parts.join(", ")));
    }
    let tried = report.tried.iter().zip(report.chosen()).map(|(tried, chosen)| Row {
        cells: vec![
            cell(&tried.candidate),
            cell(number(tried.error, 4)),
            cell(if chosen { "chosen" } else { "" }),
        ],
        chosen,
    });
    html! {
        (facts(found))
        @if report.hyperparameters.is_empty() && report.tried.is_empty() {
            p class="note" { "Closed form: nothing to choose." }
        }
        @if !report.tried.is_empty() {
            details {
                summary { (report.tried.len()) " candidates tried" }
                (table("Error on held-out training rows", &["candidate", "nRMSE", "use"], &[2], tried))
            }
        }
        @if report.budget_used_up { p { "The budget was used up: not everything was tried." } }
        @for warning in &report.warnings { p { "Warning: " (warning.trim_end_matches('.')) "." } }
    }
}
