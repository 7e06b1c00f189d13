//! What happened in a session, a sentence for each event: blocks, what operators and the task asked for, models, states.

use kalmind_types::{
    Actor, ArrivalAction, ArrivalEvent, Confirmation, Counted, EventBody, EventKind, ModelEvent, ModelSource,
    OperatorAction, OperatorRequest, Phase, SelectBy, SessionChange, SessionEvent, StagesAction, StagesEvent,
};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    super::parts::{cell, number, table},
    facts::{Facts, Happening},
};

/// Events that are listed.
const LISTED: usize = 200;

/// The table of events.
pub(super) fn section(facts: &Facts) -> Markup {
    if facts.happenings.is_empty() {
        return html! { p { "Nothing besides targets, trials and windows." } };
    }
    // an event is published when it is known, with the time at which it happened
    let mut happenings: Vec<&Happening> = facts.happenings.iter().collect();
    happenings.sort_by(|a, b| a.time.total_cmp(&b.time));
    let mut is_over = false;
    let shown = happenings.into_iter().take(LISTED).map(|happening| {
        vec![
            cell(number(happening.time - facts.begin, 2)),
            cell(kind(&happening.body)),
            cell(told(&happening.body, &mut is_over)),
        ]
    });
    let heads = ["time, s", "kind", "what happened"];
    let more = facts.happenings.len().saturating_sub(LISTED);
    html! {
        (table("Blocks, operator, models, states and faults", &heads, &[1, 2], shown))
        @if more > 0 { p { "The recording holds " (Counted(more as u64, "event").to_string()) " more." } }
    }
}

/// An event as a sentence, after those before it: they leave behind whether the session is over.
fn told(body: &EventBody, is_over: &mut bool) -> String {
    if let EventBody::Session(event) = body {
        *is_over = matches!(event.change, SessionChange::Ended { .. })
            || (*is_over && !matches!(event.change, SessionChange::Opened { .. }));
    }
    if *is_over && ends_run(body) {
        return "the run ended, and the cursor was stopped with it".to_owned();
    }
    sentence(body)
}

/// Whether it is the stop with which a run ends, which nobody pressed.
fn ends_run(body: &EventBody) -> bool {
    let EventBody::Operator(request) = body else { return false };
    request.action == OperatorAction::Stop && request.by == Actor::Signal
}

fn kind(body: &EventBody) -> &'static str {
    match body {
        EventBody::Operator(request) if request.program => return "program",
        EventBody::Operator(OperatorRequest { by: Actor::Daemon, .. })
        | EventBody::Arrival(ArrivalEvent { by: Actor::Daemon, .. })
        | EventBody::ChannelHealth(_) => return "input",
        EventBody::Other { kind: EventKind::Operator, data } if data["program"] == true => return "program",
        EventBody::Other { kind: EventKind::Operator, data } if data["by"] == "daemon" => return "input",
        _ => {}
    }
    match body.kind() {
        EventKind::Target => "target",
        EventKind::Trial => "trial",
        EventKind::TaskBlock => "block",
        EventKind::Operator => "operator",
        EventKind::Model => "model",
        EventKind::Window => "window",
        EventKind::State => "state",
        EventKind::Fault => "fault",
    }
}

/// The name of a block as people say it.
pub(super) fn block(name: &str) -> String {
    name.replace('_', " ")
}

