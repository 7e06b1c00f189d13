//! A model's file that comes while the run goes on, checked as at the start.

use std::{path::PathBuf, sync::Arc};

use kalmind_filter::KernelPath;
use kalmind_offline::model::{Demand, IdentifiedModel, LoadError};

use crate::starting::plan_error::PlanError;

/// What the file is called where it is refused.
const NAME: &str = "posted";
/// Characters of a refusal: what a file holds is quoted in it.
const LONGEST_REFUSAL: usize = 4000;

/// Reads, compares and builds a model, as the start does with the one that the configuration names. Slow side: takes as
/// long as the file is large.
///
/// # Errors
/// What the start would say.
pub(crate) fn checked(file: Arc<[u8]>, demand: &Demand, guard: bool) -> Result<IdentifiedModel, String> {
    check(file, demand, guard).map_err(|refusal| refusal.chars().take(LONGEST_REFUSAL).collect())
}

fn check(file: Arc<[u8]>, demand: &Demand, guard: bool) -> Result<IdentifiedModel, String> {
    let path = PathBuf::from(NAME);
    let model = match IdentifiedModel::from_bytes(file, true) {
        Ok(model) => model,
        Err(source) => return Err(LoadError { path, source }.to_string()),
    };
    let differences = model.differences(demand);
    if !differences.is_empty() {
        return Err(PlanError::Model { path, differences }.to_string());
    }
    // some things show only once it is built
    model.stage(guard, KernelPath::detect()).map_err(|error| error.to_string())?;
    Ok(model)
}
