//! What single channels mean to each decoder, and what a fault of one would do.

use maud::{Markup, html};

use super::{
    parts::{cell, cell_over, number, table},
    plot::{Plot, dot_legend, figure, range_of},
};
use crate::evaluation::{
    channels::summaries,
    comparison::{Compared, Comparison},
};

/// Channels that a chart shows: the ones with the largest effect.
const SHOWN: usize = 40;

/// One decoder's effect by channel: channel, value.
type Effects = Vec<(usize, f64)>;

/// Perturbations that were asked for, and the influence of every channel.
pub(super) fn section(comparison: &Comparison) -> Markup {
    let names: Vec<String> = comparison.decoders.iter().map(|decoder| decoder.spec.to_string()).collect();
    let mut html = dot_legend(&names);
    for (index, perturbation) in comparison.perturbations.iter().enumerate() {
        let title = format!("Offset {} (training standard deviations)", perturbation.text);
        html.0 += &html! { h3 { (title) } (perturbed_table(comparison, index)) }.0;
        let effects: Vec<Effects> = comparison
            .decoders
            .iter()
            .map(|decoder| {
                let clean = decoder.figures().maae;
                let channels = decoder.perturbed(index);
                channels.iter().map(|of| (of.channel, of.filtered.maae - clean)).collect()
            })
            .collect();
        html.0 += &chart(comparison, &effects, &title, "more MAAE in rad", 3).0;
    }
    let influences: Vec<_> = comparison.decoders.iter().map(Compared::influences).collect();
    let losses: Vec<Effects> = influences
        .iter()
        .map(|of| of.iter().enumerate().map(|(channel, influence)| (channel, influence.maae_loss)).collect())
        .collect();
    html.0 += &html! {
        h3 { "Without each channel" }
        (chart(comparison, &losses, "Each channel held at its training mean", "more MAAE in rad", 3))
    }
    .0;
    let changes: Option<Vec<Effects>> = influences
        .iter()
        .map(|of| {
            let channels = of.iter().enumerate();
            channels.map(|(channel, influence)| Some((channel, 100.0 * influence.change?))).collect()
        })
        .collect();
    if let Some(changes) = changes {
        let title = "Change of the output with one training standard deviation more on each channel";
        html.0 += &html! {
            h3 { "With one standard deviation more on each channel" }
            (chart(comparison, &changes, title, "change of the output, % of the truth (rms)", 1))
        }
        .0;
    }
    html
}

fn perturbed_table(comparison: &Comparison, index: usize) -> Markup {
    let top = comparison.top_channels();
    let mut rows = Vec::new();
    for decoder in &comparison.decoders {
        let (filtered, unfiltered) = summaries(&decoder.perturbed(index), &top);
        let outputs = [
            ("output", Some(decoder.figures().maae), filtered),
            ("unfiltered", decoder.unfiltered().map(|errors| errors.maae), unfiltered),
        ];
        for (output, clean, summary) in outputs {
            let (Some(clean), Some(summary)) = (clean, summary) else { continue };
            let more = |angle: f64| {
                let percent = number(100.0 * (angle / clean - 1.0), 0);
                cell_over(&number(angle, 3), &format!("{percent} %"))
            };
            rows.push(vec![
                cell(decoder.spec),
                cell(output),
                cell(number(clean, 3)),
                more(summary.mean),
                summary.top.map_or_else(|| cell("–"), more),
                more(summary.worst),
                cell(&comparison.channel_names[summary.worst_channel]),
            ]);
        }
    }
    let heads =
        ["decoder", "of", "clean", "mean of channels", "ten of highest SNR", "worst", "worst channel"];
    table("MAAE in rad, and how much more that is", &heads, &[1, 6], rows)
}

/// Dots by channel, the largest effect of any decoder first.
fn chart(comparison: &Comparison, effects: &[Effects], title: &str, name: &str, digits: usize) -> Markup {
    let mut order: Vec<(usize, f64)> = Vec::new();
    for &(channel, effect) in effects.iter().flatten() {
        match order.iter_mut().find(|(known, _)| *known == channel) {
            Some((_, largest)) => *largest = largest.max(effect),
            None => order.push((channel, effect)),
        }
    }
    if order.is_empty() {
        return html! {};
    }
    let all = order.len();
    order.sort_by(|left, right| right.1.total_cmp(&left.1));
    order.truncate(SHOWN);
    let x = range_of(effects.iter().flatten().map(|(_, effect)| *effect).chain([0.0]));
    let labels: Vec<&str> =
        order.iter().map(|(channel, _)| comparison.channel_names[*channel].as_str()).collect();
    let mut plot =
        Plot::rows(title, 720.0, x, &labels, name).reference([(0.0, 0.0), (0.0, order.len() as f64)]);
    for (series, (effects, decoder)) in effects.iter().zip(&comparison.decoders).enumerate() {
        for (at, (channel, _)) in order.iter().enumerate() {
            if let Some((_, effect)) = effects.iter().find(|(known, _)| known == channel) {
                let says = format!("{}, channel {}: {}", decoder.spec, labels[at], number(*effect, digits));
                plot = plot.dot(series, *effect, order.len() as f64 - at as f64 - 0.5, &says);
            }
        }
    }
    let caption = if all > order.len() {
        format!("{title}: the {} of {all} channels with the largest effect.", order.len())
    } else {
        format!("{title}.")
    };
    figure(&plot.svg(), &caption)
}