/// What was done in a session, as a sentence.
fn session(SessionEvent { change, by, operator }: &SessionEvent) -> String {
    let by = operator.as_ref().map_or_else(|| by.to_string(), |operator| format!("{operator} ({by})"));
    match change {
        SessionChange::Opened { preset, participant } => {
            let with = participant.as_ref().map(|code| format!(" with {code}")).unwrap_or_default();
            format!("{by} opened the preset {preset}{with}")
        }
        SessionChange::BlockStarted { number, title } => format!("block {} began: {title}", number + 1),
        SessionChange::BlockEnded { number, .. } => format!("block {} ended", number + 1),
        SessionChange::Paused { why } => format!("the session was paused: {why}"),
        SessionChange::Continued => format!("{by} let the session go on"),
        SessionChange::Ended { why } => format!("the session ended: {why}"),
        SessionChange::Tuned { gain, gain_growth, smoothing_s, max_speed } => format!(
            "{by} set the gain to {gain}{}, smoothing to {:.0} ms and the speed limit to {max_speed}",
            if *gain_growth > 0.0 {
                format!(" and {gain_growth} more of it for each width per second")
            } else {
                String::new()
            },
            1e3 * smoothing_s
        ),
        SessionChange::AssistanceScaled { scale } => {
            format!("{by} set assistance to {:.0} % of the preset's", 100.0 * scale)
        }
        SessionChange::ClicksTuned { select, threshold, hold_s } => {
            let selects = if *select == SelectBy::Click { "a click selects" } else { "staying selects" };
            let least = threshold.map(|least| format!(", from a probability of {least} on"));
            let hold = hold_s.map(|hold| format!(", held for {:.0} ms", 1e3 * hold));
            format!("{by} set clicks: {selects}{}{}", least.unwrap_or_default(), hold.unwrap_or_default())
        }
        SessionChange::Verdict { text, .. } => format!("verdict: {text}"),
        SessionChange::Overridden { verdict } => {
            format!("{by} let the decoder control against the verdict {verdict}")
        }
        SessionChange::ModelKeptOut { hash, why } => {
            let short: String = hash.chars().take(8).collect();
            format!("the model {short} was kept out: {why}")
        }
        SessionChange::ReferenceLearnt { text, warnings } => {
            let told: Vec<&str> =
                core::iter::once(text.as_str()).chain(warnings.iter().map(String::as_str)).collect();
            format!("thresholds and references were learnt from the rest {}", told.join("; "))
        }
        SessionChange::ReferenceFailed { why } => format!("nothing was learnt from the rest: {why}"),
        SessionChange::Note { text } => format!("note by {by}: {text}"),
        SessionChange::TakenOver { from } => {
            let from = from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
            format!("{by} took the session over{from}")
        }
        SessionChange::Called => "the participant called".to_owned(),
        SessionChange::CallAnswered => format!("{by} answered the call"),
    }
}

/// An event as a sentence. One that this version does not know is shown by its fields.
fn sentence(body: &EventBody) -> String {
    match body {
        EventBody::State(change) => change.message.clone(),
        EventBody::Recording(fault) => fault.reason.clone(),
        EventBody::TaskBlock { block: name, phase } => {
            let verb = if *phase == Phase::Start { "began" } else { "ended" };
            format!("{} block {verb}", block(name.name()))
        }
        EventBody::Operator(asked) => request(asked),
        EventBody::Arrival(ArrivalEvent { action: ArrivalAction::MeasuringArrival, .. }) => {
            "measuring how samples arrive".to_owned()
        }
        EventBody::Arrival(arrival) => format!("measured how samples arrive: {}", arrival.input.text),
        EventBody::Stages(StagesEvent { action, by, stream, generation, seq, refused, .. }) => {
            let short: String = String::from(*generation).chars().take(8).collect();
            let what = match action {
                StagesAction::StagesChanging => "on their way".to_owned(),
                StagesAction::StagesInForce => "in force".to_owned(),
                StagesAction::StagesRefused => {
                    let reason = refused.as_deref().unwrap_or("they give something else than those in force");
                    format!("refused: {reason}")
                }
            };
            let from = seq.map(|seq| format!(" from tick {seq} on")).unwrap_or_default();
            format!("other settings of the stages of {stream} ({short}, by {by}) are {what}{from}")
        }
        EventBody::ChannelHealth(health) => health.message.clone(),
        EventBody::Session(event) => session(event),
        EventBody::Model(ModelEvent::Swapped { decoder, train_bins, by, .. }) => {
            let bins = train_bins.map(|bins| format!(", fitted to {}", Counted(bins, "bin")));
            let by = by.map(|by| format!(", activated by {by}"));
            format!("decoder {decoder} took over{}{}", bins.unwrap_or_default(), by.unwrap_or_default())
        }
        EventBody::Model(ModelEvent::Added { decoder, hash, source, by, file, .. }) => {
            let short: String = hash.chars().take(8).collect();
            let file = file.as_deref().unwrap_or_default();
            match source {
                ModelSource::Configured => {
                    format!("model {short} ({decoder}) is that of the configuration: {file}")
                }
                ModelSource::Resumed => format!("model {short} ({decoder}) was saved before: {file}"),
                ModelSource::Fitted => format!("model {short} ({decoder}) was fitted"),
                ModelSource::Posted => format!("model {short} ({decoder}) was sent by {by}"),
            }
        }
        EventBody::Model(ModelEvent::FitFailed { problem }) => format!("the fit failed: {problem}"),
        EventBody::Model(ModelEvent::SwapFailed { hash, problem }) => {
            let short: String = hash.chars().take(8).collect();
            format!("model {short} did not take over: {problem}")
        }
        EventBody::Other { data, .. } => data["message"].as_str().map_or_else(|| fields(data), str::to_owned),
        EventBody::Target(_) | EventBody::Trial { .. } | EventBody::Hand(_) | EventBody::Window(_) => {
            fields(&body.data())
        }
    }
}

