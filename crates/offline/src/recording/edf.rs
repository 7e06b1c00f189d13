//! What is in an EDF or BDF file, and its signals as CSV files.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use encoding_rs::Encoding;
use kalmind_recording::{
    NewFile,
    edf::{EdfRecording, EdfSignal, read_edf},
    kind::FileKind,
    write_new_file,
};
use kalmind_types::Counted;
use serde_json::{Value, json};

use super::{
    answer::Answer,
    csv_files::{Labels, distinct, finish, refuse_existing},
};
use crate::{host::Host, options::ExportOptions};

/// Says what is in the file, and what was assumed about it.
///
/// # Errors
/// The file cannot be read.
pub(super) fn information(
    path: &Path,
    kind: FileKind,
    encoding: Option<&'static Encoding>,
) -> anyhow::Result<Answer> {
    let edf = read(path, encoding)?;
    let format = if kind == FileKind::Bdf { "BDF" } else { "EDF" };
    let begun = format!("{} {}", edf.start_date, edf.start_time).trim().to_owned();
    let begun = Some(begun).filter(|begun| !begun.is_empty());
    let number = |count: usize, thing: &'static str| Counted(count as u64, thing);
    let seconds = edf.seconds();
    let breaks = edf.breaks();
    let signals: Vec<Value> = edf
        .signals
        .iter()
        .map(|signal| {
            json!({
                "label": signal.label, "unit": signal.unit, "rate_hz": signal.rate_hz,
                "samples": signal.values.len(), "prefiltering": signal.prefiltering,
            })
        })
        .collect();
    let document = json!({
        "file": path, "kind": kind.describe(), "ways": kind.ways(), "format": format, "begun": begun,
        "patient": edf.patient, "recording": edf.recording, "seconds": seconds, "records": edf.record_onsets.len(),
        "gaps": breaks.gaps, "overlaps": breaks.overlaps, "steps_back": breaks.backward,
        "missing_records": edf.missing_records, "signals": signals, "annotations": edf.annotations.len(),
        "remarks": edf.remarks,
    });
    let mut text = format!(
        "{}: {format}, begun {}, {seconds:.1} s; patient \"{}\", recording \"{}\"\n{}, {}, {}, {}, {}, {} missing\n",
        path.display(),
        begun.as_deref().unwrap_or("at a time that is not stated"),
        edf.patient,
        edf.recording,
        number(edf.signals.len(), "signal"),
        number(edf.annotations.len(), "annotation"),
        number(breaks.gaps, "gap"),
        number(breaks.overlaps, "overlap"),
        number(breaks.backward, "step backward"),
        number(edf.missing_records, "record"),
    );
    for signal in &edf.signals {
        let _infallible = writeln!(
            text,
            "  {:<16} {:>9} Hz {:<8} {}",
            signal.label,
            signal.rate_hz,
            signal.unit,
            number(signal.values.len(), "sample")
        );
    }
    for remark in &edf.remarks {
        let _infallible = writeln!(text, "note: {remark}");
    }
    let _infallible = writeln!(text, "what to do with it: {}", kind.ways());
    Ok(Answer { document, text, failure: None })
}

