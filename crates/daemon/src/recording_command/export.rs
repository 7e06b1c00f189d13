//! `kalmind recording export`: every stream as a CSV file, with a description beside them.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
};

use kalmind_recording::{
    Existing, NewFile, NewFileError, write_new_file,
    xdf::{
        encode::format_name,
        header::StreamHeader,
        recording::{RecordedStream, read_xdf},
        samples::Values,
    },
};
use kalmind_types::{Event, Samples};
use serde_json::{Value, json};

use crate::{
    cli::{ExportArguments, Stamps},
    failure::{OrFail as _, Outcome},
};

/// Runs the command.
///
/// # Errors
/// Exit code 1 where the recording cannot be read or a file cannot be written.
pub(super) fn run(arguments: &ExportArguments) -> Outcome<()> {
    let path = &arguments.file;
    if super::is_edf(path) {
        return super::edf::export(arguments);
    }
    let recorded =
        read_xdf(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display())).or_work()?;
    for problem in &recorded.problems {
        tracing::warn!(offset = problem.offset, problem = problem.text, "the recording is not whole");
    }
    std::fs::create_dir_all(&arguments.csv).or_work()?;
    let mut described = Vec::new();
    let mut names = BTreeSet::new();
    for stream in &recorded.streams {
        let name = free_name(file_name(&stream.header, stream.id), stream.id, &mut names);
        let target = arguments.csv.join(&name);
        let stamps = match arguments.stamps {
            Stamps::Synchronized => stream.synchronized_stamps(),
            Stamps::Dejittered => stream.dejittered_stamps(),
            Stamps::Raw => stream.stamps.clone(),
        };
        write(&target, stream, &stamps).or_work()?;
        described.push(describe(&name, stream));
    }
    let description = json!({
        "recording": path.file_name().map(|name| name.to_string_lossy()),
        "begun": recorded.datetime,
        "stamps": arguments.stamps.name(),
        "streams": described,
        "problems": recorded.problems.iter().map(|problem| json!({ "offset": problem.offset, "problem": problem.text }))
            .collect::<Vec<_>>(),
    });
    let target: PathBuf = arguments.csv.join("streams.json");
    write_new_file(&target, Existing::Replace, &serde_json::to_vec_pretty(&description).or_work()?)
        .or_work()?;
    writeln!(
        std::io::stdout().lock(),
        "{} streams in {} (streams.json says what they are)",
        recorded.streams.len(),
        arguments.csv.display()
    )
    .or_work()
}

/// A stream's file: its role or name, and its number where names could be alike.
fn file_name(header: &StreamHeader, id: u32) -> String {
    let own = header.role.as_deref().filter(|role| !matches!(*role, "input" | "extra"));
    let name = own.or(header.key.as_deref()).unwrap_or(&header.name);
    let plain: String = name
        .chars()
        .take(LONGEST_NAME)
        .map(|character| if character.is_alphanumeric() { character } else { '_' })
        .collect();
    if own.is_some() { format!("{plain}.csv") } else { format!("{id:02}_{plain}.csv") }
}

/// The longest part of a stream's name in a file's, in characters: what every file system takes in any script.
const LONGEST_NAME: usize = 50;

/// The name, or one with the stream's number in it where another stream has it already (a recording of two Kalminds).
fn free_name(name: String, id: u32, taken: &mut BTreeSet<String>) -> String {
    // some file systems do not tell capitals from small letters
    let name = if taken.contains(&name.to_lowercase()) { format!("{id:02}_{name}") } else { name };
    taken.insert(name.to_lowercase());
    name
}

fn describe(name: &str, stream: &RecordedStream) -> Value {
    let header = &stream.header;
    json!({
        "file": name,
        "id": stream.id,
        "name": header.name,
        "type": header.content_type,
        "role": header.role,
        "key": header.key,
        "format": format_name(header.format),
        "nominal_rate_hz": header.nominal_rate_hz,
        "channels": header.channels,
        "units": header.units,
        "source_id": header.source_id,
        "hostname": header.hostname,
        "samples": stream.stamps.len(),
        "clock_offsets": stream.clock_offsets,
    })
}

/// A CSV file that stands at `path` once it is finished; one of an earlier export is replaced.
pub(super) fn table(path: &Path) -> Result<csv::Writer<NewFile>, NewFileError> {
    Ok(csv::Writer::from_writer(NewFile::begin(path, Existing::Replace)?))
}

pub(super) fn finish(table: csv::Writer<NewFile>) -> anyhow::Result<()> {
    let file = table.into_inner().map_err(|error| anyhow::anyhow!("{}", error.error()))?;
    Ok(file.finish()?)
}

/// `time` and one column a channel. Numbers are written so that they read back the same.
fn write(path: &Path, stream: &RecordedStream, stamps: &[f64]) -> anyhow::Result<()> {
    let mut file = table(path)?;
    let channels = stream.header.channels;
    if stream.header.role.as_deref() == Some("events") {
        file.write_record(["time", "event_seq", "kind", "data"])?;
        if let Values::Texts(texts) = &stream.values {
            for (stamp, text) in stamps.iter().zip(texts) {
                let event: Result<Event, _> = serde_json::from_str(text);
                let (seq, kind, data) = match event {
                    Ok(event) => {
                        let kind = serde_json::to_value(event.kind).ok();
                        let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
                        (event.event_seq.to_string(), kind, event.data.to_string())
                    }
                    Err(_) => (String::new(), String::new(), text.clone()),
                };
                file.write_record([stamp.to_string(), seq, kind, data])?;
            }
        }
        return finish(file);
    }
    let label = |channel: usize| match &stream.header.labels {
        Some(labels) => labels[channel].clone(),
        None if channels == 1 && stream.header.format.is_none() => "text".to_owned(),
        None => format!("channel{channel}"),
    };
    let labels = (0..channels).map(label);
    file.write_record(std::iter::once("time".to_owned()).chain(labels))?;
    let mut record: Vec<String> = Vec::with_capacity(channels + 1);
    for (row, stamp) in stamps.iter().enumerate() {
        record.clear();
        record.push(stamp.to_string());
        let cells = row * channels..(row + 1) * channels;
        match &stream.values {
            Values::Texts(texts) => record.extend_from_slice(&texts[cells]),
            Values::Numbers(samples) => match samples {
                Samples::Float32(values) => record.extend(values[cells].iter().map(ToString::to_string)),
                Samples::Double64(values) => record.extend(values[cells].iter().map(ToString::to_string)),
                Samples::Int8(values) => record.extend(values[cells].iter().map(ToString::to_string)),
                Samples::Int16(values) => record.extend(values[cells].iter().map(ToString::to_string)),
                Samples::Int32(values) => record.extend(values[cells].iter().map(ToString::to_string)),
                Samples::Int64(values) => record.extend(values[cells].iter().map(ToString::to_string)),
            },
        }
        file.write_record(&record)?;
    }
    finish(file)
}
