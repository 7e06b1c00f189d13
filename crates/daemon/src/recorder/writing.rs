//! The recorder's work: whatever came since the last round goes into the file, samples first, then ticks.
//!
//! It knows no clock and no thread: [`Writing::round`] is told the time, so that tests drive it through every fault of a
//! disk. A tick is written after the samples it names and together with its features and its cursor.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use crossbeam_channel::{Receiver, Sender};
use kalmind_acquisition::pool::PoolReader;
use kalmind_offline::recorded::{CheckpointPart, LossKind, RecordDocument, SessionDocument, TickDocument};
use kalmind_output::CursorRow;
use kalmind_recording::xdf::writer::{Sink, WriteError, Writer};
use kalmind_types::{LslTime, ModelId, SampleBlock, SampleRows, Seconds, StreamTime};

use super::{
    RecorderStatus,
    head::{Head, Own, OwnedModel},
    inputs::{Clock, NumericHeader, NumericInput, TextInput},
    message::Message,
    present::PresentTicks,
    untold::Untold,
};
use crate::tick::TickRecord;

/// A boundary stands at least this often, and what was lost is told as often.
const BOUNDARY_EVERY: Seconds = Seconds(1.0);
/// Clock offsets stand this often.
const OFFSETS_EVERY: Seconds = Seconds(5.0);
/// Ticks taken in one round at most, so that samples are never left waiting for long.
const TICKS_A_ROUND: usize = 64;
/// How long what comes may wait where another program cut the file, until there is a new one.
const PATIENCE: Seconds = Seconds(1.0);

/// The recorder's state.
pub(super) struct Writing<S> {
    pub(super) writer: Writer<S>,
    pub(super) head: Head,
    pub(super) numbers: Vec<NumericInput>,
    pub(super) texts: Vec<TextInput>,
    ticks: PoolReader<TickRecord>,
    messages: Receiver<Message>,
    /// Who waits for the end of the round.
    waiting_for_it: Vec<Sender<()>>,
    pub(super) own: Own,
    row: CursorRow,
    pub(super) status: Arc<RecorderStatus>,
    /// Ticks directly before the next one that could not be written.
    ticks_lost: u64,
    pub(super) untold: Untold,
    pub(super) boundary: Option<LslTime>,
    pub(super) offsets: Option<LslTime>,
    /// Since when what comes waits for another file.
    pub(super) waiting: Option<LslTime>,
    /// Whether another program cut the file.
    pub(super) cut: bool,
    /// The newest tick in the recording.
    pub(super) last_seq: Option<u64>,
    /// The model that decodes.
    pub(super) model: Option<ModelId>,
    /// Models that decode or are about to, newest last.
    pub(super) models: VecDeque<OwnedModel>,
    /// Those that stand in the file.
    pub(super) embedded: HashSet<String>,
    /// Ticks that do.
    pub(super) present: PresentTicks,
    /// Ticks taken and not yet written.
    taken: VecDeque<Box<TickRecord>>,
    cursor: Vec<f64>,
    text: Vec<u8>,
}

/// What a recording begins with.
pub(super) struct Beginning<'a> {
    pub(super) session: &'a SessionDocument,
    /// Labels of the features, in their order.
    pub(super) features: &'a [String],
    pub(super) row: CursorRow,
    /// When, on both clocks.
    pub(super) now: LslTime,
    pub(super) date: &'a str,
}

impl<S: Sink> Writing<S> {
    /// The file's head: its header, the own streams' headers, the session's document. Nothing is written before the first
    /// commit.
    pub(super) fn new(
        sink: S,
        beginning: Beginning<'_>,
        ticks: PoolReader<TickRecord>,
        messages: Receiver<Message>,
        status: Arc<RecorderStatus>,
    ) -> Self {
        let Beginning { session, features, row, now, date } = beginning;
        let head = Head {
            session: session.clone(),
            features: features.to_vec(),
            row: row.clone(),
            stages: Vec::new(),
        };
        let (writer, own) = head.begin(sink, now, date);
        let mut writing = Self {
            writer,
            head,
            numbers: Vec::new(),
            texts: Vec::new(),
            ticks,
            messages,
            waiting_for_it: Vec::new(),
            own,
            row,
            status,
            ticks_lost: 0,
            untold: Untold::default(),
            boundary: None,
            offsets: None,
            waiting: None,
            cut: false,
            last_seq: None,
            model: None,
            models: VecDeque::new(),
            embedded: HashSet::new(),
            present: PresentTicks::default(),
            taken: VecDeque::with_capacity(TICKS_A_ROUND),
            cursor: Vec::new(),
            text: Vec::new(),
        };
        writing.document(now, &RecordDocument::Session(Box::new(session.clone())), true);
        writing
    }

