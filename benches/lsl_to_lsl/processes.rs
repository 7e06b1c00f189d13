//! The processes of a latency measurement: started, spoken to, listened to, ended.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use kalmind_acquisition::{NetworkConfig, lslapicfg};

/// How long a process may take for one step before the measurement is given up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Units of processor time in `/proc/PID/stat`, by Linux's interface to programs.
const UNITS_PER_SECOND: f64 = 100.0;

/// The Linux scheduling of a process and of everything that it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheduling {
    /// As every program.
    Normal,
    /// `SCHED_FIFO` at this priority.
    FirstInFirstOut(u32),
}

/// A folder and an LSL session of its own.
#[derive(Debug)]
pub(crate) struct Laboratory {
    folder: tempfile::TempDir,
    settings: PathBuf,
}

impl Laboratory {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let settings = folder.path().join("lsl_api.cfg");
        let session = format!("kalmind-bench-{}", std::process::id());
        std::fs::write(&settings, lslapicfg(&NetworkConfig::loopback(session)))?;
        Ok(Self { folder, settings })
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// A program in this laboratory.
    pub(crate) fn command(&self, scheduling: Scheduling, program: &Path) -> Command {
        let mut command = match scheduling {
            Scheduling::Normal => Command::new(program),
            Scheduling::FirstInFirstOut(priority) => {
                let mut command = Command::new("chrt");
                command.args(["--fifo", &priority.to_string()]).arg(program);
                command
            }
        };
        command.env("LSLAPICFG", &self.settings).current_dir(self.folder.path());
        command
    }

    /// A script of `tests/python`.
    pub(crate) fn python(&self, scheduling: Scheduling, script: &str) -> anyhow::Result<Command> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join(".venv/bin/python");
        if !python.exists() {
            bail!("{} is missing: `make bench` sets it up", python.display());
        }
        let mut command = self.command(scheduling, &python);
        command.arg(root.join("tests/python").join(script));
        Ok(command)
    }
}

/// A running process whose lines are read as they come. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub(crate) fn start(name: &str, mut command: Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        let (sender, lines) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            forward(out, sender.clone());
        }
        if let Some(err) = child.stderr.take() {
            forward(err, sender);
        }
        let stdin = child.stdin.take();
        Ok(Self { name: name.to_owned(), child, stdin, lines })
    }

    /// Waits for a line that holds `part`, for `longest` beyond the usual patience.
    pub(crate) fn expect(&self, part: &str, longest: Duration) -> anyhow::Result<Vec<String>> {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE + longest) {
                Ok(line) => {
                    let found = line.contains(part);
                    seen.push(line);
                    if found {
                        return Ok(seen);
                    }
                }
                Err(error) => bail!("{} never said {part:?} ({error}):\n{}", self.name, seen.join("\n")),
            }
        }
    }

    /// Writes a line to it.
    pub(crate) fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().with_context(|| format!("{} does not listen", self.name))?;
        writeln!(stdin, "{line}")?;
        Ok(stdin.flush()?)
    }

    /// User and system time that it has used, in seconds.
    pub(crate) fn processor_seconds(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = text.rsplit_once(") ").context("a process's statistics")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let field = |at: usize| -> anyhow::Result<f64> { Ok(fields.get(at).context("a field")?.parse()?) };
        Ok((field(11)? + field(12)?) / UNITS_PER_SECOND)
    }

    /// Sends a signal (`-TERM`).
    pub(crate) fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let status = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status()?;
        if !status.success() {
            bail!("{} could not be sent {signal}", self.name);
        }
        Ok(())
    }

    /// Waits for its end, which has to be a good one; gives the lines not read yet.
    pub(crate) fn end(mut self) -> anyhow::Result<Vec<String>> {
        drop(self.stdin.take());
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            lines.push(line);
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} ended with {status}:\n{}", self.name, lines.join("\n"));
        }
        Ok(lines)
    }
}

/// Sends every line of `pipe` on.
fn forward(pipe: impl std::io::Read + Send + 'static, sender: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
}

impl Drop for Process {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
