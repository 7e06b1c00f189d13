//! What the recorder's thread does where its file was deleted, moved or cut: it follows the watch into the next file, and
//! counts what is left of the one before.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use crossbeam_channel::{Receiver, Sender};
use kalmind_acquisition::clock;
use kalmind_offline::recorded::LossKind;
use kalmind_recording::xdf::check::check_source;

use super::{
    continuing::Account,
    fate::fate,
    head::RecordingFile,
    message::Message,
    watch::{Left, News, NextFile},
    writing::Writing,
};

/// The recorder's side of the watch.
#[derive(Debug)]
pub(super) struct Follower {
    file: File,
    path: PathBuf,
    news: Receiver<News>,
    messages: Sender<Message>,
    counting: Vec<JoinHandle<()>>,
}

impl Follower {
    pub(super) fn new(file: File, path: PathBuf, news: Receiver<News>, messages: Sender<Message>) -> Self {
        Self { file, path, news, messages, counting: Vec::new() }
    }

    /// Goes on in another file where the watch says so.
    pub(super) fn follow(&mut self, writing: &mut Writing<RecordingFile>) {
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Left(left) => {
                    let accounts = writing.leave(&left, clock::now());
                    if let Some(accounts) = accounts {
                        self.count(&left, accounts);
                    }
                    if let Some(next) = &left.next {
                        self.take(next);
                    }
                }
                News::Found(next) => {
                    writing.settle(&next, "there is a file for the recording again");
                    self.take(&next);
                }
            }
        }
    }

    /// Ends the recording: the last round, the disk, and a last look at what stands there.
    pub(super) fn end(mut self, writing: &mut Writing<RecordingFile>) {
        self.follow(writing);
        self.join();
        writing.end(clock::now());
        if let Err(error) = self.file.sync_all() {
            writing.status.note_failed_sync(&error);
        }
        if let Ok(Some(fate)) = fate(&self.file, &self.path, writing.status.bytes())
            && let Ok(file) = self.file.try_clone()
        {
            let left = Left { file, path: self.path.clone(), fate, next: None };
            if let Some(accounts) = writing.look_back(&left) {
                for (what, _, lost) in losses(&left.file, &accounts) {
                    writing.status.count_lost(what, lost);
                }
            }
        }
    }

    fn take(&mut self, next: &NextFile) {
        if let Ok(file) = next.file.try_clone() {
            self.file = file;
            self.path.clone_from(&next.path);
        }
    }

    /// Counts what is left of a file that was cut, in a thread of its own: it may be large.
    fn count(&mut self, left: &Left, accounts: Vec<Account>) {
        let (Ok(file), messages) = (left.file.try_clone(), self.messages.clone()) else { return };
        let because = left.fate.sentence(&left.path);
        let count = move || {
            let losses = losses(&file, &accounts);
            if messages.send(Message::Lost { losses, because }).is_err() {
                tracing::error!("the recorder has ended before what was cut from its file was counted");
            }
        };
        match std::thread::Builder::new().name("kalmind-recount".to_owned()).spawn(count) {
            Ok(thread) => self.counting.push(thread),
            Err(error) => tracing::error!(%error, path = %left.path.display(), "what was cut is not counted"),
        }
    }

    fn join(&mut self) {
        for thread in self.counting.drain(..) {
            if thread.join().is_err() {
                tracing::error!("the thread that counts what was cut panicked");
            }
        }
    }
}

/// What a file that was cut lacks of what was written to it.
pub(super) fn losses(file: &File, accounts: &[Account]) -> Vec<(LossKind, Option<usize>, u64)> {
    let left = |account: &Account, report: &Option<kalmind_recording::xdf::check::CheckReport>| {
        let stream = report.as_ref().and_then(|report| report.streams.get(&account.id));
        stream.map_or(0, |stream| stream.samples)
    };
    // opened anew by its number: the recorder's own place in the file is not moved
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
    let report = File::open(Path::new(&path)).ok().and_then(|file| {
        let length = file.metadata().ok()?.len();
        check_source(BufReader::with_capacity(1 << 20, file), length, None, |_, _| {}).ok()
    });
    accounts
        .iter()
        .map(|account| (account.what, account.index, account.samples.saturating_sub(left(account, &report))))
        .filter(|(_, _, lost)| *lost > 0)
        .collect()
}