    /// Adds a stream of numbers.
    pub(super) fn add_numbers(
        &mut self,
        blocks: PoolReader<SampleBlock>,
        header: NumericHeader,
        now: LslTime,
    ) {
        let stream = header.add_to(&mut self.writer, now);
        self.numbers.push(NumericInput {
            blocks,
            header,
            stream,
            next: 0,
            shift: Some(0),
            clock: Clock::default(),
            unrecorded: 0,
        });
    }

    /// Writes the head.
    ///
    /// # Errors
    /// What the disk says; the recording may go on, and the head is written as soon as it can be.
    pub(super) fn begin(&mut self) -> Result<(), WriteError> {
        let written = self.writer.commit();
        self.status.set_bytes(self.writer.length());
        written
    }

    /// Writes what came since the last round. Ticks are taken first and written last: whatever they name is here by then.
    pub(super) fn round(&mut self, now: LslTime) {
        if self.cut && (now - *self.waiting.get_or_insert(now)).0 < PATIENCE.0 {
            return;
        }
        for _ in 0..TICKS_A_ROUND {
            let Some(record) = self.ticks.receive() else { break };
            self.taken.push_back(record);
        }
        self.take_messages(now);
        self.write_numbers();
        self.write_texts(now);
        self.write_ticks();
        self.keep_time(now);
        for tell in self.waiting_for_it.drain(..) {
            // whoever waited may be gone
            let _nobody_waits = tell.try_send(());
        }
    }

    /// The last round: everything that is there, what was lost, and the footers.
    pub(super) fn end(&mut self, now: LslTime) {
        // there is nothing left to wait for
        self.waiting = Some(LslTime(f64::NEG_INFINITY));
        while self.ticks.waiting() > 0 || !self.messages.is_empty() {
            self.round(now);
        }
        self.round(now);
        self.boundary = None;
        self.keep_time(now);
        self.writer.footers();
        self.commit("footers");
        self.status.note_ended();
    }

    fn take_messages(&mut self, now: LslTime) {
        while let Ok(message) = self.messages.try_recv() {
            match message {
                Message::Event(event) => {
                    let stamp = StreamTime(event.event.time.0);
                    self.writer.text(self.own.events, stamp, &[&*event.text], false);
                    if !self.commit("event") {
                        self.lose(LossKind::Events, None, 1);
                    }
                }
                Message::Given { stream, given } => {
                    self.document(now, &RecordDocument::Given { stream, given }, true);
                    self.commit("input log");
                }
                Message::Checkpoint { stream, derived, state, spare } => {
                    for part in CheckpointPart::all_of(stream, derived, &state) {
                        // one that cannot be written is none: the next comes in a minute
                        self.document(now, &RecordDocument::Checkpoint(part), false);
                    }
                    self.commit("checkpoint");
                    let _finds_room = spare.try_send(state);
                }
                Message::Stages { stream, stages } => {
                    self.document(now, &RecordDocument::Stages { stream, stages: (*stages).clone() }, true);
                    self.commit("stages");
                    self.head.add_stages(stream, *stages);
                }
                Message::Model { id, name, file, fitted } => {
                    self.take_model(now, OwnedModel { id, name, file }, fitted.as_deref());
                }
                Message::Lost { losses, because } => {
                    self.untold.because = because;
                    for (what, stream, count) in losses {
                        self.lose(what, stream, count);
                    }
                }
                Message::Written { tell } => self.waiting_for_it.push(tell),
                Message::End { reason, summary } => {
                    self.document(now, &RecordDocument::End { reason, summary }, true);
                    self.commit("end");
                }
            }
        }
    }

    fn write_numbers(&mut self) {
        for place in 0..self.numbers.len() {
            while let Some(block) = self.numbers[place].blocks.receive() {
                self.write_block(place, &block);
                self.numbers[place].blocks.give_back(block);
            }
        }
    }

    fn write_block(&mut self, place: usize, block: &SampleBlock) {
        let input = &mut self.numbers[place];
        let (stream, index, raw) = (input.stream, input.header.index, input.header.raw);
        let skipped = block.first_index.saturating_sub(input.next);
        input.next = block.end_index();
        if block.clock.uncertainty.0 > 0.0 {
            input.clock.known = Some(block.clock);
        }
        if let (Some(clock), Some(stamp), false) =
            (input.clock.known, block.stamps.last(), input.clock.written)
        {
            input.clock.written = true;
            self.writer.clock_offset(stream, stamp.0, clock.offset.0);
        }
        let row = self.writer.row(stream);
        let shift = block.first_index.wrapping_sub(row);
        let hole = self.numbers[place].shift != Some(shift);
        if let (true, Some(stream)) = (hole, index) {
            let time = block.received;
            let index = block.first_index;
            self.document(time, &RecordDocument::Hole { stream, row, index, raw }, false);
        }
        self.writer.samples(stream, block.channels, &block.stamps, &block.values);
        let whole = self.commit("samples");
        let input = &mut self.numbers[place];
        // a reader that may have missed the document needs another one
        input.shift = whole.then_some(shift);
        let lost = skipped + core::mem::take(&mut input.unrecorded);
        if lost > 0 {
            self.lose(LossKind::Samples, index, lost);
        }
    }

