//! One daemon of an instance name for each user: a lock on a file in a folder that nobody else can write to, which the
//! system lets go of whatever way the process ends.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// Why a name cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// A daemon of this user has it.
    #[error(
        "another daemon named \"{name}\" runs on this machine ({holder}); end it, or give this one another [instance] \
         name"
    )]
    Taken {
        /// The name.
        name: String,
        /// What the lock says of its holder.
        holder: String,
    },
    /// There is no folder that only this user can write to.
    #[error(
        "no safe folder for the lock that prevents two daemons named \"{name}\": {}; create one of these folders, owned by \
         this user and writable by nobody else (systemd: RuntimeDirectory=, or loginctl enable-linger)",
        .tried.join("; ")
    )]
    NoFolder {
        /// The name.
        name: String,
        /// What is wrong with each.
        tried: Vec<String>,
    },
    /// The lock cannot be made.
    #[error("the lock {} cannot be made: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A name that is held, until this is dropped.
#[derive(Debug)]
pub struct InstanceLock {
    file: File,
    path: PathBuf,
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // while it is locked nobody else can hold it; one that stays does no harm
        let _removed = fs::remove_file(&self.path);
        let _unlocked = self.file.unlock();
    }
}

impl InstanceLock {
    /// Claims a name; `who` is what others are told of its holder, one line.
    ///
    /// # Errors
    /// [`InstanceError`].
    pub fn claim(name: &str, who: &str) -> Result<Self, InstanceError> {
        let mut tried = Vec::new();
        for folder in folders() {
            match private(&folder) {
                Ok(()) => return Self::claim_in(&folder, name, who),
                Err(problem) => tried.push(format!("{} {problem}", folder.display())),
            }
        }
        Err(InstanceError::NoFolder { name: name.to_owned(), tried })
    }

    fn claim_in(folder: &Path, name: &str, who: &str) -> Result<Self, InstanceError> {
        sweep(folder);
        let path = folder.join(format!("{PREFIX}{name}{SUFFIX}"));
        let failed = |source| InstanceError::Io { path: path.clone(), source };
        let mut tries = 0..PATIENCE;
        loop {
            let mut file = open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                // somebody may be looking whether it is left over
                Err(TryLockError::WouldBlock) if tries.next().is_some() => {
                    std::thread::park_timeout(Duration::from_millis(5));
                    continue;
                }
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    // it may be about to write who it is
                    let _unread = file.take(1024).read_to_string(&mut holder);
                    let holder = if holder.is_empty() { "it is just starting".to_owned() } else { holder };
                    return Err(InstanceError::Taken { name: name.to_owned(), holder });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // the one who held it may have removed it between our opening and our locking
            if !is_same(&file, &path) {
                continue;
            }
            let told = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
            told.and_then(|_| write!(file, "{who}")).map_err(failed)?;
            return Ok(Self { file, path });
        }
    }
}

/// How often a lock that is held is tried again, 5 ms apart.
const PATIENCE: u32 = 20;
const PREFIX: &str = "kalmind-";
const SUFFIX: &str = ".lock";

/// Folders of this user alone, best first. No variable of the environment has a say in the first and the last: a daemon
/// that was started with other variables has to meet the same lock.
fn folders() -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let state = std::env::home_dir()
        .filter(|home| home.is_absolute() && home.is_dir())
        .map(|home| home.join(".local/state/kalmind"));
    let runtime = PathBuf::from(format!("/run/user/{user}"));
    let last = PathBuf::from(format!("/tmp/kalmind-{user}"));
    std::iter::once(runtime).chain(state).chain([last]).collect()
}

/// Makes sure that a folder is there (all but the system's own are made), is this user's, and is written by nobody else.
fn private(folder: &Path) -> Result<(), String> {
    if !folder.starts_with("/run") {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| format!("cannot be made ({error})"))?;
    }
    let found = fs::symlink_metadata(folder).map_err(|error| format!("is not there ({error})"))?;
    let user = rustix::process::geteuid().as_raw();
    if !found.is_dir() {
        return Err("is not a folder".to_owned());
    }
    if found.uid() != user {
        return Err(format!("belongs to user {}, not to {user}", found.uid()));
    }
    if found.mode() & 0o022 != 0 {
        return Err("can be written to by others".to_owned());
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(path)
}

fn is_same(file: &File, path: &Path) -> bool {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    let (Ok(held), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    identity(held) == identity(named)
}

/// Removes locks of daemons that were killed: files of this name in a folder that only this user writes to, which nobody
/// holds.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path();
        // not created: it may be gone by now
        let options = File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(&path);
        if let Ok(file) = options
            && file.try_lock().is_ok()
            && is_same(&file, &path)
        {
            let _removed = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_name_is_held_once_and_its_holder_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = InstanceLock::claim_in(folder.path(), "Kalmind", "process 42").expect("free");
        let error = InstanceLock::claim_in(folder.path(), "Kalmind", "process 43").expect_err("held");
        assert!(matches!(&error, InstanceError::Taken { holder, .. } if holder == "process 42"), "{error}");
        let other = InstanceLock::claim_in(folder.path(), "Other", "process 43").expect("another name");
        drop(held);
        drop(InstanceLock::claim_in(folder.path(), "Kalmind", "process 43").expect("free again"));
        drop(other);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left behind");
    }

    #[test]
    fn locks_of_the_killed_are_swept_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["kalmind-Killed.lock", "kalmind-notes.txt", "other.lock"] {
            fs::write(at(name), "process 1").expect("a file");
        }
        fs::create_dir_all(at("kalmind-folder.lock")).expect("a folder");
        symlink(at("other.lock"), at("kalmind-link.lock")).expect("a link");
        let _held = InstanceLock::claim_in(folder.path(), "Kalmind", "process 42").expect("free");
        assert!(!at("kalmind-Killed.lock").exists());
        for name in ["kalmind-notes.txt", "other.lock", "kalmind-folder.lock", "kalmind-link.lock"] {
            assert!(at(name).exists(), "{name}");
        }
        assert_eq!(fs::read_to_string(at("other.lock")).expect("a file"), "process 1");
    }

    #[test]
    fn a_link_in_the_place_of_the_lock_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let precious = folder.path().join("precious");
        fs::write(&precious, "precious").expect("a file");
        symlink(&precious, folder.path().join("kalmind-Kalmind.lock")).expect("a link");
        let error = InstanceLock::claim_in(folder.path(), "Kalmind", "process 42").expect_err("a link");
        assert!(matches!(error, InstanceError::Io { .. }), "{error}");
        assert_eq!(fs::read_to_string(&precious).expect("a file"), "precious");
    }

    #[test]
    fn a_folder_that_others_write_to_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("set");
        assert_eq!(private(folder.path()), Err("can be written to by others".to_owned()));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("set");
        assert_eq!(private(folder.path()), Ok(()));
        let link = folder.path().join("link");
        symlink(folder.path(), &link).expect("a link");
        assert!(private(&link).is_err());
    }
}
