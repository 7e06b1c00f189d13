//! A session at a glance: ticks, states, and what was lost over time.

use kalmind_types::{Counted, OutputState};
use maud::{Markup, html};

use super::{
    super::{
        parts::{cell, table},
        plot::{Plot, figure, range_of},
    },
    facts::{self, Facts},
    words::{length, percent, times},
};

/// Points of a line that are drawn at most.
const DRAWN: usize = 600;

/// How many ticks there were, the time in each state, and what was lost when.
pub(super) fn section(facts: &Facts) -> Markup {
    let sum = |of: fn(&facts::Second) -> f64| move |seconds: &[facts::Second]| seconds.iter().map(of).sum();
    let share = |seconds: &[facts::Second]| {
        let ticks: u32 = seconds.iter().map(|second| second.ticks).sum();
        let incomplete: u32 = seconds.iter().map(|second| second.incomplete).sum();
        percent(incomplete.into(), ticks.into())
    };
    let per_tick = |of: fn(&facts::Second) -> u64| {
        move |seconds: &[facts::Second]| {
            let ticks: u32 = seconds.iter().map(|second| second.ticks).sum();
            seconds.iter().map(of).sum::<u64>() as f64 / f64::from(ticks.max(1))
        }
    };
    let rows = OutputState::ALL.into_iter().map(|state| {
        let seconds = facts.states[usize::from(state.code())];
        vec![cell(state.name()), cell(length(seconds))]
    });
    html! {
        p {
            (Counted(facts.ticks, "tick").to_string()) " in " (length(facts.duration())) ", " (facts.incomplete)
            " of them incomplete."
            @if facts.epochs > 1 {
                " The streams' clock jumped " (times(facts.epochs as usize - 1)) " by more than a second."
            }
        }
        (table("Time in each state, from the start to the end of the run", &["state", "time"], &[], rows))
        div class="figures" {
            (chart("Incomplete bins", "%", &stretches(facts, share)))
            (chart("Samples lost or late", "samples", &stretches(facts, sum(|second| second.lost_samples as f64))))
            (chart("Features off or without a value", "per tick", &stretches(facts, per_tick(|second| second.masked))))
            (chart(
                "Channels corrected by the guard",
                "per tick",
                &stretches(facts, per_tick(|second| second.guarded)),
            ))
        }
    }
}

/// Seconds gathered into at most so many points: time in minutes, and the value that `of` makes of each stretch.
pub(super) fn stretches(facts: &Facts, of: impl Fn(&[facts::Second]) -> f64) -> Vec<(f64, f64)> {
    let width = facts.seconds.len().div_ceil(DRAWN).max(1);
    let chunks = facts.seconds.chunks(width).enumerate();
    chunks.map(|(index, seconds)| ((index * width) as f64 / 60.0, of(seconds))).collect()
}

/// One of them over the session.
pub(super) fn chart(title: &str, y_name: &str, points: &[(f64, f64)]) -> Markup {
    let x = (0.0, points.last().map_or(1.0, |point| point.0).max(0.1));
    let (_, high) = range_of(points.iter().map(|point| point.1));
    let plot = Plot::new(title, (520.0, 170.0), x, (0.0, high.max(1.0))).axes("minutes", y_name);
    figure(&plot.solid(0, points.iter().copied()).svg(), title)
}
