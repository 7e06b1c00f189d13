//! Every stream of a recording as a CSV file, with a description beside them.

use std::{collections::HashSet, path::PathBuf};

use kalmind_recording::{
    NewFile,
    kind::FileKind,
    write_new_file,
    xdf::{
        encode::format_name,
        recording::{RecordedStream, read_xdf_but},
        samples::Values,
    },
};
use kalmind_types::{Counted, EventKind, EventTag, LslTime, Samples};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::Answer,
    csv_files::{Labels, distinct, finish, refuse_existing},
    file::{kind, require_xdf},
};
use crate::{
    host::Host,
    options::{ExportOptions, Stamps},
};

/// Writes every stream of a recording as a CSV file. It fails where there is no stream.
///
/// # Errors
/// The recording cannot be read, or a file cannot be written.
pub fn export(options: &ExportOptions, host: &dyn Host) -> anyhow::Result<Answer> {
    let path = &options.file;
    if matches!(kind(path)?, FileKind::Edf | FileKind::Bdf) {
        return super::edf::export(options, host);
    }
    require_xdf(path, "recording export")?;
    let recorded = read_xdf_but(path, options.encoding, |_| false)
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    for problem in &recorded.problems {
        host.note(&format!("byte {}: {}", problem.offset, problem.text));
    }
    let names = file_names(&recorded.streams);
    let described_by = options.csv.join("streams.json");
    let targets: Vec<PathBuf> = names.iter().map(|name| options.csv.join(name)).collect();
    let existing = refuse_existing(options.force, targets.iter().chain([&described_by]))?;
    std::fs::create_dir_all(&options.csv)?;
    let mut described = Vec::new();
    for ((stream, name), target) in recorded.streams.iter().zip(&names).zip(&targets) {
        let stamps = match options.stamps {
            Stamps::Synchronized => stream.synchronized_stamps(),
            Stamps::Dejittered => stream.dejittered_stamps(),
            Stamps::Raw => stream.stamps.clone(),
        };
        let labels = labels(stream);
        if !labels.renamed.is_empty() {
            host.note(&format!("{name}: duplicate labels were numbered: {}", labels.renamed.join(", ")));
        }
        let file = NewFile::begin(target, existing)?;
        write(file, stream, &stamps, &labels.columns)
            .map_err(|source| anyhow::anyhow!("{} cannot be written: {source}", target.display()))?;
        described.push(describe(name, stream, &labels.columns));
    }
    let description = json!({
        "recording": path.file_name().map(|name| name.to_string_lossy()),
        "begun": recorded.datetime,
        "stamps": options.stamps,
        "streams": described,
        "mixed_clocks": recorded.mixed_clocks(),
        "problems": super::problems::problems_json(&recorded.problems),
    });
    write_new_file(&described_by, existing, &serde_json::to_vec_pretty(&description)?)?;
    let text = format!(
        "{} in {} (streams.json says what they are)\n",
        Counted(recorded.streams.len() as u64, "stream"),
        options.csv.display()
    );
    let failure = recorded
        .streams
        .is_empty()
        .then(|| format!("{}: no stream of it could be read, so nothing was exported", path.display()));
    Ok(Answer { document: description, text, failure })
}

/// The longest name of a stream in the name of its file.
const LONGEST_NAME: usize = 60;

/// The files of streams: each named after the stream's role or name, no two alike on any file system.
fn file_names(streams: &[RecordedStream]) -> Vec<String> {
    let mut taken = HashSet::from(["streams.json".to_owned()]);
    let mut names = Vec::with_capacity(streams.len());
    for stream in streams {
        let (header, id) = (&stream.header, stream.id);
        let own = header.role.as_deref().filter(|role| !matches!(*role, "input" | "extra"));
        let name = own.or(header.key.as_deref()).unwrap_or(&header.name);
        let plain: String = name
            .chars()
            .take(LONGEST_NAME)
            .map(|character| if character.is_alphanumeric() { character } else { '_' })
            .collect();
        let first = if own.is_some() { format!("{plain}.csv") } else { format!("{id:02}_{plain}.csv") };
        // two recordings' streams of one role, or two numbers alike
        let others = (0..).map(|copy: u32| match copy {
            0 => format!("{plain}_{id:02}.csv"),
            copy => format!("{plain}_{id:02}_{copy}.csv"),
        });
        let free = std::iter::once(first).chain(others).find(|name| taken.insert(name.to_lowercase()));
        names.push(free.unwrap_or_default());
    }
    names
}

/// Columns, no two alike: a table with two of one name cannot be read by name.
fn labels(stream: &RecordedStream) -> Labels {
    let header = &stream.header;
    let label = |channel: usize| match &header.labels {
        None if header.channels == 1 && header.format.is_none() => "text".to_owned(),
        _ => header.label(channel),
    };
    distinct((0..header.channels).map(label))
}

fn describe(name: &str, stream: &RecordedStream, columns: &[String]) -> Value {
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
        "columns": columns,
        "labels": header.labels,
        "units": header.units,
        "source_id": header.source_id,
        "hostname": header.hostname,
        "samples": stream.stamps.len(),
        "jumps": stream.jumps().sentence(),
        "clock_offsets": stream.clock_offsets,
    })
}

/// An event's members as they stand, so that nothing is lost of what another version wrote.
#[derive(Deserialize)]
struct EventMembers {
    #[serde(rename = "type")]
    _message_type: EventTag,
    #[serde(rename = "time")]
    _time: LslTime,
    event_seq: u64,
    kind: EventKind,
    data: Value,
}

/// `time` and one column a channel. Numbers are written so that they read back the same.
fn write(target: NewFile, stream: &RecordedStream, stamps: &[f64], columns: &[String]) -> anyhow::Result<()> {
    let mut file = csv::Writer::from_writer(target);
    let channels = stream.header.channels;
    if stream.header.role.as_deref() == Some("events") {
        file.write_record(["time", "event_seq", "kind", "data"])?;
        if let Values::Texts(texts) = &stream.values {
            for (stamp, text) in stamps.iter().zip(texts) {
                let event: Result<EventMembers, _> = serde_json::from_str(text);
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
    file.write_record(std::iter::once("time").chain(columns.iter().map(String::as_str)))?;
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
