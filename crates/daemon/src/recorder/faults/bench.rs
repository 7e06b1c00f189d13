//! A recorder with everything around it but the disk.

use std::sync::Arc;

use crossbeam_channel::Sender;
use kalmind_acquisition::{
    Waker,
    pool::{PoolWriter, pool},
};
use kalmind_engine::{CursorSettings, EngineSettings};
use kalmind_filter::LabelLaw;
use kalmind_offline::recorded::{ClockReading, ConfigurationText, FORMAT, InputStream, SessionDocument};
use kalmind_output::{CursorLayout, CursorRow};
use kalmind_recording::xdf::writer::Sink;
use kalmind_types::{
    Binning, ClockOffset, Component, Event, EventBody, LslTime, Mode, NumberFormat, Phase, SampleBlock,
    Samples, Seconds, StreamDescription, StreamFeatures, StreamTime, TickInput,
};
use serde_json::Value;

use super::super::{
    Message, RecorderStatus,
    inputs::NumericHeader,
    writing::{Beginning, Writing},
};
use crate::tick::{EngineView, RecordLane, TickRecord};

/// Everything around a recorder but the disk.
pub(super) struct Bench<S> {
    pub(super) writing: Writing<S>,
    pub(super) blocks: PoolWriter<SampleBlock>,
    pub(super) ticks: RecordLane,
    pub(super) messages: Sender<Message>,
    pub(super) status: Arc<RecorderStatus>,
    samples: u64,
}

pub(super) const CHANNELS: usize = 4;
pub(super) const SAMPLES: u64 = 5;

fn session() -> SessionDocument {
    let component = |name: &str| Component { name: name.to_owned(), unit: String::new() };
    SessionDocument {
        format: FORMAT,
        version: "0".to_owned(),
        session: "s".to_owned(),
        run: 1,
        instance: "Test".to_owned(),
        participant: String::new(),
        subject: Value::Null,
        bin_ms: 20.0,
        components: vec![component("vx"), component("vy")],
        workspace: [1.0, 1.0],
        kernel_path: "portable".to_owned(),
        guard: true,
        engine: EngineSettings {
            features: vec![StreamFeatures::of_channels(Binning::Mean, CHANNELS, None)],
            max_masked: 0.25,
            restart_after: Seconds(0.5),
            stale_after: Seconds(0.2),
            auto_resume: Seconds(2.0),
            start: Mode::Idle,
            cursor: CursorSettings::default(),
            label_law: LabelLaw::default(),
            plausibility: true,
            fallback_stale: Seconds(0.3),
        },
        streams: vec![InputStream { key: "array".to_owned(), held_samples: 100, stages: None }],
        windows: Vec::new(),
        configuration: ConfigurationText { file: String::new(), sha256: String::new(), toml: String::new() },
        clock: ClockReading { lsl: 1.0, unix: 2.0 },
        adaptive: None,
    }
}

impl<S: Sink> Bench<S> {
    pub(super) fn new(sink: S) -> Self {
        let session = session();
        let status = Arc::new(RecorderStatus::new("test.xdf".into(), 1e6));
        let (ticks, records) = RecordLane::new(64, CHANNELS, 0, Waker::new());
        let (messages, received) = crossbeam_channel::bounded(64);
        let (blocks, read) =
            pool(16, || SampleBlock::with_capacity(NumberFormat::Float32, CHANNELS, SAMPLES as usize));
        let labels = (0..CHANNELS).map(|channel| channel.to_string()).collect::<Vec<_>>();
        let row = CursorRow::new(&CursorLayout {
            bin_ms: session.bin_ms,
            components: session.components.clone(),
            run: 1,
            session: "s".to_owned(),
            instance: "Test".to_owned(),
            participant: String::new(),
            version: "0".to_owned(),
            height: 1.0,
        });
        let beginning = Beginning {
            session: &session,
            features: &labels,
            row,
            now: LslTime(0.0),
            date: "1970-01-01T00:00:00+0000",
        };
        let mut writing = Writing::new(sink, beginning, records, received, Arc::clone(&status));
        let description = StreamDescription {
            name: "Array".to_owned(),
            channels: CHANNELS,
            format: Some(NumberFormat::Float32),
            ..StreamDescription::default()
        };
        let header = NumericHeader { description, key: "array".to_owned(), index: Some(0), raw: false };
        writing.add_numbers(read, header, LslTime(0.0));
        Self { writing, blocks, ticks, messages, status, samples: 0 }
    }

    /// A block of samples, and a tick that names them.
    pub(super) fn tick(&mut self, seq: u64) {
        let first = self.samples;
        self.samples += SAMPLES;
        if let Some(mut block) = self.blocks.claim() {
            block.first_index = first;
            block.clock = ClockOffset { offset: Seconds(0.001), uncertainty: Seconds(0.0001) };
            block.stamps = (first..self.samples).map(|index| StreamTime(index as f64 / 250.0)).collect();
            block.values = Samples::Float32(vec![first as f32; CHANNELS * SAMPLES as usize]);
            self.blocks.send(block);
        }
        let mut record = TickRecord::empty(CHANNELS);
        record.input = TickInput { seq, ..TickInput::empty() };
        record.published.output.seq = seq;
        record.published.output.time = LslTime(seq as f64 * 0.02);
        self.ticks.record(
            &record.input,
            record.published,
            false,
            &EngineView { features: &[0.0; CHANNELS], ..EngineView::default() },
        );
    }

    pub(super) fn event(&self, number: u64) {
        let body = EventBody::Trial { trial: number, phase: Phase::Start, result: None };
        let event = Event::new(LslTime(number as f64), number, body);
        assert!(self.messages.try_send(Message::Event(event.into())).is_ok());
    }
}
