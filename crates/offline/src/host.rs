//! What the library needs of the program around it: a clock, and somebody to tell.

use kalmind_filter::DecoderSpec;
use kalmind_fitting::FitProgress;

use crate::recorded::Unreadable;

/// The program that calls the library. Everything but the clock may be left out: nothing is told then.
///
/// Some calls come from several threads at once.
pub trait Host: Sync {
    /// A monotonic clock, in seconds.
    fn clock(&self) -> fn() -> f64;

    /// Something that people may want to know.
    fn note(&self, _text: &str) {}

    /// Something that may be wrong with a result.
    fn warning(&self, _text: &str) {}

    /// A part of a recording that is passed over.
    fn unreadable(&self, _part: &Unreadable) {}

    /// A fit begins; what is given takes its progress, and is dropped at its end. `label` says which fit of several it is.
    fn fit(&self, _spec: &DecoderSpec, _label: &str) -> Box<dyn FnMut(&FitProgress)> {
        Box::new(|_progress| {})
    }

    /// So many pieces of work of one kind begin; what is given is called after each, by any thread, and dropped at the end.
    fn pieces(&self, _what: &str, _count: u64) -> Box<dyn Fn() + Sync> {
        Box::new(|| {})
    }

    /// A file is read from end to end; what is given takes how many of how many bytes were read, and is dropped at the end.
    fn bytes(&self) -> Box<dyn FnMut(u64, u64)> {
        Box::new(|_read, _length| {})
    }

    /// One of several fits was tried on its test rows.
    fn tested(&self, _text: &str) {}
}

/// A host that nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Quiet(
    /// Its clock.
    pub fn() -> f64,
);

impl Host for Quiet {
    fn clock(&self) -> fn() -> f64 {
        self.0
    }
}
