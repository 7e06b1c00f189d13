//! What is wrong with a file, for people and for programs.

use kalmind_recording::xdf::Problem;
use serde_json::{Value, json};

/// Problems that people are shown.
pub(super) const SHOWN: usize = 20;

/// Problems as programs read them.
pub(super) fn problems_json(problems: &[Problem]) -> Vec<Value> {
    let one = |problem: &Problem| json!({ "offset": problem.offset, "problem": problem.text, "damage": problem.is_damage() });
    problems.iter().map(one).collect()
}

/// Problems as people read them, one a line, the worst first where there are too many.
pub(super) fn problems_text(problems: &[Problem]) -> Vec<String> {
    let mut shown: Vec<&Problem> = problems.iter().collect();
    if shown.len() > SHOWN {
        shown.sort_by_key(|problem| !problem.is_damage());
    }
    let mut said: Vec<String> = shown
        .iter()
        .take(SHOWN)
        .map(|problem| format!("byte {}: {}", problem.offset, problem.text))
        .collect();
    if problems.len() > SHOWN {
        said.push(format!("and {} more (--json prints all)", problems.len() - SHOWN));
    }
    said
}
