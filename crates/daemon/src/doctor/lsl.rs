//! Whether LSL works: the library, on the loopback interface; the network, with the settings in force.

use std::{
    env,
    io::{Read as _, Write as _},
    net::ToSocketAddrs as _,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use kalmind_acquisition::{Library, Network, NetworkConfig, Probe, lslapicfg};
use kalmind_types::Seconds;
use serde::{Deserialize, Serialize};

use super::{
    finding::{Finding, Status},
    patient::Patient,
};
use crate::failure::{OrFail as _, Outcome};

const LSLAPICFG: &str = "LSLAPICFG";
/// How long each step of a probe may take.
const STEP: Seconds = Seconds(4.0);
/// How long a probe's process may take.
const PROCESS: Duration = Duration::from_secs(20);
/// The oldest liblsl that is whole: before it a reader's buffer could be overrun.
const WHOLE: i32 = 114;
/// The oldest that is fast: before it every hop cost a millisecond.
const FAST: i32 = 117;

/// What the process of a probe says.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    library: Library,
    /// The file that it was loaded from.
    file: Option<String>,
    probe: Result<Probe, String>,
}

/// Tries LSL in this process, with the settings that `LSLAPICFG` names, and prints what came of it for the process that
/// started this one.
///
/// # Errors
/// When nobody reads it.
pub fn probe() -> Outcome<()> {
    let name = format!("kalmind-doctor-{}", std::process::id());
    let report = Report {
        library: kalmind_acquisition::library(),
        file: loaded_from(),
        probe: kalmind_acquisition::probe(&name, STEP).map_err(|error| error.to_string()),
    };
    writeln!(std::io::stdout().lock(), "{}", serde_json::json!(report)).or_work()
}

/// The file that liblsl was loaded from, as the system maps it.
fn loaded_from() -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let file =
        maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|file| file.contains("liblsl"));
    file.map(str::to_owned)
}

