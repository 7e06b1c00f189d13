//! The clients of `examples/`, started as an app's author starts them: in a session made up, and on the daemon's outlet.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kalmind_output::{Controls as _, ServerConfig, Token};
use kalmind_tools::fake::{FakeDaemon, TOKEN};
use kalmind_types::{Actor, EventKind, Mode};
use serde_json::json;

use crate::harness::{Laboratory, Process, repository};

/// A session made up, whose cursor runs in a circle at 50 ticks a second.
struct Session {
    daemon: FakeDaemon,
    ended: Arc<AtomicBool>,
    ticks: Option<JoinHandle<()>>,
}

impl Session {
    fn start(address: SocketAddr) -> Self {
        let daemon = FakeDaemon::start(ServerConfig::new(address, Token::new(TOKEN).expect("a token")))
            .expect("the server starts");
        let (controls, ended) = (Arc::clone(&daemon.controls), Arc::new(AtomicBool::new(false)));
        let seen = Arc::clone(&ended);
        let ticks = thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                controls.tick();
                thread::park_timeout(Duration::from_millis(20));
            }
        });
        Self { daemon, ended, ticks: Some(ticks) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(ticks) = self.ticks.take() {
            ticks.join().expect("the ticks end");
        }
    }
}

/// The client has to tell everything of a session, and to stop it; then of another one at the same address.
fn follows(mut client: Command) {
    let session = Session::start(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = session.daemon.server.local_addr();
    let controls = Arc::clone(&session.daemon.controls);
    client.arg(address.to_string());
    let mut client = Process::start(client);
    let cursor = |line: &str| line.split("cursor ").nth(1).expect("a cursor").to_owned();

    client.expect_line("connected: Kalmind 0.0.0, decoder dkf-nw, 20 ms a tick");
    let [first, second] = [(); 2].map(|()| cursor(&client.expect_line("control (): cursor ")));
    assert_ne!(first, second, "the cursor moves in control");
    controls.press();
    controls.press();
    client.expect_line("presses 2");
    controls.emit(EventKind::Target, json!({ "position": [0.2, 0.5], "radius": 0.06 }));
    client.expect_line("event target: {");
    controls.skip(3);
    client.expect_line("gap: ");

    client.say("");
    let [first, second] =
        [(); 2].map(|()| cursor(&client.expect_line("hold (stopped by a client): cursor ")));
    assert_eq!(first, second, "the cursor stands still in hold");
    assert_eq!(controls.stopped_by(), [Actor::Client]);
    controls.request(Mode::Control, true, Actor::Operator, &[], None).expect("it is let");
    client.expect_line("control (");

    drop(session);
    client.expect_line("no connection");
    let session = Session::start(address);
    client.expect_line("connected: ");
    // the new run counts from 0, and that is no press
    assert!(client.expect_line("control (").ends_with("presses 2"));
    session.daemon.controls.press();
    client.expect_line("presses 3");
}

fn python() -> Command {
    let python = repository(".venv/bin/python");
    assert!(python.exists(), "{} is missing: `make test` sets it up", python.display());
    let mut command = Command::new(python);
    command.arg(repository("examples/client.py"));
    command
}

#[test]
fn the_client_in_python_follows_stops_and_comes_back() {
    follows(python());
}

#[test]
fn the_client_in_javascript_follows_stops_and_comes_back() {
    let version =
        Command::new("node").arg("--version").output().expect("node is there: `make test` sets it up");
    let version = String::from_utf8(version.stdout).expect("text");
    let major: u32 = version
        .strip_prefix('v')
        .and_then(|rest| rest.split('.').next())
        .and_then(|number| number.parse().ok())
        .expect("a version");
    let mut node = Command::new("node");
    match major {
        22.. => {}
        20.. => drop(node.arg("--experimental-websocket")),
        _ => drop(node.arg("--import").arg(repository("tests/browser/websocket.mjs"))),
    }
    node.arg(repository("examples/client.mjs"));
    follows(node);
}

#[test]
fn the_client_in_rust_follows_stops_and_comes_back() {
    // beside this test's own folder
    let built = std::env::current_exe().expect("a program").with_file_name("../examples/client");
    assert!(built.exists(), "{} is missing: cargo build --example client", built.display());
    follows(Command::new(built));
}

#[test]
fn the_client_in_python_reads_the_outlet() {
    let laboratory = Laboratory::new("client-of-the-outlet");
    let stream = laboratory.name.clone();
    let _outlet = laboratory.outlet(&stream, &[]);
    let daemon = laboratory.daemon(&laboratory.controlled(&format!("name = \"{stream}\""), ""), "30");
    let mut client = laboratory.command(&repository(".venv/bin/python"));
    client.arg(repository("examples/client.py")).args(["--lsl", &format!("{}-Cursor", laboratory.name)]);
    let client = Process::start(client);
    client.expect_line("state 2, cursor ");
    daemon.end();
}
