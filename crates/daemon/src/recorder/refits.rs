//! Sessions that are fitted anew while they run, through the real engine, calibration, fits and recorder.

mod hour;

use std::{collections::VecDeque, path::Path, sync::Arc};

use crossbeam_channel::Sender;
use kalmind_acquisition::{
    Waker,
    pool::{PoolWriter, pool},
};
use kalmind_engine::{Engine, Examiner, History, HistoryRow};
use kalmind_filter::{KernelPath, LabelLaw};
use kalmind_fitting::{EarlierFit, FitReport, FitSettings};
use kalmind_offline::{
    Replayed,
    calibration_fit::{CalibrationFit, RecordedFit},
    fit_calibration,
    model::{Demand, IdentifiedModel},
    recorded::{Item, RecordDocument, RecordedSamples, SessionDocument, SessionReader, Wanted},
    recorded_models,
};
use kalmind_output::CursorRow;
use kalmind_session::{Calibration, CalibrationOptions, CalibrationTick};
use kalmind_types::{
    BinClose, Binning, ClockOffset, Command, CursorDrive, IndexRange, LslTime, NumberFormat, OutputState,
    Position, SampleBlock, Samples, Seconds, StageTimes, StreamDescription, StreamFeatures, StreamHealth,
    StreamTick, StreamTime, Target, TickInput, TickOutput, TickPublication, Velocity,
};

use super::{
    Message, RecorderStatus,
    fate::Fate,
    head::RecordingFile,
    inputs::NumericHeader,
    watch::{Left, NextFile},
    writing::{Beginning, Writing},
};
use crate::{
    commands::replay::{layout, replay},
    tick::{EngineView, RecordLane},
};

const WIDTH: f64 = 0.02;
/// Ticks of a trial.
const TRIAL: u64 = 50;

/// A session that runs.
struct Session {
    channels: usize,
    demand: Demand,
    engine: Engine,
    examiner: Examiner,
    history: History,
    samples: RecordedSamples,
    /// The last ticks, what is fitted to, and how many of them.
    seen: VecDeque<Seen>,
    fitted_to: usize,
    writing: Writing<RecordingFile>,
    blocks: PoolWriter<SampleBlock>,
    ticks: RecordLane,
    messages: Sender<Message>,
    noise: u64,
    seq: u64,
    position: Position,
    target: Position,
}

/// A tick as calibration sees it.
struct Seen {
    output: TickOutput,
    features: Vec<f64>,
    target: Position,
    trial: u64,
}

fn document(channels: usize) -> SessionDocument {
    SessionDocument::example(StreamFeatures::of_channels(Binning::Sample, channels, None))
}

impl Session {
    fn new(path: &Path, channels: usize) -> Self {
        let session = document(channels);
        let status = Arc::new(RecorderStatus::new(path.to_owned(), 1e6));
        let (ticks, records) = RecordLane::new(64, channels, 0, Waker::new());
        let (messages, received) = crossbeam_channel::bounded(64);
        let (blocks, read) = pool(16, || SampleBlock::with_capacity(NumberFormat::Float32, channels, 1));
        let labels = (0..channels).map(|channel| channel.to_string()).collect::<Vec<_>>();
        let row = CursorRow::new(&layout(&session));
        let date = "1970-01-01T00:00:00+0000";
        let beginning = Beginning { session: &session, features: &labels, row, now: LslTime(0.0), date };
        let sink = RecordingFile::Open(super::file::open_new(path).expect("a file"));
        let mut writing = Writing::new(sink, beginning, records, received, status);
        let description = StreamDescription {
            name: "Array".to_owned(),
            channels,
            format: Some(NumberFormat::Float32),
            ..StreamDescription::default()
        };
        let header = NumericHeader { description, key: "array".to_owned(), index: Some(0), raw: false };
        writing.add_numbers(read, header, LslTime(0.0));
        writing.begin().expect("a head");
        let engine = Engine::new(session.engine.clone()).expect("an engine");
        Self {
            channels,
            demand: Demand {
                streams: session.engine.features.clone(),
                bin_ms: session.bin_ms,
                components: session.components.clone(),
                participant: None,
            },
            examiner: engine.examiner(),
            engine,
            history: History::new(channels, History::rows_of(Seconds(WIDTH))),
            samples: RecordedSamples::new([(channels, 64)].into_iter()),
            seen: VecDeque::new(),
            fitted_to: usize::MAX,
            writing,
            blocks,
            ticks,
            messages,
            noise: 5,
            seq: 0,
            position: Position([0.5, 0.5]),
            target: Position([0.8, 0.5]),
        }
    }

