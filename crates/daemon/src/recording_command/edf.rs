//! `kalmind recording info` and `export` of an EDF or BDF file.

use std::{collections::BTreeSet, io::Write as _, path::Path};

use encoding_rs::Encoding;
use kalmind_recording::{
    Existing,
    edf::{EdfRecording, EdfSignal, read_edf},
    write_new_file,
};
use serde_json::{Value, json};

use super::export::{finish, table};
use crate::{
    cli::{ExportArguments, RecordingFile},
    failure::{OrFail as _, Outcome},
    log::say,
};

/// Says what is in the file, and what was assumed about it.
///
/// # Errors
/// Exit code 1 where the file cannot be read.
pub(super) fn information(arguments: &RecordingFile) -> Outcome<()> {
    let edf = read(&arguments.file, None)?;
    let seconds = edf.record_onsets.iter().fold(0.0, |end: f64, onset| end.max(onset + edf.record_seconds));
    let breaks = edf.breaks();
    let mut out = std::io::stdout().lock();
    if arguments.json {
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
            "file": arguments.file, "format": "EDF", "begun": format!("{} {}", edf.start_date, edf.start_time),
            "patient": edf.patient, "recording": edf.recording, "seconds": seconds, "records": edf.record_onsets.len(),
            "gaps": breaks.gaps, "overlaps": breaks.overlaps, "steps_back": breaks.backward,
            "missing_records": edf.missing_records, "signals": signals, "annotations": edf.annotations.len(),
            "remarks": edf.remarks,
        });
        return writeln!(out, "{document}").or_work();
    }
    writeln!(
        out,
        "{}: EDF, begun {} {}, {seconds:.1} s; patient \"{}\", recording \"{}\"\n{} signals, {} annotations, {} gaps, {} \
         overlaps, {} steps back in time, {} records missing",
        arguments.file.display(),
        edf.start_date,
        edf.start_time,
        edf.patient,
        edf.recording,
        edf.signals.len(),
        edf.annotations.len(),
        breaks.gaps,
        breaks.overlaps,
        breaks.backward,
        edf.missing_records
    )
    .or_work()?;
    for signal in &edf.signals {
        writeln!(
            out,
            "  {:<16} {:>9} Hz {:<8} {} samples",
            signal.label,
            signal.rate_hz,
            signal.unit,
            signal.values.len()
        )
        .or_work()?;
    }
    for remark in &edf.remarks {
        writeln!(out, "note: {remark}").or_work()?;
    }
    Ok(())
}

/// Writes one CSV file for the signals of each rate, and one for annotations. Times are seconds from the file's start.
///
/// # Errors
/// Exit code 1 where the file cannot be read, or a table not be written.
pub(super) fn export(arguments: &ExportArguments) -> Outcome<()> {
    let edf = read(&arguments.file, arguments.encoding)?;
    for remark in &edf.remarks {
        say(&format!("note: {remark}"));
    }
    std::fs::create_dir_all(&arguments.csv).or_work()?;
    let rates: BTreeSet<usize> = edf.signals.iter().map(|signal| signal.samples_per_record).collect();
    let mut described = Vec::new();
    for samples in rates.into_iter().filter(|samples| *samples > 0) {
        let signals: Vec<_> =
            edf.signals.iter().filter(|signal| signal.samples_per_record == samples).collect();
        let Some(first) = signals.first() else { continue };
        let timed = first.rate_hz > 0.0;
        // without a rate the tables differ by how many samples a record has
        let name = if timed {
            format!("signals_{}_hz.csv", first.rate_hz)
        } else {
            format!("signals_{samples}_a_record.csv")
        };
        write(&arguments.csv.join(&name), &edf, &signals, timed).or_work()?;
        let units: Vec<&str> = signals.iter().map(|signal| signal.unit.as_str()).collect();
        let rate = timed.then_some(first.rate_hz);
        described.push(json!({ "file": name, "rate_hz": rate, "units": units }));
    }
    let mut file = table(&arguments.csv.join("annotations.csv")).or_work()?;
    file.write_record(["time", "duration", "text"]).or_work()?;
    for note in &edf.annotations {
        let duration = note.duration.map(|seconds| seconds.to_string()).unwrap_or_default();
        file.write_record([note.onset.to_string(), duration, note.text.clone()]).or_work()?;
    }
    finish(file).or_work()?;
    let description = json!({
        "recording": arguments.file.file_name().map(|name| name.to_string_lossy()),
        "begun": format!("{} {}", edf.start_date, edf.start_time),
        "missing_records": edf.missing_records,
        "streams": described,
        "remarks": edf.remarks,
    });
    let target = arguments.csv.join("streams.json");
    write_new_file(&target, Existing::Replace, &serde_json::to_vec_pretty(&description).or_work()?)
        .or_work()?;
    writeln!(std::io::stdout().lock(), "{} signals in {}", edf.signals.len(), arguments.csv.display())
        .or_work()
}

/// Signals of one rate, a row a sample.
fn write(path: &Path, edf: &EdfRecording, signals: &[&EdfSignal], timed: bool) -> anyhow::Result<()> {
    let mut file = table(path)?;
    let labels: Vec<&str> = signals.iter().map(|signal| signal.label.as_str()).collect();
    let labels = distinct(&labels);
    file.write_record(timed.then(|| "time".to_owned()).into_iter().chain(labels))?;
    let rows = signals.first().map_or(0, |signal| signal.values.len());
    for row in 0..rows {
        let time = signals.first().and_then(|signal| edf.time(signal, row)).map(|time| time.to_string());
        file.write_record(
            time.into_iter().chain(signals.iter().map(|signal| signal.values[row].to_string())),
        )?;
    }
    finish(file)
}

/// The labels as names of columns, which have to differ: of several alike, all but the first get a number; one that is empty
/// is called `signal`.
fn distinct(labels: &[&str]) -> Vec<String> {
    let mut taken = BTreeSet::from(["time".to_owned()]);
    labels
        .iter()
        .map(|&label| {
            let label = if label.is_empty() { "signal" } else { label };
            let numbered = (2..).map(|number| format!("{label}_{number}"));
            let name = std::iter::once(label.to_owned()).chain(numbered).find(|name| !taken.contains(name));
            let name = name.unwrap_or_default();
            taken.insert(name.clone());
            name
        })
        .collect()
}

fn read(path: &Path, encoding: Option<&'static Encoding>) -> Outcome<EdfRecording> {
    read_edf(path, encoding).map_err(|error| anyhow::anyhow!("{}: {error}", path.display())).or_work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_one_label_become_columns_of_different_names() {
        let labels = ["EEG", "EEG", "", "time", "EEG_2", "EEG"];
        assert_eq!(distinct(&labels), ["EEG", "EEG_2", "signal", "time_2", "EEG_2_2", "EEG_3"]);
    }
}
