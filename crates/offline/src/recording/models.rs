//! The models of a recording as files.

use std::path::Path;

use kalmind_recording::write_new_file;
use kalmind_types::{Counted, ModelId};
use serde_json::{Value, json};

use super::{answer::Answer, csv_files::refuse_existing, file::require_xdf};
use crate::{model::IdentifiedModel, recorded_models};

/// Hexadecimal digits of a model's identity in the name of its file.
const DIGITS: usize = 16;

/// Writes every model of a recording into `folder`, each named after its decoder and its identity; those that are there are
/// written over with `force`. One that was recorded without what no tick needs is written so, and decodes the same.
///
/// # Errors
/// The recording cannot be read, or a file cannot be written.
pub fn export_models(path: &Path, folder: &Path, force: bool) -> anyhow::Result<Answer> {
    require_xdf(path, "recording export --models")?;
    std::fs::create_dir_all(folder)?;
    let (mut written, mut problems, mut failed) = (Vec::new(), Vec::new(), Ok(()));
    let any = |_: ModelId| true;
    recorded_models(path, any, |id, model| match model {
        Ok(_) if failed.is_err() => {}
        Ok(model) => match write(id, &model, folder, force) {
            Ok(file) => written.push(file),
            Err(error) => failed = Err(error),
        },
        Err(error) => problems.push(error.to_string()),
    })?;
    failed?;
    let text = format!("{} in {}\n", Counted(written.len() as u64, "model"), folder.display());
    let failure = match problems.first() {
        Some(problem) => {
            let count = Counted(problems.len() as u64, "model");
            Some(format!("{count} cannot be taken out: {problem}"))
        }
        None => written.is_empty().then(|| format!("{}: there is no model in it", path.display())),
    };
    let document = json!({ "recording": path, "models": written, "problems": problems });
    Ok(Answer { document, text, failure })
}

/// Writes one; what is said of its file.
fn write(id: ModelId, model: &IdentifiedModel, folder: &Path, force: bool) -> anyhow::Result<Value> {
    let (hex, spec) = (id.to_hex(), model.model.decoder);
    let name = format!("{}-{}.safetensors", spec.decoder, hex.get(..DIGITS).unwrap_or(&hex));
    let target = folder.join(&name);
    let existing = refuse_existing(force, core::iter::once(&target))?;
    write_new_file(&target, existing, &model.file)?;
    Ok(json!({ "file": name, "model": hex, "decoder": spec.to_string(), "bytes": model.file.len() }))
}
