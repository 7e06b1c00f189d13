//! Features of recordings as files: tables for people and for `fit`, arrays for programs.

use std::{io::Write as _, path::Path};

use kalmind_recording::{
    Existing, NewFile,
    npz::{Array, write_npz},
};
use kalmind_types::FeatureLayout;

use super::{Crossing, FeatureRow};

/// Rows of features, of one recording or of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureTable {
    /// Names of the features.
    pub names: Vec<String>,
    /// Their units; empty where one is not known.
    pub units: Vec<String>,
    /// End of each bin.
    pub time: Vec<f64>,
    /// A row after the other; NaN where a feature had no valid sample.
    pub values: Vec<f64>,
    /// Which bins are incomplete.
    pub incomplete: Vec<bool>,
    /// Which recording each row is of, from 0.
    pub recording: Vec<u32>,
}

impl FeatureTable {
    /// No rows yet of such features.
    #[must_use]
    pub fn new(layout: &FeatureLayout) -> Self {
        let names = layout
            .all_names()
            .unwrap_or_else(|| (0..layout.width()).map(kalmind_types::unlabelled).collect());
        let units = layout.features().iter().map(|feature| feature.unit.clone()).collect();
        Self { names, units, ..Self::default() }
    }

    /// Appends a row of the recording with this number.
    pub fn push(&mut self, recording: u32, row: &FeatureRow<'_>) {
        self.time.push(row.time.0);
        self.values.extend_from_slice(row.values);
        self.incomplete.push(row.incomplete);
        self.recording.push(recording);
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.time.len()
    }

    fn is_of_several(&self) -> bool {
        self.recording.iter().any(|recording| *recording > 0)
    }

    /// Writes a table that `fit --features` takes: `time` and a column a feature. Incomplete bins are left out, so that time has
    /// a gap there; a feature without a valid sample takes its mean. How many values did.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_csv(&self, target: &Path) -> anyhow::Result<usize> {
        let width = self.names.len().max(1);
        let complete =
            || self.values.chunks_exact(width).zip(&self.incomplete).filter(|(_, incomplete)| !**incomplete);
        let mut sums = vec![(0.0, 0_u64); width];
        for (row, _) in complete() {
            for ((sum, count), value) in sums.iter_mut().zip(row).filter(|(_, value)| value.is_finite()) {
                (*sum, *count) = (*sum + value, *count + 1);
            }
        }
        let means: Vec<f64> =
            sums.iter().map(|(sum, count)| if *count > 0 { sum / *count as f64 } else { 0.0 }).collect();
        let mut file = csv::Writer::from_writer(NewFile::begin(target, Existing::Replace)?);
        let several = self.is_of_several().then_some("recording");
        file.write_record(several.into_iter().chain(["time"]).chain(self.names.iter().map(String::as_str)))?;
        let mut filled = 0;
        let mut record: Vec<String> = Vec::with_capacity(width + 2);
        for (at, row) in self.values.chunks_exact(width).enumerate() {
            if self.incomplete.get(at).is_none_or(|incomplete| *incomplete) {
                continue;
            }
            record.clear();
            record.extend(several.map(|_| self.recording[at].to_string()));
            record.push(self.time[at].to_string());
            filled += row.iter().filter(|value| !value.is_finite()).count();
            let finite = |(value, mean): (&f64, &f64)| if value.is_finite() { *value } else { *mean };
            record.extend(row.iter().zip(&means).map(finite).map(|value| value.to_string()));
            file.write_record(&record)?;
        }
        finish(file)?;
        Ok(filled)
    }

    /// Writes numpy's `.npz`: `time`, `features` (row by row), `names`, `units`, `incomplete`, and `recording` where they are of
    /// several. All bins are in it, as they are.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_npz(&self, target: &Path) -> anyhow::Result<()> {
        let several = self.is_of_several();
        let arrays = [
            ("time", Array::Numbers { values: &self.time, columns: None }),
            ("features", Array::Numbers { values: &self.values, columns: Some(self.names.len()) }),
            ("names", Array::Texts(&self.names)),
            ("units", Array::Texts(&self.units)),
            ("incomplete", Array::Flags(&self.incomplete)),
            ("recording", Array::Counts(&self.recording)),
        ];
        let mut file = NewFile::begin(target, Existing::Replace)?;
        write_npz(&mut file, arrays.into_iter().filter(|(name, _)| several || *name != "recording"))?;
        file.finish()?;
        Ok(())
    }
}

/// Writes crossings, in the order of time: `time`, `channel` by its name, and `recording` where they are of several.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_crossings(
    target: &Path,
    crossings: &mut [(u32, Crossing)],
    name: impl Fn(&Crossing) -> String,
) -> anyhow::Result<()> {
    crossings.sort_by(|(one, first), (other, second)| {
        one.cmp(other).then(first.time.0.total_cmp(&second.time.0)).then(first.channel.cmp(&second.channel))
    });
    let several = crossings.iter().any(|(recording, _)| *recording > 0);
    let mut file = csv::Writer::from_writer(NewFile::begin(target, Existing::Replace)?);
    file.write_record(several.then_some("recording").into_iter().chain(["time", "channel"]))?;
    for (recording, crossing) in &*crossings {
        let recording = several.then(|| recording.to_string());
        let own = [crossing.time.0.to_string(), name(crossing)];
        file.write_record(recording.into_iter().chain(own))?;
    }
    finish(file)
}

fn finish(file: csv::Writer<NewFile>) -> anyhow::Result<()> {
    let mut file = file.into_inner().map_err(csv::IntoInnerError::into_error)?;
    file.flush()?;
    file.finish()?;
    Ok(())
}
