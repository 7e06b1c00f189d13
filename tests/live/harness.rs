//! Real processes on a network of their own: the daemon, and peers that no part of Kalmind wrote.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use kalmind_acquisition::{NetworkConfig, lslapicfg};
use serde_json::Value;

/// How long anything may take before the test says that it never happened.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Ports for searches and outlets, so that tests that run side by side do not fill each other's.
const PORTS: u16 = 32;
const FIRST_PORT: u32 = 20_000;
static LABORATORIES: AtomicU32 = AtomicU32::new(0);

/// A folder, and an LSL session and ports of its own, for one test.
pub(crate) struct Laboratory {
    pub(crate) folder: tempfile::TempDir,
    settings: PathBuf,
    /// Unique among tests: names streams and instances.
    pub(crate) name: String,
}

impl Laboratory {
    pub(crate) fn new(test: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = format!("{test}-{}", std::process::id());
        let settings = folder.path().join("lsl_api.cfg");
        let number = LABORATORIES.fetch_add(1, Ordering::Relaxed);
        let slot = (std::process::id().wrapping_mul(7) + number) % 380;
        let base = u16::try_from(FIRST_PORT + slot * u32::from(PORTS)).expect("below the system's own ports");
        let network = NetworkConfig {
            base_port: Some(base),
            port_range: Some(PORTS),
            ..NetworkConfig::loopback(&name)
        };
        fs::write(&settings, lslapicfg(&network)).expect("settings are written");
        Self { folder, settings, name }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path(file);
        fs::write(&path, text).expect("the file is written");
        path
    }

    /// A configuration file: a daemon in control with the `kalman` model of fixtures/models (6 channels, bins of 20 ms) on
    /// one stream, which `stream` describes; `more` goes before the tables. However slowly the stream arrives on a busy
    /// machine, there is control, unless `more` says otherwise.
    pub(crate) fn controlled(&self, stream: &str, more: &str) -> PathBuf {
        let model = repository("fixtures/models/kalman.safetensors");
        let slow = if more.contains("allow_slow_input") { "" } else { "safety.allow_slow_input = true" };
        let text = format!(
            "start = \"control\"\ninstance.name = \"{}\"\nserver.bind = \"127.0.0.1:0\"\ndecoder.model = \"{}\"\n\
             {slow}\n{more}\n[[stream]]\n{stream}\n",
            self.name,
            model.display()
        );
        self.write("kalmind.toml", &text)
    }

    /// An outlet of sine waves that can be disturbed (`outlet.py`), pushing already.
    pub(crate) fn outlet(&self, name: &str, arguments: &[&str]) -> Process {
        let outlet = self.python("outlet.py", &[&["--name", name], arguments].concat());
        outlet.expect_line("ready");
        outlet
    }

    /// A WebSocket client (`watch.py`) that has read hello.
    pub(crate) fn watch(&self, daemon: &Daemon) -> (Process, Value) {
        let url = format!("ws://{}/v1/state", daemon.address);
        let watch = self.python("watch.py", &["--url", &url]);
        let hello = watch.expect_json("hello", |line| line["type"] == "hello");
        (watch, hello)
    }

    /// A reader of the daemon's outlets (`watch_lsl.py`), connected.
    pub(crate) fn watch_lsl(&self) -> Process {
        let watch = self.python("watch_lsl.py", &["--instance", &self.name]);
        watch.expect_json("ready", |line| line["type"] == "ready");
        watch
    }

    /// The program under test.
    pub(crate) fn kalmind(&self) -> Command {
        self.command(Path::new(env!("CARGO_BIN_EXE_kalmind")))
    }

    /// Any program, on this network.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("LSLAPICFG", &self.settings).current_dir(self.folder.path());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.kalmind().args(arguments).stdin(Stdio::null()).output().expect("kalmind starts")
    }

    /// Derived streams made again of the raw samples of a recording are those that it holds, to the bit and all of them.
    pub(crate) fn recomputes_alike(&self, file: &Path) {
        let text = self.succeed(&["replay", &file.display().to_string(), "--recompute", "--json"]);
        let found: Value = serde_json::from_str(&text).expect("JSON");
        let recomputed = &found["recomputed"];
        assert_eq!(
            (&recomputed["first_difference"], &recomputed["not_computed"]),
            (&Value::Null, &Value::from(0)),
            "{found}"
        );
    }

    /// Runs the program to its end, which has to be a good one, and gives what it printed.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("stdout is text")
    }

    /// A script of `tests/python` as a running process.
    pub(crate) fn python(&self, script: &str, arguments: &[&str]) -> Process {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join(".venv/bin/python");
        assert!(python.exists(), "{} is missing: `make test` sets it up", python.display());
        let mut command = Command::new(python);
        command.arg(root.join("tests/python").join(script)).args(arguments).env("LSLAPICFG", &self.settings);
        command.current_dir(self.folder.path());
        Process::start(command)
    }

    /// The daemon, running: it has printed its page's address.
    pub(crate) fn daemon(&self, configuration: &Path, wait: &str) -> Daemon {
        let mut command = self.kalmind();
        command.args(["run", "--wait", wait, "--json", "--config"]).arg(configuration);
        Daemon::begun(Process::start(command))
    }
}

