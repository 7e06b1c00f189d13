//! Simulated sessions as one JSON document, and as a table for people.

use std::fmt::Write as _;

use kalmind_session::{BlockFigures, ClickFigures, Estimate, Profile};
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
    let score = |session: &SessionFigures| session.blocks.get(block)?.score.clone();
    let first = sessions.first().and_then(|session| session.blocks.get(block));
    let most = sessions.iter().filter_map(|session| Some(score(session)?.assistance)).fold(0.0, f64::max);
    let of = |figure: fn(&BlockFigures) -> Option<Estimate>| {
        median(sessions, |session| Some(figure(&score(session)?.figures?)?.value))
    };
    let clicks = |figure: fn(&ClickFigures) -> Option<f64>| {
        median(sessions, |session| figure(&score(session)?.clicks?))
    };
    let clicked = first.and_then(|block| block.score.as_ref()?.clicks).map(|_| {
        json!({
            "false_per_minute_moving": clicks(|clicks| Some(clicks.false_per_minute_moving?.value)),
            "false_per_minute_resting": clicks(|clicks| Some(clicks.false_per_minute_resting?.value)),
            "pressed": clicks(ClickFigures::part_pressed),
            "repeated": clicks(|clicks| Some(clicks.repeated as f64)),
            "latency_s": clicks(|clicks| Some(clicks.latency_s?.value)),
        })
    });
    json!({
        "title": first.map(|block| block.title.as_str()),
        "block": first.map(|block| block.block),
        "task": first.and_then(|block| block.task.as_deref()),
        "success": median(sessions, |session| score(session)?.success()),
        "acquired": median(sessions, |session| Some(score(session)?.acquired as f64)),
        "presented": median(sessions, |session| Some(score(session)?.presented as f64)),
        "time_to_target_s": median(sessions, |session| score(session)?.time_to_target_s),
        "bit_rate": median(sessions, |session| score(session)?.bit_rate),
        "assistance": most,
        // of the trials without help
        "unassisted": {
            "success": of(|figures| figures.success),
            "time_to_target_s": of(|figures| figures.time_to_target_s),
            "bit_rate": of(|figures| figures.bit_rate),
            "path_efficiency": of(|figures| figures.path_efficiency),
            "angular_error_deg": of(|figures| figures.angular_error_deg),
            "orthogonal_direction_changes": of(|figures| figures.orthogonal_direction_changes),
            "dial_in_s": of(|figures| figures.dial_in_s),
            "throughput": of(|figures| figures.throughput),
            "fitts_seconds_a_bit": of(|figures| Some(figures.fitts_law?.slope)),
        },
        "clicks": clicked,
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
            let score = |session: &SessionFigures| session.blocks.get(block)?.score.clone();
            let success = median(&sessions, |session| Some(100.0 * score(session)?.success()?));
            if success.reached == 0 {
                continue;
            }
            let title = sessions.first().and_then(|session| session.blocks.get(block));
            let title = title.map_or("", |block| block.title.as_str());
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
            let clicks = |figure: fn(&ClickFigures) -> Option<f64>| {
                median(&sessions, |session| figure(&score(session)?.clicks?))
            };
            let moving = clicks(|clicks| Some(clicks.false_per_minute_moving?.value));
            if moving.reached > 0 {
                line(&format!("{title}: false clicks a minute, moving"), moving, "");
            }
            let resting = clicks(|clicks| Some(clicks.false_per_minute_resting?.value));
            if resting.reached > 0 {
                line(&format!("{title}: false clicks a minute, at rest"), resting, "");
            }
            let latency = clicks(|clicks| Some(clicks.latency_s?.value));
            if latency.reached > 0 {
                line(&format!("{title}: click latency"), latency, "s");
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
