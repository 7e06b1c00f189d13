//! Where the figures come from: files with hashes, rows, command, version.

use std::{
    fmt::Write as _,
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use maud::{Markup, html};
use sha2::{Digest as _, Sha256};

use super::parts::{cell, code, facts, table};
use crate::{evaluation::comparison::Comparison, options::EvaluateOptions};

/// Where the figures of a page come from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// What was asked for.
    pub options: &'a EvaluateOptions,
    /// The command line, the program first.
    pub command: &'a [String],
    /// What the figures do not say.
    pub note: Option<&'a str>,
}

/// Everything that it takes to get the same figures again.
pub(super) fn section(origin: &Origin<'_>, comparison: &Comparison) -> anyhow::Result<Markup> {
    let options = origin.options;
    let tables = &options.tables;
    let given = |what, paths: &[PathBuf]| paths.iter().map(|path| (what, path.clone())).collect::<Vec<_>>();
    let tested = options.test_files().map(Path::to_owned).filter(|_| tables.features.is_empty());
    let tested = tested.filter(|path| !tables.recordings.contains(path)).map(|path| ("recording", path));
    let files = [
        given("recording", &tables.recordings),
        tested.collect(),
        given("features", &tables.features),
        given("states", &tables.states),
        given("task", &tables.task),
        options.model().map(|path| ("model", path.to_owned())).into_iter().collect(),
    ];
    let mut rows = Vec::new();
    for (what, path) in files.concat() {
        rows.push(vec![cell(what), cell(path.display()), code(&sha256(&path)?)]);
    }
    let mut origins = vec![
        ("command".to_owned(), command_line(origin.command)),
        ("version".to_owned(), format!("kalmind {}", env!("CARGO_PKG_VERSION"))),
        ("kernels".to_owned(), kalmind_filter::kernel_path().to_owned()),
        ("bin".to_owned(), format!("{} ms", comparison.bin_ms)),
        ("seeds".to_owned(), comparison.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    ];
    for (index, split) in comparison.splits.splits.iter().enumerate() {
        let of = |rows: &Range<usize>| {
            let before =
                comparison.recordings.iter().take_while(|recording| recording.first_row <= rows.start);
            let place = before.count().saturating_sub(1);
            let own = comparison.own_rows(rows, place);
            let name = if comparison.recordings.len() > 1 {
                format!("{} ", comparison.recordings[place].name)
            } else {
                String::new()
            };
            format!("{name}{}..{}", own.start, own.end)
        };
        let ranges: Vec<String> = split.train.iter().map(of).collect();
        let train = if ranges.is_empty() { "-".to_owned() } else { ranges.join(" and ") };
        let name = if comparison.splits.folded() { format!("split {index}") } else { "rows".to_owned() };
        origins.push((name, format!("train {train}, test {}", of(&split.test))));
    }
    Ok(html! {
        (table("Files", &["file", "path", "SHA-256"], &[1, 2], rows))
        (facts(origins))
        (models(comparison))
    })
}

/// The hash of every model: the same fit gives the same one.
fn models(comparison: &Comparison) -> Markup {
    let mut rows = Vec::new();
    for decoder in &comparison.decoders {
        for run in &decoder.runs {
            let training = run.model.model.training_hash.as_deref().unwrap_or("–");
            rows.push(vec![
                cell(decoder.spec),
                cell(comparison.described(run.split)),
                cell(run.seed),
                code(&run.model.id.to_hex()),
                code(training),
            ]);
        }
    }
    let heads = ["decoder", "test", "seed", "model's SHA-256", "training rows' SHA-256"];
    html! {
        details {
            summary { "Models" }
            (table("Models and the rows they were fitted to", &heads, &[1, 3, 4], rows))
        }
    }
}

fn sha256(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Ok(Sha256::digest(&bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    }))
}

/// The command as one could type it again.
fn command_line(arguments: &[String]) -> String {
    let quoted = arguments.iter().enumerate().map(|(index, argument)| {
        let argument = if index == 0 { "kalmind" } else { argument };
        let is_plain = !argument.is_empty()
            && argument.chars().all(|character| {
                character.is_alphanumeric()
                    || matches!(character, '-' | '_' | '.' | ',' | '/' | ':' | '=' | '+')
            });
        if is_plain { argument.to_owned() } else { format!("'{}'", argument.replace('\'', "'\\''")) }
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
            command_line(&arguments.map(str::to_owned)),
            "kalmind evaluate --perturb all:5 --features 'my x'\\''s.csv'"
        );
    }
}
