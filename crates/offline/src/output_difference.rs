//! How what a model was fitted on differs from what the configuration makes of a stream.

use kalmind_types::{StreamFeatures, StreamOutput, stated_unit};

/// The first channel whose label differs, where both sides know labels.
pub(crate) fn first_difference<'a>(
    expected: &'a StreamFeatures,
    found: &'a StreamFeatures,
) -> Option<(usize, (&'a String, &'a String))> {
    let (expected, found) = expected.labels.as_ref().zip(found.labels.as_ref())?;
    expected.iter().zip(found).enumerate().find(|(_, (expected, found))| expected != found)
}

/// How what is made of the channels differs.
pub(crate) fn output_difference(expected: &StreamFeatures, found: &StreamFeatures) -> Option<String> {
    let made = |of: &StreamFeatures| match of.outputs {
        Some(_) => format!("{} features made of its channels", of.width()),
        None => "its channels themselves".to_owned(),
    };
    if expected.outputs.is_some() != found.outputs.is_some() || expected.width() != found.width() {
        return Some(format!(
            "the model was fitted on {}, the configuration gives {}",
            made(expected),
            made(found)
        ));
    }
    if expected.generation != found.generation {
        let text = |of: &StreamFeatures| of.generation.map_or_else(|| "unknown".to_owned(), String::from);
        return Some(format!(
            "the model was fitted behind stages with other settings ({}, the configuration's are {})",
            text(expected),
            text(found)
        ));
    }
    let mut pairs = expected.outputs.iter().flatten().zip(found.outputs.iter().flatten()).enumerate();
    let (feature, (expected, found)) =
        pairs.find(|(_, (expected, found))| with_stated_unit(expected) != with_stated_unit(found))?;
    Some(format!(
        "feature {feature} is {} in the model, and the configuration makes {}",
        described(expected),
        described(found)
    ))
}

/// A feature whose unit is as streams are read now: models of before may have one that says that there is none.
fn with_stated_unit(output: &StreamOutput) -> StreamOutput {
    let (base, squared) = output.unit.strip_suffix("^2").map_or((&*output.unit, ""), |base| (base, "^2"));
    let unit = match stated_unit(base) {
        "" => String::new(),
        stated => format!("{stated}{squared}"),
    };
    StreamOutput { unit, ..output.clone() }
}

/// A feature with all that two of them can differ in.
fn described(output: &StreamOutput) -> String {
    let StreamOutput { name, unit, channel, sources } = output;
    let unit = if unit.is_empty() { String::new() } else { format!(" in {unit}") };
    let own = channel.map_or_else(|| "of no channel".to_owned(), |channel| format!("of channel {channel}"));
    let runs: Vec<String> = sources.iter().map(|run| format!("{} to {}", run.start, run.end)).collect();
    let made = if runs.is_empty() {
        String::new()
    } else {
        format!(", made of channels {} (end not included)", runs.join(", "))
    };
    format!("\"{name}\"{unit} {own}{made}")
}
