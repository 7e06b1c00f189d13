//! How the trials of a session went.

use kalmind_session::quantile;
use kalmind_types::TrialResult;
use maud::{Markup, html};

use super::{
    super::{
        parts::{cell, number, table},
        plot::{Plot, figure},
    },
    facts::{self, Facts},
    happenings,
    trials::Trial,
    words::percent,
};

/// Paths drawn of a block.
const PATHS: usize = 60;

/// The blocks that had trials, in the order of their first.
fn blocks(facts: &Facts) -> Vec<&'static str> {
    let mut blocks = Vec::new();
    for trial in &facts.trials {
        let name = block_name(trial);
        if !blocks.contains(&name) {
            blocks.push(name);
        }
    }
    blocks
}

fn block_name(trial: &Trial) -> &'static str {
    trial.block.map_or("no block", kalmind_types::TaskBlock::name)
}

/// Trials by block, and the paths of the cursor.
pub(super) fn section(facts: &Facts) -> Markup {
    let blocks = blocks(facts);
    if blocks.is_empty() {
        return html! { p { "No trial was recorded." } };
    }
    let rows = blocks.iter().map(|block| {
        let trials: Vec<&Trial> = facts.trials.iter().filter(|trial| block_name(trial) == *block).collect();
        let ended = trials.iter().filter(|trial| trial.result.is_some()).count();
        let acquired: Vec<&&Trial> =
            trials.iter().filter(|trial| trial.result == Some(TrialResult::Acquired)).collect();
        let times: Vec<f64> = acquired.iter().map(|trial| trial.seconds).collect();
        let of = |value: fn(&Trial) -> Option<f64>| -> Vec<f64> {
            acquired.iter().filter_map(|trial| value(trial)).collect()
        };
        let turns = of(|trial| Some(f64::from(trial.path.orthogonal_direction_changes())));
        let quantile = |values: &[f64], part| quantile(values, part).unwrap_or(f64::NAN);
        let aim = facts.aims.get(block).and_then(facts::Aim::mean);
        let figure = |value: f64, digits| cell(number(value, digits));
        let quartiles =
            || format!("{}–{}", number(quantile(&times, 0.25), 2), number(quantile(&times, 0.75), 2));
        vec![
            cell(happenings::block(block)),
            cell(ended),
            cell(acquired.len()),
            if ended == 0 { cell("–") } else { figure(percent(acquired.len() as u64, ended as u64), 0) },
            figure(quantile(&times, 0.5), 2),
            if times.is_empty() { cell("–") } else { cell(quartiles()) },
            figure(quantile(&of(|trial| trial.path.dial_in()), 0.5), 2),
            figure(quantile(&of(|trial| trial.path.efficiency()), 0.5), 2),
            figure(quantile(&turns, 0.5), 0),
            figure(quantile(&of(Trial::throughput), 0.5), 2),
            figure(aim.map_or(f64::NAN, f64::to_degrees), 1),
        ]
    });
    let heads = [
        "block",
        "trials",
        "acquired",
        "%",
        "median time, s",
        "quartiles, s",
        "dial-in, s",
        "path efficiency",
        "turns",
        "throughput, bit/s",
        "aim error, °",
    ];
    html! {
        (table(&format!("Completed trials, by block{}", facts.of_whom()), &heads, &[], rows))
        p class="note" {
            "Time: from the appearance of the target to the end of the hold, without the time in which the cursor could not \
             move; acquired targets only. Of those the medians of: dial-in, the time from first coming within its radius to the end of \
             the hold; path efficiency, straight distance over distance travelled; turns between toward the target and away from \
             it (orthogonal direction changes); Fitts throughput, log2(distance / diameter + 1) over the time. Aim error: mean \
             angle between the decoded intent and the direction to the target, while the cursor was outside the target and \
             could move. Solid lines and circles: acquired; dashed lines and squares: not acquired."
        }
        div class="figures" { @for block in &blocks { (paths(facts, block)) } }
    }
}

/// The paths of the cursor in a block.
fn paths(facts: &Facts, block: &str) -> Markup {
    let height = facts.session.workspace[1];
    let title = format!("Cursor paths, {}", happenings::block(block));
    let mut plot = Plot::new(&title, (420.0, 420.0 * height.clamp(0.4, 1.6)), (0.0, 1.0), (0.0, height))
        .axes("x, workspace widths", "y");
    let trials: Vec<&Trial> = facts.trials.iter().filter(|trial| block_name(trial) == block).collect();
    let shown = &trials[trials.len().saturating_sub(PATHS)..];
    for trial in shown {
        let series = usize::from(trial.result != Some(TrialResult::Acquired));
        plot = plot.line(series, trial.points.iter().map(|[x, y]| (*x, *y)));
    }
    for trial in shown {
        if let Some(target) = trial.target {
            let [x, y] = target.position.0;
            let series = usize::from(trial.result != Some(TrialResult::Acquired));
            let says = match trial.result {
                Some(TrialResult::Acquired) => format!("acquired in {:.2} s", trial.seconds),
                Some(TrialResult::Timeout) => "not acquired in time".to_owned(),
                Some(TrialResult::Incorrect) => "something else was selected".to_owned(),
                None => "aborted".to_owned(),
            };
            plot = plot.dot(series, x, y, &says);
        }
    }
    let note = if shown.len() < trials.len() {
        format!(" (the last {PATHS} of {})", trials.len())
    } else {
        String::new()
    };
    figure(&plot.svg(), &format!("{title}{note}"))
}