/// A child process whose lines (of stdout and stderr together) are read as they come. Killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub(crate) fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    /// As [`start`](Self::start), with this stderr, which is not read here unless it is a pipe of its own.
    pub(crate) fn start_with(mut command: Command, stderr: Stdio) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the process starts");
        let (sender, lines) = mpsc::channel();
        let out = child.stdout.take().map(|out| -> Box<dyn std::io::Read + Send> { Box::new(out) });
        let err = child.stderr.take().map(|err| -> Box<dyn std::io::Read + Send> { Box::new(err) });
        for pipe in [out, err].into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let stdin = child.stdin.take();
        Self { child, stdin, lines }
    }

    /// Waits for a line that holds `part`; everything before it is shown when it never comes.
    pub(crate) fn expect_line(&self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("never saw {part:?} ({error}); saw:\n{}", seen.join("\n")),
            }
        }
    }

    /// Waits for a line that holds `part`; one that begins with `failure` ends the wait at once.
    pub(crate) fn expect_line_or(&self, part: &str, failure: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            assert!(!line.starts_with(failure), "{line}, after:\n{}", seen.join("\n"));
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
        panic!("never saw {part:?}; saw:\n{}", seen.join("\n"))
    }

    /// Waits for a line that is JSON and fits; a `violation` of the protocol ends the wait at once.
    pub(crate) fn expect_json(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let value = serde_json::from_str::<Value>(&line).unwrap_or_default();
                    assert_ne!(value["type"], "violation", "{line}");
                    if fits(&value) {
                        return value;
                    }
                    seen.push(line);
                }
                Err(error) => panic!("never saw {what} ({error}); saw:\n{}", seen.join("\n")),
            }
        }
    }

    /// Waits for the message that brought the daemon into `state`.
    pub(crate) fn expect_state(&self, state: &str) -> Value {
        let line =
            self.expect_json(state, |line| line["type"] == "changed" && line["message"]["state"] == state);
        line["message"].clone()
    }

    /// Says a command to `outlet.py` and waits until it is done; how many samples it has pushed by then.
    pub(crate) fn disturb(&mut self, command: &str) -> u64 {
        self.say(command);
        let done = self.expect_line("done");
        done.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a number of samples")
    }

    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("still open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("the process listens");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(status.expect("kill starts").success());
    }

    /// Waits for the end; gives the exit code and the lines not read yet.
    pub(crate) fn wait(mut self) -> (Option<i32>, Vec<String>) {
        drop(self.stdin.take());
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            lines.push(line);
        }
        (self.child.wait().expect("it ends").code(), lines)
    }
}

/// A file of the repository.
pub(crate) fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A running daemon.
pub(crate) struct Daemon {
    pub(crate) address: String,
    pub(crate) token: String,
    pub(crate) process: Process,
}

impl Daemon {
    /// A daemon that has just been started, once it has printed its page's address.
    pub(crate) fn begun(process: Process) -> Self {
        let page = process.expect_line("/#token=");
        let address =
            page.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
        let token = page.split("#token=").nth(1).expect("a token").trim();
        Self { address: address.to_owned(), token: token.to_owned(), process }
    }

    /// One HTTP request: status code and body.
    pub(crate) fn http(&self, method: &str, path: &str, body: Option<&Value>, token: bool) -> (u16, String) {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.http_bytes(method, path, body.as_bytes(), token)
    }

    /// The same with any body.
    pub(crate) fn http_bytes(&self, method: &str, path: &str, body: &[u8], token: bool) -> (u16, String) {
        let mut socket = TcpStream::connect(&self.address).expect("the server accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let authorization =
            if token { format!("Authorization: Bearer {}\r\n", self.token) } else { String::new() };
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{authorization}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        )
        .and_then(|()| socket.write_all(body))
        .expect("the request is sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, body.to_owned())
    }

    pub(crate) fn status(&self) -> Value {
        let (code, body) = self.http("GET", "/v1/status", None, false);
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).expect("status is JSON")
    }

    /// Asks for the status until `holds`.
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let (_keep, pause) = mpsc::channel::<()>();
        let mut status = self.status();
        for _ in 0..600 {
            if holds(&status) {
                return status;
            }
            // waits, and never receives: the sender sends nothing
            let _timeout = pause.recv_timeout(Duration::from_millis(100));
            status = self.status();
        }
        panic!("never happened: {what}; the status is {status:#}");
    }

    /// Ends it with SIGTERM; gives the summary that it prints.
    pub(crate) fn end(self) -> Value {
        self.end_with(0)
    }

    /// The same of one that ends with an exit code.
    pub(crate) fn end_with(self, expected: i32) -> Value {
        self.process.signal("-TERM");
        let (code, lines) = self.process.wait();
        assert_eq!(code, Some(expected), "{lines:?}");
        let summary = lines.iter().rev().find(|line| line.starts_with('{')).expect("a summary");
        serde_json::from_str(summary).expect("the summary is JSON")
    }
}

/// Reads a JSON file.
pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("the file is there")).expect("it is JSON")
}
