//! Two daemons on one machine: side by side under two names, never under one, and never on one port.

use crate::harness::{Laboratory, repository};

/// A configuration for one of several daemons of a laboratory.
fn configuration(laboratory: &Laboratory, name: &str, stream: &str, bind: &str) -> std::path::PathBuf {
    let model = repository("fixtures/models/kalman.safetensors");
    laboratory.write(
        &format!("{name}.toml"),
        &format!(
            "start = \"control\"\ninstance.name = \"{name}\"\nserver.bind = \"{bind}\"\ndecoder.model = \"{}\"\n\
             safety.auto_resume_ms = 600000\n[[stream]]\nname = \"{stream}\"\n",
            model.display()
        ),
    )
}

#[test]
fn two_daemons_with_two_names_decode_two_streams_at_once() {
    let laboratory = Laboratory::new("pair");
    let names = ["left", "right"].map(|side| format!("{}-{side}", laboratory.name));
    let outlets = names.each_ref().map(|name| laboratory.outlet(name, &["--source-id", name]));
    let daemons = names
        .each_ref()
        .map(|name| laboratory.daemon(&configuration(&laboratory, name, name, "127.0.0.1:0"), "30"));
    assert_ne!(daemons[0].address, daemons[1].address);
    for (daemon, name) in daemons.iter().zip(&names) {
        let status = daemon.wait_until("control, fifty ticks", |status| {
            status["state"] == "control" && status["seq"].as_u64().is_some_and(|seq| seq > 50)
        });
        assert_eq!(status["instance"], *name);
        assert_eq!(status["streams"][0]["description"]["name"], *name);
    }
    // each has outlets of its own
    let listed = laboratory.succeed(&["streams", "--seconds", "1", "--json"]);
    for name in &names {
        for outlet in ["Cursor", "Events"] {
            assert!(listed.contains(&format!("\"{name}-{outlet}\"")), "{listed}");
        }
    }
    // a stop of one is none of the other's business
    let [left, right] = daemons;
    assert_eq!(left.http("POST", "/v1/stop", None, false).0, 200);
    left.wait_until("hold", |status| status["state"] == "hold");
    let seq = right.status()["seq"].as_u64();
    let status = right.wait_until("further ticks", |status| status["seq"].as_u64() > seq.map(|seq| seq + 10));
    assert_ne!(status["state"], "hold");
    left.end();
    right.end();
    drop(outlets);
}

#[test]
fn a_second_daemon_of_the_same_name_is_refused_while_the_first_runs() {
    let laboratory = Laboratory::new("namesake");
    let stream = laboratory.name.clone();
    let _outlet = laboratory.outlet(&stream, &[]);
    let configuration = configuration(&laboratory, &laboratory.name, &stream, "127.0.0.1:0");
    let daemon = laboratory.daemon(&configuration, "30");
    let file = configuration.to_str().expect("a path");
    let second = laboratory.run(&["run", "--config", file]);
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    let expected = format!("another daemon named \"{stream}\" runs on this machine");
    assert!(said.contains(&expected) && said.contains("[instance] name"), "{said}");
    let holder = format!("process {}, configuration {file}", daemon.process.child.id());
    assert!(said.contains(&holder), "{said}");
    // killed without a word, it leaves nothing behind that would keep the next one out
    daemon.process.signal("-KILL");
    drop(daemon);
    laboratory.daemon(&configuration, "30").end();
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let laboratory = Laboratory::new("port");
    let stream = laboratory.name.clone();
    let _outlet = laboratory.outlet(&stream, &[]);
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let bind = other.local_addr().expect("an address").to_string();
    let configuration = configuration(&laboratory, &laboratory.name, &stream, &bind);
    let refused = laboratory.run(&["run", "--config", configuration.to_str().expect("a path")]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&bind) && said.contains("in use") && said.contains("[server] bind"), "{said}");
}
