//! Whether an XDF file is whole, and what is odd in it.

use std::path::Path;

use encoding_rs::Encoding;
use kalmind_types::Counted;
use serde_json::json;

use super::{
    answer::Answer,
    file::{checked, require_xdf},
    information::neighbours,
    problems::{problems_json, problems_text},
};
use crate::host::Host;

/// Lists everything odd or wrong in an XDF file. It fails where something cannot be read.
///
/// # Errors
/// The file cannot be read at all, or is of another kind.
pub fn check(path: &Path, encoding: Option<&'static Encoding>, host: &dyn Host) -> anyhow::Result<Answer> {
    require_xdf(path, "recording check")?;
    let report = checked(path, encoding, host)?;
    let neighbours = neighbours(path, &report, host);
    let document = json!({
        "file": path,
        "valid": report.is_valid(),
        "can_be_mended": report.can_be_mended(),
        "other_files": neighbours,
        "problems": problems_json(&report.problems),
    });
    let said = [neighbours, problems_text(&report.problems)].concat();
    if report.is_valid() {
        let samples: u64 = report.streams.values().map(|stream| stream.samples).sum();
        let intact = format!(
            "intact: {}, {}, {}\n",
            Counted(report.streams.len() as u64, "stream"),
            Counted(samples, "sample"),
            Counted(report.length, "byte")
        );
        let text = said.iter().fold(intact, |text, line| text + "  " + line + "\n");
        return Ok(Answer { document, text, failure: None });
    }
    let file = path.display();
    let way = if report.can_be_mended() {
        format!("`kalmind recording repair {file}` writes a repaired copy")
    } else {
        "the rest was read, and `kalmind recording repair` cannot improve it".to_owned()
    };
    let failure = Some(format!("{file} is damaged; {way}\n{}", said.join("\n")));
    Ok(Answer { document, text: String::new(), failure })
}
