//! `kalmind doctor` as people and scripts start it: what it tries, what it says, and how it ends.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use kalmind_acquisition::{NetworkConfig, lslapicfg};
use serde_json::Value;

const CHECKS: [&str; 9] =
    ["liblsl", "network", "ports", "priority", "locked memory", "open files", "timer", "disk", "clock"];
static SLOTS: AtomicU16 = AtomicU16::new(0);

/// A folder with a configuration for one test, on LSL ports of its own.
struct Machine {
    folder: tempfile::TempDir,
    base_port: u16,
}

impl Machine {
    /// `more` goes before the tables.
    fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let slot = (std::process::id() as u16 % 50) * 8 + SLOTS.fetch_add(1, Ordering::Relaxed) % 8;
        let base_port = 11_000 + slot * 6;
        let text = format!(
            "{more}\n[lsl]\nnetwork = \"loopback\"\nbase_port = {base_port}\nport_range = 6\n[[stream]]\nname = \"Array\"\n\
             [record]\nfolder = \"recordings\"\n"
        );
        fs::write(folder.path().join("kalmind.toml"), text).expect("the configuration is written");
        Self { folder, base_port }
    }

    /// Runs `kalmind doctor`: exit code, stdout, stderr.
    fn doctor(&self, arguments: &[&str], lslapicfg: Option<&Path>) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kalmind"));
        command.arg("doctor").args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        match lslapicfg {
            Some(file) => command.env("LSLAPICFG", file),
            None => command.env_remove("LSLAPICFG"),
        };
        let output = command.output().expect("kalmind starts");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// The document for the configuration, which fits the exit code.
    fn document(&self, lslapicfg: Option<&Path>) -> Value {
        let (code, out, err) = self.doctor(&["--json", "--config", "kalmind.toml"], lslapicfg);
        let document: Value = serde_json::from_str(&out).expect("one JSON document and nothing else");
        let problem = document["status"] == "problem";
        assert_eq!(code, Some(i32::from(problem)), "{document:#}\n{err}");
        assert_eq!(problem, err.contains("found a problem"), "{err}");
        document
    }
}

/// One check of a document.
fn check<'a>(document: &'a Value, name: &str) -> &'a Value {
    let checks = document["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == name).expect("the check was made")
}

#[test]
fn everything_is_tried_and_each_says_what_was_found_and_what_to_do() {
    let machine = Machine::with("server.bind = \"127.0.0.1:0\"");
    let document = machine.document(None);
    assert_eq!(document["configuration"], "kalmind.toml");
    let checks = document["checks"].as_array().expect("checks");
    let names: Vec<&str> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
    assert_eq!(names, CHECKS);
    let statuses = ["ok", "warning", "problem"];
    let place = |status: &Value| statuses.iter().position(|known| status == known).expect("a status");
    for check in checks {
        let members: BTreeSet<&str> =
            check.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(members, BTreeSet::from(["name", "status", "found", "remedy", "details"]));
        assert!(check["found"].as_str().is_some_and(|found| found.len() > 20), "{check}");
        assert_eq!(check["remedy"].is_null(), check["status"] == "ok", "{check}");
    }
    let worst = checks.iter().map(|check| place(&check["status"])).max();
    assert_eq!(worst, Some(place(&document["status"])));

    // what every machine that passes the other tests has
    let liblsl = check(&document, "liblsl");
    assert_eq!(liblsl["status"], "ok", "{liblsl}");
    assert!(liblsl["details"]["version"].as_i64().is_some_and(|version| version >= 117), "{liblsl}");
    assert!(liblsl["details"]["file"].as_str().is_some_and(|file| file.contains("liblsl")), "{liblsl}");
    assert!(liblsl["details"]["under_way_ms"].as_f64().is_some_and(|way| way > 0.0), "{liblsl}");
    let network = check(&document, "network");
    assert_eq!(network["status"], "ok", "{network}");
    assert!(
        network["found"].as_str().is_some_and(|found| found.contains("the loopback interface")),
        "{network}"
    );
    let ports = check(&document, "ports");
    assert!(
        ports["found"].as_str().is_some_and(|found| found.contains(&machine.base_port.to_string())),
        "{ports}"
    );
    for (name, figure) in [
        ("open files", "opened"),
        ("timer", "late_ms_p99"),
        ("disk", "bytes_per_second"),
        ("disk", "free_bytes"),
        ("clock", "reading_ns"),
    ] {
        let figure = &check(&document, name)["details"][figure];
        assert!(figure.as_f64().is_some_and(|figure| figure > 0.0), "{name}: {figure}");
    }
    // nothing is left behind, the folder of recordings not made
    assert_eq!(fs::read_dir(machine.folder.path()).expect("it is there").count(), 1);
}

#[test]
fn people_get_a_table_and_a_line_while_it_works() {
    let machine = Machine::with("server.bind = \"127.0.0.1:0\"");
    let (code, out, err) = machine.doctor(&["--config", "kalmind.toml"], None);
    for name in CHECKS {
        let line = out.lines().find(|line| line.get(10..).is_some_and(|rest| rest.starts_with(name)));
        assert!(line.is_some(), "{name} is missing in\n{out}");
    }
    assert_eq!(out.contains("problem   "), code == Some(1), "{out}");
    assert_eq!(
        out.contains("What to do:"),
        out.contains("problem   ") || out.contains("warning   "),
        "{out}"
    );
    assert!(err.contains("takes some seconds"), "{err}");
    assert!(out.lines().all(|line| line.chars().count() <= 160), "{out}");
}

#[test]
fn a_port_in_use_is_a_problem_and_exit_code_1() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("an address");
    let machine = Machine::with(&format!("server.bind = \"{address}\""));
    let document = machine.document(None);
    assert_eq!(document["status"], "problem");
    let ports = check(&document, "ports");
    assert_eq!(ports["status"], "problem", "{ports}");
    let remedy = ports["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains(&format!("ss -ltnp 'sport = :{}'", address.port())), "{ports}");
}

#[test]
fn settings_of_lslapicfg_are_tried_in_place_of_the_configurations() {
    let machine = Machine::with("server.bind = \"127.0.0.1:0\"");
    // outlets get ports of another range, and the search goes where nobody answers
    let settings = machine.folder.path().join("lsl_api.cfg");
    let text = lslapicfg(&NetworkConfig {
        base_port: Some(machine.base_port),
        port_range: Some(6),
        ..NetworkConfig::loopback(format!("doctor-{}", std::process::id()))
    });
    fs::write(&settings, text).expect("settings are written");
    let document = machine.document(Some(&settings));
    let network = check(&document, "network");
    assert_eq!(network["details"]["settings"], "LSLAPICFG", "{network}");
    assert_eq!(network["status"], "ok", "{network}");
    assert!(network["found"].as_str().is_some_and(|found| found.contains("lsl_api.cfg")), "{network}");
    assert_eq!(check(&document, "liblsl")["status"], "ok");
}

#[test]
fn a_configuration_that_cannot_be_used_is_code_2_with_its_place() {
    let machine = Machine::with("server.bnd = 1");
    let (code, out, err) = machine.doctor(&["--config", "kalmind.toml"], None);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(err.contains("kalmind.toml:1:8") && err.contains("did you mean `bind`"), "{err}");
    let (code, _, err) =
        machine.doctor(&["--config", &PathBuf::from("none.toml").display().to_string()], None);
    assert_eq!(code, Some(2));
    assert!(err.contains("none.toml") && err.contains("No such file"), "{err}");
}
