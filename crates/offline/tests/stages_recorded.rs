//! Derived streams made again from recordings: whole ones, and those that lack raw samples or had other settings at the end.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

use std::{fs::File, path::Path};

use kalmind_offline::{
    Recomputed, Resumed, recompute,
    recorded::{CheckpointPart, RecordDocument, RecordedAs, ResumedAt, SessionDocument, StagesDocument},
};
use kalmind_recording::xdf::{
    encode::HeaderFields,
    writer::{StreamId, Writer},
};
use kalmind_signal::{
    Chain, ChainSettings, DerivedStream, Given, IirBackwardSettings, IirSettings, Rows, Signal, StageSettings,
};
use kalmind_types::{Binning, GenerationId, NumberFormat, SampleRows, StreamFeatures, StreamTime};

const RATE_HZ: f64 = 1000.0;
const CHANNELS: usize = 2;
/// Raw samples that are received at once.
const PULL: u64 = 50;
const SAMPLES: u64 = 1000;
/// From here on samples are missing, for longer than is filled.
const GAP: u64 = 800;

/// What becomes of a stream of [`SAMPLES`] samples.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// The pull whose raw samples are not recorded.
    lost: Option<u64>,
    /// The pull after which what the stages remember is recorded.
    checkpoint: Option<u64>,
    /// The pull before which other settings are begun, and the sample from which they are in force.
    generation: Option<(u64, u64)>,
    /// The pull before which what was given to the stages could not be recorded for a while.
    log_lost: Option<u64>,
}

fn settings(generation: u8) -> ChainSettings {
    let sections = vec![[0.25, 0.5, 0.25, 1.0, -0.5, 0.25 + f64::from(generation) / 100.0]];
    ChainSettings(vec![
        StageSettings::Iir(IirSettings { sections: sections.clone() }),
        StageSettings::IirBackward(IirBackwardSettings { sections, block: 8 }),
    ])
}

fn chain(generation: u8) -> Chain {
    let raw = Signal::raw(RATE_HZ, (0..CHANNELS).map(|_| (String::new(), String::new())));
    Chain::new(&settings(generation), GenerationId([generation; 32]), &raw, 64).unwrap()
}

fn stages(generation: u8, recorded: RecordedAs) -> StagesDocument {
    StagesDocument {
        settings: settings(generation),
        generation: GenerationId([generation; 32]),
        rate_hz: RATE_HZ,
        channels: CHANNELS,
        recorded,
    }
}

fn session(recorded: RecordedAs) -> SessionDocument {
    let mut session = SessionDocument::example(StreamFeatures::of_channels(Binning::Mean, CHANNELS, None));
    session.streams[0].stages = Some(stages(0, recorded));
    session
}

fn stamps(first: u64, count: usize) -> Vec<StreamTime> {
    (first..).take(count).map(|index| StreamTime(index as f64 / RATE_HZ)).collect()
}

fn values(first: u64, end: u64) -> Vec<f64> {
    let value = |at: u64| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / 1e7 - 0.8;
    (first * CHANNELS as u64..end * CHANNELS as u64).map(value).collect()
}

/// A recording that is being written, as far as it concerns one stream with stages.
struct Recording {
    writer: Writer<File>,
    record: StreamId,
    raw: StreamId,
    derived: StreamId,
}

impl Recording {
    fn new(path: &Path, recorded: RecordedAs) -> Self {
        let mut writer = Writer::new(File::create_new(path).unwrap(), "1970-01-01T00:00:00+0000", "");
        let mut add = |role: &str, channels, format| {
            let desc = format!("<kalmind><role>{role}</role><key>array</key><index>0</index></kalmind>");
            let fields =
                HeaderFields { name: role, channels, format, desc: &desc, ..HeaderFields::default() };
            writer.add_stream(&fields)
        };
        let record = add("record", 1, None);
        let raw = add("raw", CHANNELS, Some(NumberFormat::Double64));
        let derived = add("input", CHANNELS, Some(NumberFormat::Double64));
        let mut recording = Self { writer, record, raw, derived };
        recording.document(&RecordDocument::Session(Box::new(session(recorded))));
        recording
    }

    fn document(&mut self, document: &RecordDocument) {
        let text = serde_json::to_string(document).unwrap();
        self.writer.text(self.record, StreamTime(1.0), &[&text], false);
    }
}

