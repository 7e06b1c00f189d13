//! The table that a benchmark ends with: what was measured, the goal, and how right the result is.
#![expect(clippy::print_stdout, reason = "a program that reports to a terminal")]

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// How long it took, with its unit.
    pub(crate) measured: String,
    /// What it should take, with its unit; empty where there is no goal.
    pub(crate) goal: String,
    /// How right the result is.
    pub(crate) accuracy: String,
}

/// Prints the rows under `title`, and the machine and its load.
pub(crate) fn print(title: &str, rows: &[Row]) {
    let width = |of: fn(&Row) -> &str, least: usize| {
        rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0).max(least)
    };
    let (what, measured, goal) =
        (width(|row| &row.what, 4), width(|row| &row.measured, 8), width(|row| &row.goal, 4));
    println!("\n{title}\n{}", machine());
    println!("{:what$}  {:>measured$}  {:>goal$}  accuracy", "what", "measured", "goal");
    for row in rows {
        println!("{:what$}  {:>measured$}  {:>goal$}  {}", row.what, row.measured, row.goal, row.accuracy);
    }
    println!();
}

/// Processor, cores, kernel, and the load of the last minute.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("processor unknown", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "{model}, {cores} cores, Linux {}, load {}",
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or("unknown")
    )
}