    fn noise(&mut self) -> f64 {
        self.noise =
            self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// A bin in which the channels say where the target is, and what calibration makes of it; a model takes over warmed.
    fn tick(&mut self, takes_over: Option<&IdentifiedModel>) {
        let (seq, channels) = (self.seq, self.channels);
        self.seq += 1;
        if seq.is_multiple_of(TRIAL) {
            let angle = core::f64::consts::PI * self.noise();
            self.target = Position([0.5 + 0.3 * angle.cos(), 0.5 + 0.3 * angle.sin()]);
        }
        let meant = LabelLaw::default().label(self.position, self.target).0;
        let values: Vec<f32> = (0..channels)
            .map(|channel| {
                let preferred = channel as f64;
                let tuned = meant[0] * preferred.cos() + meant[1] * preferred.sin();
                (4.0 * tuned + self.noise()) as f32
            })
            .collect();
        let time = 100.0 + seq as f64 * WIDTH;
        let mut block = self.blocks.claim().expect("the recorder keeps up");
        block.first_index = seq;
        block.clock = ClockOffset { offset: Seconds(0.001), uncertainty: Seconds(0.0001) };
        block.stamps = vec![StreamTime(time)];
        block.values = Samples::Float32(values.clone());
        self.blocks.send(block);
        self.samples.add(0, seq, vec![StreamTime(time)], Samples::Float32(values));
        let mut input = TickInput::empty();
        (input.seq, input.closed_by) = (seq, BinClose::Sample);
        (input.start, input.time) = (LslTime(time - WIDTH), LslTime(time));
        // what such a bin has trains no decoder, and stands in the windows of later ones as if it were missing
        input.incomplete = seq % 37 == 5;
        if (120..140).contains(&seq) {
            assert!(input.masked.mask(0, 1));
        }
        input.streams.push(StreamTick {
            ranges: [IndexRange { first: seq, end: seq + 1 }].into_iter().collect(),
            offset: Seconds(0.0),
            health: StreamHealth::Live,
            lost: 0,
            late: 0,
            generation: 0,
            settling: None,
        });
        if let Some(model) = takes_over {
            let id = model.id;
            let mut staged = model.stage(true, KernelPath::detect()).expect("it can be built");
            input.commands.push(match self.history.held() {
                None => Command::SwapModel(id),
                Some((from, through)) => {
                    for row in (from..=through).filter_map(|seq| self.history.row(seq)) {
                        staged.warm(&row, &mut self.examiner);
                    }
                    Command::SwapWarmed { model: id, from, through }
                }
            });
            assert!(self.engine.stage(staged).is_ok(), "the model fits");
        }
        let output = self.engine.step(&input, &self.samples);
        while self.engine.take_retired().is_some() {}
        let (facts, features) = (self.engine.bin_facts(), self.engine.raw_features());
        self.history.push(&HistoryRow::of(&input, facts, features));
        let times = StageTimes { received: output.time, closed: output.time, decoded: output.time };
        let published = TickPublication { output, times, age: Seconds(0.0), late: false };
        self.ticks.record(&input, published, false, &EngineView::of(&self.engine));
        let layout = document(channels).layout();
        let features: Vec<f64> = layout.in_use(&input.masked, features).collect();
        // as if the task moved the cursor: whatever the decoder is worth, there are rows
        let output = TickOutput {
            state: OutputState::Calibrating,
            position: self.position,
            velocity: Velocity(meant),
            ..output
        };
        if self.seen.len() >= self.fitted_to {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen { output, features, target: self.target, trial: seq / TRIAL });
        self.position = Position([0, 1].map(|axis| self.position.0[axis] + WIDTH * meant[axis]));
        self.writing.round(LslTime(time));
    }

    /// What the last ticks leave to fit on.
    fn calibration(&self) -> Calibration {
        let mut calibration = Calibration::new(CalibrationOptions::default(), self.channels);
        for Seen { output, features, target, trial } in &self.seen {
            calibration.observe(CalibrationTick {
                output,
                features,
                target: Some(Target { position: *target, radius: 0.06 }),
                trial: Some(*trial),
                drive: CursorDrive::Label,
            });
        }
        calibration
    }

    /// Fits to what there is, with the hyperparameters of an earlier fit where there is one.
    fn fit(&self, spec: &str, earlier: Option<FitReport>) -> CalibrationFit {
        let earlier = earlier.map(|report| EarlierFit { report, covariance_scale: None, reduction: None });
        let settings = FitSettings { keep: earlier.map(Box::new), ..FitSettings::default() };
        let (spec, rows) = (spec.parse().expect("a decoder"), self.calibration());
        fit_calibration(&rows, &spec, &self.demand, None, true, &settings, &mut |_| {}).expect("a fit")
    }

    /// Hands a model that was fitted to these rows to the recorder, and lets it take over.
    fn put_in(&mut self, model: &IdentifiedModel, rows: Calibration) {
        let fitted = RecordedFit::of(model, rows, true).map(Arc::new);
        let (id, name, file) = (model.id.to_hex(), model.model.decoder.to_string(), Arc::clone(&model.file));
        assert!(self.messages.try_send(Message::Model { id, name, file, fitted }).is_ok());
        self.tick(Some(model));
    }

    fn refit(&mut self, spec: &str) -> Arc<IdentifiedModel> {
        let model = self.fit(spec, None).model;
        self.put_in(&model, self.calibration());
        model
    }

    fn ticks(&mut self, count: u64) {
        (0..count).for_each(|_| self.tick(None));
    }

    fn end(mut self) {
        self.writing.end(LslTime(1e4));
    }
}

/// The documents about models in a recording: of each part whether it is packed, and ticks whose features are written out.
fn documents(path: &Path) -> (Vec<bool>, Vec<u64>) {
    let mut reader = SessionReader::open(path, Wanted::default()).expect("a recording");
    let (mut packed, mut features) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next_item().expect("readable") {
        match item {
            Item::Document(RecordDocument::Model(part)) => packed.push(part.packed),
            Item::Document(RecordDocument::Features(ticks)) => {
                features.extend(ticks.rows().expect("base64").into_iter().map(|(seq, _)| seq));
            }
            _ => {}
        }
    }
    (packed, features)
}

/// The models of a recording, in the order in which they took over.
fn taken_out(path: &Path) -> Vec<Arc<IdentifiedModel>> {
    let mut models = Vec::new();
    recorded_models(path, |_| true, |_, model| models.push(model.expect("it can be taken out")))
        .expect("readable");
    models
}

/// One for each way in which models stand: without their noise, with lagged windows of ticks, with windows for f and Q, and
/// with windows that were chosen among the rows; and of some of the features, and of what was made of them.
const DECODERS: [&str; 7] = [
    "kalman-steady",
    "dkf-nw:lags=3",
    "dkf-gp:steps=2,q=kernel",
    "dkf-gp:exact=100,inducing=40",
    "dkf-mk",
    "dkf-nw:lags=3,select=4",
    "kalman:select=5,pca=3",
];

#[test]
fn a_session_of_refits_repeats_bit_for_bit_from_what_is_left_of_its_models() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.xdf");
    let mut session = Session::new(&path, 8);
    session.ticks(240);
    let mut models = Vec::new();
    for spec in DECODERS {
        session.ticks(40);
        models.push(session.refit(spec));
    }
    session.ticks(60);
    session.end();
    let (packed, written_out) = documents(&path);
    assert!(packed.len() >= DECODERS.len() && packed.iter().all(|packed| *packed), "{packed:?}");
    assert_eq!(written_out, [0; 0], "the ticks' own features are there");
    let replayed = replay(&path, false, |_, _| {}).expect("a replay");
    assert!(replayed.identical(), "{:?}", replayed.comparison.first_difference);
    assert_eq!(replayed.comparison.ticks, 587);
    for (model, read) in models.iter().zip(taken_out(&path)) {
        let name = model.model.decoder.to_string();
        assert_eq!(read.id, model.id, "{name}");
        assert_eq!(read.file == model.file, !name.starts_with("kalman"), "{name}");
        assert_eq!(read.model.report, model.model.report);
    }
}

