//! The page of a session: what it was, how it went, and what needs attention, made of its recording.

mod facts;
mod happenings;
mod state_history;
mod task_time;
mod trials;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use hdrhistogram::Histogram;
use kalmind_recording::{Existing, NewFileError, write_new_file};
use kalmind_session::quantile;
use kalmind_types::{Confirmation, Counted, EventBody, EventKind, ModelEvent, OutputState, TrialResult};

use super::{
    framed,
    markup::{Escaped, number, table},
    plot::{Plot, figure, range_of},
};
use crate::{
    host::Host,
    recorded::{LossKind, ReadError},
};
use facts::{Facts, gather};
use trials::Trial;

/// Points of a line that are drawn at most.
const DRAWN: usize = 600;
/// Stages of the latency ledger, as the live page calls them.
const STAGES: [(&str, &str); 5] = [
    ("receive", "sample to arrival"),
    ("close", "arrival to tick"),
    ("decode", "decoding"),
    ("publish", "publishing"),
    ("total", "total"),
];
/// Paths drawn of a block.
const PATHS: usize = 60;

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
        ("attention", "What needs attention", attention(facts)),
        ("overview", "Overview", overview(facts)),
        ("task", "Targets", targets(facts)),
        ("signals", "Signals", signals(facts)),
        ("latency", "Latency", latency(facts)),
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
    let intro = format!(
        "<p>{}, {}, instance {}. Kalmind is not a medical device.</p>\n",
        Escaped(&date),
        length(facts.duration()),
        Escaped(&session.instance)
    );
    framed(&format!("session{of}, {date}"), &format!("Session{of}"), &intro, &sections)
}

/// A time as people say it.
fn length(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// How often, as people say it.
fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// Plain sentences, the gravest first.
fn attention(facts: &Facts) -> String {
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
        let count = Counted(silent.len() as u64, "channel");
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
    if said.is_empty() {
        return "<p>Nothing.</p>".to_owned();
    }
    let mut html = String::from("<ul>");
    for sentence in &said {
        let _infallible = write!(html, "<li>{}</li>", Escaped(sentence));
    }
    html + "</ul>"
}

/// Features that had one value all along, or none.
fn silent_features(facts: &Facts) -> Vec<String> {
    let names = feature_names(facts);
    let moves = |(sum, squares, count): (f64, f64, u64)| {
        let count = count as f64;
        count > 1.0 && squares - sum * sum / count > 1e-12 * squares.abs()
    };
    let silent = facts.features.iter().zip(names).filter(|(sums, _)| !moves(**sums));
    silent.map(|(_, name)| name).collect()
}

fn feature_names(facts: &Facts) -> Vec<String> {
    let session = &facts.session;
    let streams = session.engine.features.iter().zip(&session.streams);
    let names = streams.flat_map(|(stream, input)| {
        (0..stream.channels).map(|channel| {
            let label = stream.labels.as_ref().and_then(|labels| labels.get(channel));
            label.cloned().unwrap_or_else(|| format!("{} {channel}", input.key))
        })
    });
    names.collect()
}

/// Seconds gathered into at most so many points: time in minutes, and the value that `of` makes of each stretch.
fn stretches(facts: &Facts, of: impl Fn(&[facts::Second]) -> f64) -> Vec<(f64, f64)> {
    let width = facts.seconds.len().div_ceil(DRAWN).max(1);
    let chunks = facts.seconds.chunks(width).enumerate();
    chunks.map(|(index, seconds)| ((index * width) as f64 / 60.0, of(seconds))).collect()
}

fn chart(title: &str, y_name: &str, points: &[(f64, f64)]) -> String {
    let x = (0.0, points.last().map_or(1.0, |point| point.0).max(0.1));
    let (_, high) = range_of(points.iter().map(|point| point.1));
    let plot = Plot::new(title, (520.0, 170.0), x, (0.0, high.max(1.0))).axes("minutes", y_name);
    figure(&plot.solid(0, points.iter().copied()).svg(), title)
}

fn overview(facts: &Facts) -> String {
    let sum = |of: fn(&facts::Second) -> f64| move |seconds: &[facts::Second]| seconds.iter().map(of).sum();
    let share = |seconds: &[facts::Second]| {
        let ticks: u32 = seconds.iter().map(|second| second.ticks).sum();
        let incomplete: u32 = seconds.iter().map(|second| second.incomplete).sum();
        percent(incomplete.into(), ticks.into())
    };
    let rows = OutputState::ALL.into_iter().map(|state| {
        let seconds = facts.states[usize::from(state.code())];
        ("", vec![state.name().to_owned(), length(seconds)])
    });
    let mut html = format!(
        "<p>{} in {}, {} of them incomplete.",
        Counted(facts.ticks, "tick"),
        length(facts.duration()),
        facts.incomplete
    );
    if facts.epochs > 1 {
        let jumped = times(facts.epochs as usize - 1);
        let _infallible = write!(html, " The streams' clock jumped {jumped} by more than a second.");
    }
    html += "</p>";
    html += &table("Time in each state, from the start to the end of the run", &["state", "time"], &[], rows);
    html += "<div class=\"figures\">";
    html += &chart("Incomplete bins", "%", &stretches(facts, share));
    html += &chart(
        "Samples lost or late",
        "samples",
        &stretches(facts, sum(|second| second.lost_samples as f64)),
    );
    html += &chart(
        "Features masked",
        "per tick",
        &stretches(facts, |seconds| {
            let ticks: u32 = seconds.iter().map(|second| second.ticks).sum();
            seconds.iter().map(|second| second.masked).sum::<u64>() as f64 / f64::from(ticks.max(1))
        }),
    );
    html += &chart(
        "Channels corrected by the guard",
        "per tick",
        &stretches(facts, |seconds| {
            let ticks: u32 = seconds.iter().map(|second| second.ticks).sum();
            seconds.iter().map(|second| second.guarded).sum::<u64>() as f64 / f64::from(ticks.max(1))
        }),
    );
    html + "</div>"
}

/// The blocks that had trials, in the order of their first.
fn blocks(facts: &Facts) -> Vec<&'static str> {
    let mut blocks = Vec::new();
    for trial in &facts.trials {
        let name = block_name(trial);
        if !blocks.contains(&name) {
            blocks.push(name);
        }
    }
    blocks
}

