//! Whether the recording's file still stands where it was begun: looked at every second, off the recorder's own thread.
//!
//! A file that another program removes, renames, replaces or cuts can be written to for hours without an error. The thread
//! here brings what was written to the disk, compares the open file with what stands at its path, and has a new file ready
//! when the two differ. The recorder then goes on in that one.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::Sender;

use super::{
    RecorderStatus,
    fate::{Fate, fate},
    file,
};

/// How often what was written is brought to the disk, and the file looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Names that are tried for a new file.
const NAMES: u32 = 10_000;

/// What the watch tells the recorder.
#[derive(Debug)]
pub(super) enum News {
    /// The recording cannot stay in its file.
    Left(Left),
    /// There is a file to go on in, after a while without one.
    Found(NextFile),
}

/// A file that the recording cannot stay in.
#[derive(Debug)]
pub(super) struct Left {
    /// The file, still open.
    pub(super) file: File,
    /// Its name.
    pub(super) path: PathBuf,
    /// What became of it.
    pub(super) fate: Fate,
    /// Where the recording goes on, if a new file could be made.
    pub(super) next: Option<NextFile>,
}

/// A new file.
#[derive(Debug)]
pub(super) struct NextFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

/// The watch, in a thread of its own: a slow disk holds up the recorder no longer than its writes do. Ends when dropped.
#[derive(Debug)]
pub(super) struct Watching {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread knows.
struct Watch {
    file: File,
    path: PathBuf,
    /// The name that others are made from.
    first: PathBuf,
    number: u32,
    /// Which of the recording's files this is: what is known of the length of an earlier one does not count.
    generation: u64,
    synced: u64,
    /// Whether there is no file at all.
    gone: bool,
    status: Arc<RecorderStatus>,
    news: Sender<News>,
}

impl Watching {
    pub(super) fn spawn(
        file: File,
        path: PathBuf,
        status: Arc<RecorderStatus>,
        news: Sender<News>,
    ) -> io::Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let generation = status.generation();
        let shown = Arc::clone(&status);
        let first = path.clone();
        let mut watch =
            Watch { file, first, path, number: 1, generation, synced: 0, gone: false, status, news };
        let thread = std::thread::Builder::new().name("kalmind-sync".to_owned()).spawn(move || {
            while !ended.load(Ordering::Acquire) {
                watch.look();
                std::thread::park_timeout(EVERY);
            }
        })?;
        shown.set_watch(thread.thread().clone());
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that brings the recording to the disk panicked");
            }
        }
    }
}

impl Watch {
    fn look(&mut self) {
        // the recorder has not taken the new file yet
        if self.status.generation() != self.generation {
            return;
        }
        if self.gone {
            return self.find();
        }
        self.status.set_free(file::free_bytes(file::folder_of(&self.path)));
        // before the file is looked at, so that it is at least this long
        let written = self.status.bytes();
        if written != self.synced {
            match self.file.sync_data() {
                Ok(()) => self.synced = written,
                Err(error) => self.status.note_failed_sync(&error),
            }
        }
        match fate(&self.file, &self.path, written) {
            Ok(None) => self.status.note_in_place(),
            Err(problem) => self.status.note_unclear(problem),
            Ok(Some(fate)) => self.replace(fate),
        }
    }

    /// Makes a new file for the recorder, which leaves the one that it has.
    fn replace(&mut self, fate: Fate) {
        let sentence = fate.sentence(&self.path);
        let next = self.next_file(&sentence);
        // a file that was moved is still good to write to
        if next.is_none() && matches!(fate, Fate::Moved(_)) {
            return;
        }
        let Ok(file) = self.file.try_clone() else { return };
        let path = self.path.clone();
        match &next {
            Some(next) => self.watch_over(next),
            None => self.gone = true,
        }
        self.generation += 1;
        self.synced = 0;
        self.tell(News::Left(Left { file, path, fate, next }));
    }

    /// Tries again to make a file, where there is none.
    fn find(&mut self) {
        if let Some(next) = self.next_file("the recording has no file") {
            self.watch_over(&next);
            self.gone = false;
            self.tell(News::Found(next));
        }
    }

    fn watch_over(&mut self, next: &NextFile) {
        match next.file.try_clone() {
            Ok(file) => self.file = file,
            Err(error) => self.status.note_failed_sync(&error),
        }
        self.path.clone_from(&next.path);
    }

    fn tell(&self, news: News) {
        if self.news.send(news).is_err() {
            tracing::error!("the recorder has ended; nothing is recorded any more");
        }
    }

    fn next_file(&mut self, because: &str) -> Option<NextFile> {
        match self.new_file() {
            Ok(next) => Some(next),
            Err(error) => {
                self.status.note_no_new_file(&format!(
                    "{because}, and no new file can be made in {}: {error}; it is tried again every second",
                    file::folder_of(&self.first).display()
                ));
                None
            }
        }
    }

