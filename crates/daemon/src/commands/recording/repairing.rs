//! `kalmind recording repair`: a mended copy, and what was done to it.

use std::io::Write as _;

use kalmind_recording::xdf::repair::{LeftOutKind, RepairReport, Target, repair};
use kalmind_types::Counted;
use serde_json::json;

use super::{
    arguments::RepairArguments,
    file::{bytes_bar, follow, require_xdf},
    problems::{problems_json, problems_text},
};
use crate::failure::{OrFail as _, Outcome};

/// Runs the command.
///
/// # Errors
/// Exit code 1 where the file cannot be read or written, where something but a torn tail was left out, or where something
/// in the file cannot be explained.
pub(super) fn run(arguments: &RepairArguments) -> Outcome<()> {
    require_xdf(&arguments.file, "recording repair").or_work()?;
    let target = match (&arguments.output, arguments.in_place) {
        (_, true) => Target::InPlace,
        (Some(output), _) => Target::File(output),
        (None, _) => Target::Beside,
    };
    let bar = bytes_bar();
    let repaired = repair(&arguments.file, target, arguments.force, follow(&bar));
    bar.finish_and_clear();
    let report =
        repaired.map_err(|error| anyhow::anyhow!("{}: {error}", arguments.file.display())).or_work()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let left_out: Vec<_> = report
            .left_out
            .iter()
            .map(|part| json!({ "from": part.from, "to": part.to, "what": part.what.describe() }))
            .collect();
        let document = json!({
            "file": report.output,
            "changed": report.is_changed(),
            "whole": report.is_whole(),
            "left_out": left_out,
            "left_out_file": report.left_out_file,
            "footers_rebuilt": report.footers,
            "unexplained": problems_json(&report.unexplained),
            "kept_as": report.before,
        });
        writeln!(out, "{document}").or_work()?;
    } else {
        write!(out, "{}", text(&report)).or_work()?;
    }
    if report.is_whole() {
        return Ok(());
    }
    let mut said = Vec::new();
    let lost = report.left_out.iter().filter(|part| part.what == LeftOutKind::Damage);
    let lost: u64 = lost.map(|part| part.to - part.from).sum();
    if lost > 0 {
        said.push(format!("{} could not be read and were left out", Counted(lost, "byte")));
    }
    if !report.unexplained.is_empty() {
        said.push(format!(
            "what could not be explained was left as it is:\n{}",
            problems_text(&report.unexplained).join("\n")
        ));
    }
    Err(anyhow::anyhow!("{}: {}", arguments.file.display(), said.join("; "))).or_work()
}

/// What was done, for people.
fn text(report: &RepairReport) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for part in &report.left_out {
        let _infallible = writeln!(
            text,
            "left out bytes {}..{} ({}): {}",
            part.from,
            part.to,
            Counted(part.to - part.from, "byte"),
            part.what.describe()
        );
    }
    if let Some(file) = &report.left_out_file {
        let _infallible = writeln!(text, "what was left out is in {}", file.display());
    }
    if report.footers > 0 {
        let _infallible = writeln!(text, "made {}", Counted(report.footers as u64, "footer"));
    }
    if let Some(packed) = &report.packed {
        let _infallible = writeln!(text, "note: {packed}");
    }
    if let Some(before) = &report.before {
        let _infallible = writeln!(text, "the recording as it was is kept as {}", before.display());
    }
    match &report.output {
        Some(output) if report.is_whole() => {
            let _infallible = writeln!(text, "{} is intact", output.display());
        }
        Some(output) => {
            let _infallible = writeln!(text, "{} contains everything that could be saved", output.display());
        }
        None => text.push_str("nothing to repair\n"),
    }
    text
}
