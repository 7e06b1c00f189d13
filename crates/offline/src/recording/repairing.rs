//! A mended copy of an XDF file, and what was done to it.

use std::path::Path;

use kalmind_recording::xdf::repair::{self, LeftOutKind, RepairReport, Target};
use kalmind_types::Counted;
use serde_json::json;

use super::{
    answer::Answer,
    file::require_xdf,
    problems::{problems_json, problems_text},
};
use crate::host::Host;

/// Writes a mended copy of an XDF file, over another file only by `force`. It fails where something but a torn tail was left
/// out, or where something in the file cannot be explained.
///
/// # Errors
/// The file cannot be read, is of another kind, or the copy cannot be written.
pub fn repair(path: &Path, target: Target<'_>, force: bool, host: &dyn Host) -> anyhow::Result<Answer> {
    require_xdf(path, "recording repair")?;
    let report = repair::repair(path, target, force, host.bytes())
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
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
    let failure = (!report.is_whole()).then(|| format!("{}: {}", path.display(), lost(&report)));
    Ok(Answer { document, text: text(&report), failure })
}

/// What could not be saved.
fn lost(report: &RepairReport) -> String {
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
    said.join("; ")
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