fn request(request: &OperatorRequest) -> String {
    let asked = request.action.told();
    let refused = request.refused.as_ref().map(|why| format!("; refused: {why}")).unwrap_or_default();
    // a demonstration that nobody watches confirms by itself
    let who = if request.program { " by the program, not by a person" } else { "" };
    let confirmed = confirmed(request).map(|what| format!("; confirmed{who}: {what}")).unwrap_or_default();
    format!("{asked} by {}{refused}{confirmed}", request.by)
}

/// What was confirmed with a request, in words; none where nothing was.
fn confirmed(request: &OperatorRequest) -> Option<String> {
    let model = request.model.as_ref().map(|hash| format!(" (model {hash})")).unwrap_or_default();
    let words = request.confirmed.iter().map(|confirmation| match confirmation {
        Confirmation::SlowInput => "input that arrives late".to_owned(),
        Confirmation::PoorDecoder => format!("poor decoder{model}"),
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
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
    fn the_stop_with_which_a_run_ends_is_told_from_one_that_somebody_pressed() {
        let of = |by: &str| EventBody::read(EventKind::Operator, json!({ "action": "stop", "by": by }));
        assert!(ends_run(&of("signal")) && !ends_run(&of("operator")) && !ends_run(&of("client")));
    }

    #[test]
    fn a_signal_ends_a_run_that_is_over_and_stops_a_session_that_runs() {
        let session =
            |change| EventBody::Session(Box::new(SessionEvent { change, by: Actor::Daemon, operator: None }));
        let stop = EventBody::read(EventKind::Operator, json!({ "action": "stop", "by": "signal" }));
        let note = session(SessionChange::Note { text: "well".to_owned() });
        let ended = session(SessionChange::Ended { why: "all blocks are over".to_owned() });
        let opened = session(SessionChange::Opened { preset: "p".to_owned(), participant: None });
        let mut is_over = false;
        let said = [&stop, &ended, &note, &stop, &opened, &stop].map(|body| told(body, &mut is_over));
        assert_eq!(said[3], "the run ended, and the cursor was stopped with it");
        assert_eq!(said[0], said[5]);
        assert!(said[5].starts_with("STOP by"), "{}", said[5]);
    }

    #[test]
    fn every_kind_of_event_is_a_sentence() {
        let input = json!({
            "state": "fit", "delay_ms": 2.0, "max_wait_ms": 20.0, "text": "\"array\" sample by sample, 2 ms late",
        });
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
                json!({ "state": "stale", "previous": "control", "message": "no usable signal for 0.1 s" }),
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
            assert_eq!(sentence(&EventBody::read(kind, data)), expected);
        }
    }
}