/// Writes one CSV file for the signals of each rate, and one for annotations. Times are seconds from the file's start.
///
/// # Errors
/// The file cannot be read, or a table not be written.
pub(super) fn export(options: &ExportOptions, host: &dyn Host) -> anyhow::Result<Answer> {
    let edf = read(&options.file, options.encoding)?;
    for remark in &edf.remarks {
        host.note(&format!("note: {remark}"));
    }
    let rates: BTreeSet<usize> = edf.signals.iter().map(|signal| signal.samples_per_record).collect();
    let tables: Vec<Vec<&EdfSignal>> = rates
        .into_iter()
        .filter(|samples| *samples > 0)
        .map(|samples| edf.signals.iter().filter(|signal| signal.samples_per_record == samples).collect())
        .collect();
    let names: Vec<String> = tables.iter().map(|signals| table_name(signals)).collect();
    let own = ["annotations.csv", "streams.json"].map(str::to_owned);
    let targets = names.iter().chain(&own).map(|name| options.csv.join(name));
    let existing = refuse_existing(options.force, targets)?;
    std::fs::create_dir_all(&options.csv)?;
    let mut described = Vec::new();
    for (signals, name) in tables.iter().zip(&names) {
        let file = NewFile::begin(&options.csv.join(name), existing)?;
        let labels = columns(&signals.iter().map(|signal| signal.label.as_str()).collect::<Vec<_>>());
        if !labels.renamed.is_empty() {
            host.note(&format!("{name}: duplicate labels were numbered: {}", labels.renamed.join(", ")));
        }
        write(file, &edf, signals, &labels.columns)?;
        let units: Vec<&str> = signals.iter().map(|signal| signal.unit.as_str()).collect();
        let rate = signals.first().map(|signal| signal.rate_hz).filter(|rate| *rate > 0.0);
        described.push(json!({ "file": name, "rate_hz": rate, "columns": labels.columns, "units": units }));
    }
    let annotations = NewFile::begin(&options.csv.join("annotations.csv"), existing)?;
    let mut file = csv::Writer::from_writer(annotations);
    file.write_record(["time", "duration", "text"])?;
    for note in &edf.annotations {
        let duration = note.duration.map(|seconds| seconds.to_string()).unwrap_or_default();
        file.write_record([note.onset.to_string(), duration, note.text.clone()])?;
    }
    finish(file)?;
    let description = json!({
        "recording": options.file.file_name().map(|name| name.to_string_lossy()),
        "begun": format!("{} {}", edf.start_date, edf.start_time),
        "missing_records": edf.missing_records,
        "streams": described,
        "remarks": edf.remarks,
    });
    let target = options.csv.join("streams.json");
    write_new_file(&target, existing, &serde_json::to_vec_pretty(&description)?)?;
    let signals = Counted(edf.signals.len() as u64, "signal");
    let text = format!("{signals} in {}\n", options.csv.display());
    Ok(Answer { document: description, text, failure: None })
}

/// A table's file, by the rate of its signals; where there is none, by how many samples a record has.
fn table_name(signals: &[&EdfSignal]) -> String {
    match signals.first() {
        Some(signal) if signal.rate_hz > 0.0 => format!("signals_{}_hz.csv", signal.rate_hz),
        Some(signal) => format!("signals_{}_a_record.csv", signal.samples_per_record),
        None => "signals.csv".to_owned(),
    }
}

/// Signals of one rate, a row a sample; with times where there is a rate.
fn write(
    target: NewFile,
    edf: &EdfRecording,
    signals: &[&EdfSignal],
    labels: &[String],
) -> anyhow::Result<()> {
    let mut file = csv::Writer::from_writer(target);
    let timed = signals.first().is_some_and(|signal| signal.rate_hz > 0.0);
    file.write_record(timed.then_some("time").into_iter().chain(labels.iter().map(String::as_str)))?;
    let rows = signals.first().map_or(0, |signal| signal.values.len());
    for row in 0..rows {
        let time = signals.first().and_then(|signal| edf.time(signal, row)).map(|time| time.to_string());
        file.write_record(
            time.into_iter().chain(signals.iter().map(|signal| signal.values[row].to_string())),
        )?;
    }
    finish(file)
}

/// Names of the signals' columns; one without a label is called `signal`.
fn columns(labels: &[&str]) -> Labels {
    distinct(labels.iter().map(|&label| if label.is_empty() { "signal" } else { label }.to_owned()))
}

fn read(path: &Path, encoding: Option<&'static Encoding>) -> anyhow::Result<EdfRecording> {
    read_edf(path, encoding).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_one_label_become_columns_of_different_names() {
        let made = columns(&["EEG", "EEG", "", "time", "EEG_2", "EEG"]);
        assert_eq!(made.columns, ["EEG", "EEG_2", "signal", "time_2", "EEG_2_2", "EEG_3"]);
        assert_eq!(made.renamed.len(), 4, "each is told: {:?}", made.renamed);
    }
}
