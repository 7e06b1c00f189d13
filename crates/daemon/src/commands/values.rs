//! Values on the command line, and what is said of those that are absurd.

use encoding_rs::Encoding;
use kalmind_session::{Profile, TASKS, TaskKind, task_named};
use kalmind_types::SelectBy;

/// The name of an encoding, as the web knows it.
pub(super) fn encoding(name: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(name.as_bytes()).ok_or_else(|| {
        "no such encoding; latin1, windows-1250, shift_jis, gbk, koi8-r and utf-16le are some".to_owned()
    })
}

/// A profile of the simulated participant.
pub(super) fn profile(name: &str) -> Result<Profile, String> {
    let named = Profile::ALL.into_iter().find(|profile| profile.name() == name);
    named.ok_or_else(|| format!("{} is expected", Profile::ALL.map(Profile::name).join(" or ")))
}

/// What selects a target.
pub(super) fn select_by(name: &str) -> Result<SelectBy, String> {
    match name {
        "click" => Ok(SelectBy::Click),
        "dwell" => Ok(SelectBy::Dwell),
        _ => Err("click or dwell is expected".to_owned()),
    }
}

/// A task of Kalmind's own.
pub(super) fn task(name: &str) -> Result<&'static TaskKind, String> {
    let named = || TASKS.iter().map(|task| format!("{} ({})", task.name, task.about));
    task_named(name).ok_or_else(|| format!("{} is expected", named().collect::<Vec<_>>().join(" or ")))
}

/// Thirty days: the longest that anything may be asked to last, in seconds.
const LONGEST_S: f64 = 30.0 * 86_400.0;

/// A number from the command line that lies from `least` to `most`.
fn within(text: &str, least: f64, most: f64, what: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{what} from {least} to {most} is expected")),
    }
}

/// Seconds, zero or more, no more than thirty days.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.0, LONGEST_S, "a number of seconds")
}

/// Seconds of a computation, more than none.
pub(super) fn budget(text: &str) -> Result<f64, String> {
    within(text, 0.000_001, LONGEST_S, "a number of seconds")
}

/// Rows a second: a row in fifty seconds to a million a second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    within(text, 0.02, 1e6, "a number of rows per second")
}

/// Standard deviations, more than none.
pub(super) fn deviations(text: &str) -> Result<f64, String> {
    within(text, 1e-6, 1e6, "a number of standard deviations")
}

/// A delay of the simulated participant, in milliseconds.
pub(super) fn delay_ms(text: &str) -> Result<f64, String> {
    within(text, 0.0, 9_500.0, "a number of milliseconds")
}

/// Strength of tuning or of noise.
pub(super) fn strength(text: &str) -> Result<f64, String> {
    within(text, 0.0, 10.0, "a number")
}

/// A size of noise, in microvolts.
pub(super) fn microvolts(text: &str) -> Result<f64, String> {
    within(text, 0.0, 10_000.0, "a number of microvolts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_the_command_line_may_be_absurd() {
        for parse in [seconds, budget, rate, deviations, delay_ms, strength, microvolts] {
            for absurd in ["1e300", "-1", "nan", "inf", "-inf", "", "1e9", "three", "0x10"] {
                assert!(parse(absurd).is_err(), "{absurd}");
            }
            assert!(parse("5").is_ok());
        }
        assert_eq!(seconds("0"), Ok(0.0));
        assert!(budget("0").is_err() && rate("0").is_err() && deviations("0").is_err());
        assert_eq!(seconds("-1").unwrap_err(), "a number of seconds from 0 to 2592000 is expected");
    }
}
