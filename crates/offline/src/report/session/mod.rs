//! The page of a session: what it was, how it went, and what needs attention, made of its recording.

mod attention;
mod facts;
mod happenings;
mod latency;
mod overview;
mod scores;
mod signals;
mod state_history;
mod targets;
mod task_time;
mod trials;
mod words;

use std::path::{Path, PathBuf};

use kalmind_recording::{Existing, NewFileError, write_new_file};
use kalmind_types::{EventBody, ModelEvent, ModelSource};
use maud::{Markup, html};

use super::{
    framed,
    parts::{self, cell, code, number, table},
};
use crate::{host::Host, recorded::ReadError};
use facts::{Facts, gather};
use words::length;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum SessionPageError {
    /// The recording cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The page cannot be written.
    #[error("the page cannot be written: {0}")]
    Write(#[from] NewFileError),
}

/// Writes the page of a recorded session. One pass over the recording without its raw samples; memory grows by a few
/// dozen bytes a second of session.
///
/// # Errors
/// [`SessionPageError`].
pub fn write_session_page(
    recording: &Path,
    page: &Path,
    existing: Existing,
    host: &dyn Host,
) -> Result<(), SessionPageError> {
    let facts = gather(recording, host)?;
    Ok(write_new_file(page, existing, session_page(recording, &facts).as_bytes())?)
}

/// Where a recording's page stands: beside it.
#[must_use]
pub fn page_beside(recording: &Path) -> PathBuf {
    recording.with_extension("html")
}

fn session_page(recording: &Path, facts: &Facts) -> String {
    let session = &facts.session;
    let sections = [
        ("attention", "What needs attention", attention::section(facts)),
        ("overview", "Overview", overview::section(facts)),
        ("task", "Targets", html! { (scores::section(facts)) (targets::section(facts)) }),
        ("signals", "Signals", signals::section(facts)),
        ("latency", "Latency", latency::section(facts)),
        ("models", "Models", models(facts)),
        ("events", "What happened", happenings::section(facts)),
        ("provenance", "Versions and hashes", provenance(recording, facts)),
    ];
    let of = match session.participant.as_str() {
        "" => String::new(),
        code => format!(" of {code}"),
    };
    let begun = match &facts.continued {
        // the clock was read when the run began
        Some(_) if facts.begin.is_finite() => session.clock.unix + facts.begin - session.clock.lsl,
        _ => session.clock.unix,
    };
    let date = kalmind_recording::date(begun).replace('T', " ").replace("+0000", " UTC");
    let intro = html! {
        p {
            (date) ", " (length(facts.duration())) ", instance " (session.instance) ". "
            @if facts.is_simulated() { strong { "The participant was simulated." } " " }
            "Kalmind is not a medical device."
        }
    };
    let simulated = if facts.is_simulated() { " (simulated)" } else { "" };
    let (title, heading) = (format!("session{of}{simulated}, {date}"), format!("Session{of}{simulated}"));
    framed(&title, &heading, &intro, &sections)
}

fn models(facts: &Facts) -> Markup {
    if facts.models.is_empty() {
        return html! { p { "No decoder ran in this session." } };
    }
    let rows = facts.models.iter().map(|model| {
        let fitted = facts.happenings.iter().find_map(|happening| match &happening.body {
            EventBody::Model(ModelEvent::Swapped { hash, train_bins, .. }) if *hash == model.id => {
                Some(*train_bins)
            }
            _ => None,
        });
        let bins = fitted.flatten();
        let posted = facts.happenings.iter().any(|happening| match &happening.body {
            EventBody::Model(ModelEvent::Added { hash, source: ModelSource::Posted, .. }) => {
                *hash == model.id
            }
            _ => false,
        });
        let said = model.quality.as_ref().map(|quality| format!("{}; {quality}", quality.chance));
        vec![
            cell(&model.name),
            code(&model.id),
            bins.map_or_else(|| cell(if posted { "sent" } else { "configured" }), cell),
            cell(said.as_deref().unwrap_or("unknown")),
            cell(number(model.bytes as f64 / 1e3, 1)),
        ]
    });
    let heads = ["decoder", "SHA-256", "training bins", "quality on held-out bins", "kB"];
    table("Models, each embedded in the recording", &heads, &[1, 3], rows)
}

fn provenance(recording: &Path, facts: &Facts) -> Markup {
    let session = &facts.session;
    let bytes = std::fs::metadata(recording).map_or(0, |metadata| metadata.len());
    let name = recording.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let lost: u64 = facts.losses.iter().map(|(_, count, _)| count).sum();
    parts::facts([
        ("recording", format!("{name}, {} MB", number(bytes as f64 / 1e6, 1))),
        (
            "not recorded",
            if lost == 0 { "nothing".to_owned() } else { format!("{lost} samples, ticks, events or texts") },
        ),
        ("session", session.session.clone()),
        ("Kalmind", session.version.clone()),
        ("kernels", session.kernel_path.clone()),
        ("bins", format!("{} ms", session.bin_ms)),
        (
            "configuration",
            format!("{}, SHA-256 {}", session.configuration.file, session.configuration.sha256),
        ),
        ("page made by", format!("kalmind {}", env!("CARGO_PKG_VERSION"))),
    ])
}

#[cfg(test)]
mod tests {
    use kalmind_types::{OutputState, TrialResult};

    use super::{signals::silent_features, *};
    use crate::host::Quiet;

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/session/session.xdf")
    }

    #[test]
    fn the_fixtures_facts_are_those_that_are_in_it() {
        let facts = gather(&fixture(), &Quiet(|| 0.0)).expect("a session");
        let golden = std::fs::read(fixture().with_file_name("golden.json")).expect("the golden file");
        let golden: serde_json::Value = serde_json::from_slice(&golden).expect("JSON");
        let ticks = golden["ticks"].as_u64().expect("a count");
        assert_eq!((facts.ticks, facts.streams.len(), facts.features.len()), (ticks, 1, 96));
        assert_eq!(
            facts.streams[0].lost + facts.streams[0].samples,
            ticks,
            "each sample was decoded or lost"
        );
        // the run, of which the ticks are a part
        let seconds: f64 = facts.states.iter().sum();
        assert!(seconds >= ticks as f64 * 0.02 - 0.2 && seconds < 60.0, "{seconds}");
        assert!(facts.states[usize::from(OutputState::Hold.code())] > 0.2, "it was stopped for a while");
        let [model] = facts.models.as_slice() else { panic!("one model") };
        assert_eq!((model.id.len(), model.name.as_str()), (64, "kalman-steady"));
        assert!(model.bytes > 10_000);
        assert!(facts.trials.len() > 3, "{}", facts.trials.len());
        let open_loop = &facts.trials[0];
        assert_eq!(open_loop.result, Some(TrialResult::Acquired), "the task itself moves the cursor there");
        assert!(open_loop.path.efficiency().is_some_and(|efficiency| efficiency > 0.9), "and straight");
        assert!(facts.summary.is_some() && facts.broken.is_none());
        let silent = silent_features(&facts);
        assert!(silent.len() < 10, "{silent:?}");
    }

    #[test]
    fn the_page_asks_nobody_for_anything_and_a_torn_recording_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let torn = folder.path().join("torn.xdf");
        let whole = std::fs::read(fixture()).expect("the fixture");
        std::fs::write(&torn, &whole[..whole.len() - 50_000]).expect("a file");
        for (recording, is_torn) in [(fixture(), false), (torn, true)] {
            let page = folder.path().join("page.html");
            write_session_page(&recording, &page, Existing::Replace, &Quiet(|| 0.0)).expect("a page");
            let html = std::fs::read_to_string(page).expect("the page");
            assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("<script"));
            for section in
                ["attention", "overview", "task", "signals", "latency", "models", "events", "provenance"]
            {
                assert!(html.contains(&format!("<section id=\"{section}\"")), "{section}");
            }
            assert_eq!(html.contains("The recording is damaged"), is_torn);
            // the torn one has no summary: its stream says it
            assert!(html.contains("The participant was simulated."), "torn: {is_torn}");
            assert!(is_torn || html.contains("by block, simulated participant"), "beside the figures");
            assert!(!html.contains("NaN") && html.len() < 1_000_000, "{}", html.len());
        }
    }
}
