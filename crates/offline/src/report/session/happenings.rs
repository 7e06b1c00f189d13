//! What happened in a session, a sentence for each event: blocks, what operators and the task asked for, models, states.

use std::fmt::Write as _;

use kalmind_types::{Actor, Counted, EventKind};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    super::markup::{Escaped, number, table},
    facts::{Facts, Happening},
};

/// Events that are listed.
const LISTED: usize = 200;

/// The table of events.
pub(super) fn section(facts: &Facts) -> String {
    if facts.happenings.is_empty() {
        return "<p>Nothing besides targets and trials.</p>".to_owned();
    }
    // an event is published when it is known, with the time at which it happened
    let mut happenings: Vec<&Happening> = facts.happenings.iter().collect();
    happenings.sort_by(|a, b| a.time.total_cmp(&b.time));
    let shown = happenings.into_iter().take(LISTED).map(|happening| {
        let cells = vec![
            number(happening.time - facts.begin, 2),
            kind(happening).to_owned(),
            Escaped(&sentence(happening)).to_string(),
        ];
        ("", cells)
    });
    let heads = ["time, s", "kind", "what happened"];
    let mut html = table("Blocks, operator, models, states and faults", &heads, &[1, 2], shown);
    if facts.happenings.len() > LISTED {
        let more = Counted((facts.happenings.len() - LISTED) as u64, "event");
        let _infallible = write!(html, "<p>The recording holds {more} more.</p>");
    }
    html
}

fn kind(happening: &Happening) -> &'static str {
    match happening.kind {
        EventKind::Operator if happening.data["program"] == true => "program",
        EventKind::Operator if happening.data["by"] == "daemon" => "input",
        EventKind::Target => "target",
        EventKind::Trial => "trial",
        EventKind::TaskBlock => "block",
        EventKind::Operator => "operator",
        EventKind::Model => "model",
        EventKind::State => "state",
        EventKind::Fault => "fault",
    }
}

/// The name of a block as people say it.
pub(super) fn block(name: &str) -> String {
    name.replace('_', " ")
}

/// An event as a sentence. One that this version does not know is shown by its fields.
fn sentence(happening: &Happening) -> String {
    let data = &happening.data;
    let said = |key: &str| data[key].as_str();
    if let Some(message) = said("message") {
        return message.to_owned();
    }
    if let (Some("recording"), Some(reason)) = (said("source"), said("reason")) {
        return reason.to_owned();
    }
    let known = match happening.kind {
        EventKind::TaskBlock => said("block").zip(said("phase")).map(|(name, phase)| {
            let verb = if phase == "start" { "began" } else { "ended" };
            format!("{} block {verb}", block(name))
        }),
        EventKind::Operator => said("action").and_then(|action| request(action, data)),
        EventKind::Model => said("action").and_then(|action| model(action, data)),
        _ => None,
    };
    known.unwrap_or_else(|| fields(data))
}

fn request(action: &str, data: &Value) -> Option<String> {
    let asked = match action {
        "stop" => "STOP",
        "idle" => "idle requested",
        "calibrating" => "calibration requested",
        "control" => "control requested",
        "resume" => "resume requested",
        "measure_arrival" => "new measurement of how samples arrive requested",
        "measuring_arrival" => return Some("measuring how samples arrive".to_owned()),
        "arrival_measured" => {
            let input = data["input"]["text"].as_str()?;
            return Some(format!("measured how samples arrive: {input}"));
        }
        _ => return None,
    };
    let by = Actor::deserialize(&data["by"]).map_or_else(|_| String::new(), |by| format!(" by {by}"));
    let refused = data["refused"].as_str().map(|why| format!("; refused: {why}")).unwrap_or_default();
    // a demonstration that nobody watches confirms by itself
    let who = if data["program"] == true { " by the program, not by a person" } else { "" };
    let confirmed = confirmed(data).map(|what| format!("; confirmed{who}: {what}")).unwrap_or_default();
    Some(format!("{asked}{by}{refused}{confirmed}"))
}

