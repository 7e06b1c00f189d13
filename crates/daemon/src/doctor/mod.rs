//! `kalmind doctor`: tries what a session needs of this machine, and says of each what was found and what to do.
//!
//! Everything is tried, not looked up: a priority is asked for, a file written, a port taken, a sample sent. LSL is tried in
//! processes of their own, since it reads its settings once, and so that whatever it does ends there.

mod clock;
mod disk;
mod finding;
mod kernel_clock;
mod limits;
mod lsl;
mod patient;
mod ports;
mod timer;

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

pub use finding::{Finding, Status, table};
pub use lsl::probe;
pub use patient::Patient;

use crate::log::say;

/// One thing that is tried.
type Check = fn(&Patient<'_>) -> Finding;

/// Everything that is tried, in this order; the clock is watched meanwhile.
const CHECKS: [(&str, Check); 8] = [
    ("liblsl", lsl::library),
    ("network", lsl::network),
    ("ports", ports::ports),
    ("priority", limits::priority),
    ("locked memory", limits::locked_memory),
    ("open files", limits::open_files),
    ("timer", timer::timer),
    ("disk", disk::disk),
];

/// Carries out every check, and shows on stderr how far it is.
#[must_use]
pub fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let style =
        ProgressStyle::with_template("{bar:32} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(CHECKS.len() as u64 + 1).with_style(style);
    if !std::io::stderr().is_terminal() {
        say("kalmind doctor: trying what a session needs of this machine; takes some seconds");
    }
    let watch = clock::Watch::begin();
    let mut findings = Vec::with_capacity(CHECKS.len() + 1);
    for (name, check) in CHECKS {
        bar.set_message(name);
        findings.push(check(patient));
        bar.inc(1);
    }
    bar.set_message("clock");
    findings.push(watch.finish());
    bar.finish_and_clear();
    findings
}