fn block_name(trial: &Trial) -> &'static str {
    trial.block.map_or("no block", kalmind_types::TaskBlock::name)
}

fn targets(facts: &Facts) -> String {
    let blocks = blocks(facts);
    if blocks.is_empty() {
        return "<p>No trial was recorded.</p>".to_owned();
    }
    let rows = blocks.iter().map(|block| {
        let trials: Vec<&Trial> = facts.trials.iter().filter(|trial| block_name(trial) == *block).collect();
        let ended = trials.iter().filter(|trial| trial.result.is_some()).count();
        let acquired: Vec<&&Trial> =
            trials.iter().filter(|trial| trial.result == Some(TrialResult::Acquired)).collect();
        let times: Vec<f64> = acquired.iter().map(|trial| trial.seconds).collect();
        let efficiency: Vec<f64> = acquired.iter().filter_map(|trial| trial.efficiency()).collect();
        let quantile = |values: &[f64], part| quantile(values, part).unwrap_or(f64::NAN);
        let aim = facts.aims.get(block).and_then(facts::Aim::mean);
        let cells = vec![
            happenings::block(block),
            ended.to_string(),
            acquired.len().to_string(),
            if ended == 0 {
                "–".to_owned()
            } else {
                number(percent(acquired.len() as u64, ended as u64), 0)
            },
            number(quantile(&times, 0.5), 2),
            match times.len() {
                0 => "–".to_owned(),
                _ => format!("{}–{}", number(quantile(&times, 0.25), 2), number(quantile(&times, 0.75), 2)),
            },
            number(quantile(&efficiency, 0.5), 2),
            number(aim.map_or(f64::NAN, f64::to_degrees), 1),
        ];
        ("", cells)
    });
    let heads = [
        "block",
        "trials",
        "acquired",
        "%",
        "median time, s",
        "quartiles, s",
        "path efficiency",
        "aim error, °",
    ];
    let mut html = table("Completed trials, by block", &heads, &[], rows);
    html += "<p class=\"note\">Time: from the appearance of the target to the end of the hold, without the time in which the cursor could not move; acquired targets only. Path \
             efficiency: straight distance over distance travelled, median. Aim error: mean angle between the decoded intent and \
             the direction to the target, while the cursor was outside the target and could move. Solid lines and circles: \
             acquired; dashed lines and squares: not acquired.</p>";
    html += "<div class=\"figures\">";
    for block in &blocks {
        html += &paths(facts, block);
    }
    html + "</div>"
}

