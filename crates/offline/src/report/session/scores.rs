//! What the session itself said of its blocks when they ended: the figures of the papers, and how clicks went.

use std::collections::HashMap;

use kalmind_session::{BlockFigures, ClickFigures, Estimate, ScoreStatus};
use kalmind_types::{EventBody, SessionChange};
use maud::{Markup, html};

use super::{
    super::parts::{cell, cell_over, number, table},
    facts::Facts,
};

/// A block that ended: its title and its score.
type Ended = (String, ScoreStatus);

/// The blocks of presets that ended with a score, in order.
fn ended(facts: &Facts) -> Vec<Ended> {
    let mut titles = HashMap::new();
    let mut ended = Vec::new();
    for happening in &facts.happenings {
        let EventBody::Session(event) = &happening.body else { continue };
        match &event.change {
            SessionChange::BlockStarted { number, title } => {
                titles.insert(*number, title.clone());
            }
            SessionChange::BlockEnded { number, score } => {
                // recordings of before have no score, or one without these figures
                if let Ok(score) = serde_json::from_value::<ScoreStatus>(score.clone()) {
                    ended.push((
                        format!("{}. {}", number + 1, titles.get(number).map_or("", String::as_str)),
                        score,
                    ));
                }
            }
            _ => {}
        }
    }
    ended
}

fn estimate(figure: Option<Estimate>, digits: usize) -> Markup {
    let Some(Estimate { value, interval }) = figure else { return cell("–") };
    match interval {
        Some([low, high]) => {
            cell_over(&number(value, digits), &format!("{} to {}", number(low, digits), number(high, digits)))
        }
        None => cell(number(value, digits)),
    }
}

fn figures(title: &str, figures: &BlockFigures) -> Vec<Markup> {
    let helped = if figures.assisted > 0 {
        cell_over(&figures.assisted.to_string(), &format!("up to {:.0} %", 100.0 * figures.most_assistance))
    } else {
        cell(0)
    };
    vec![
        cell(title),
        cell(figures.trials),
        helped,
        estimate(figures.success.map(|success| success.scaled(100.0)), 0),
        estimate(figures.time_to_target_s, 2),
        estimate(figures.bit_rate, 2),
        estimate(figures.path_efficiency, 2),
        estimate(figures.angular_error_deg, 0),
        estimate(figures.orthogonal_direction_changes, 1),
        estimate(figures.dial_in_s, 2),
        estimate(figures.throughput, 2),
        estimate(figures.fitts_law.map(|law| law.slope), 2),
    ]
}

fn clicks(title: &str, clicks: &ClickFigures) -> Vec<Markup> {
    vec![
        cell(title),
        cell(clicks.acts),
        cell(clicks.pressed),
        cell(clicks.repeated),
        estimate(clicks.false_per_minute_moving, 1),
        estimate(clicks.false_per_minute_resting, 1),
        estimate(clicks.latency_s, 2),
    ]
}

/// The figures of the blocks, and of their clicks; nothing where no block had any.
pub(super) fn section(facts: &Facts) -> Markup {
    let ended = ended(facts);
    let scored = ended.iter().filter_map(|(title, score)| Some((title, score.figures.as_ref()?)));
    let clicked = ended.iter().filter_map(|(title, score)| Some((title, score.clicks.as_ref()?)));
    let figure_rows: Vec<_> = scored.map(|(title, of)| figures(title, of)).collect();
    let click_rows: Vec<_> = clicked.map(|(title, of)| clicks(title, of)).collect();
    let heads = [
        "block",
        "trials without help",
        "left out: helped",
        "acquired, %",
        "median time, s",
        "bit/s",
        "path efficiency",
        "angular error, °",
        "turns",
        "dial-in, s",
        "throughput, bit/s",
        "Fitts, s/bit",
    ];
    let click_heads = [
        "block",
        "acts",
        "pressed",
        "pressed again",
        "false a minute, moving",
        "at rest",
        "median latency, s",
    ];
    html! {
        @if !figure_rows.is_empty() {
            (table(
                &format!("Blocks of the session, trials without help, with intervals of 95 %{}", facts.of_whom()),
                &heads,
                &[],
                figure_rows,
            ))
        }
        @if !click_rows.is_empty() { (table(&format!("Clicks{}", facts.of_whom()), &click_heads, &[], click_rows)) }
    }
}
