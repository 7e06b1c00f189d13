//! What is wrong with the settings of something that the file names, as a stage: which key, what is allowed, and what was
//! probably meant.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::reader::{ALIKE, Reader, found_at, join, most_alike, quoted};

/// Which of some names was meant, if one of them is like this one.
pub(super) fn meant(name: &str, names: &[&str]) -> String {
    match most_alike(name, names.iter().copied()) {
        Some((likeness, nearest)) if likeness >= ALIKE => format!("did you mean `{nearest}`? "),
        _ => String::new(),
    }
}

/// Reports why the settings in a table, the span of which is given with it, could not be read; always none.
pub(super) fn refuse<T>(
    reader: &mut Reader,
    value: &Spanned<DeValue<'_>>,
    table: &DeTable<'_>,
    (what, example): (&str, &str),
    error: &toml::de::Error,
) -> Option<T> {
    let message = error.message().replace('\n', " ");
    let (words, whole) = (in_backticks(&message), reader.path().to_owned());
    if let Some(("missing field", _)) = message.split_once(" `") {
        let title =
            format!("missing key `{}` in `{whole}`, {what}", words.first().copied().unwrap_or_default());
        return reader.refuse_at(
            value.span(),
            title,
            "this key is required here",
            format!("settings as in {example}"),
        );
    }
    let is_in = |outer: core::ops::Range<usize>| {
        error.span().is_some_and(|span| outer.start <= span.start && span.end <= outer.end)
    };
    let Some((key, given)) = table.iter().find(|(key, value)| is_in(key.span()) || is_in(value.span()))
    else {
        let title = format!("`{whole}` cannot be used as {what}");
        return reader.refuse_at(value.span(), title, message, format!("settings as in {example}"));
    };
    let name = key.get_ref().as_ref();
    if message.starts_with("unknown field") {
        let title = format!("unknown key {} in `{whole}`, {what}", quoted(name));
        let known = words.get(1..).unwrap_or_default();
        let help = if known.is_empty() {
            String::from("it has no settings")
        } else {
            format!("{}known here: {}", meant(name, known), known.join(", "))
        };
        return reader.refuse_at(key.span(), title, "not a key of it", help);
    }
    let title = format!("`{}` of {what} has a wrong value", join(&whole, name));
    let found = found_at(name, given.get_ref());
    let help = if message.starts_with("unknown variant") {
        let known = words.get(1..).unwrap_or_default();
        format!(
            "{}expected: one of {}",
            meant(words.first().copied().unwrap_or_default(), known),
            known.join(", ")
        )
    } else {
        format!("expected: {}", wanted(&message))
    };
    reader.refuse_at(given.span(), title, found, help)
}

/// The names in a message: what stands in backticks.
pub(super) fn in_backticks(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// What a message says is expected, in the words of this file's other errors.
fn wanted(message: &str) -> &str {
    match message.split_once("expected ").map_or(message, |(_, wanted)| wanted) {
        "u32" | "u64" | "usize" => "whole number, 0 or more",
        "i32" | "i64" => "whole number",
        "f64" => "number",
        "a string" => "text",
        "a boolean" => "true or false",
        "a sequence" => "list",
        other => other,
    }
}
