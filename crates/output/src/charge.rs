//! Who is in charge of the session, and so may let the output go on. Pure: what the session shows is handed in.

use serde::Deserialize;
use serde_json::Value;

/// How a console calls itself: 1 to 64 letters, digits, `-` and `_`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ConsoleName(pub(crate) String);

impl TryFrom<String> for ConsoleName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if plain && (1..=64).contains(&name.len()) { Ok(Self(name)) } else { Err("not a console's name") }
    }
}

/// Why `console` may not ask for a state past the session, in words; none where it may. In a session that runs, what was
/// stopped goes on when whoever is in charge says so; a program that does not say which it is may ask for the rest.
pub(crate) fn why_not(session: &Value, console: Option<&str>, is_held: bool) -> Option<String> {
    let runs = !matches!(session["state"].as_str(), None | Some("closed" | "done"));
    let in_charge = session["console"].as_str();
    // a demonstration runs by itself, and is anybody's
    let is_anybodys = in_charge.is_none() && session["simulated"] == true;
    let concerns = (console.is_some() || is_held) && !is_anybodys;
    (runs && concerns && in_charge != console).then(|| {
        let who = session["operator"].as_str().unwrap_or("somebody without a code");
        format!(
            "{who} is in charge of the session, on another page or program: ask them, or take the session over with your code"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_stopped_in_a_session_goes_on_when_whoever_is_in_charge_says_so() {
        let session = json!({ "state": "running", "console": "page-1", "operator": "AB" });
        for is_held in [false, true] {
            assert_eq!(why_not(&session, Some("page-1"), is_held), None);
            let why = why_not(&session, Some("page-2"), is_held).expect("another page");
            assert!(why.contains("AB is in charge") && why.contains("take the session over"), "{why}");
            assert_eq!(why_not(&session, None, is_held).is_some(), is_held, "a script");
        }
        // whoever took it over is in charge; one that was opened by a script that says nothing of itself is any script's
        let taken = json!({ "state": "paused", "console": "page-2", "operator": "CD" });
        assert_eq!(why_not(&taken, Some("page-2"), true), None);
        assert!(why_not(&taken, Some("page-1"), true).is_some());
        let script = json!({ "state": "running", "console": null, "operator": "AB" });
        assert_eq!(why_not(&script, None, true), None);
        assert!(why_not(&script, Some("page-1"), true).is_some());
        let demo = json!({ "state": "running", "console": null, "operator": "demo", "simulated": true });
        assert_eq!(why_not(&demo, Some("page-1"), true), None);
    }

    #[test]
    fn without_a_session_nobody_is_in_charge() {
        for session in
            [json!(null), json!({ "state": "closed" }), json!({ "state": "done", "console": "page-1" })]
        {
            assert_eq!(why_not(&session, Some("page-2"), true), None);
            assert_eq!(why_not(&session, None, true), None);
        }
    }
}
