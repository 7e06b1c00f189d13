//! Streams of text on their way into the file.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crossbeam_channel::Receiver;
use kalmind_acquisition::{StreamMonitor, TextSample};
use kalmind_offline::recorded::LossKind;
use kalmind_recording::xdf::writer::Sink;
use kalmind_types::LslTime;

use super::{
    inputs::{Clock, TextInput, format_of},
    writing::Writing,
};

impl<S: Sink> Writing<S> {
    /// Adds a stream of text; its header is written with its first sample.
    pub(super) fn add_texts(
        &mut self,
        key: String,
        samples: Receiver<TextSample>,
        refused: Arc<AtomicU64>,
        monitor: Arc<StreamMonitor>,
    ) {
        let clock = Clock::default();
        self.texts.push(TextInput { key, samples, refused, monitor, stream: None, told: 0, clock });
    }

    pub(super) fn write_texts(&mut self, now: LslTime) {
        for place in 0..self.texts.len() {
            let input = &mut self.texts[place];
            let refused = input.refused.load(Ordering::Relaxed);
            let mut lost = refused - core::mem::replace(&mut input.told, refused);
            while let Ok(sample) = self.texts[place].samples.try_recv() {
                let input = &mut self.texts[place];
                let (stream, channels, format) = input.place(&mut self.writer, &sample, now);
                input.clock.known = sample.clock.or(input.clock.known);
                if let (Some(clock), false) = (input.clock.known, input.clock.written) {
                    input.clock.written = true;
                    self.writer.clock_offset(stream, sample.stamp.0, clock.offset.0);
                }
                match (&sample.numbers, format) {
                    (Some(numbers), Some(format))
                        if format_of(numbers) == format && sample.texts.len() == channels =>
                    {
                        self.writer.rows(stream, &[sample.stamp], numbers.rows(channels, 0, 1));
                    }
                    (_, None) => {
                        let mut texts: Vec<&str> = sample.texts.iter().map(String::as_str).collect();
                        texts.resize(channels, "");
                        self.writer.text(stream, sample.stamp, &texts, false);
                    }
                    // the sender came back as something else than the file's header says
                    _ => {
                        lost += 1;
                        continue;
                    }
                }
                lost += u64::from(!self.commit("texts"));
            }
            if lost > 0 {
                self.lose(LossKind::Texts, None, lost);
            }
        }
    }
}
