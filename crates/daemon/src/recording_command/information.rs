//! `kalmind recording info`: what is in a recording.

use std::{io::Write as _, path::Path};

use kalmind_recording::{
    kind::FileKind,
    xdf::{check::CheckedStream, encode::format_name},
};
use serde_json::{Value, json};

use crate::{
    cli::RecordingFile,
    failure::{OrFail as _, Outcome},
    recorded::{Item, SessionDocument, SessionReader, Wanted},
};

/// Runs the command.
///
/// # Errors
/// Exit code 1 where the file cannot be read.
pub(super) fn run(arguments: &RecordingFile) -> Outcome<()> {
    let path = &arguments.file;
    let kind = super::kind(path)?;
    match kind {
        FileKind::Edf | FileKind::Bdf => return super::edf::information(arguments),
        FileKind::Xdf { .. } => {}
        _ => return run_other(arguments, kind),
    }
    let report = super::checked(path)?;
    let session = session(path);
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
        "streams": streams,
        "problems": super::problems_json(&report.problems),
    });
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{document}").or_work()
    } else {
        write!(out, "{}", text(&document)).or_work()
    }
}

/// A file that is no recording: what it is, and what can be done with it.
fn run_other(arguments: &RecordingFile, kind: FileKind) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    let path = &arguments.file;
    if arguments.json {
        let document = json!({ "file": path, "kind": kind.describe(), "ways": kind.ways() });
        return writeln!(out, "{document}").or_work();
    }
    writeln!(out, "{}: {}; {}", path.display(), kind.describe(), kind.ways()).or_work()
}

/// What a Kalmind session's recording says of the session; none in other files.
fn session(path: &Path) -> Option<Box<SessionDocument>> {
    let mut reader = SessionReader::open(path, Wanted::default()).ok()?;
    loop {
        match reader.next_item() {
            Ok(Some(Item::Session(session))) => return Some(session),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return None,
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
        "clock_offsets": stream.clock_offsets.len(),
        "footer": stream.footer.is_some(),
    })
}

/// The document as people read it.
fn text(document: &Value) -> String {
    use std::fmt::Write as _;
    let said = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let mut text = format!(
        "{}: {}, begun {}, written by {}; {:.1} MB, {:.1} s\n",
        said(&document["file"]),
        said(&document["format"]),
        said(&document["begun"]),
        said(&document["written_by"]),
        number(&document["bytes"]) / 1e6,
        number(&document["seconds"])
    );
    if let Some(session) = document["session"].as_object() {
        let _infallible = writeln!(
            text,
            "session {} of {}, participant {}, bins of {} ms, kernels {}, configuration {}",
            said(&session["session"]),
            said(&session["instance"]),
            said(&session["participant"]),
            session["bin_ms"],
            said(&session["kernel_path"]),
            said(&session["configuration"]["file"]),
        );
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
            "{:>3} {:<28} {:<12} {:<9} {:>8} {:<9} {:>9} {:>9} {:>10} {:>5} {:>7.2} s",
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
            number(&stream["longest_gap_s"])
        );
    }
    for problem in document["problems"].as_array().into_iter().flatten().take(super::SHOWN) {
        let _infallible = writeln!(text, "byte {}: {}", problem["offset"], said(&problem["problem"]));
    }
    let more = document["problems"].as_array().map_or(0, Vec::len).saturating_sub(super::SHOWN);
    if more > 0 {
        let _infallible = writeln!(text, "and {more} more; `kalmind recording check --json` lists them");
    }
    let _infallible = writeln!(text, "what to do with it: {}", said(&document["ways"]));
    text
}