#[test]
fn a_file_that_continues_another_one_has_what_its_models_need() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, second] = ["session.xdf", "session-2.xdf"].map(|name| folder.path().join(name));
    let mut session = Session::new(&first, 8);
    session.ticks(240);
    let earlier = session.refit("dkf-nw");
    let file = super::file::open_new(&second).expect("a file");
    let next = NextFile { file, path: second.clone() };
    let left = Left {
        file: std::fs::File::open(&first).expect("the file"),
        path: first.clone(),
        fate: Fate::Deleted,
        next: Some(next),
    };
    session.writing.leave(&left, LslTime(200.0));
    session.ticks(40);
    let later = session.refit("dkf-nw:lags=2");
    session.ticks(10);
    let last = session.refit("dkf-gp:steps=1");
    session.end();
    let (packed, written_out) = documents(&second);
    assert!(!packed[0] && packed[packed.len() - 1], "the one of before is there as it stands: {packed:?}");
    assert!(written_out.iter().all(|seq| *seq <= 241), "{written_out:?}");
    assert!(written_out.len() > 150 && written_out.is_sorted(), "once each: {written_out:?}");
    let taken = taken_out(&second);
    for model in [earlier, later, last] {
        let name = model.model.decoder.to_string();
        let read = taken.iter().find(|read| read.id == model.id).expect(&name);
        assert!(read.file == model.file, "{name}");
    }
}

