//! The page of a session: what it was, how it went, and what needs attention, made of its recording.

mod facts;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use hdrhistogram::Histogram;
use kalmind_recording::{Existing, NewFileError, write_new_file};
use kalmind_session::TrialResult;
use kalmind_types::{EventKind, OutputState};

use super::{
    framed,
    markup::{Escaped, number, table},
    plot::{Plot, figure, range_of},
};
use crate::recorded::{LossKind, ReadError};
use facts::{Facts, Trial, gather};

/// Points of a course that are drawn at most.
const DRAWN: usize = 600;
/// Rows of a table of things that happened.
const LISTED: usize = 200;
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
pub fn write_session_page(recording: &Path, page: &Path, existing: Existing) -> Result<(), SessionPageError> {
    let facts = gather(recording)?;
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
        ("course", "How it went", course(facts)),
        ("task", "Targets", targets(facts)),
        ("signals", "Signals", signals(facts)),
        ("latency", "Latency", latency(facts)),
        ("models", "Models", models(facts)),
        ("events", "What happened", happenings(facts)),
        ("provenance", "Versions and hashes", provenance(recording, facts)),
    ];
    let who = if session.participant.is_empty() { "no participant stated" } else { &session.participant };
    let date = crate::recorder::date(session.clock.unix).replace('T', " ").replace("+0000", " UTC");
    let intro = format!(
        "<p>{}, {} with {}. Kalmind is not a medical device.</p>\n",
        Escaped(&date),
        length(facts.duration()),
        Escaped(&session.instance)
    );
    framed(&format!("session of {who}, {date}"), &format!("Session of {who}"), &intro, &sections)
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
        said.push(format!("The recording could not be read to its end, so this page stops there: {broken}."));
    }
    let is_fault = |happening: &&facts::Happening| {
        let data = &happening.data;
        happening.kind == EventKind::Fault && data["state"] == "fault" && data["previous"] != "fault"
    };
    let faults = facts.happenings.iter().filter(is_fault).count();
    if faults > 0 {
        said.push(format!(
            "Something broke inside Kalmind {}; the cursor stood still until the operator resumed. What it was stands below.",
            times(faults)
        ));
    }
    let stale: f64 = facts.stale.iter().sum();
    if stale > 0.0 {
        said.push(format!(
            "There was no usable signal, or it waited for a resume, {}: {} in all, {} at the longest.",
            times(facts.stale.len()),
            length(stale),
            length(facts.stale.iter().copied().fold(0.0, f64::max))
        ));
    }
    if facts.missing_ticks > 0 {
        said.push(format!("{} ticks are missing from the recording.", facts.missing_ticks));
    }
    for what in [LossKind::Samples, LossKind::Events, LossKind::Texts] {
        let count: u64 =
            facts.losses.iter().filter(|(kind, ..)| *kind == what).map(|(_, count, _)| count).sum();
        if count > 0 {
            said.push(format!("{count} {what} were not recorded."));
        }
    }
    if percent(facts.incomplete, facts.ticks) > 1.0 {
        said.push(format!(
            "{} % of the bins were incomplete: the decoder went on without samples there.",
            number(percent(facts.incomplete, facts.ticks), 1)
        ));
    }
    for stream in &facts.streams {
        if stream.lost + stream.late > 0 {
            said.push(format!(
                "Stream {}: {} samples were lost or dropped before they could be decoded, {} came too late for their bin.",
                stream.key, stream.lost, stream.late
            ));
        }
    }
    let silent = silent_features(facts);
    if !silent.is_empty() {
        let shown: Vec<&str> = silent.iter().map(String::as_str).take(12).collect();
        let more = if silent.len() > shown.len() { " and more" } else { "" };
        said.push(format!("{} channels never changed: {}{more}.", silent.len(), shown.join(", ")));
    }
    if percent(facts.late_ticks, facts.ticks) > 1.0 {
        said.push(format!(
            "{} % of the ticks began more than a bin late: the machine was busy.",
            number(percent(facts.late_ticks, facts.ticks), 1)
        ));
    }
    if facts.summary.is_none() && facts.broken.is_none() {
        said.push("The session did not end in order: its summary is missing from the recording.".to_owned());
    }
    if said.is_empty() {
        return "<p>Nothing was found that needs attention.</p>".to_owned();
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

fn course(facts: &Facts) -> String {
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
        "<p>{} ticks in {}, {} of them incomplete; the time base jumped {} times.</p>",
        facts.ticks,
        length(facts.duration()),
        facts.incomplete,
        facts.epochs.saturating_sub(1)
    );
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
        "a tick",
        &stretches(facts, |seconds| {
            let ticks: u32 = seconds.iter().map(|second| second.ticks).sum();
            seconds.iter().map(|second| second.masked).sum::<u64>() as f64 / f64::from(ticks.max(1))
        }),
    );
    html += &chart(
        "Channels corrected by the guard",
        "a tick",
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
    trial.block.map_or("no block", kalmind_session::TaskBlock::name)
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    // by linear interpolation between the neighbours (Hyndman and Fan 1996, definition 7)
    let place = part * (sorted.len() as f64 - 1.0).max(0.0);
    let (low, rest) = (place.floor() as usize, place.fract());
    match (sorted.get(low), sorted.get(low + 1)) {
        (Some(low), Some(high)) => low + rest * (high - low),
        (Some(low), None) => *low,
        _ => f64::NAN,
    }
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
        let sorted = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values
        };
        let times = sorted(acquired.iter().map(|trial| trial.seconds).collect());
        let efficiency = sorted(acquired.iter().filter_map(|trial| trial.efficiency()).collect());
        let aim = facts.aims.get(block).and_then(facts::Aim::mean);
        let cells = vec![
            (*block).to_owned(),
            ended.to_string(),
            acquired.len().to_string(),
            number(percent(acquired.len() as u64, ended as u64), 0),
            number(quantile(&times, 0.5), 2),
            format!("{}–{}", number(quantile(&times, 0.25), 2), number(quantile(&times, 0.75), 2)),
            number(quantile(&efficiency, 0.5), 2),
            number(aim.map_or(f64::NAN, f64::to_degrees), 1),
        ];
        ("", cells)
    });
    let heads = [
        "block",
        "targets",
        "acquired",
        "%",
        "median time, s",
        "quartiles, s",
        "path efficiency",
        "aim off by, °",
    ];
    let mut html = table("Trials that ended, by block", &heads, &[], rows);
    html += "<p class=\"note\">Time from a target's appearance to the end of the hold in it, acquired targets only. Path \
             efficiency: the straight way from where the cursor was to where it came, over the way it took, median. Aim: the mean angle between \
             decoded intent and the direction to the target, outside of it and while the cursor could move. In the drawings full lines and circles were acquired, dashed \
             lines and squares were not.</p>";
    html += "<div class=\"figures\">";
    for block in &blocks {
        html += &paths(facts, block);
    }
    html + "</div>"
}

