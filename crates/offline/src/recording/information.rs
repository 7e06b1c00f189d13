//! What is in a recording.

use std::path::Path;

use encoding_rs::Encoding;
use kalmind_recording::{
    kind::FileKind,
    xdf::{
        check::{CheckReport, CheckedStream},
        encode::format_name,
    },
};
use serde_json::{Value, json};

use super::{
    answer::Answer,
    file::{checked, kind},
    problems::{SHOWN, problems_json},
};
use crate::{
    host::Host,
    recorded::{Item, RecordDocument, SessionDocument, SessionReader, Wanted},
};

/// Says what kind of file it is and what can be done with it; of a recording also what is in it.
///
/// # Errors
/// The file cannot be read.
pub fn information(
    path: &Path,
    encoding: Option<&'static Encoding>,
    host: &dyn Host,
) -> anyhow::Result<Answer> {
    let kind = kind(path)?;
    match kind {
        FileKind::Edf | FileKind::Bdf => return super::edf::information(path, kind, encoding),
        FileKind::Xdf { .. } => {}
        _ => {
            let document = json!({ "file": path, "kind": kind.describe(), "ways": kind.ways() });
            let text = format!("{}: {}; {}\n", path.display(), kind.describe(), kind.ways());
            return Ok(Answer { document, text, failure: None });
        }
    }
    let report = checked(path, encoding, host)?;
    let (session, neighbours) = session(path, &report, host);
    let seconds = report.streams.values().map(|stream| stream.seconds).fold(0.0, f64::max);
    let streams: Vec<Value> = report.streams.iter().map(|(id, stream)| describe(*id, stream)).collect();
    let written_by = match &session {
        Some(session) => format!("Kalmind {}", session.version),
        None => "a program that does not name itself".to_owned(),
    };
    let document = json!({
        "file": path,
        "kind": kind.describe(),
        "ways": kind.ways(),
        "format": if kind == (FileKind::Xdf { packed: true }) { "XDF 1.0, packed with gzip" } else { "XDF 1.0" },
        "begun": report.datetime,
        "written_by": written_by,
        "bytes": report.length,
        "seconds": seconds,
        "valid": report.is_valid(),
        "session": session.as_ref().map(|session| json!({
            "session": session.session,
            "instance": session.instance,
            "participant": session.participant,
            "bin_ms": session.bin_ms,
            "components": session.components,
            "kernel_path": session.kernel_path,
            "configuration": { "file": session.configuration.file, "sha256": session.configuration.sha256 },
        })),
        "other_files": neighbours,
        "streams": streams,
        "problems": problems_json(&report.problems),
    });
    let text = text(&document);
    Ok(Answer { document, text, failure: None })
}

/// What a Kalmind session's recording says of the session, and of the files before and after it; nothing in other files.
fn session(path: &Path, report: &CheckReport, host: &dyn Host) -> (Option<Box<SessionDocument>>, Vec<Value>) {
    let (mut session, mut neighbours) = (None, Vec::new());
    // only Kalmind's own have such a stream
    if !report.streams.values().any(|stream| stream.header.role.as_deref() == Some("record")) {
        return (session, neighbours);
    }
    let Ok(mut reader) = SessionReader::open(path, Wanted::default()) else { return (None, neighbours) };
    loop {
        match reader.next_item() {
            Ok(Some(Item::Session(document))) => session = session.or(Some(document)),
            Ok(Some(Item::Document(RecordDocument::Continued { file, because, .. }))) => {
                neighbours.push(json!({ "goes_on_from": file, "because": because }));
            }
            Ok(Some(Item::Document(RecordDocument::ContinuesIn { file, because }))) => {
                neighbours.push(json!({ "goes_on_in": file, "because": because }));
            }
            Ok(Some(Item::Unreadable(part))) => host.unreadable(&part),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return (session, neighbours),
        }
    }
}

