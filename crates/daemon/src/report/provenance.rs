//! Where the figures come from: files with hashes, rows, command, version.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::markup::{Escaped, table};
use crate::{cli::EvaluateArguments, evaluation::comparison::Comparison};

/// Everything that it takes to get the same figures again.
pub(super) fn section(arguments: &EvaluateArguments, comparison: &Comparison) -> anyhow::Result<String> {
    let files = [
        ("recording", arguments.tables.recording.as_ref()),
        ("features", arguments.tables.features.as_ref()),
        ("states", arguments.tables.states.as_ref()),
        ("task", arguments.tables.task.as_ref()),
        ("model", arguments.model.as_ref()),
    ];
    let mut rows = Vec::new();
    for (what, path) in files {
        let Some(path) = path else { continue };
        let cells = vec![
            what.to_owned(),
            Escaped(&path.display().to_string()).to_string(),
            format!("<code>{}</code>", sha256(path)?),
        ];
        rows.push(("", cells));
    }
    let mut html = table("Files", &["file", "path", "SHA-256"], &[1, 2], rows);
    let mut facts = vec![
        ("command".to_owned(), command_line(std::env::args())),
        ("version".to_owned(), format!("kalmind {}", env!("CARGO_PKG_VERSION"))),
        ("kernels".to_owned(), kalmind_filter::kernel_path().to_owned()),
        ("bin".to_owned(), format!("{} ms", comparison.bin_ms)),
        ("seeds".to_owned(), comparison.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    ];
    for (index, split) in comparison.splits.splits.iter().enumerate() {
        let ranges: Vec<String> =
            split.train.iter().map(|range| format!("{}..{}", range.start, range.end)).collect();
        let train = if ranges.is_empty() { "-".to_owned() } else { ranges.join(" and ") };
        let name = if comparison.splits.folded() { format!("fold {index}") } else { "rows".to_owned() };
        facts.push((name, format!("train {train}, test {}..{}", split.test.start, split.test.end)));
    }
    html += "<dl>";
    for (name, value) in facts {
        let _infallible = write!(html, "<dt>{}</dt><dd>{}</dd>", Escaped(&name), Escaped(&value));
    }
    html += "</dl>\n";
    html += &models(comparison);
    Ok(html)
}

/// The hash of every model: the same fit gives the same one.
fn models(comparison: &Comparison) -> String {
    let mut rows = Vec::new();
    for decoder in &comparison.decoders {
        for run in &decoder.runs {
            let training = run.model.model.training_hash.as_deref().unwrap_or("–");
            let test = &comparison.splits.splits[run.split].test;
            rows.push((
                "",
                vec![
                    Escaped(&decoder.spec.to_string()).to_string(),
                    format!("{}..{}", test.start, test.end),
                    run.seed.to_string(),
                    format!("<code>{}</code>", run.model.id.to_hex()),
                    format!("<code>{}</code>", Escaped(training)),
                ],
            ));
        }
    }
    let heads = ["decoder", "test", "seed", "model's SHA-256", "training rows' SHA-256"];
    let html = table("Models and the rows they were fitted to", &heads, &[1, 3, 4], rows);
    format!("<details><summary>Models</summary>\n{html}</details>\n")
}

fn sha256(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Ok(Sha256::digest(&bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    }))
}

/// The command as one could type it again.
fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let quoted = arguments.enumerate().map(|(index, argument)| {
        let argument = if index == 0 { "kalmind".to_owned() } else { argument };
        let is_plain = !argument.is_empty()
            && argument.chars().all(|character| {
                character.is_alphanumeric()
                    || matches!(character, '-' | '_' | '.' | ',' | '/' | ':' | '=' | '+')
            });
        if is_plain { argument } else { format!("'{}'", argument.replace('\'', "'\\''")) }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed_again() {
        let arguments = ["/a/b/kalmind", "evaluate", "--perturb", "all:5", "--features", "my x's.csv"];
        assert_eq!(
            command_line(arguments.iter().map(|&argument| argument.to_owned())),
            "kalmind evaluate --perturb all:5 --features 'my x'\\''s.csv'"
        );
    }
}