/// The ways that the cursor took in a block.
fn paths(facts: &Facts, block: &str) -> String {
    let height = facts.session.workspace[1];
    let title = format!("Ways of the cursor, {block}");
    let mut plot = Plot::new(&title, (420.0, 420.0 * height.clamp(0.4, 1.6)), (0.0, 1.0), (0.0, height))
        .axes("x, workspace widths", "y");
    let trials: Vec<&Trial> = facts.trials.iter().filter(|trial| block_name(trial) == block).collect();
    let shown = &trials[trials.len().saturating_sub(PATHS)..];
    for trial in shown {
        let series = usize::from(trial.result != Some(TrialResult::Acquired));
        plot = plot.course(series, trial.path.iter().map(|[x, y]| (*x, *y)));
    }
    for trial in shown {
        if let Some(target) = trial.target {
            let [x, y] = target.position.0;
            let series = usize::from(trial.result != Some(TrialResult::Acquired));
            let says = match trial.result {
                Some(TrialResult::Acquired) => format!("acquired in {:.2} s", trial.seconds),
                Some(TrialResult::Timeout) => "not acquired in time".to_owned(),
                None => "broken off".to_owned(),
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
        &["stream", "samples decoded", "lost or dropped", "late", "health, by tick"],
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
        "<p>{} channels, {} of them never changed; {} values that were no number were left out.</p>",
        facts.features.len(),
        silent.len(),
        facts.nonfinite
    );
    html
}

fn latency(facts: &Facts) -> String {
    let stages: [(&str, &Histogram<u64>); 3] = [
        ("from the deciding sample to the tick", &facts.wait_us),
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
        "<p>{} ticks ({} %) began more than a bin after they could have.</p>",
        facts.late_ticks,
        number(percent(facts.late_ticks, facts.ticks), 2)
    );
    if let Some(stages) = facts.summary.as_ref().and_then(|summary| summary["latency_us"].as_object()) {
        let rows = stages.iter().map(|(name, stage)| {
            let of = |key: &str| number(stage[key].as_f64().unwrap_or(f64::NAN) / 1e3, 3);
            ("", vec![Escaped(name).to_string(), of("p50"), of("p99"), of("max")])
        });
        html += &table(
            "As the daemon measured it, publishing included, in milliseconds",
            &["stage", "p50", "p99", "max"],
            &[],
            rows,
        );
    }
    html += "<div class=\"figures\">";
    let longest =
        |seconds: &[facts::Second]| seconds.iter().map(|second| second.longest_ms).fold(0.0, f64::max);
    html += &chart("Longest time from sample to decoded tick", "ms", &stretches(facts, longest));
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
    let title = "Share of ticks decoded within a time";
    let plot = Plot::new(title, (520.0, 170.0), (0.0, high.max(0.1)), (0.0, 100.0)).axes("ms", "%");
    let within = points.into_iter().filter(|(at, _)| *at <= high.max(0.1));
    figure(&plot.solid(0, within).svg(), title)
}

fn models(facts: &Facts) -> String {
    if facts.models.is_empty() {
        return "<p>No model decoded in this session.</p>".to_owned();
    }
    let rows = facts.models.iter().map(|(id, name, bytes)| {
        let fitted = facts.happenings.iter().find(|happening| {
            happening.kind == EventKind::Model && happening.data["hash"].as_str() == Some(id)
        });
        let bins = fitted.and_then(|fitted| fitted.data["train_bins"].as_u64());
        let cells = vec![
            Escaped(name).to_string(),
            format!("<code>{}</code>", Escaped(id)),
            bins.map_or_else(|| "configured".to_owned(), |bins| bins.to_string()),
            number(*bytes as f64 / 1e3, 1),
        ];
        ("", cells)
    });
    let heads = ["decoder", "SHA-256", "bins it was fitted on", "kB"];
    table("Models, each embedded in the recording", &heads, &[1], rows)
}

fn happenings(facts: &Facts) -> String {
    if facts.happenings.is_empty() {
        return "<p>Nothing beside targets and trials.</p>".to_owned();
    }
    let shown = facts.happenings.iter().take(LISTED).map(|happening| {
        let kind = serde_json::to_value(happening.kind).ok();
        let kind = kind.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let said = match happening.data["message"].as_str() {
            Some(message) => Escaped(message).to_string(),
            None => format!("<code>{}</code>", Escaped(&happening.data.to_string())),
        };
        let cells = vec![number(happening.time - facts.begin, 2), kind, said];
        ("", cells)
    });
    let mut html =
        table("Blocks, operator, models, states and faults", &["s", "kind", "data"], &[1, 2], shown);
    if facts.happenings.len() > LISTED {
        let _infallible =
            write!(html, "<p>and {} more in the recording.</p>", facts.happenings.len() - LISTED);
    }
    html
}

fn provenance(recording: &Path, facts: &Facts) -> String {
    let session = &facts.session;
    let bytes = std::fs::metadata(recording).map_or(0, |metadata| metadata.len());
    let name = recording.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let lost: u64 = facts.losses.iter().map(|(_, count, _)| count).sum();
    let mut html = String::from("<dl>");
    for (what, value) in [
        ("recording", format!("{name}, {} MB", number(bytes as f64 / 1e6, 1))),
        ("not recorded", lost.to_string()),
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

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/session/session.xdf")
    }

    #[test]
    fn quantiles_are_those_of_the_definition() {
        // numpy.quantile([1, 2, 3, 10], [0, .25, .5, .75, 1])
        let values = [1.0, 2.0, 3.0, 10.0];
        let found = [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| quantile(&values, part));
        assert_eq!(found.map(f64::to_bits), [1.0, 1.75, 2.5, 4.75, 10.0].map(f64::to_bits));
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_fixtures_facts_are_those_that_are_in_it() {
        let facts = gather(&fixture()).expect("a session");
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
        let [(id, name, bytes)] = facts.models.as_slice() else { panic!("one model") };
        assert_eq!((id.len(), name.as_str()), (64, "kalman-steady"));
        assert!(*bytes > 10_000);
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
            write_session_page(&recording, &page, Existing::Replace).expect("a page");
            let html = std::fs::read_to_string(page).expect("the page");
            assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("<script"));
            for section in
                ["attention", "course", "task", "signals", "latency", "models", "events", "provenance"]
            {
                assert!(html.contains(&format!("<section id=\"{section}\"")), "{section}");
            }
            assert_eq!(html.contains("could not be read to its end"), is_torn);
            assert!(!html.contains("NaN") && html.len() < 1_000_000, "{}", html.len());
        }
    }
}