/// Records a stream, and says how many derived samples there were after each pull.
fn record(path: &Path, course: Course) -> Vec<u64> {
    let mut recording = Recording::new(path, RecordedAs::Both);
    let mut stream = DerivedStream::new(chain(0), CHANNELS, RATE_HZ);
    let mut output = Rows::with_capacity(CHANNELS, 0);
    let mut after = Vec::new();
    for pull in 0..SAMPLES / PULL {
        if let Some((_, at)) = course.generation.filter(|(begun, _)| *begun == pull) {
            let (stream, document) = (&mut stream, stages(1, RecordedAs::Both));
            recording.document(&RecordDocument::Stages { stream: 0, stages: document });
            stream.stage(Box::new(chain(1)), at).unwrap();
        }
        let (first, end) = (pull * PULL, (pull + 1) * PULL);
        let rows = values(first, end);
        let missing = if first == GAP { 20 } else { 0 };
        output.clear();
        stream.take(first, missing, SampleRows::Double64(&rows), &mut output);
        if course.lost == Some(pull) {
            let row = recording.writer.row(recording.raw);
            recording.document(&RecordDocument::Hole { stream: 0, row, index: end, raw: true });
        } else {
            let stamps = stamps(first, PULL as usize);
            recording.writer.rows(recording.raw, &stamps, SampleRows::Double64(&rows));
        }
        let made: Vec<f64> = output
            .iter()
            .flat_map(|row| row.values.iter().zip(row.invalid))
            .map(|(value, invalid)| if *invalid { f64::NAN } else { *value })
            .collect();
        let stamps = stamps(after.last().copied().unwrap_or(0), output.len());
        recording.writer.rows(recording.derived, &stamps, SampleRows::Double64(&made));
        for given in stream.log().entries().to_vec() {
            let given = if course.log_lost == Some(pull) { Given::Lost } else { given };
            recording.document(&RecordDocument::Given { stream: 0, given });
        }
        stream.log().clear();
        after.push(stream.counts().derived);
        if course.checkpoint == Some(pull) {
            let mut state = Vec::new();
            assert!(stream.save(&mut state));
            for part in CheckpointPart::all_of(0, stream.counts().derived, &state) {
                recording.document(&RecordDocument::Checkpoint(part));
            }
        }
        drop(stream.take_retired());
        recording.writer.commit().unwrap();
    }
    recording.writer.footers();
    recording.writer.commit().unwrap();
    after
}

fn recomputed(course: Course) -> (Recomputed, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.xdf");
    let after = record(&path, course);
    (recompute(&path, |_, _| {}).unwrap(), after)
}

#[test]
fn a_whole_recording_is_made_again_to_the_last_bit_whatever_the_settings_were() {
    let generations = [None, Some((4, 200)), Some((4, 500)), Some((12, GAP)), Some((15, 1100))];
    for generation in generations {
        let (found, after) = recomputed(Course { generation, ..Course::default() });
        assert_eq!((found.streams, found.compared), (1, *after.last().unwrap()), "{generation:?}");
        assert!(found.identical() && found.resumed.is_empty(), "{generation:?} {found:?}");
    }
}

#[test]
fn where_raw_samples_are_lost_it_goes_on_from_a_restart_and_says_so() {
    let (found, after) = recomputed(Course { lost: Some(4), ..Course::default() });
    // the restart stands before the first sample after the gap
    let restarted = after[(GAP / PULL) as usize - 1];
    let resumed = Resumed { stream: 0, sample: restarted, by: ResumedAt::Restart };
    assert_eq!((found.resumed.as_slice(), found.first_difference), ([resumed].as_slice(), None));
    assert_eq!(found.not_computed, restarted - after[3]);
    assert_eq!(found.compared + found.not_computed, *after.last().unwrap());
}

#[test]
fn where_raw_samples_are_lost_it_goes_on_from_a_checkpoint_of_any_generation() {
    for generation in [None, Some((1, 160)), Some((7, 420)), Some((11, 700))] {
        for log_lost in [None, Some(5)] {
            let course = Course { lost: Some(4), checkpoint: Some(9), generation, log_lost };
            let (found, after) = recomputed(course);
            let resumed = Resumed { stream: 0, sample: after[9], by: ResumedAt::Checkpoint };
            let found_resumed = (found.resumed.as_slice(), found.first_difference);
            assert_eq!(found_resumed, ([resumed].as_slice(), None), "{course:?}");
            assert_eq!(found.not_computed, after[9] - after[3], "{course:?}");
            assert_eq!(found.compared + found.not_computed, *after.last().unwrap());
        }
    }
}

#[test]
fn restarts_are_read_as_they_were_written_before_there_were_generations() {
    let restart = Given::Restart { derived: 4, generation: None, next: None };
    assert_eq!(serde_json::from_str::<Given>(r#"{"restart":{"derived":4}}"#).unwrap(), restart);
    assert_eq!(serde_json::to_string(&restart).unwrap(), r#"{"restart":{"derived":4}}"#);
    let next = Some((GenerationId([7; 32]), 9));
    let full = Given::Restart { derived: 4, generation: Some(GenerationId([1; 32])), next };
    let text = serde_json::to_string(&full).unwrap();
    assert_eq!(serde_json::from_str::<Given>(&text).unwrap(), full, "{text}");
}
