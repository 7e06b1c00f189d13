//! What criterion measured, read back from where it wrote it.

use std::{fs, path::PathBuf, time::Duration};

use criterion::Criterion;

/// Where this run's measurements are kept.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("criterion")
}

fn estimates(name: &str) -> PathBuf {
    folder().join(name).join("new/estimates.json")
}

/// Criterion as every benchmark here uses it: some seconds a row.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .output_directory(&folder())
        .configure_from_args()
}

/// Forgets an older measurement of `name`, so that a row that is not run does not show it.
pub(crate) fn forget(name: &str) {
    drop(fs::remove_file(estimates(name)));
}

/// The median time of an iteration of `name`, in microseconds; `None` where it was not measured in this run.
pub(crate) fn median_us(name: &str) -> Option<f64> {
    let text = fs::read_to_string(estimates(name)).ok()?;
    let estimates: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(estimates["median"]["point_estimate"].as_f64()? / 1e3)
}

/// `12.3 µs`, or what stands for a row that was not run.
pub(crate) fn shown(median: Option<f64>) -> String {
    match median {
        Some(us) if us < 1.0 => format!("{us:.3} µs"),
        Some(us) => format!("{us:.1} µs"),
        None => String::from("not run"),
    }
}
