//! What is known of a recording while it runs: shown in `/v1/status`, `/metrics` and the summary.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::Thread,
};

use kalmind_offline::recorded::LossKind;
use kalmind_types::{Counted, RecordingFault, RecordingTag};
use serde_json::{Value, json};

/// Files that a recording went on from, kept for the status; one more than anybody will look through.
const FILES: usize = 100;

/// How what happens to the recording becomes an event.
pub type Announce = Arc<dyn Fn(RecordingFault) + Send + Sync>;

/// Counters of a recording. Written by the recorder, read by anyone.
pub struct RecorderStatus {
    shown: Mutex<Shown>,
    /// How many files there were before the one that is written.
    generation: AtomicU64,
    bytes: AtomicU64,
    /// Bytes a second that are expected.
    bytes_per_second: f64,
    /// Bytes that there is room for; as many as can be where that is not known.
    free: AtomicU64,
    failing: AtomicBool,
    /// Whether the file is gone and there is no other one.
    homeless: AtomicBool,
    /// Whether something about the file has been told that is not over.
    unclear: AtomicBool,
    ended: AtomicBool,
    failed_writes: AtomicU64,
    failed_syncs: AtomicU64,
    failed_files: AtomicU64,
    lost_files: AtomicU64,
    lost: [AtomicU64; 4],
    announce: OnceLock<Announce>,
    watch: OnceLock<Thread>,
}

/// What belongs together: whoever sees that a file was left sees the one in which the recording goes on, or that there is
/// none yet.
#[derive(Debug, Default)]
struct Shown {
    file: PathBuf,
    /// Files before it, and what became of them.
    earlier: Vec<Value>,
    /// Whether the file is one of them, and the next one is not there yet.
    is_left: bool,
    problem: Option<String>,
}

impl core::fmt::Debug for RecorderStatus {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_tuple("RecorderStatus").field(&self.json()).finish()
    }
}

impl RecorderStatus {
    /// A recording that begins in `file` and is expected to grow by so many bytes a second.
    pub(super) fn new(file: PathBuf, bytes_per_second: f64) -> Self {
        Self {
            shown: Mutex::new(Shown { file, ..Shown::default() }),
            generation: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            bytes_per_second,
            free: AtomicU64::new(u64::MAX),
            failing: AtomicBool::new(false),
            homeless: AtomicBool::new(false),
            unclear: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            failed_writes: AtomicU64::new(0),
            failed_syncs: AtomicU64::new(0),
            failed_files: AtomicU64::new(0),
            lost_files: AtomicU64::new(0),
            lost: Default::default(),
            announce: OnceLock::new(),
            watch: OnceLock::new(),
        }
    }

