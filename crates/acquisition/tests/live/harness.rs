//! Runs each test in a process of its own, with an LSL session of its own, against outlet programs of other makers.
//!
//! LSL reads its settings once per process, at the first call; so a test starts this binary anew with `LSLAPICFG` set
//! and runs in there. Waits end on conditions: the inlet's waker and the outlets' answers, never on time alone.

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use kalmind_acquisition::clock::Deadline;
use kalmind_acquisition::{
    InletConfig, MonitorLimits, NetworkConfig, NumericInlet, StreamSelector, Waker, clock, find_one,
    lslapicfg,
};
use kalmind_types::{SampleBlock, Samples, Seconds, StreamDescription, StreamHealth, StreamStatus};
use serde_json::{Value, json};

/// No wait of a test takes longer on the busiest machine.
pub(crate) const PATIENCE: Seconds = Seconds(30.0);
const CHILD: &str = "KALMIND_LIVE_TEST";

/// Runs `body` in a process of its own, whose LSL sees its own session alone. `test` is the full name of the test.
pub(crate) fn in_own_session(test: &str, body: impl FnOnce()) {
    if std::env::var(CHILD).is_ok_and(|name| name == test) {
        body();
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for the settings");
    let session = format!("{}-{}", test.replace("::", "."), std::process::id());
    let settings = write_settings(folder.path(), &session);
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env("LSLAPICFG", &settings)
        .env(CHILD, test)
        .stdin(Stdio::null())
        .output()
        .expect("the test starts anew");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed in its own process:\n{out}\n{err}");
    assert!(out.contains("1 passed"), "{test} is not the name of a test:\n{out}");
    for line in out.lines().chain(err.lines()).filter(|line| line.contains("measured:")) {
        println!("{line}");
    }
}

/// The settings of a loopback session on ports that nobody uses now.
pub(crate) fn write_settings(folder: &Path, session: &str) -> PathBuf {
    let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    // ports of outlets need not be free, only few enough to be asked in a row
    let base_port = 20_000 + free.port() % 128 * 64;
    let config = NetworkConfig {
        multicast_port: Some(free.port()),
        base_port: Some(base_port),
        ..NetworkConfig::loopback(session)
    };
    config.validate().expect("the settings can be written");
    let path = folder.join(format!("{session}.cfg"));
    std::fs::write(&path, lslapicfg(&config)).expect("the settings are written");
    path
}

/// An outlet program, ended with the test.
pub(crate) struct Outlet {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
}

impl Outlet {
    /// Starts `outlet.py` with these settings and waits until the outlet is there.
    pub(crate) fn start(settings: &Value) -> Self {
        Self::start_with(settings, None)
    }

    /// The same in the session of another settings file.
    pub(crate) fn start_with(settings: &Value, lslapicfg: Option<&Path>) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = here.join("../../.venv/bin/python");
        assert!(python.exists(), "no pylsl in .venv: run setup/liblsl.sh first");
        let mut command = Command::new(python);
        command.arg(here.join("tests/python/outlet.py")).arg(settings.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(path) = lslapicfg {
            command.env("LSLAPICFG", path);
        }
        let mut child = command.spawn().expect("python starts");
        let commands = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (lines, answers) = unbounded();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let outlet = Self { child, commands, answers };
        outlet.expect("ready");
        outlet
    }

    /// Sends a command without waiting for its end.
    pub(crate) fn order(&mut self, command: &str) {
        writeln!(self.commands, "{command}")
            .and_then(|()| self.commands.flush())
            .expect("the outlet listens");
    }

    /// Waits for an answer.
    pub(crate) fn expect(&self, answer: &str) {
        let got = self.answers.recv_timeout(Duration::from_secs_f64(PATIENCE.0)).expect("the outlet answers");
        assert_eq!(got, answer);
    }

    /// Waits until somebody has opened the stream.
    pub(crate) fn wait_for_consumer(&mut self) {
        self.order("wait");
        self.expect("consumers");
    }

    /// Pushes `count` samples in real time.
    pub(crate) fn run(&mut self, count: usize) {
        self.order(&format!("run {count}"));
        self.expect("pushed");
    }

    /// Pushes `count` samples at once, the newest `age` seconds old.
    pub(crate) fn burst(&mut self, count: usize, age: f64) {
        self.order(&format!("burst {count} {age}"));
        self.expect("pushed");
    }

    /// Ends it without warning.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Sends it a signal by name (`STOP`, `CONT`).
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    fn end(&mut self) {
        // it may have ended already
        drop(self.child.kill());
        self.child.wait().expect("it was started");
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.end();
    }
}

/// A stream's settings for `outlet.py`.
pub(crate) fn stream(name: &str) -> Value {
    json!({ "name": name, "labels": ["a", "b"] })
}

/// `settings` with `changes` over them.
pub(crate) fn with(mut settings: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().expect("an object") {
        settings[key] = value.clone();
    }
    settings
}

/// Finds the stream of this name.
pub(crate) fn find(name: &str) -> StreamDescription {
    find_one(&StreamSelector::by_name(name), PATIENCE).expect("the stream is found")
}

/// An inlet, what came out of it, and the thread that is woken by it.
pub(crate) struct Reader {
    pub(crate) inlet: NumericInlet,
    /// All blocks so far.
    pub(crate) blocks: Vec<SampleBlock>,
}

impl Reader {
    /// Receives the stream of this name with limits so wide that a busy machine cannot reach them.
    pub(crate) fn of(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    /// The same with changes to the settings.
    pub(crate) fn with(name: &str, change: impl FnOnce(&mut InletConfig)) -> Self {
        let mut config = InletConfig::new("test", StreamSelector::by_name(name), find(name));
        config.limits = MonitorLimits { stall_ms: 1000.0, backlog_ms: 5000.0, ..MonitorLimits::default() };
        config.blocks = 1024;
        change(&mut config);
        let waker = Waker::new();
        assert!(waker.attach(), "one reader a thread");
        Self { inlet: NumericInlet::spawn(config, waker).expect("the inlet starts"), blocks: Vec::new() }
    }

    pub(crate) fn status(&self) -> StreamStatus {
        self.inlet.status.status(clock::now())
    }

    /// Reads blocks until `enough` says so.
    pub(crate) fn read_until(&mut self, what: &str, mut enough: impl FnMut(&Self) -> bool) {
        let deadline = Deadline::after(PATIENCE);
        loop {
            while let Some(block) = self.inlet.blocks.receive() {
                self.blocks.push((*block).clone());
                self.inlet.blocks.give_back(block);
            }
            if enough(self) {
                return;
            }
            assert!(!deadline.passed(), "waited in vain until {what}: {:#?}", self.status());
            // woken by every block and every change of state
            std::thread::park_timeout(deadline.remaining_duration().min(Duration::from_millis(500)));
        }
    }

    pub(crate) fn read_until_health(&mut self, health: StreamHealth) {
        self.read_until(&format!("{health}"), |reader| reader.inlet.status.health() == health);
    }

    /// Reads until this many samples were received in all, dropped ones included, and all of them have come out.
    pub(crate) fn read_until_received(&mut self, samples: u64) {
        self.read_until(&format!("{samples} samples"), |reader| {
            let counts = reader.inlet.status.counts();
            counts.received >= samples && counts.received == reader.delivered() + counts.dropped
        });
    }

    /// Samples delivered.
    pub(crate) fn delivered(&self) -> u64 {
        self.blocks.iter().map(|block| block.len() as u64).sum()
    }

    /// Values of one channel, in order.
    pub(crate) fn channel(&self, channel: usize) -> Vec<f64> {
        self.blocks.iter().flat_map(|block| column(block, channel)).collect()
    }

    /// Checks that indices and losses of the blocks fit together, and that with what is lost since they make up all that
    /// was received.
    pub(crate) fn check_accounts(&self) {
        let mut end = 0;
        for block in &self.blocks {
            assert_eq!(block.first_index, end + block.lost_before, "a hole is as long as it says");
            assert!(!block.is_empty());
            end = block.end_index();
        }
        let counts = self.inlet.status.counts();
        let lost: u64 = self.blocks.iter().map(|block| block.lost_before).sum();
        assert_eq!(counts.received, self.delivered() + counts.dropped, "every sample is counted once");
        assert!(lost <= counts.dropped, "{lost} lost before blocks, {} dropped", counts.dropped);
    }
}

fn column(block: &SampleBlock, channel: usize) -> Vec<f64> {
    fn every<T: Copy>(values: &[T], channels: usize, channel: usize, number: impl Fn(T) -> f64) -> Vec<f64> {
        values.iter().skip(channel).step_by(channels).map(|&value| number(value)).collect()
    }
    let channels = block.channels;
    match &block.values {
        Samples::Float32(values) => every(values, channels, channel, f64::from),
        Samples::Double64(values) => every(values, channels, channel, |value| value),
        Samples::Int8(values) => every(values, channels, channel, f64::from),
        Samples::Int16(values) => every(values, channels, channel, f64::from),
        Samples::Int32(values) => every(values, channels, channel, f64::from),
        Samples::Int64(values) => every(values, channels, channel, |value| value as f64),
    }
}