/// The paths of the cursor in a block.
fn paths(facts: &Facts, block: &str) -> String {
    let height = facts.session.workspace[1];
    let title = format!("Cursor paths, {}", happenings::block(block));
    let mut plot = Plot::new(&title, (420.0, 420.0 * height.clamp(0.4, 1.6)), (0.0, 1.0), (0.0, height))
        .axes("x, workspace widths", "y");
    let trials: Vec<&Trial> = facts.trials.iter().filter(|trial| block_name(trial) == block).collect();
    let shown = &trials[trials.len().saturating_sub(PATHS)..];
    for trial in shown {
        let series = usize::from(trial.result != Some(TrialResult::Acquired));
        plot = plot.line(series, trial.path.iter().map(|[x, y]| (*x, *y)));
    }
    for trial in shown {
        if let Some(target) = trial.target {
            let [x, y] = target.position.0;
            let series = usize::from(trial.result != Some(TrialResult::Acquired));
            let says = match trial.result {
                Some(TrialResult::Acquired) => format!("acquired in {:.2} s", trial.seconds),
                Some(TrialResult::Timeout) => "not acquired in time".to_owned(),
                None => "aborted".to_owned(),
            };
            plot = plot.dot(series, x, y, &says);
        }
    }
    let note = if shown.len() < trials.len() {
        format!(" (the last {PATHS} of {})", trials.len())
    } else {
        String::new()
    };
    figure(&plot.svg(), &format!("{title}{note}"))
}

fn signals(facts: &Facts) -> String {
    let rows = facts.streams.iter().map(|stream| {
        let whole: u64 = stream.health.values().sum();
        let health: Vec<String> = stream
            .health
            .iter()
            .map(|(name, ticks)| format!("{name} {} %", number(percent(*ticks, whole), 1)))
            .collect();
        let cells = vec![
            Escaped(&stream.key).to_string(),
            stream.samples.to_string(),
            stream.lost.to_string(),
            stream.late.to_string(),
            health.join(", "),
        ];
        ("", cells)
    });
    let mut html = table(
        "Input streams",
        &["stream", "samples decoded", "lost or dropped", "late", "health, share of ticks"],
        &[4],
        rows,
    );
    let means: Vec<f64> = facts.features.iter().map(|(sum, _, count)| sum / (*count).max(1) as f64).collect();
    let deviations: Vec<f64> = facts
        .features
        .iter()
        .map(|(sum, squares, count)| {
            let count = (*count).max(1) as f64;
            (squares / count - (sum / count).powi(2)).max(0.0).sqrt()
        })
        .collect();
    let x = (0.0, means.len().max(2) as f64 - 1.0);
    let of = |values: &[f64], title: &str, name: &str| {
        let plot = Plot::new(title, (520.0, 170.0), x, range_of(values.iter().copied().chain([0.0])))
            .axes("channel", name);
        figure(&plot.solid(0, values.iter().enumerate().map(|(at, value)| (at as f64, *value))).svg(), title)
    };
    html += "<div class=\"figures\">";
    html += &of(&means, "Mean of each channel's feature", "mean");
    html += &of(&deviations, "Standard deviation of each channel's feature", "deviation");
    html += "</div>";
    let silent = silent_features(facts);
    let _infallible = write!(
        html,
        "<p>{}, of which {} never changed; {} left out as not finite.</p>",
        Counted(facts.features.len() as u64, "channel"),
        silent.len(),
        Counted(facts.nonfinite, "value")
    );
    html
}

