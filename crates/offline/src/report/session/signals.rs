//! The signals of a session: its input streams and their features.

use kalmind_types::{Counted, unlabelled};
use maud::{Markup, html};

use super::{
    super::{
        parts::{cell, number, table},
        plot::{Plot, figure, range_of},
    },
    facts::Facts,
    words::percent,
};

/// Features that had one value all along, or none.
pub(super) fn silent_features(facts: &Facts) -> Vec<String> {
    let names = feature_names(facts);
    let moves = |(sum, squares, count): (f64, f64, u64)| {
        let count = count as f64;
        count > 1.0 && squares - sum * sum / count > 1e-12 * squares.abs()
    };
    let silent = facts.features.iter().zip(names).filter(|(sums, _)| !moves(**sums));
    silent.map(|(_, name)| name).collect()
}

/// What a feature is called among people.
pub(super) fn noun(facts: &Facts) -> &'static str {
    if facts.layout.is_by_channel() { "channel" } else { "feature" }
}

fn feature_names(facts: &Facts) -> Vec<String> {
    let streams = &facts.session.streams;
    let key = |stream: usize| streams.get(stream).map_or("", |input| input.key.as_str());
    facts.layout.names(|stream, channel| format!("{} {}", key(stream), unlabelled(channel)))
}

/// The input streams, and what their features were.
pub(super) fn section(facts: &Facts) -> Markup {
    let rows = facts.streams.iter().map(|stream| {
        let whole: u64 = stream.health.values().sum();
        let health: Vec<String> = stream
            .health
            .iter()
            .map(|(name, ticks)| format!("{name} {} %", number(percent(*ticks, whole), 1)))
            .collect();
        vec![
            cell(&stream.key),
            cell(stream.samples),
            cell(stream.lost),
            cell(stream.late),
            cell(health.join(", ")),
        ]
    });
    let means: Vec<f64> = facts.features.iter().map(|(sum, _, count)| sum / (*count).max(1) as f64).collect();
    let deviations: Vec<f64> = facts
        .features
        .iter()
        .map(|(sum, squares, count)| {
            let count = (*count).max(1) as f64;
            (squares / count - (sum / count).powi(2)).max(0.0).sqrt()
        })
        .collect();
    let x = (0.0, means.len().max(2) as f64 - 1.0);
    let of = |values: &[f64], title: &str, name: &str| {
        let plot = Plot::new(title, (520.0, 170.0), x, range_of(values.iter().copied().chain([0.0])))
            .axes(noun(facts), name);
        figure(&plot.solid(0, values.iter().enumerate().map(|(at, value)| (at as f64, *value))).svg(), title)
    };
    let each = if facts.layout.is_by_channel() { "each channel's feature" } else { "each feature" };
    let heads = ["stream", "samples decoded", "lost or dropped", "late", "health, share of ticks"];
    html! {
        (table("Input streams", &heads, &[4], rows))
        div class="figures" {
            (of(&means, &format!("Mean of {each}"), "mean"))
            (of(&deviations, &format!("Standard deviation of {each}"), "deviation"))
        }
        p {
            (Counted(facts.features.len() as u64, noun(facts)).to_string()) ", of which " (silent_features(facts).len())
            " never changed; " (Counted(facts.nonfinite, "value").to_string()) " left out as not finite."
        }
    }
}
