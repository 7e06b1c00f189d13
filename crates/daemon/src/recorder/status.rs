//! What is known of a recording while it runs: shown in `/v1/status`, `/metrics` and the summary.

use std::{
    io,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};

use crate::recorded::LossKind;

/// Counters of a recording. Written by the recorder, read by anyone.
#[derive(Debug)]
pub struct RecorderStatus {
    file: PathBuf,
    bytes: AtomicU64,
    failing: AtomicBool,
    ended: AtomicBool,
    failed_writes: AtomicU64,
    failed_syncs: AtomicU64,
    lost: [AtomicU64; 4],
    problem: Mutex<Option<String>>,
}

impl RecorderStatus {
    pub(super) fn new(file: PathBuf) -> Self {
        Self {
            file,
            bytes: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            failed_writes: AtomicU64::new(0),
            failed_syncs: AtomicU64::new(0),
            lost: Default::default(),
            problem: Mutex::default(),
        }
    }

    /// The recording.
    #[must_use]
    pub fn file(&self) -> &std::path::Path {
        &self.file
    }

    /// Bytes in the file, whole chunks only.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What was lost so far, of one kind.
    #[must_use]
    pub fn lost(&self, what: LossKind) -> u64 {
        self.lost[what as usize].load(Ordering::Relaxed)
    }

    /// Name, help, value of each counter.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, &'static str, u64); 7] {
        [
            ("bytes", "Bytes of the recording.", self.bytes()),
            ("lost_samples", "Samples that were not recorded.", self.lost(LossKind::Samples)),
            ("lost_ticks", "Ticks that were not recorded.", self.lost(LossKind::Ticks)),
            ("lost_events", "Events that were not recorded.", self.lost(LossKind::Events)),
            ("lost_texts", "Texts that were not recorded.", self.lost(LossKind::Texts)),
            (
                "failed_writes",
                "Writes to the recording that failed.",
                self.failed_writes.load(Ordering::Relaxed),
            ),
            (
                "failed_syncs",
                "Times that the disk refused to take what was written.",
                self.failed_syncs.load(Ordering::Relaxed),
            ),
        ]
    }

    /// Everything as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let state = if self.ended.load(Ordering::Relaxed) {
            "ended"
        } else if self.failing.load(Ordering::Relaxed) {
            "failing"
        } else {
            "recording"
        };
        let mut all = json!({
            "file": self.file.display().to_string(),
            "state": state,
            "problem": *self.problem.lock().unwrap_or_else(PoisonError::into_inner),
        });
        for (name, _, value) in self.counts() {
            all[name] = json!(value);
        }
        all
    }

    pub(super) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn count_lost(&self, what: LossKind, count: u64) {
        self.lost[what as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Shows that writes fail, and says so in the log the first time.
    pub(super) fn note_failed_write(&self, problem: String) {
        self.failed_writes.fetch_add(1, Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(file = %self.file.display(), problem, "the recording cannot be written; control goes on");
        }
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
    }

    /// Shows that writes work again.
    pub(super) fn note_written(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::warn!(file = %self.file.display(), "the recording is written again; what is missing is counted");
        }
    }

    pub(super) fn note_failed_sync(&self, error: &io::Error) {
        if self.failed_syncs.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(file = %self.file.display(), %error, "the disk does not take the recording");
        }
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    pub(super) fn note_ended(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