    fn write_ticks(&mut self) {
        while let Some(record) = self.taken.pop_front() {
            if record.lost_before > 0 {
                self.lose(LossKind::Ticks, None, record.lost_before);
            }
            self.collect_tick(&record);
            let seq = record.input.seq;
            self.model = record.model.map(|(id, _)| id).or(self.model);
            if self.commit("tick") {
                self.ticks_lost = 0;
                self.last_seq = Some(seq);
                self.present.add(seq..seq.saturating_add(1));
            } else {
                self.ticks_lost += record.lost_before + 1;
                self.lose(LossKind::Ticks, None, 1);
            }
            self.ticks.give_back(record);
        }
    }

    /// Input, features and cursor of a tick, to be written together.
    fn collect_tick(&mut self, record: &TickRecord) {
        let output = &record.published.output;
        let lost_before = self.ticks_lost + record.lost_before;
        let document = TickDocument::of(&record.input, &record.published, record.panicked, lost_before)
            .with_windows(&record.windows);
        let stamp = StreamTime(output.time.0);
        self.text.clear();
        // plain data without maps: it can always be written
        let _infallible = serde_json::to_writer(&mut self.text, &document);
        let text = str::from_utf8(&self.text).unwrap_or_default();
        self.writer.text(self.own.ticks, stamp, &[text], false);
        self.writer.rows(self.own.features, &[stamp], SampleRows::Double64(&record.features));
        self.row.write(output, record.published.age.as_millis(), &mut self.cursor);
        self.writer.rows(self.own.cursor, &[stamp], SampleRows::Double64(&self.cursor));
        if let Some(state) = &record.adaptive {
            let (seq, state) = (record.input.seq, (**state).clone());
            self.document(output.time, &RecordDocument::Adaptive { seq, state }, false);
        }
    }

    /// Boundaries, clock offsets, and what was lost.
    fn keep_time(&mut self, now: LslTime) {
        let due = |last: Option<LslTime>, every: Seconds| last.is_none_or(|last| (now - last).0 >= every.0);
        if due(self.offsets, OFFSETS_EVERY) {
            self.offsets = Some(now);
            let own = self.own;
            for stream in [own.ticks, own.features, own.cursor, own.events, own.record] {
                self.writer.clock_offset(stream, now.0, 0.0);
            }
            for clock in self
                .numbers
                .iter_mut()
                .map(|input| &mut input.clock)
                .chain(self.texts.iter_mut().map(|input| &mut input.clock))
            {
                clock.written = false;
            }
            self.commit("clock offsets");
        }
        if due(self.boundary, BOUNDARY_EVERY) {
            self.boundary = Some(now);
            self.tell_losses(now);
            self.writer.boundary();
            self.commit("boundary");
        }
    }

    fn tell_losses(&mut self, now: LslTime) {
        if self.untold.losses.is_empty() {
            return;
        }
        let untold = core::mem::take(&mut self.untold);
        for (what, stream, count) in &untold.losses {
            let (what, stream, count) = (*what, *stream, *count);
            let because = untold.because.clone();
            self.document(now, &RecordDocument::Loss { stream, what, count, because }, false);
        }
        if !self.commit("losses") {
            // another time
            self.untold = untold;
        }
    }

    pub(super) fn lose(&mut self, what: LossKind, stream: Option<usize>, count: u64) {
        self.status.count_lost(what, count);
        self.untold.add(what, stream, count);
    }

    pub(super) fn document(&mut self, time: LslTime, document: &RecordDocument, required: bool) {
        let text = serde_json::to_string(document).unwrap_or_default();
        self.writer.text(self.own.record, StreamTime(time.0), &[&text], required);
    }

    /// Writes what was collected; `false` where it was given up.
    pub(super) fn commit(&mut self, what: &str) -> bool {
        let written = self.writer.commit();
        self.status.set_bytes(self.writer.length());
        match written {
            Ok(()) => {
                self.status.note_written();
                true
            }
            Err(error) => {
                for (stream, count) in &error.lost {
                    if let Some(input) = self.numbers.iter_mut().find(|input| input.stream == *stream) {
                        input.unrecorded += count;
                    }
                }
                self.untold.because = format!("{error} ({what})");
                if error.shortened.is_some() && !self.cut {
                    self.cut = true;
                    self.waiting = None;
                    self.status.wake_watch();
                }
                self.status.note_failed_write(&error.to_string());
                false
            }
        }
    }
}
