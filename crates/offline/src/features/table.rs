//! Features of recordings as files: tables for people and for `fit`, arrays for programs.

use std::{io::Write as _, ops::ControlFlow, path::Path};

use kalmind_recording::{
    Existing, NewFile, folder_of,
    npz::{Array, SpooledRows, write_npz},
};
use kalmind_types::FeatureLayout;

use super::{Crossing, FeatureRow};

/// Writes rows of features, of one recording or of several, as they are made. Of arrays, time and flags stay in memory, 13 bytes a
/// row. The target is untouched until [`finish`](Self::finish).
#[derive(Debug)]
pub struct FeatureFile {
    names: Vec<String>,
    units: Vec<String>,
    several: bool,
    file: Form,
    /// Why no more is written.
    failed: Option<anyhow::Error>,
    told: WrittenFeatures,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WrittenFeatures {
    /// Names of the features.
    pub names: Vec<String>,
    /// Rows.
    pub rows: usize,
    /// Values that are not there: of features without a valid sample.
    pub missing: usize,
}

#[derive(Debug)]
enum Form {
    Table(Box<csv::Writer<NewFile>>),
    Arrays(Box<Arrays>),
}

#[derive(Debug)]
struct Arrays {
    file: NewFile,
    time: Vec<f64>,
    features: SpooledRows,
    incomplete: Vec<bool>,
    recording: Vec<u32>,
}

impl FeatureFile {
    /// A table that `fit --features` takes: `time` (end of the bin) and a column a feature, and the number of the recording where
    /// they are of `several`. Incomplete bins are left out, so that time has a gap there; the cell of a feature without a valid
    /// sample is empty.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn table(target: &Path, layout: &FeatureLayout, several: bool) -> anyhow::Result<Self> {
        let mut this = Self::of(
            Form::Table(Box::new(csv::Writer::from_writer(NewFile::begin(target, Existing::Replace)?))),
            layout,
            several,
        );
        if let Form::Table(file) = &mut this.file {
            let recording = several.then_some("recording").into_iter();
            file.write_record(recording.chain(["time"]).chain(this.names.iter().map(String::as_str)))?;
        }
        Ok(this)
    }

    /// numpy's `.npz`: `time`, `features` (row by row), `names`, `units`, `incomplete`, and `recording` where they are of
    /// `several`. All bins are in it, as they are; a feature without a valid sample is NaN.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn arrays(target: &Path, layout: &FeatureLayout, several: bool) -> anyhow::Result<Self> {
        let file = NewFile::begin(target, Existing::Replace)?;
        let features = SpooledRows::begin(folder_of(target), layout.width())?;
        let (time, incomplete, recording) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self::of(
            Form::Arrays(Box::new(Arrays { file, time, features, incomplete, recording })),
            layout,
            several,
        ))
    }

    fn of(file: Form, layout: &FeatureLayout, several: bool) -> Self {
        let names = layout
            .all_names()
            .unwrap_or_else(|| (0..layout.width()).map(kalmind_types::unlabelled).collect());
        let units = layout.features().iter().map(|feature| feature.unit.clone()).collect();
        Self { names, units, several, file, failed: None, told: WrittenFeatures::default() }
    }

    /// Appends a row of the recording with this number. Breaks where one could not be written: why is told at the
    /// [end](Self::finish), and no more need be made.
    pub fn push(&mut self, recording: u32, row: &FeatureRow<'_>) -> ControlFlow<()> {
        if self.failed.is_none()
            && let Err(error) = self.write(recording, row)
        {
            self.failed = Some(error);
        }
        if self.has_failed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether a row could not be written.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    fn write(&mut self, recording: u32, row: &FeatureRow<'_>) -> anyhow::Result<()> {
        match &mut self.file {
            Form::Table(_) if row.incomplete => return Ok(()),
            Form::Table(file) => {
                if self.several {
                    file.write_field(recording.to_string())?;
                }
                file.write_field(row.time.0.to_string())?;
                for value in row.values {
                    file.write_field(if value.is_finite() { value.to_string() } else { String::new() })?;
                }
                file.write_record(None::<&[u8]>)?;
            }
            Form::Arrays(arrays) => {
                arrays.features.push(row.values)?;
                arrays.time.push(row.time.0);
                arrays.incomplete.push(row.incomplete);
                arrays.recording.push(recording);
            }
        }
        self.told.rows += 1;
        self.told.missing += row.values.iter().filter(|value| !value.is_finite()).count();
        Ok(())
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// Where it cannot be written, or a row could not.
    pub fn finish(self) -> anyhow::Result<WrittenFeatures> {
        let Self { names, units, several, file, failed, told } = self;
        if let Some(failed) = failed {
            return Err(failed);
        }
        match file {
            Form::Table(file) => finish(*file)?,
            Form::Arrays(arrays) => {
                let Arrays { mut file, time, mut features, incomplete, recording } = *arrays;
                let arrays = [
                    ("time", Array::Numbers { values: &time, columns: None }),
                    ("features", features.array()?),
                    ("names", Array::Texts(&names)),
                    ("units", Array::Texts(&units)),
                    ("incomplete", Array::Flags(&incomplete)),
                    ("recording", Array::Counts(&recording)),
                ];
                let arrays = arrays.into_iter().filter(|(name, _)| several || *name != "recording");
                write_npz(&mut file, arrays)?;
                file.finish()?;
            }
        }
        Ok(WrittenFeatures { names, ..told })
    }
}

/// Writes crossings, all of which are in memory, in the order of time: `time`, `channel` by its name, and `recording` where they are of several.
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

#[cfg(test)]
mod tests {
    use kalmind_types::{Binning, LslTime, StreamFeatures};

    use super::*;

    #[test]
    fn a_feature_without_a_value_is_an_empty_cell() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("features.csv");
        let labels = ["a", "b"].map(str::to_owned).to_vec();
        let stream = StreamFeatures::of_channels(Binning::Mean, 2, Some(labels));
        let mut file = FeatureFile::table(&target, &FeatureLayout::new(&[stream]).unwrap(), true).unwrap();
        let row = |time, incomplete, values| FeatureRow { time: LslTime(time), epoch: 0, incomplete, values };
        assert!(file.push(0, &row(0.5, false, &[1.5, f64::NAN])).is_continue());
        assert!(file.push(0, &row(0.75, true, &[2.0, 2.0])).is_continue());
        assert!(file.push(1, &row(0.5, false, &[f64::NAN, 0.0])).is_continue());
        assert!(!target.exists(), "until it is whole");
        let written = file.finish().unwrap();
        assert_eq!((written.rows, written.missing), (2, 2));
        let text = std::fs::read_to_string(&target).unwrap();
        assert_eq!(text, "recording,time,a,b\n0,0.5,1.5,\n1,0.5,,0\n");
    }

    #[test]
    fn where_nothing_more_can_be_written_nothing_more_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let stream = StreamFeatures::of_channels(Binning::Mean, 1, None);
        let layout = FeatureLayout::new(&[stream]).unwrap();
        let mut file = FeatureFile::arrays(&folder.path().join("features.npz"), &layout, false).unwrap();
        let row = FeatureRow { time: LslTime(0.5), epoch: 0, incomplete: false, values: &[1.0] };
        assert!(file.push(0, &row).is_continue());
        file.failed = Some(anyhow::anyhow!("the disk is full"));
        assert!(file.push(0, &row).is_break() && file.has_failed());
        assert_eq!(file.finish().unwrap_err().to_string(), "the disk is full");
    }
}
