//! LSL's network settings: liblsl reads them from a file named by `LSLAPICFG` at the first call, so the program writes
//! that file and starts itself anew with the variable set, before any LSL call.

use std::{env, ffi::OsString, fs, os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use kalmind_acquisition::{Network, NetworkConfig, lslapicfg};
use serde_json::{Value, json};

use crate::{
    configuration,
    failure::{OrFail as _, Outcome},
};

/// liblsl's variable.
const LSLAPICFG: &str = "LSLAPICFG";
/// Set by us beside it: the file is ours, to be described as configured and removed at the end.
const OURS: &str = "KALMIND_LSLAPICFG_WRITTEN";

/// What LSL's settings are and where they come from, for banner and status.
#[derive(Clone, Debug)]
pub struct NetworkInForce {
    /// One phrase.
    pub text: String,
    /// The settings file.
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
        let ours = env::var_os(OURS).is_some_and(|ours| ours == file);
        let text =
            if ours { describe(network) } else { "set by LSLAPICFG, which wins over [lsl]".to_owned() };
        let file = PathBuf::from(file);
        return Ok(NetworkInForce { text, file });
    }
    network.validate().or_usage()?;
    // a random name, made for this user alone: nobody else can have put a link there
    let folder = tempfile::Builder::new().prefix("kalmind-").tempdir().or_work()?;
    let file = folder.path().join("lsl_api.cfg");
    fs::write(&file, lslapicfg(network)).or_work()?;
    let program = env::current_exe().or_work()?;
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // where the new process cannot be made, dropping the folder removes it; else the new process does at its end
    let error = Command::new(program).args(arguments).env(LSLAPICFG, &file).env(OURS, &file).exec();
    drop(folder);
    Err(error).or_work()
}

/// Removes the settings file where this program wrote it. Called at the end of the run.
pub fn clean_up(in_force: &NetworkInForce) {
    let ours = env::var_os(OURS).is_some_and(|ours| in_force.file == ours);
    if ours && let Some(folder) = in_force.file.parent() {
        // a file left behind in the temporary folder does no harm; there is nobody to tell
        let _removed = fs::remove_file(&in_force.file).and_then(|()| fs::remove_dir(folder));
    }
}

/// The configuration's `[lsl]` as acquisition takes it.
#[must_use]
pub fn from_configuration(lsl: &configuration::Lsl) -> NetworkConfig {
    NetworkConfig {
        network: match lsl.network {
            configuration::Network::Loopback => Network::Loopback,
            configuration::Network::Machine => Network::Machine,
            configuration::Network::Lab => Network::Lab,
        },
        session_id: Some(lsl.session_id.clone()),
        known_peers: lsl.known_peers.clone(),
        base_port: Some(lsl.base_port),
        port_range: Some(lsl.port_range),
        multicast_port: Some(lsl.multicast_port),
    }
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
