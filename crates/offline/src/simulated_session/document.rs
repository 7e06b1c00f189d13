//! Simulated sessions as one JSON document, and as a table for people.

use std::fmt::Write as _;

use kalmind_session::Profile;
use serde_json::{Value, json};

use super::{
    figures::SessionFigures,
    intervals::{MedianInterval, ShareInterval},
};

/// The verdict that lets a decoder control.
const GOOD_ENOUGH: &str = "good_enough";
/// Within which time, in seconds, that is counted.
const GOOD_ENOUGH_WITHIN_S: f64 = 120.0;

/// All figures: of each session, and over the seeds of each profile; beside them `settings`, what the sessions were made of.
#[must_use]
pub fn document(settings: &Value, sessions: &[SessionFigures]) -> Value {
    let profiles =
        profiles(sessions).map(|(profile, sessions)| (profile.name().to_owned(), over_seeds(&sessions)));
    json!({
        "simulated": true,
        "settings": settings,
        "profiles": profiles.collect::<serde_json::Map<_, _>>(),
        "sessions": sessions,
    })
}

/// The sessions of each profile that there are some of.
fn profiles(sessions: &[SessionFigures]) -> impl Iterator<Item = (Profile, Vec<&SessionFigures>)> {
    Profile::ALL.into_iter().filter_map(|profile| {
        let own: Vec<_> = sessions.iter().filter(|session| session.profile == profile).collect();
        (!own.is_empty()).then_some((profile, own))
    })
}

fn median(sessions: &[&SessionFigures], value: impl Fn(&SessionFigures) -> Option<f64>) -> MedianInterval {
    MedianInterval::of(sessions.iter().map(|session| value(session)))
}

fn over_seeds(sessions: &[&SessionFigures]) -> Value {
    let blocks = sessions.first().map_or(0, |session| session.blocks.len());
    let good_enough = |session: &SessionFigures| session.reached_s(GOOD_ENOUGH);
    json!({
        "seeds": sessions.len(),
        "first_target_s": median(sessions, |session| session.first_target_s),
        "first_target_assistance": median(sessions, |session| session.first_target_assistance),
        "good_enough": ShareInterval::of(sessions.iter().map(|session| good_enough(session).is_some())),
        "good_enough_within_120_s": ShareInterval::of(sessions.iter().map(|session| {
            good_enough(session).is_some_and(|seconds| seconds <= GOOD_ENOUGH_WITHIN_S)
        })),
        "good_enough_s": median(sessions, good_enough),
        "ended_early": ShareInterval::of(sessions.iter().map(|session| session.ended_early.is_some())),
        "fits": median(sessions, |session| Some(session.fits as f64)),
        "blocks": (0..blocks).map(|block| block_over_seeds(sessions, block)).collect::<Vec<_>>(),
        "times_real_time": median(sessions, |session| Some(session.times_real_time)),
    })
}

fn block_over_seeds(sessions: &[&SessionFigures], block: usize) -> Value {
    let of = |session: &SessionFigures| session.blocks.get(block).cloned();
    let score = |session: &SessionFigures| of(session)?.status.score;
    let first = sessions.first().and_then(|session| of(session)).map(|block| block.status);
    let most = sessions.iter().filter_map(|session| Some(score(session)?.assistance)).fold(0.0, f64::max);
    json!({
        "title": first.as_ref().map(|block| block.title.as_str()),
        "block": first.as_ref().map(|block| block.block),
        "task": first.as_ref().and_then(|block| block.task.as_deref()),
        "success": median(sessions, |session| of(session)?.success),
        "acquired": median(sessions, |session| Some(score(session)?.acquired as f64)),
        "presented": median(sessions, |session| Some(score(session)?.presented as f64)),
        "time_to_target_s": median(sessions, |session| score(session)?.time_to_target_s),
        "bit_rate": median(sessions, |session| score(session)?.bit_rate),
        "assistance": most,
    })
}

/// A table for people: a line a session, then medians.
#[must_use]
pub fn table(sessions: &[SessionFigures]) -> String {
    let mut text = "simulated participants\n".to_owned();
    for (profile, sessions) in profiles(sessions) {
        let _infallible = writeln!(
            text,
            "\nprofile {}, medians over {} seeds with 95 % intervals\n{:<34} {:>20}",
            profile.name(),
            sessions.len(),
            "",
            ""
        );
        let mut line = |what: &str, figure: MedianInterval, unit: &str| {
            let _infallible = writeln!(text, "  {what:<44} {}", shown(figure, unit));
        };
        line("first target", median(&sessions, |session| session.first_target_s), "s");
        line("good enough for control", median(&sessions, |session| session.reached_s(GOOD_ENOUGH)), "s");
        for block in 0..sessions.first().map_or(0, |session| session.blocks.len()) {
            let of = |session: &SessionFigures| session.blocks.get(block).cloned();
            let score = |session: &SessionFigures| of(session)?.status.score;
            let success = median(&sessions, |session| Some(100.0 * of(session)?.success?));
            if success.reached == 0 {
                continue;
            }
            let title = sessions.first().and_then(|session| of(session)).map(|block| block.status.title);
            let title = title.unwrap_or_default();
            line(&format!("{title}: acquired"), success, "%");
            line(
                &format!("{title}: time to target"),
                median(&sessions, |session| score(session)?.time_to_target_s),
                "s",
            );
            let rate = median(&sessions, |session| score(session)?.bit_rate);
            if rate.reached > 0 {
                line(&format!("{title}: bit rate"), rate, "bit/s");
            }
        }
        line("speed", median(&sessions, |session| Some(session.times_real_time)), "times real time");
        for session in sessions {
            if let Some(why) = &session.ended_early {
                let _infallible = writeln!(text, "  seed {} was over early: {why}", session.seed);
            }
        }
    }
    text
}

fn shown(figure: MedianInterval, unit: &str) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    let MedianInterval { median, low, high, seeds, reached } = figure;
    let rest = if reached < seeds { format!(", in {reached} of {seeds}") } else { String::new() };
    format!("{} {unit} ({} to {}){rest}", number(median), number(low), number(high))
}