    /// The file that is written: the first one, or the one in which the recording went on.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        held(&self.shown).file.clone()
    }

    /// Bytes in the file, whole chunks only.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// What was lost so far, of one kind.
    #[must_use]
    pub fn lost(&self, what: LossKind) -> u64 {
        self.lost[what as usize].load(Ordering::Relaxed)
    }

    /// Name, help, value of each counter.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, &'static str, u64); 9] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("bytes", "Bytes of the recording.", self.bytes()),
            ("lost_samples", "Samples that were not recorded.", self.lost(LossKind::Samples)),
            ("lost_ticks", "Ticks that were not recorded.", self.lost(LossKind::Ticks)),
            ("lost_events", "Events that were not recorded.", self.lost(LossKind::Events)),
            ("lost_texts", "Texts that were not recorded.", self.lost(LossKind::Texts)),
            (
                "lost_files",
                "Files of the recording that were deleted, replaced or cut while they were written.",
                read(&self.lost_files),
            ),
            ("failed_writes", "Writes to the recording that failed.", read(&self.failed_writes)),
            (
                "failed_syncs",
                "Times that the disk could not store what was written.",
                read(&self.failed_syncs),
            ),
            (
                "failed_files",
                "Times that no new file could be made for a recording whose file is gone.",
                read(&self.failed_files),
            ),
        ]
    }

    /// What the recording has lost, in a sentence; `None` where everything is in its files.
    #[must_use]
    pub fn loss(&self) -> Option<String> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let kinds = [LossKind::Samples, LossKind::Ticks, LossKind::Events, LossKind::Texts];
        let mut parts: Vec<String> = kinds
            .iter()
            .filter(|kind| self.lost(**kind) > 0)
            .map(|kind| Counted(self.lost(*kind), kind.noun()).to_string())
            .collect();
        if read(&self.lost_files) > 0 {
            parts.push(Counted(read(&self.lost_files), "file").to_string());
        }
        let mut verb = "has lost";
        if parts.is_empty() && read(&self.failed_syncs) > 0 {
            let writes = Counted(read(&self.failed_syncs), "failed disk write");
            verb = "may have lost";
            parts.push(format!("data from {writes}"));
        }
        if parts.is_empty() {
            return None;
        }
        // what was lost with a file, before whatever came later
        let lost = |file: &&Value| file["fate"] != "moved";
        let shown = held(&self.shown);
        let earlier =
            shown.earlier.iter().find(lost).and_then(|file| file["because"].as_str().map(str::to_owned));
        let because = earlier.or_else(|| shown.problem.clone());
        drop(shown);
        let because = because.map(|because| format!(": {because}")).unwrap_or_default();
        Some(format!("the recording {verb} {}{because}", parts.join(", ")))
    }

    /// Everything as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let shown = held(&self.shown);
        let state = if set(&self.ended) {
            "ended"
        } else if set(&self.failing) || set(&self.homeless) || shown.is_left {
            "failing"
        } else {
            "recording"
        };
        let mut all = json!({
            "file": shown.file.display().to_string(),
            "earlier_files": shown.earlier,
            "state": state,
            "problem": shown.problem,
            "minutes_left": self.minutes_left(),
        });
        drop(shown);
        for (name, _, value) in self.counts() {
            all[name] = json!(value);
        }
        all
    }

    /// From now on what happens to the recording becomes an event.
    pub(super) fn set_announce(&self, announce: Announce) {
        // set once, at the start
        let _first = self.announce.set(announce);
    }

    /// The thread that watches the file.
    pub(super) fn set_watch(&self, watch: Thread) {
        let _first = self.watch.set(watch);
    }

    /// Has the file looked at now.
    pub(super) fn wake_watch(&self) {
        if let Some(watch) = self.watch.get() {
            watch.unpark();
        }
    }

    /// How many files there were before the one that is written.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How long there is room on the disk, where that is known.
    fn minutes_left(&self) -> Option<f64> {
        let free = Some(self.free.load(Ordering::Relaxed)).filter(|free| *free != u64::MAX)?;
        (self.bytes_per_second > 0.0).then(|| free as f64 / self.bytes_per_second / 60.0)
    }

    /// There is room for so many bytes, if the system says.
    pub(super) fn set_free(&self, bytes: Option<u64>) {
        self.free.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Release);
    }

    pub(super) fn count_lost(&self, what: LossKind, count: u64) {
        self.lost[what as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Shows that writes fail, and says so in the log and in an event the first time.
    pub(super) fn note_failed_write(&self, problem: &str) {
        self.failed_writes.fetch_add(1, Ordering::Relaxed);
        // that there is no file is told already, with what to do
        if self.homeless.load(Ordering::Relaxed) {
            return;
        }
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(file = %self.file().display(), problem, "the recording cannot be written; control continues");
            self.tell(problem);
        }
        held(&self.shown).problem = Some(problem.to_owned());
    }

    /// Shows that writes work again.
    pub(super) fn note_written(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::warn!(file = %self.file().display(), "the recording is being written again; what is missing was counted");
        }
    }

    pub(super) fn note_failed_sync(&self, error: &io::Error) {
        let problem = format!("the disk cannot store the recording: {error}");
        if self.failed_syncs.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(file = %self.file().display(), %error, "the disk cannot store the recording");
            self.tell(&problem);
        }
        held(&self.shown).problem = Some(problem);
    }

    /// The file is gone, and no other one can be made.
    pub(super) fn note_no_new_file(&self, problem: &str) {
        self.failed_files.fetch_add(1, Ordering::Relaxed);
        if !self.homeless.swap(true, Ordering::Relaxed) {
            tracing::error!(problem, "the recording has no file; control continues");
            self.tell(problem);
        }
        held(&self.shown).problem = Some(problem.to_owned());
    }

    /// Something about the file that is no loss yet. Told once until it is over.
    pub(super) fn note_unclear(&self, problem: String) {
        if !self.unclear.swap(true, Ordering::Relaxed) {
            tracing::error!(problem, "the recording's file needs attention");
            self.tell(&problem);
        }
        held(&self.shown).problem = Some(problem);
    }

    /// The file stands where it should.
    pub(super) fn note_in_place(&self) {
        if self.unclear.swap(false, Ordering::Relaxed) {
            tracing::warn!(file = %self.file().display(), "the recording's file is in order again");
            held(&self.shown).problem = None;
        }
    }

    /// The recording has left its file, of which this is said; `lost` files are gone or cut.
    pub(super) fn note_left(&self, file: Value, lost: u64) {
        self.lost_files.fetch_add(lost, Ordering::Relaxed);
        let mut shown = held(&self.shown);
        if shown.earlier.len() < FILES {
            shown.earlier.push(file);
        }
        shown.is_left = true;
        drop(shown);
        self.bytes.store(0, Ordering::Release);
        // what is known of the length is of the next file from here on
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The recording goes on in another file, for a reason.
    pub(super) fn note_new_file(&self, file: PathBuf, because: &str) {
        let problem = format!("{because}; recording continues in {}", file.display());
        tracing::error!(problem, "the recording continues in another file");
        let mut shown = held(&self.shown);
        (shown.file, shown.is_left) = (file, false);
        shown.problem = Some(problem.clone());
        drop(shown);
        self.homeless.store(false, Ordering::Relaxed);
        self.tell(&problem);
    }

    /// What became of the file was found at the very end.
    pub(super) fn note_lost_at_the_end(&self, problem: String) {
        self.lost_files.fetch_add(1, Ordering::Relaxed);
        tracing::error!(problem, "the recording was lost");
        held(&self.shown).problem = Some(problem);
    }

    pub(super) fn note_ended(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn tell(&self, reason: &str) {
        if let Some(announce) = self.announce.get() {
            announce(RecordingFault {
                source: RecordingTag::Recording,
                reason: reason.to_owned(),
                file: self.file().display().to_string(),
                lost_samples: self.lost(LossKind::Samples),
                lost_ticks: self.lost(LossKind::Ticks),
            });
        }
    }
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_left_is_not_shown_as_the_one_that_is_recorded_to() {
        let status = RecorderStatus::new(PathBuf::from("session.xdf"), 1.0);
        assert_eq!(status.json()["state"], "recording");
        status.note_left(json!({ "file": "session.xdf", "fate": "deleted", "because": "it is gone" }), 1);
        let between = status.json();
        assert_eq!((&between["state"], &between["file"]), (&json!("failing"), &json!("session.xdf")));
        status.note_new_file(PathBuf::from("session-2.xdf"), "it is gone");
        let after = status.json();
        assert_eq!((&after["state"], &after["file"]), (&json!("recording"), &json!("session-2.xdf")));
        assert_eq!(after["problem"], "it is gone; recording continues in session-2.xdf");
        assert_eq!(status.loss().as_deref(), Some("the recording has lost 1 file: it is gone"));
    }
}
