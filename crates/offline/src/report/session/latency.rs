//! Latencies of a session's ticks.

use hdrhistogram::Histogram;
use kalmind_types::Counted;
use maud::{Markup, html};

use super::{
    super::{
        parts::{cell, number, table},
        plot::{Plot, figure},
    },
    facts::{self, Facts},
    overview::{chart, stretches},
    words::percent,
};

/// Stages of the latency ledger, as the live page calls them.
const STAGES: [(&str, &str); 5] = [
    ("receive", "sample to arrival"),
    ("close", "arrival to tick"),
    ("decode", "decoding"),
    ("publish", "publishing"),
    ("total", "total"),
];

/// How long ticks took.
pub(super) fn section(facts: &Facts) -> Markup {
    let stages: [(&str, &Histogram<u64>); 3] = [
        ("from the sample that closed the bin to the tick", &facts.wait_us),
        ("decoding", &facts.decode_us),
        ("both", &facts.total_us),
    ];
    let rows = stages.iter().map(|(name, histogram)| {
        let at = |part: f64| cell(number(histogram.value_at_quantile(part) as f64 / 1e3, 3));
        let max = cell(number(histogram.max() as f64 / 1e3, 3));
        vec![cell(name), at(0.5), at(0.9), at(0.99), at(0.999), max]
    });
    let heads = ["stage", "p50", "p90", "p99", "p99.9", "max"];
    let longest =
        |seconds: &[facts::Second]| seconds.iter().map(|second| second.longest_ms).fold(0.0, f64::max);
    let late = number(percent(facts.late_ticks, facts.ticks), 2);
    html! {
        (table("Latency in milliseconds", &heads, &[], rows))
        p { (Counted(facts.late_ticks, "tick").to_string()) " (" (late) " %) began more than a bin width late." }
        @if let Some(stages) = facts.summary.as_ref().and_then(|summary| summary["latency_us"].as_object()) {
            (measured(stages))
        }
        div class="figures" {
            (chart("Longest time from a sample's arrival to its decoded tick", "ms", &stretches(facts, longest)))
            (distribution(&facts.total_us))
        }
    }
}

/// What the daemon's own summary says.
fn measured(stages: &serde_json::Map<String, serde_json::Value>) -> Markup {
    let rows = STAGES.iter().filter_map(|(key, name)| {
        let stage = stages.get(*key)?;
        let of = |key: &str| cell(number(stage[key].as_f64().unwrap_or(f64::NAN) / 1e3, 3));
        Some(vec![cell(name), of("p50"), of("p99"), of("max")])
    });
    let caption = "Latency as the daemon measured it, publishing included, in milliseconds";
    table(caption, &["stage", "p50", "p99", "max"], &[], rows)
}

/// How many ticks took at most so long.
fn distribution(histogram: &Histogram<u64>) -> Markup {
    let points: Vec<(f64, f64)> = histogram
        .iter_quantiles(2)
        .map(|step| (step.value_iterated_to() as f64 / 1e3, 100.0 * step.quantile()))
        .collect();
    let high = histogram.value_at_quantile(0.999) as f64 / 1e3;
    let title = "Share of ticks decoded within a given time";
    let plot = Plot::new(title, (520.0, 170.0), (0.0, high.max(0.1)), (0.0, 100.0)).axes("ms", "%");
    let within = points.into_iter().filter(|(at, _)| *at <= high.max(0.1));
    figure(&plot.solid(0, within).svg(), title)
}