    /// A new file beside the first one, in its folder, which is made anew where it is gone.
    fn new_file(&mut self) -> io::Result<NextFile> {
        std::fs::create_dir_all(file::folder_of(&self.first))?;
        for number in self.number + 1..=self.number + NAMES {
            let path = numbered(&self.first, number);
            match file::open_new(&path) {
                Ok(file) => {
                    self.number = number;
                    return Ok(NextFile { file, path });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// `session.xdf` with a number: `session-2.xdf`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use serde_json::json;

    use super::*;

    /// A recording of 1000 bytes.
    fn begun(folder: &Path) -> (File, PathBuf) {
        let path = folder.join("a.xdf");
        let file = file::open_new(&path).expect("a file");
        std::os::unix::fs::FileExt::write_all_at(&file, &[1; 1000], 0).expect("room");
        (file, path)
    }

    #[test]
    fn a_file_that_stands_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, path) = begun(folder.path());
        assert_eq!(fate(&file, &path, 1000), Ok(None));
        let link = folder.path().join("link.xdf");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert_eq!(fate(&file, &link, 1000), Ok(None), "a link to it is as good");
    }

    #[test]
    fn whatever_becomes_of_a_file_is_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let other = folder.path().join("other");
        let (file, path) = begun(folder.path());
        fs::rename(&path, &other).expect("moved");
        let moved = Fate::Moved(Some(fs::canonicalize(&other).expect("a path")));
        assert_eq!(fate(&file, &path, 1000), Ok(Some(moved.clone())));
        fs::write(&path, "another file").expect("written");
        assert_eq!(fate(&file, &path, 1000), Ok(Some(moved)), "moved, and another one put in its place");
        fs::remove_file(&other).expect("removed");
        assert_eq!(fate(&file, &path, 1000), Ok(Some(Fate::Deleted)), "replaced");
        fs::remove_file(&path).expect("removed");
        assert_eq!(fate(&file, &path, 1000), Ok(Some(Fate::Deleted)));

        let (file, path) = begun(folder.path());
        File::options().write(true).truncate(true).open(&path).expect("cut");
        assert_eq!(fate(&file, &path, 1000), Ok(Some(Fate::Shortened { bytes: 0 })));

        let inner = folder.path().join("folder");
        fs::create_dir_all(&inner).expect("a folder");
        let (file, path) = begun(&inner);
        fs::remove_dir_all(&inner).expect("removed");
        assert_eq!(fate(&file, &path, 1000), Ok(Some(Fate::Deleted)), "with its folder");
        fs::write(&inner, "a file where the folder was").expect("written");
        assert_eq!(fate(&file, &path, 1000), Ok(Some(Fate::Deleted)));
    }

    #[test]
    fn permissions_that_were_taken_away_are_told_with_the_remedy() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, path) = begun(folder.path());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("changed");
        let problem = fate(&file, &path, 1000).expect_err("nobody can read it");
        assert!(problem.contains("chmod u+rw"), "{problem}");
    }

    #[test]
    fn new_files_are_numbered_and_replace_nothing() {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("recordings");
        fs::create_dir_all(&folder).expect("a folder");
        let (file, path) = begun(&folder);
        let (news, told) = crossbeam_channel::unbounded();
        let status = Arc::new(RecorderStatus::new(path.clone(), 1e6));
        let mut watch = Watch {
            file,
            first: path.clone(),
            path: path.clone(),
            number: 1,
            generation: status.generation(),
            synced: 0,
            gone: false,
            status: Arc::clone(&status),
            news,
        };
        let left = |told: &crossbeam_channel::Receiver<News>| match told.try_recv() {
            Ok(News::Left(left)) => left,
            other => panic!("{other:?}"),
        };
        watch.look();
        assert!(told.is_empty());
        // with its folder, which comes back
        fs::remove_dir_all(&folder).expect("removed");
        watch.look();
        let first = left(&told);
        let second = first.next.expect("a new file");
        assert_eq!(second.path, folder.join("a-2.xdf"));
        assert!(second.path.exists());
        assert_eq!((first.path, first.fate), (path.clone(), Fate::Deleted));
        // nothing is looked at before the recorder has left the first one
        fs::remove_file(&second.path).expect("removed");
        watch.look();
        assert!(told.is_empty());
        status.note_left(json!({}), 0);
        fs::write(folder.join("a-3.xdf"), "somebody else's").expect("written");
        watch.look();
        let third = left(&told).next.expect("another one");
        assert_eq!(third.path, folder.join("a-4.xdf"));
        status.note_left(json!({}), 0);
        // where no folder can be made, it is told and tried again
        fs::remove_dir_all(&folder).expect("removed");
        fs::write(&folder, "a file in the way").expect("written");
        watch.look();
        assert!(left(&told).next.is_none());
        status.note_left(json!({}), 0);
        watch.look();
        assert!(told.is_empty());
        let shown = status.json();
        assert_eq!((&shown["state"], &shown["failed_files"]), (&"failing".into(), &2.into()), "{shown}");
        assert!(shown["problem"].as_str().is_some_and(|text| text.contains("no new file")), "{shown}");
        fs::remove_file(&folder).expect("removed");
        watch.look();
        assert!(matches!(told.try_recv(), Ok(News::Found(found)) if found.path == folder.join("a-5.xdf")));
    }

    #[test]
    fn a_moved_file_is_written_to_until_there_is_another_one() {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("recordings");
        fs::create_dir_all(&folder).expect("a folder");
        let (file, path) = begun(&folder);
        fs::rename(&folder, outer.path().join("archive")).expect("moved");
        fs::write(&folder, "a file in the way").expect("written");
        let (news, told) = crossbeam_channel::unbounded();
        let status = Arc::new(RecorderStatus::new(path.clone(), 1e6));
        let generation = status.generation();
        let first = path.clone();
        let mut watch =
            Watch { file, first, path, number: 1, generation, synced: 0, gone: false, status, news };
        watch.look();
        assert!(told.is_empty());
        fs::remove_file(&folder).expect("removed");
        watch.look();
        assert!(matches!(
            told.try_recv(),
            Ok(News::Left(Left { fate: Fate::Moved(Some(_)), next: Some(_), .. }))
        ));
    }
}
