//! What needs attention in a session, as plain sentences.

use std::collections::BTreeMap;

use kalmind_types::{Confirmation, Counted, EventBody, EventKind, OutputState};
use maud::{Markup, html};

use super::{
    super::parts::number,
    facts::{self, Facts},
    signals::{noun, silent_features},
    words::{length, percent, times},
};
use crate::recorded::LossKind;

/// Plain sentences, the gravest first.
pub(super) fn section(facts: &Facts) -> Markup {
    let mut said = Vec::new();
    if let Some(broken) = &facts.broken {
        said.push(format!("The recording is damaged; this page covers it up to the damage: {broken}."));
    }
    if let Some((file, because)) = &facts.continued {
        said.push(format!(
            "This file continues {file} ({because}), which has the earlier part; times here count from the start of \
             this file."
        ));
    }
    let is_fault = |happening: &&facts::Happening| {
        match &happening.body {
            EventBody::State(change) => {
                change.state == OutputState::Fault && change.previous != OutputState::Fault
            }
            // of an older recording
            EventBody::Other { kind: EventKind::Fault, data } => {
                data["state"] == "fault" && data["previous"] != "fault"
            }
            _ => false,
        }
    };
    let faults = facts.happenings.iter().filter(is_fault).count();
    if faults > 0 {
        said.push(format!(
            "An internal error in Kalmind stopped the cursor {}, until the operator resumed. \"What happened\" below says which.",
            times(faults)
        ));
    }
    let confirms_poor = |happening: &&facts::Happening| matches!(&happening.body, EventBody::Operator(request) if request.confirmed.contains(&Confirmation::PoorDecoder));
    let poor = facts.happenings.iter().filter(confirms_poor).count();
    if poor > 0 {
        said.push(format!(
            "Cursor control was allowed {} with a poor decoder (no better than chance, or not tested): \"What happened\" \
             says by whom, \"Models\" how good it was.",
            times(poor)
        ));
    }
    let stale: f64 = facts.stale.iter().sum();
    if stale > 0.0 {
        said.push(format!(
            "The output was stale {} (no usable signal, or waiting for a resume): {} in all, {} at the longest.",
            times(facts.stale.len()),
            length(stale),
            length(facts.stale.iter().copied().fold(0.0, f64::max))
        ));
    }
    said.extend(channels_out(facts));
    if facts.missing_ticks > 0 {
        let is = if facts.missing_ticks == 1 { "is" } else { "are" };
        said.push(format!("{} {is} missing from the recording.", Counted(facts.missing_ticks, "tick")));
    }
    for what in [LossKind::Samples, LossKind::Events, LossKind::Texts] {
        let count: u64 =
            facts.losses.iter().filter(|(kind, ..)| *kind == what).map(|(_, count, _)| count).sum();
        if count > 0 {
            said.push(format!("Not recorded: {}.", Counted(count, what.noun())));
        }
    }
    if percent(facts.incomplete, facts.ticks) > 1.0 {
        said.push(format!(
            "{} % of the bins were incomplete; the decoder predicted without samples there.",
            number(percent(facts.incomplete, facts.ticks), 1)
        ));
    }
    for stream in &facts.streams {
        if stream.lost + stream.late > 0 {
            said.push(format!(
                "Stream {}: {} lost or dropped before decoding, {} too late for the bin.",
                stream.key,
                Counted(stream.lost, "sample"),
                Counted(stream.late, "sample")
            ));
        }
    }
    let silent = silent_features(facts);
    if !silent.is_empty() {
        let shown: Vec<&str> = silent.iter().map(String::as_str).take(12).collect();
        let more = if silent.len() > shown.len() { " and more" } else { "" };
        let count = Counted(silent.len() as u64, noun(facts));
        said.push(format!("{count} never changed: {}{more}.", shown.join(", ")));
    }
    if percent(facts.late_ticks, facts.ticks) > 1.0 {
        said.push(format!(
            "{} % of the ticks began more than a bin late: the machine was busy.",
            number(percent(facts.late_ticks, facts.ticks), 1)
        ));
    }
    if facts.summary.is_none() && facts.broken.is_none() {
        said.push("The session ended abruptly: the recording has no summary.".to_owned());
    }
    html! {
        @if said.is_empty() { p { "Nothing." } }
        @else { ul { @for sentence in &said { li { (sentence) } } } }
    }
}

/// Channels that are named of a stream and a fault.
const NAMED: usize = 8;

/// A sentence for each stream and fault: which channels were left out for it, and how often that began.
fn channels_out(facts: &Facts) -> Vec<String> {
    let mut found: BTreeMap<(&str, &str), (Vec<&str>, usize)> = BTreeMap::new();
    for happening in &facts.happenings {
        let EventBody::ChannelHealth(health) = &happening.body else { continue };
        let Some(fault) = health.fault else { continue };
        let (channels, begun) = found.entry((&health.stream, fault.sentence())).or_default();
        *begun += 1;
        for channel in &health.channels {
            if !channels.contains(&channel.as_str()) {
                channels.push(channel);
            }
        }
    }
    let sentence = |((stream, fault), (channels, begun)): ((&str, &str), (Vec<&str>, usize))| {
        let named = channels.iter().take(NAMED).copied().collect::<Vec<&str>>().join(", ");
        let more = channels.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (noun, were) = if channels.len() == 1 { ("channel", "was") } else { ("channels", "were") };
        format!("Stream {stream}: {noun} {named}{more} {were} left out {}: {fault}.", times(begun))
    };
    found.into_iter().map(sentence).collect()
}
