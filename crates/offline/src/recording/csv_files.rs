//! Tables that an export writes: whether they may be, the names of their columns, their end.

use std::{collections::HashSet, path::Path};

use kalmind_recording::{Existing, NewFile};

/// Whether files are replaced: only where that was asked for. Nothing is written where one stands in the way.
pub(super) fn refuse_existing(
    force: bool,
    mut targets: impl Iterator<Item = impl AsRef<Path>>,
) -> anyhow::Result<Existing> {
    if force {
        return Ok(Existing::Replace);
    }
    match targets.find(|target| target.as_ref().symlink_metadata().is_ok()) {
        Some(target) => anyhow::bail!(
            "{} exists already, and nothing was written: name another folder, or overwrite with --force",
            target.as_ref().display()
        ),
        None => Ok(Existing::Refuse),
    }
}

/// The columns of a stream's table.
pub(super) struct Labels {
    pub(super) columns: Vec<String>,
    /// Columns that got a number because others have their label, each as `label -> column`.
    pub(super) renamed: Vec<String>,
}

/// The labels as names of columns beside `time`: of several alike, all but the first get a number.
pub(super) fn distinct(labels: impl Iterator<Item = String>) -> Labels {
    let mut taken = HashSet::from(["time".to_owned()]);
    let mut renamed = Vec::new();
    let columns = labels
        .map(|label| {
            if taken.insert(label.clone()) {
                return label;
            }
            let mut others = (2..).map(|number: u32| format!("{label}_{number}"));
            let name = others.find(|name| taken.insert(name.clone())).unwrap_or_default();
            renamed.push(format!("{label} -> {name}"));
            name
        })
        .collect();
    Labels { columns, renamed }
}

/// A CSV file that stands at its place once it is finished.
pub(super) fn finish(file: csv::Writer<NewFile>) -> anyhow::Result<()> {
    let file = file.into_inner().map_err(|error| anyhow::anyhow!("{}", error.error()))?;
    Ok(file.finish()?)
}
