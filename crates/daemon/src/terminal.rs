//! Offline work as people watch it: bars and lines on stderr, warnings in the log.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};
use kalmind_acquisition::clock;
use kalmind_filter::{DecoderName, DecoderSpec};
use kalmind_fitting::FitProgress;
use kalmind_offline::{Host, recorded::Unreadable};

use crate::log::say;

/// The program around the library for offline work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal;

impl Host for Terminal {
    fn clock(&self) -> fn() -> f64 {
        clock::seconds
    }

    fn note(&self, text: &str) {
        say(text);
    }

    fn warning(&self, text: &str) {
        tracing::warn!("{text}");
    }

    fn unreadable(&self, part: &Unreadable) {
        match part {
            Unreadable::Header { offset, stream, problem } => {
                tracing::warn!(offset, stream, problem, "a header cannot be read");
            }
            Unreadable::Samples { stream, problem } => {
                tracing::warn!(stream, %problem, "samples cannot be read");
            }
        }
    }

    fn fit(&self, spec: &DecoderSpec, label: &str) -> Box<dyn FnMut(&FitProgress)> {
        let mut shown = ShownFit::new(spec.decoder, label.to_owned());
        Box::new(move |progress| shown.show(progress))
    }

    fn pieces(&self, what: &str, count: u64) -> Box<dyn Fn() + Sync> {
        let bar = Cleared(progress_bar(count));
        bar.0.set_message(what.to_owned());
        Box::new(move || bar.0.inc(1))
    }

    fn bytes(&self) -> Box<dyn FnMut(u64, u64)> {
        let bar = Cleared(bytes_bar());
        let mut told = 0;
        Box::new(move |read, length| {
            // chunks are small: not every one is news
            if read - told > 1 << 22 {
                told = read;
                bar.0.set_length(length);
                bar.0.set_position(read);
            }
        })
    }

    fn tested(&self, text: &str) {
        // a bar says it where there is one
        if !std::io::stderr().is_terminal() {
            say(text);
        }
    }
}

/// A bar that goes when the work has ended.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A fit as people watch it, on stderr: a bar, and a line for each candidate once it is judged.
struct ShownFit {
    bar: Cleared,
    decoder: DecoderName,
    /// Stands before everything.
    label: String,
    /// When the candidate began that is being fitted.
    begun: f64,
}

impl ShownFit {
    fn new(decoder: DecoderName, label: String) -> Self {
        Self { bar: Cleared(progress_bar(1000)), decoder, label, begun: clock::seconds() }
    }

    fn show(&mut self, progress: &FitProgress) {
        self.bar.0.set_message(format!("{}{} {}", self.label, self.decoder, progress.stage));
        self.bar.0.set_position((progress.done * 1000.0) as u64);
        let Some(tried) = &progress.tried else { return };
        let now = clock::seconds();
        let line = format!(
            "{}tried {}: held-out nRMSE {:.4}, {:.1} s",
            self.label,
            tried.candidate,
            tried.error,
            now - self.begun
        );
        self.begun = now;
        if self.bar.0.is_hidden() {
            say(&line);
        } else {
            self.bar.0.println(line);
        }
    }
}

/// A bar of bytes on stderr; invisible where stderr is no terminal.
pub(crate) fn bytes_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {bytes} of {total_bytes}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

/// A bar on stderr; invisible where stderr is no terminal.
fn progress_bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {percent:>3} % {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}