#[test]
fn a_model_whose_features_are_damaged_takes_no_part_and_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.xdf");
    let mut session = Session::new(&path, 8);
    session.ticks(240);
    let lost = session.refit("dkf-nw");
    session.ticks(40);
    let kept = session.refit("kalman-steady");
    session.ticks(10);
    session.end();
    // the length of one tick's stamp in the stream of features: of one past its trial's first moments, which is fitted to
    let mut reader = SessionReader::open(&path, Wanted { features: true, ticks: true, ..Wanted::default() })
        .expect("a recording");
    let features = loop {
        match reader.next_item().expect("readable").expect("the tick is there") {
            Item::Tick(tick) if tick.document.input.seq == 130 => break tick.features,
            _ => {}
        }
    };
    let row: Vec<u8> = features.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut file = std::fs::read(&path).expect("the file");
    let at = file.windows(row.len()).position(|window| window == row).expect("the row") - 9;
    assert_eq!(core::mem::replace(&mut file[at], 7), 8);
    std::fs::write(&path, file).expect("the file");
    let Replayed { comparison, .. } = replay(&path, false, |_, _| {}).expect("it goes on to the end");
    assert_eq!(comparison.ticks, 292);
    let first = comparison.first_difference.expect("the model is missing");
    assert_eq!((first.seq, first.field.as_str()), (240, "model"));
    let said = first.recorded.as_str().expect("a sentence");
    assert!(said.contains(&lost.id.to_hex()) && said.contains("the features of tick"), "{said}");
    let mut found = Vec::new();
    recorded_models(&path, |_| true, |id, model| found.push((id, model.is_ok()))).expect("readable");
    assert_eq!(found, [(lost.id, false), (kept.id, true)]);
}
