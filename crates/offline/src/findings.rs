//! What a fit found, and what its model needs, for people.

use std::fmt::Write as _;

use kalmind_filter::Model;
use kalmind_fitting::FitReport;
use kalmind_types::{FeatureLayout, StreamFeatures};

/// Candidates that people are shown, best first.
const SHOWN: usize = 10;

/// What a fit found, for people: what is in use, how it did on held-out rows, and what else was tried.
#[must_use]
pub fn findings(report: &FitReport) -> String {
    let mut text = String::new();
    let mut say = |heading: &str, line: &str| {
        let _infallible = writeln!(text, "{heading:<10} {line}");
    };
    let in_use: Vec<String> =
        report.hyperparameters.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
    if !in_use.is_empty() {
        say("in use", &in_use.join(", "));
    }
    let mut held_out = Vec::new();
    match &report.quality {
        Some(quality) => held_out.push(quality.to_string()),
        None => held_out.extend(report.held_out_error.map(|error| format!("nRMSE {error:.4}"))),
    }
    if let Some(coverage) = &report.held_out_coverage {
        let [half, ninety, ninety_nine] =
            [coverage.half, coverage.ninety, coverage.ninety_nine].map(|part| 100.0 * part);
        held_out.push(format!("coverage 50/90/99 % {half:.1}/{ninety:.1}/{ninety_nine:.1}"));
    }
    if let (None, Some(steps)) = (&report.quality, report.fallback_steps) {
        held_out.push(format!("fallback steps {steps}"));
    }
    if !held_out.is_empty() {
        say("held out", &held_out.join(", "));
    }
    if let Some(quality) = &report.quality {
        say("chance", &quality.chance.to_string());
    }
    let mut tried: Vec<_> = report.tried.iter().zip(report.chosen()).collect();
    tried.sort_by(|(left, _), (right, _)| left.error.total_cmp(&right.error));
    let all = tried.len();
    let mut index = 0;
    tried.retain(|(_, chosen)| {
        index += 1;
        *chosen || index <= SHOWN
    });
    for (index, (tried, chosen)) in tried.iter().enumerate() {
        let heading = if index == 0 { "tried" } else { "" };
        let mark = if *chosen { "  <- chosen" } else { "" };
        say(heading, &format!("{:.4}  {}{mark}", tried.error, tried.candidate));
    }
    if all > tried.len() {
        say("", &format!("and {} more (--json prints all, in order)", all - tried.len()));
    }
    if report.budget_used_up {
        say("budget", "used up: not everything was tried; give --budget more seconds to try it all");
    }
    text
}

/// A hyperparameter as people write it.
#[must_use]
pub fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => match number.as_f64() {
            Some(value) if !number.is_u64() && !number.is_i64() => significant(value),
            _ => number.to_string(),
        },
        serde_json::Value::Array(values) => {
            format!("[{}]", values.iter().map(plain).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Four significant digits, without zeros at the end.
fn significant(value: f64) -> String {
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    rounded.to_string()
}

/// What the configuration of a run with this model says.
#[must_use]
pub fn runs_with(model: &Model) -> String {
    let streams: Vec<String> = model
        .streams
        .iter()
        .map(|stream| {
            let binning = format!("{:?}", stream.binning).to_lowercase();
            let labels = stream.labels.as_ref().map_or_else(
                || "whatever their labels".to_owned(),
                |labels| match labels.as_slice() {
                    [first, .., last] => format!("labelled \"{first}\" to \"{last}\""),
                    _ => format!("labelled \"{}\"", labels.concat()),
                },
            );
            let made = stream.outputs.as_ref().map(|of| format!(", {} features made of them", of.len()));
            let made = made.unwrap_or_default();
            format!("{} channels {labels}{made}, binning = \"{binning}\"", stream.channels)
        })
        .collect();
    let components: Vec<String> = model
        .components
        .iter()
        .map(|component| format!("{} in {}", component.name, component.unit))
        .collect();
    format!("{}; bins of {} ms; intent {}", streams.join("; "), rounded(model.bin_ms), components.join(", "))
}

/// The features that the decoder is given, by name, or by place where they have none; `None` where it is given all.
#[must_use]
pub fn selected(model: &Model) -> Option<Vec<String>> {
    Some(named(model.reduction.as_ref()?.selected.as_ref()?, &model.streams))
}

fn named(places: &[usize], streams: &[StreamFeatures]) -> Vec<String> {
    let names = FeatureLayout::new(streams).ok().and_then(|layout| layout.all_names());
    let name = |place: &usize| names.as_ref().and_then(|names| names.get(*place).cloned());
    places.iter().map(|place| name(place).unwrap_or_else(|| place.to_string())).collect()
}

/// A width that was read off stamps, as people write it.
#[must_use]
pub fn rounded(bin_ms: f64) -> f64 {
    (bin_ms * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use kalmind_types::Binning;

    use super::*;

    #[test]
    fn selected_features_are_named_where_they_have_names() {
        let of = |labels| named(&[0, 2], &[StreamFeatures::of_channels(Binning::Sum, 3, labels)]);
        assert_eq!(of(None), ["0", "2"]);
        assert_eq!(of(Some(["C3", "Cz", "C4"].map(String::from).into())), ["C3", "C4"]);
    }

    #[test]
    fn hyperparameters_read_like_options() {
        let values = serde_json::json!(["se-ard", 3, 0.123_456_789, 1.0, [1e-7, "x"], true]);
        assert_eq!(plain(&values), "[se-ard, 3, 0.1235, 1, [0.0000001, x], true]");
    }

    #[test]
    fn findings_mark_what_was_chosen_and_say_when_time_ran_out() {
        let report: FitReport = serde_json::from_value(serde_json::json!({
            "held_out_error": 0.5,
            "held_out_coverage": { "50": 0.512, "90": 0.9, "99": 0.98 },
            "hyperparameters": { "lags": 2, "form": "robust" },
            "tried": (1..=20)
                .map(|lags| serde_json::json!({ "candidate": format!("lags={lags}"), "error": if lags == 2 { 0.5 } else { 0.7 - 0.01 * f64::from(lags) } }))
                .collect::<Vec<_>>(),
            "budget_used_up": true,
        }))
        .expect("a report");
        let said = findings(&report);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], "in use     form robust, lags 2");
        assert_eq!(lines[1], "held out   nRMSE 0.5000, coverage 50/90/99 % 51.2/90.0/98.0");
        // lags 20 (0.5), 2 (0.5) in some order, then 19, 18, ..
        assert!(
            lines[2].starts_with("tried      0.5000") && lines[3].starts_with("           0.5000"),
            "{said}"
        );
        assert!(said.contains("0.5000  lags=2  <- chosen") && said.matches("chosen").count() == 1, "{said}");
        assert!(lines[4].ends_with("0.5100  lags=19"), "{said}");
        assert!(said.contains("and 10 more") && said.contains("budget     used up"), "{said}");
    }
}
