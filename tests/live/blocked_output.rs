//! Whoever reads what the daemon says may stop to: nothing of it holds up the daemon.

use std::{
    io::{PipeReader, Write as _, pipe},
    net::{TcpListener, TcpStream},
    process::Stdio,
    sync::mpsc,
    time::Duration,
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::harness::{Daemon, Laboratory, Process};

const TOKEN: &str = "blocked-output-0123456789";

/// A pipe that is full, and nobody reads: its reading end has to be kept.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("flags are set");
    while writer.write(b"\n").is_ok() {}
    fcntl_setfl(&writer, flags).expect("flags are set");
    (reader, writer.into())
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Waits until something listens there.
fn wait_for_server(address: &str) {
    let (_keep, pause) = mpsc::channel::<()>();
    for _ in 0..600 {
        if TcpStream::connect(address).is_ok() {
            return;
        }
        // waits, and never receives: the sender sends nothing
        let _timeout = pause.recv_timeout(Duration::from_millis(100));
    }
    panic!("no server at {address}");
}

#[test]
fn with_a_stderr_that_nobody_reads_a_lost_sender_is_found_again_and_sigterm_ends() {
    let laboratory = Laboratory::new("deaf");
    let address = format!("127.0.0.1:{}", free_port());
    let outlet = laboratory.outlet("deaf-array", &["--source-id", "deaf"]);
    let more = format!("server.token = \"{TOKEN}\"\nlog.level = \"trace\"\nsafety.auto_resume_ms = 600000");
    let file = laboratory.controlled("name = \"deaf-array\"", &more);
    let text = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, text.replace("127.0.0.1:0", &address)).expect("it is written");
    let (unread, stderr) = full_pipe();
    let mut command = laboratory.kalmind();
    command.args(["run", "--wait", "30", "--json", "--config"]).arg(&file);
    let process = Process::start_with(command, stderr);
    wait_for_server(&address);
    let daemon = Daemon { address, token: TOKEN.to_owned(), process };
    let health =
        |expected: &'static str| move |status: &serde_json::Value| status["streams"][0]["health"] == expected;
    daemon.wait_until("samples", health("live"));
    drop(outlet);
    daemon.wait_until("the sender is lost", health("lost"));
    let _again = laboratory.outlet("deaf-array", &["--source-id", "deaf"]);
    let back = daemon.wait_until("the sender is found again", health("live"));
    assert_eq!(back["streams"][0]["reconnects"], 1);
    let ticks = back["tick"]["ticks"].as_u64().expect("a count");
    daemon.wait_until("decoding goes on", |status| status["tick"]["ticks"].as_u64() > Some(ticks + 25));
    assert!(back["log"]["dropped_lines"].is_u64(), "{back}");
    let summary = daemon.end();
    assert!(summary["log"]["dropped_lines"].is_u64(), "{summary}");
    drop(unread);
}

#[test]
fn a_result_that_nobody_takes_does_not_keep_the_daemon_from_ending() {
    let laboratory = Laboratory::new("untaken");
    let _outlet = laboratory.outlet("untaken-array", &[]);
    let file = laboratory.controlled("name = \"untaken-array\"", "");
    let (unread, stdout) = full_pipe();
    let mut command = laboratory.kalmind();
    command.args(["run", "--wait", "30", "--json", "--config"]).arg(&file);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the daemon starts");
    // its stderr is read, and says when it runs
    let stderr = child.stderr.take().expect("piped");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stderr));
    let running = lines.by_ref().map_while(Result::ok).any(|line| line.contains("page: http://"));
    assert!(running, "it starts");
    let status = std::process::Command::new("kill").arg(child.id().to_string()).status();
    assert!(status.expect("kill starts").success());
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(1), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("stdout was not read")), "{rest:?}");
    drop(unread);
}

#[test]
fn what_a_program_says_before_it_aborts_is_read() {
    let laboratory = Laboratory::new("aborted");
    let _outlet = laboratory.outlet("aborted-array", &[]);
    let daemon = laboratory.daemon(&laboratory.controlled("name = \"aborted-array\"", ""), "30");
    // as liblsl or a child would: whatever is written to the process's own stderr
    let own = format!("/proc/{}/fd/2", daemon.process.child.id());
    std::fs::write(own, "terminate called after throwing an instance of 'x'\n").expect("it is written");
    daemon.process.signal("-ABRT");
    let (code, lines) = daemon.process.wait();
    assert_eq!(code, None, "a signal ended it");
    assert!(lines.iter().any(|line| line.starts_with("terminate called")), "{lines:?}");
}