fn describe(id: u32, stream: &CheckedStream) -> Value {
    let header = &stream.header;
    json!({
        "id": id,
        "name": header.name,
        "type": header.content_type,
        "role": header.role,
        "key": header.key,
        "channels": header.channels,
        "format": format_name(header.format),
        "labels": header.labels,
        "units": header.units,
        "source_id": header.source_id,
        "hostname": header.hostname,
        "manufacturer": header.manufacturer,
        "nominal_rate_hz": header.nominal_rate_hz,
        "measured_rate_hz": stream.measured_rate_hz(),
        "samples": stream.samples,
        "seconds": stream.seconds,
        "first": (stream.samples > 0).then_some(stream.first),
        "last": (stream.samples > 0).then_some(stream.last),
        "gaps": stream.gaps,
        "longest_gap_s": stream.longest_gap,
        "stamps_backward": stream.backward,
        "jumps_forward": stream.jumps.forward,
        "jumps_backward": stream.jumps.backward,
        "first_jumps": stream.jumps.first.iter().map(|jump| json!({ "sample": jump.sample, "from": jump.from, "to": jump.to })).collect::<Vec<_>>(),
        "clock_offsets": stream.clock_offsets.len(),
        "footer": stream.footer.is_some(),
    })
}

/// What a recording says of the files before and after it, a sentence each.
pub(super) fn neighbours(path: &Path, report: &CheckReport, host: &dyn Host) -> Vec<String> {
    session(path, report, host).1.iter().map(told).collect()
}

fn told(other: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let because = text(&other["because"]);
    match other["goes_on_from"].as_str() {
        Some(file) => format!("it continues {file}: {because}"),
        None => format!("the recording continues in {}: {because}", text(&other["goes_on_in"])),
    }
}

/// Seconds with so many digits; those of a clock that went astray by their exponent.
fn seconds(value: f64, digits: usize) -> String {
    if value < 1e9 { format!("{value:.digits$}") } else { format!("{value:.1e}") }
}

/// The document as people read it.
fn text(document: &Value) -> String {
    use std::fmt::Write as _;
    // names may hold anything
    let said = |value: &Value| {
        let text = value.as_str().unwrap_or("-").chars();
        text.map(|character| if character.is_control() { ' ' } else { character }).collect::<String>()
    };
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let mut text = format!(
        "{}: {}, begun {}, written by {}; {:.1} MB, {} s\n",
        said(&document["file"]),
        said(&document["format"]),
        said(&document["begun"]),
        said(&document["written_by"]),
        number(&document["bytes"]) / 1e6,
        seconds(number(&document["seconds"]), 1)
    );
    if let Some(session) = document["session"].as_object() {
        let participant =
            session["participant"].as_str().filter(|code| !code.is_empty()).unwrap_or("without a code");
        let _infallible = writeln!(
            text,
            "session {} of {}, participant {participant}, bins of {} ms, kernels {}, configuration {}",
            said(&session["session"]),
            said(&session["instance"]),
            session["bin_ms"],
            said(&session["kernel_path"]),
            said(&session["configuration"]["file"]),
        );
    }
    for other in document["other_files"].as_array().into_iter().flatten() {
        let _infallible = writeln!(text, "{}", told(other));
    }
    let _infallible = writeln!(
        text,
        "{:>3} {:<28} {:<12} {:<9} {:>8} {:<9} {:>9} {:>9} {:>10} {:>5} {:>9}",
        "id", "name", "type", "role", "channels", "format", "rate", "measured", "samples", "gaps", "longest"
    );
    for stream in document["streams"].as_array().into_iter().flatten() {
        let measured =
            stream["measured_rate_hz"].as_f64().map_or("-".to_owned(), |rate| format!("{rate:.2}"));
        let rate = number(&stream["nominal_rate_hz"]);
        let _infallible = writeln!(
            text,
            "{:>3} {:<28} {:<12} {:<9} {:>8} {:<9} {:>9} {:>9} {:>10} {:>5} {:>7} s",
            number(&stream["id"]),
            said(&stream["name"]),
            said(&stream["type"]),
            said(&stream["role"]),
            number(&stream["channels"]),
            said(&stream["format"]),
            if rate > 0.0 { rate.to_string() } else { "irregular".to_owned() },
            measured,
            number(&stream["samples"]),
            number(&stream["gaps"]),
            seconds(number(&stream["longest_gap_s"]), 2)
        );
    }
    for problem in document["problems"].as_array().into_iter().flatten().take(SHOWN) {
        let _infallible = writeln!(text, "byte {}: {}", problem["offset"], said(&problem["problem"]));
    }
    let more = document["problems"].as_array().map_or(0, Vec::len).saturating_sub(SHOWN);
    if more > 0 {
        let _infallible = writeln!(text, "and {more} more; `kalmind recording check --json` lists them");
    }
    let _infallible = writeln!(text, "what to do with it: {}", said(&document["ways"]));
    text
}
