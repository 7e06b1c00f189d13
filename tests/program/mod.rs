//! The program as people and scripts start it, in a folder of its own with tables to work on.

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use kalmind_acquisition::{NetworkConfig, lslapicfg};

/// A folder to work in, with tables that every decoder can be fitted to.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
    settings: PathBuf,
}

/// What a run of the program gave.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Rows of the tables.
pub(crate) const ROWS: usize = 600;
static FOLDERS: AtomicU32 = AtomicU32::new(0);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = folder.path().join("lsl_api.cfg");
        // a session and ports of its own: nothing is found by accident
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let network = NetworkConfig {
            base_port: Some(
                u16::try_from(14_000 + (std::process::id() * 11 + number) % 150 * 16).expect("a port"),
            ),
            port_range: Some(16),
            ..NetworkConfig::loopback(format!("command-line-{}-{number}", std::process::id()))
        };
        fs::write(&settings, lslapicfg(&network)).expect("settings are written");
        let this = Self { folder, settings };
        let (mut features, mut states) = (String::new(), String::new());
        let mut seed = 1_u64;
        let mut noise = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        let mut velocity = [0.0_f64; 2];
        for _ in 0..ROWS {
            velocity = velocity.map(|value| 0.95 * value + noise());
            let [x, y] = velocity;
            let cells: Vec<String> = (0..4)
                .map(|channel| {
                    (x * f64::from(channel).cos() + y * f64::from(channel).sin() + noise()).to_string()
                })
                .collect();
            writeln!(features, "{}", cells.join(",")).expect("a string grows");
            writeln!(states, "{x},{y}").expect("a string grows");
        }
        this.write("x.csv", &features);
        this.write("z.csv", &states);
        this
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).expect("the file is written");
    }

    /// Runs `kalmind` with arguments that spaces separate.
    fn kalmind(&self, arguments: &str) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_kalmind"))
            .args(arguments.split(' ').filter(|argument| !argument.is_empty()))
            .current_dir(self.folder.path())
            .env("LSLAPICFG", &self.settings)
            .stdin(Stdio::null())
            .output()
            .expect("kalmind starts");
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    pub(crate) fn succeeds(&self, arguments: &str) -> String {
        let ended = self.kalmind(arguments);
        assert_eq!(ended.code, Some(0), "kalmind {arguments}\n{}", ended.err);
        ended.out
    }

    /// The program has to print its result and end with exit code 1 all the same; gives result and error.
    #[allow(dead_code, clippy::allow_attributes, reason = "shared by several test programs")]
    pub(crate) fn warns(&self, arguments: &str) -> (String, String) {
        let ended = self.kalmind(arguments);
        assert_eq!(ended.code, Some(1), "kalmind {arguments}\n{}{}", ended.out, ended.err);
        (ended.out, ended.err)
    }

    /// The program has to fail with `code`, print no result, say every one of `parts`, and say nothing twice.
    pub(crate) fn refuses(&self, arguments: &str, code: i32, parts: &[&str]) {
        let ended = self.kalmind(arguments);
        assert_eq!(ended.code, Some(code), "kalmind {arguments}\n{}{}", ended.out, ended.err);
        assert_eq!(ended.out, "", "kalmind {arguments}: results alone go to stdout");
        for part in parts {
            assert!(ended.err.contains(part), "kalmind {arguments}: {part:?} is missing in:\n{}", ended.err);
        }
        let mut parts: Vec<&str> =
            ended.err.split(": ").map(str::trim).filter(|part| part.len() > 20).collect();
        let count = parts.len();
        parts.sort_unstable();
        parts.dedup();
        assert_eq!(parts.len(), count, "kalmind {arguments} says something twice: {}", ended.err);
    }
}