/// Starts a probe with `settings`, or with those that the caller's own `LSLAPICFG` names.
fn try_with(settings: Option<&NetworkConfig>) -> Result<Report, String> {
    let folder = tempfile::Builder::new().prefix("kalmind-").tempdir().map_err(|error| error.to_string())?;
    let mut command = Command::new(env::current_exe().map_err(|error| error.to_string())?);
    command.args(["doctor", "--probe"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(settings) = settings {
        let file = folder.path().join("lsl_api.cfg");
        std::fs::write(&file, lslapicfg(settings)).map_err(|error| error.to_string())?;
        command.env(LSLAPICFG, file);
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (said, heard) = mpsc::channel();
    let pipe = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let read = pipe.map(|mut pipe| pipe.read_to_string(&mut text));
        // whoever waits may have given up
        let _given_up = said.send(matches!(read, Some(Ok(_))).then_some(text));
    });
    let text = heard.recv_timeout(PROCESS);
    if text.is_err() {
        // it may have ended in this moment
        let _ended = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    drop(reader.join());
    let text = text.ok().flatten().ok_or_else(|| format!("no answer within {} s", PROCESS.as_secs()))?;
    serde_json::from_str(&text).map_err(|_no_report| format!("the process that tried it ended with {status}"))
}

/// A session of its own: nothing that is tried is seen by programs of the laboratory.
fn private(mut settings: NetworkConfig) -> NetworkConfig {
    settings.session_id = Some(format!("kalmind-doctor-{}", std::process::id()));
    settings
}

fn milliseconds(value: f64) -> String {
    if value < 10.0 { format!("{value:.2} ms") } else { format!("{value:.0} ms") }
}

/// Whether liblsl is there, which it is, and whether a sample comes through on the loopback interface.
pub(super) fn library(patient: &Patient<'_>) -> Finding {
    const NAME: &str = "liblsl";
    let of_file = patient.configuration.lsl.clone();
    let loopback = NetworkConfig { network: Network::Loopback, known_peers: Vec::new(), ..of_file };
    let report = match try_with(Some(&private(loopback))) {
        Ok(report) => report,
        Err(problem) => {
            return Finding::bad(
                NAME,
                Status::Problem,
                format!("liblsl could not be tried: {problem}."),
                "put a whole liblsl 1.17 or newer into .liblsl/ (`rm -r .liblsl`, then `make build`).",
            );
        }
    };
    let version = report.library.version;
    let shown = format!("{}.{}", version / 100, version % 100);
    let file = report.file.unwrap_or_else(|| "a file that the system does not name".to_owned());
    let finding = match report.probe {
        Err(problem) => Finding::bad(
            NAME,
            Status::Problem,
            format!("liblsl {shown} from {file}. On the loopback interface {problem}."),
            "see that the loopback interface is up (`ip address show lo` shows 127.0.0.1) and that no firewall rule \
             stops UDP and TCP there.",
        ),
        Ok(probe) => {
            let found = format!(
                "liblsl {shown} from {file}. A stream was found on the loopback interface after {}; its samples were \
                 under way for {} (the longest {}).",
                milliseconds(probe.found_ms),
                milliseconds(probe.under_way_ms),
                milliseconds(probe.longest_ms)
            );
            let finding = match version {
                ..WHOLE => Finding::bad(
                    NAME,
                    Status::Problem,
                    found,
                    "put liblsl 1.17 or newer into .liblsl/: this one has a buffer that can be overrun.",
                ),
                WHOLE..FAST => Finding::bad(
                    NAME,
                    Status::Warning,
                    found,
                    "put liblsl 1.17 or newer into .liblsl/: this one holds every sample up by a millisecond.",
                ),
                _ => Finding::ok(NAME, found),
            };
            finding
                .with("found_ms", probe.found_ms)
                .with("under_way_ms", probe.under_way_ms)
                .with("longest_ms", probe.longest_ms)
        }
    };
    finding.with("version", version).with("file", file).with("build", report.library.build)
}

/// Whether a stream is found with the settings in force; on a laboratory's network by multicast alone, which is what other
/// machines use.
pub(super) fn network(patient: &Patient<'_>) -> Finding {
    const NAME: &str = "network";
    let foreign = env::var_os(LSLAPICFG).filter(|file| !file.is_empty());
    let settings = patient.configuration.lsl.clone();
    let peers = settings.known_peers.clone();
    let (scope, outcome) = if let Some(file) = &foreign {
        let scope = format!(
            "the settings in {}, which LSLAPICFG names and which win over [lsl]",
            Path::new(file).display()
        );
        (scope, try_with(None))
    } else {
        let scope = match settings.network {
            Network::Loopback => "the loopback interface",
            Network::Machine => "this machine",
            Network::Lab => "the laboratory's network, by multicast",
        };
        (
            scope.to_owned(),
            try_with(Some(&private(NetworkConfig { known_peers: Vec::new(), ..settings.clone() }))),
        )
    };
    let unknown: Vec<&String> = peers.iter().filter(|peer| !is_known(peer)).collect();
    let result = outcome.and_then(|report| report.probe);
    let finding = match (&result, unknown.as_slice()) {
        (Ok(probe), []) => {
            let found = format!(
                "An outlet of this machine was made, found after {} and read ({scope}). Other machines can be tried from \
                 there alone: `kalmind streams` on them.",
                milliseconds(probe.found_ms)
            );
            Finding::ok(NAME, found)
        }
        (Ok(_), unknown) => Finding::bad(
            NAME,
            Status::Problem,
            format!("Streams are found ({scope}), but the network knows no host {}.", quoted(unknown)),
            "correct [lsl] known_peers, or give the addresses instead of the names.",
        ),
        (Err(problem), _) => {
            let only_multicast = foreign.is_none() && settings.network == Network::Lab;
            let ports = format!(
                "UDP and TCP on the ports {} to {}",
                settings.base_port.unwrap_or_default(),
                u32::from(settings.base_port.unwrap_or_default())
                    + u32::from(settings.port_range.unwrap_or(1))
                    - 1
            );
            let remedy = if only_multicast {
                format!(
                    "let UDP port {} and {ports} through this machine's firewall; where the network carries no \
                     multicast, list the senders' machines under [lsl] known_peers; where everything runs on this \
                     machine, set network = \"machine\".",
                    settings.multicast_port.unwrap_or_default()
                )
            } else {
                format!("let {ports} through this machine's firewall, on the loopback interface too.")
            };
            let status =
                if only_multicast && !peers.is_empty() { Status::Warning } else { patient.asked_for() };
            Finding::bad(NAME, status, format!("With {scope}: {problem}."), remedy)
        }
    };
    let finding = finding.with("settings", if foreign.is_some() { "LSLAPICFG" } else { "[lsl]" });
    match result {
        Ok(probe) => finding.with("found_ms", probe.found_ms).with("under_way_ms", probe.under_way_ms),
        Err(_) => finding,
    }
}

/// Whether the network has an address for a host.
fn is_known(host: &str) -> bool {
    (host, 0).to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some())
}

fn quoted(names: &[&String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