/// What was confirmed with a request, in words; none where nothing was.
fn confirmed(data: &Value) -> Option<String> {
    let names = data["confirmed"].as_array()?.iter().filter_map(Value::as_str);
    let model = data["model"].as_str().map(|hash| format!(" (model {hash})")).unwrap_or_default();
    let words: Vec<String> = names
        .map(|name| match name {
            "slow_input" => "input that arrives late".to_owned(),
            "poor_decoder" => format!("poor decoder{model}"),
            other => block(other),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn model(action: &str, data: &Value) -> Option<String> {
    match action {
        "swapped" => {
            let bins =
                data["train_bins"].as_u64().map(|bins| format!(", fitted to {}", Counted(bins, "bin")));
            Some(format!("decoder {} took over{}", data["decoder"].as_str()?, bins.unwrap_or_default()))
        }
        "fit_failed" => Some(format!("the fit failed: {}", data["problem"].as_str()?)),
        _ => None,
    }
}

/// The fields of an event's data, one after the other.
fn fields(data: &Value) -> String {
    let Some(fields) = data.as_object() else { return data.to_string() };
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown: Vec<String> = fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| format!("{} {}", key.replace('_', " "), plain(value)))
        .collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_event_is_a_sentence() {
        let input = json!({ "text": "\"array\" sample by sample, 2 ms late" });
        for (kind, data, expected) in [
            (
                EventKind::TaskBlock,
                json!({ "block": "open_loop", "phase": "start" }),
                "open loop block began",
            ),
            (
                EventKind::TaskBlock,
                json!({ "block": "evaluation", "phase": "end" }),
                "evaluation block ended",
            ),
            (EventKind::Operator, json!({ "action": "stop", "by": "operator" }), "STOP by the operator"),
            (EventKind::Operator, json!({ "action": "stop", "by": "client" }), "STOP by a client"),
            (
                EventKind::Operator,
                json!({ "action": "control", "by": "task" }),
                "control requested by the task",
            ),
            (
                EventKind::Operator,
                json!({ "action": "control", "by": "operator", "confirmed": ["slow_input"] }),
                "control requested by the operator; confirmed: input that arrives late",
            ),
            (
                EventKind::Operator,
                json!({
                    "action": "control", "by": "operator", "confirmed": ["slow_input", "poor_decoder"], "model": "ab12",
                }),
                "control requested by the operator; confirmed: input that arrives late, poor decoder (model ab12)",
            ),
            (
                EventKind::Operator,
                json!({
                    "action": "control", "by": "daemon", "program": true, "confirmed": ["poor_decoder"],
                    "model": "ab12",
                }),
                "control requested by Kalmind; confirmed by the program, not by a person: poor decoder (model ab12)",
            ),
            (
                EventKind::Operator,
                json!({ "action": "arrival_measured", "by": "daemon", "input": input, "streams": [] }),
                "measured how samples arrive: \"array\" sample by sample, 2 ms late",
            ),
            (
                EventKind::Model,
                json!({ "action": "swapped", "decoder": "kalman", "hash": "ab", "train_bins": 1 }),
                "decoder kalman took over, fitted to 1 bin",
            ),
            (
                EventKind::Model,
                json!({ "action": "fit_failed", "problem": "too few rows" }),
                "the fit failed: too few rows",
            ),
            (
                EventKind::State,
                json!({ "state": "stale", "message": "no usable signal for 0.1 s" }),
                "no usable signal for 0.1 s",
            ),
            (
                EventKind::Operator,
                json!({ "action": "resume", "by": "task", "refused": "only the operator can resume" }),
                "resume requested by the task; refused: only the operator can resume",
            ),
            (
                EventKind::Fault,
                json!({ "source": "recording", "reason": "the disk is full", "file": "a.xdf" }),
                "the disk is full",
            ),
            (
                EventKind::Fault,
                json!({ "state": "fault", "since_s": 3, "previous": null }),
                "since s 3, state fault",
            ),
        ] {
            assert_eq!(sentence(&Happening { time: 0.0, kind, data }), expected);
        }
    }
}
