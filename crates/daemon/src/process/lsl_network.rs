//! LSL's network settings: liblsl reads them from a file named by `LSLAPICFG` at the first call, so the program puts
//! them into a file that has no name on any disk and starts itself anew with the variable set, before any LSL call.
//!
//! *Invariant:* nothing is written to a folder, so nothing has to be removed, however the program ends; and the variable is
//! only ever read.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use kalmind_acquisition::{Network, NetworkConfig, lslapicfg};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde_json::{Value, json};

use crate::failure::{OrFail as _, Outcome};

/// liblsl's variable.
const LSLAPICFG: &str = "LSLAPICFG";
/// The longest file of settings that is looked at, in bytes.
const LONGEST: u64 = 1 << 16;

/// What LSL's settings are and where they come from, for banner and status.
#[derive(Clone, Debug)]
pub struct NetworkInForce {
    /// One phrase.
    pub text: String,
    /// The settings file, as other processes of this user can read it while this one runs.
    pub file: PathBuf,
}

impl NetworkInForce {
    /// For `/v1/status`.
    #[must_use]
    pub fn status(&self) -> Value {
        json!({ "settings": self.text, "file": self.file })
    }
}

/// Makes `network` the settings of this process. Does not return the first time: it replaces the process by itself with
/// `LSLAPICFG` set. A variable that the caller has set wins and is shown.
///
/// # Errors
/// When the settings make no sense, or the file or the new process cannot be made.
pub fn apply(network: &NetworkConfig) -> Outcome<NetworkInForce> {
    if let Some(file) = env::var_os(LSLAPICFG).filter(|file| !file.is_empty()) {
        return Ok(in_force(network, Path::new(&file)));
    }
    network.validate().or_usage()?;
    let settings = in_memory(&lslapicfg(network)).or_work()?;
    let program = env::current_exe().or_work()?;
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // the file lives as long as this process and the participant that a demonstration starts
    let file = format!("{DESCRIPTORS}{}", settings.as_raw_fd());
    let error = Command::new(program).args(arguments).env(LSLAPICFG, &file).exec();
    Err(error).or_work()
}

/// Where a process finds its own open files.
const DESCRIPTORS: &str = "/proc/self/fd/";

/// What the settings in `file` are. They are told by what the file says, not by who wrote it.
fn in_force(network: &NetworkConfig, file: &Path) -> NetworkInForce {
    let text = if says(file, &lslapicfg(network)) {
        describe(network)
    } else {
        "set by LSLAPICFG, which wins over [lsl]".to_owned()
    };
    let own = file.to_str().and_then(|file| file.strip_prefix(DESCRIPTORS));
    let file = own.map_or_else(
        || file.to_owned(),
        |descriptor| PathBuf::from(format!("/proc/{}/fd/{descriptor}", std::process::id())),
    );
    NetworkInForce { text, file }
}

/// Whether a file is a plain one that holds `text` and no more.
fn says(file: &Path, text: &str) -> bool {
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.len() <= LONGEST)
        && fs::read(file).is_ok_and(|bytes| bytes == text.as_bytes())
}

/// A file in memory that nobody can change, and that stays open in a process that takes this one's place.
fn in_memory(text: &str) -> io::Result<File> {
    // a descriptor that is not closed by `exec` is the point of it
    let made = match memfd_create(c"kalmind-lsl", MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL) {
        // before Linux 6.3
        Err(rustix::io::Errno::INVAL) => memfd_create(c"kalmind-lsl", MemfdFlags::ALLOW_SEALING),
        made => made,
    };
    let mut file = File::from(made?);
    file.write_all(text.as_bytes())?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

fn describe(network: &NetworkConfig) -> String {
    let scope = match network.network {
        Network::Loopback => "loopback (127.0.0.1 only)",
        Network::Machine => "this machine",
        Network::Lab => "the local network",
    };
    let session = network.session_id.as_deref().unwrap_or("default");
    format!("{scope}, session \"{session}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_in_memory_are_read_by_name_and_stay_as_they_are() {
        let network = NetworkConfig::loopback("memory");
        let text = lslapicfg(&network);
        let mut file = in_memory(&text).expect("memory");
        let name = format!("{DESCRIPTORS}{}", file.as_raw_fd());
        assert_eq!(fs::read_to_string(&name).expect("readable"), text);
        assert!(file.write_all(b"more").is_err() && file.set_len(0).is_err());
        assert!(in_force(&network, Path::new(&name)).text.contains("session \"memory\""));
        let other = in_force(&NetworkConfig::loopback("other"), Path::new(&name));
        assert_eq!(other.text, "set by LSLAPICFG, which wins over [lsl]");
        assert_eq!(fs::read_to_string(&other.file).expect("readable by others of this user"), text);
    }

    #[test]
    fn what_is_no_plain_file_is_not_waited_for() {
        assert!(!says(Path::new("/dev/zero"), ""));
        assert!(!says(Path::new("/no/such/file"), ""));
    }
}