fn latency(facts: &Facts) -> String {
    let stages: [(&str, &Histogram<u64>); 3] = [
        ("from the sample that closed the bin to the tick", &facts.wait_us),
        ("decoding", &facts.decode_us),
        ("both", &facts.total_us),
    ];
    let rows = stages.iter().map(|(name, histogram)| {
        let at = |part: f64| number(histogram.value_at_quantile(part) as f64 / 1e3, 3);
        let max = number(histogram.max() as f64 / 1e3, 3);
        ("", vec![(*name).to_owned(), at(0.5), at(0.9), at(0.99), at(0.999), max])
    });
    let mut html =
        table("Latency in milliseconds", &["stage", "p50", "p90", "p99", "p99.9", "max"], &[], rows);
    let _infallible = write!(
        html,
        "<p>{} ({} %) began more than a bin width late.</p>",
        Counted(facts.late_ticks, "tick"),
        number(percent(facts.late_ticks, facts.ticks), 2)
    );
    if let Some(stages) = facts.summary.as_ref().and_then(|summary| summary["latency_us"].as_object()) {
        let rows = STAGES.iter().filter_map(|(key, name)| {
            let stage = stages.get(*key)?;
            let of = |key: &str| number(stage[key].as_f64().unwrap_or(f64::NAN) / 1e3, 3);
            Some(("", vec![(*name).to_owned(), of("p50"), of("p99"), of("max")]))
        });
        html += &table(
            "Latency as the daemon measured it, publishing included, in milliseconds",
            &["stage", "p50", "p99", "max"],
            &[],
            rows,
        );
    }
    html += "<div class=\"figures\">";
    let longest =
        |seconds: &[facts::Second]| seconds.iter().map(|second| second.longest_ms).fold(0.0, f64::max);
    html +=
        &chart("Longest time from a sample's arrival to its decoded tick", "ms", &stretches(facts, longest));
    html += &distribution(&facts.total_us);
    html + "</div>"
}

/// How many ticks took at most so long.
fn distribution(histogram: &Histogram<u64>) -> String {
    let points: Vec<(f64, f64)> = histogram
        .iter_quantiles(2)
        .map(|step| (step.value_iterated_to() as f64 / 1e3, 100.0 * step.quantile()))
        .collect();
    let high = histogram.value_at_quantile(0.999) as f64 / 1e3;
    let title = "Share of ticks decoded within a given time";
    let plot = Plot::new(title, (520.0, 170.0), (0.0, high.max(0.1)), (0.0, 100.0)).axes("ms", "%");
    let within = points.into_iter().filter(|(at, _)| *at <= high.max(0.1));
    figure(&plot.solid(0, within).svg(), title)
}

fn models(facts: &Facts) -> String {
    if facts.models.is_empty() {
        return "<p>No decoder ran in this session.</p>".to_owned();
    }
    let rows = facts.models.iter().map(|model| {
        let fitted = facts.happenings.iter().find_map(|happening| match &happening.body {
            EventBody::Model(ModelEvent::Swapped { hash, train_bins, .. }) if *hash == model.id => {
                Some(*train_bins)
            }
            _ => None,
        });
        let bins = fitted.flatten();
        let said = model.quality.as_ref().map(|quality| format!("{}; {quality}", quality.chance));
        let cells = vec![
            Escaped(&model.name).to_string(),
            format!("<code>{}</code>", Escaped(&model.id)),
            bins.map_or_else(|| "configured".to_owned(), |bins| bins.to_string()),
            Escaped(said.as_deref().unwrap_or("unknown")).to_string(),
            number(model.bytes as f64 / 1e3, 1),
        ];
        ("", cells)
    });
    let heads = ["decoder", "SHA-256", "training bins", "quality on held-out bins", "kB"];
    table("Models, each embedded in the recording", &heads, &[1, 3], rows)
}

fn provenance(recording: &Path, facts: &Facts) -> String {
    let session = &facts.session;
    let bytes = std::fs::metadata(recording).map_or(0, |metadata| metadata.len());
    let name = recording.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let lost: u64 = facts.losses.iter().map(|(_, count, _)| count).sum();
    let mut html = String::from("<dl>");
    for (what, value) in [
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
    ] {
        let _infallible = write!(html, "<dt>{what}</dt><dd>{}</dd>", Escaped(&value));
    }
    html + "</dl>"
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert!(open_loop.efficiency().is_some_and(|efficiency| efficiency > 0.9), "and straight");
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
            assert!(!html.contains("NaN") && html.len() < 1_000_000, "{}", html.len());
        }
    }
}
