//! Whether recordings can be written: where they go, how fast, how long until they are safe, and for how long there is room.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use kalmind_acquisition::clock;
use rustix::fs::{fstatfs, statvfs};

use super::{
    finding::{Finding, Status},
    patient::Patient,
};
use crate::configuration::Configuration;

const NAME: &str = "disk";
/// What is written to measure the speed, in bytes.
const WRITTEN: usize = 32 << 20;
/// At a time, as the recorder does.
const CHUNK: usize = 64 << 10;
/// How often a chunk is brought to the disk.
const SYNCS: usize = 10;
/// A recording of 96 channels at 30 kHz, in bytes a second.
const LARGE_RECORDING: f64 = 96.0 * 30_000.0 * 4.0;
/// Below this nothing can be recorded.
const NO_ROOM: f64 = 100e6;
/// The longest that a chunk may take to the disk, in seconds: the recorder does it once a second.
const SLOW_SYNC: f64 = 1.0;

/// Writes a file without a name, so that nothing is left behind, whatever happens.
pub(super) fn disk(patient: &Patient<'_>) -> Finding {
    let folder = patient.configuration.record.folder.clone().unwrap_or_else(|| PathBuf::from("."));
    // the recorder makes the folder; nothing is made here
    let existing = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let shown = existing.canonicalize().unwrap_or_else(|_| existing.to_owned()).display().to_string();
    let measured = match measure(existing) {
        Ok(measured) => measured,
        Err(error) => {
            return Finding::bad(
                NAME,
                Status::Problem,
                format!("Nothing can be written into {shown} ({error})."),
                "give [record] folder one that this account may write to, on a disk with room.",
            )
            .with("folder", shown);
        }
    };
    let Measured { bytes_per_second, sync, free, kind } = measured;
    let hours = free / LARGE_RECORDING / 3600.0;
    let found = format!(
        "In {shown} ({kind}): {:.0} MB/s, safe on the disk after {:.1} ms (the longest of {SYNCS}); {:.1} GB free, {hours:.1} \
         hours of 96 channels at 30 kHz.",
        bytes_per_second / 1e6,
        sync * 1e3,
        free / 1e9
    );
    let needed = needed(patient.configuration).max(NO_ROOM);
    let finding = if free < needed {
        let remedy = format!(
            "make room: {:.1} GB are needed ([record] free_hours), or record elsewhere.",
            needed / 1e9
        );
        Finding::bad(NAME, Status::Problem, found, remedy)
    } else if bytes_per_second < LARGE_RECORDING || sync > SLOW_SYNC {
        let remedy = "record to another disk: this one keeps up with few channels only, and after a power loss more than two \
                      seconds may be missing.";
        Finding::bad(NAME, Status::Warning, found, remedy)
    } else if kind == Kind::Memory {
        let remedy = "record elsewhere: what lies in memory is gone after a restart, and takes memory away from the session.";
        Finding::bad(NAME, Status::Warning, found, remedy)
    } else if kind == Kind::Network {
        let remedy = "record to a disk of this machine and copy the recording afterwards: a network that hangs holds it up.";
        Finding::bad(NAME, Status::Warning, found, remedy)
    } else if hours < 1.0 {
        Finding::bad(NAME, Status::Warning, found, "make room, or record elsewhere, before a long session.")
    } else {
        Finding::ok(NAME, found)
    };
    finding
        .with("folder", shown)
        .with("bytes_per_second", bytes_per_second)
        .with("sync_ms_max", sync * 1e3)
        .with("free_bytes", free)
}

/// What `[record] free_hours` asks for, as far as the configuration tells what the streams bring.
fn needed(configuration: &Configuration) -> f64 {
    let rates = configuration.stream.iter().map(|stream| {
        stream.channels.unwrap_or_default() as f64
            * stream.rate_hz.unwrap_or_default()
            * size_of::<f64>() as f64
    });
    rates.sum::<f64>() * configuration.record.free_hours * 3600.0
}

/// What a file system is kept on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Disk,
    Memory,
    Network,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Disk => "a disk",
            Self::Memory => "memory",
            Self::Network => "a network drive",
        })
    }
}

impl Kind {
    /// By the number that the kernel gives a file system (statfs(2)).
    fn of(magic: u32) -> Self {
        const MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];
        const NETWORK: [u32; 5] = [0x6969, 0xfe53_4d42, 0xff53_4d42, 0x517b, 0x0102_1997];
        match magic {
            magic if MEMORY.contains(&magic) => Self::Memory,
            magic if NETWORK.contains(&magic) => Self::Network,
            _ => Self::Disk,
        }
    }
}

/// What was measured.
struct Measured {
    bytes_per_second: f64,
    /// The longest that a chunk took to the disk, in seconds.
    sync: f64,
    /// Bytes that this account may still write.
    free: f64,
    kind: Kind,
}

fn measure(folder: &Path) -> io::Result<Measured> {
    let space = statvfs(folder)?;
    let free = space.f_bavail as f64 * space.f_frsize as f64;
    let mut file = tempfile::tempfile_in(folder)?;
    let kind = Kind::of(fstatfs(&file)?.f_type as u32);
    // no zeros, which some file systems do not write
    let chunk: Vec<u8> =
        (0..CHUNK as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    // a disk that is nearly full is not filled up
    let chunks = (WRITTEN / CHUNK).min((free / 4.0) as usize / CHUNK);
    let started = clock::now();
    for _ in 0..chunks {
        file.write_all(&chunk)?;
    }
    file.sync_data()?;
    let seconds = (clock::now() - started).0.max(1e-9);
    let mut sync: f64 = 0.0;
    for _ in 0..SYNCS {
        sync = sync.max(synced(&mut file, &chunk)?);
    }
    Ok(Measured { bytes_per_second: (chunks * CHUNK) as f64 / seconds, sync, free, kind })
}

/// Seconds until a chunk is safe.
fn synced(file: &mut File, chunk: &[u8]) -> io::Result<f64> {
    let started = clock::now();
    file.write_all(chunk)?;
    file.sync_data()?;
    Ok((clock::now() - started).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(folder: &Path, change: impl FnOnce(&mut Configuration)) -> Finding {
        let mut configuration = Configuration::default();
        configuration.record.folder = Some(folder.to_owned());
        change(&mut configuration);
        disk(&Patient { configuration: &configuration, given: true })
    }

    #[test]
    fn a_folder_that_is_not_there_is_tried_where_it_would_be_made_and_nothing_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let finding = of(&folder.path().join("new/deep"), |_| ());
        assert_ne!(finding.status, Status::Problem, "{finding:?}");
        assert!(finding.details["bytes_per_second"].as_f64().is_some_and(|speed| speed > 0.0), "{finding:?}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_a_problem() {
        let finding = of(Path::new("/proc/self"), |_| ());
        assert_eq!(finding.status, Status::Problem, "{finding:?}");
        assert!(finding.found.contains("/proc"), "{finding:?}");
    }

    #[test]
    fn less_room_than_the_configuration_asks_for_is_a_problem() {
        let folder = tempfile::tempdir().expect("a folder");
        let finding = of(folder.path(), |configuration| {
            configuration.record.free_hours = 1000.0;
            let stream = crate::configuration::Stream {
                channels: Some(1024),
                rate_hz: Some(100_000.0),
                ..crate::configuration::Stream::default()
            };
            configuration.stream = vec![stream];
        });
        assert_eq!(finding.status, Status::Problem, "{finding:?}");
        assert!(finding.remedy.expect("a remedy").contains("free_hours"));
    }

    #[test]
    fn file_systems_in_memory_and_behind_a_network_are_known() {
        assert_eq!(Kind::of(0x0102_1994), Kind::Memory);
        assert_eq!(Kind::of(0x6969), Kind::Network);
        assert_eq!(Kind::of(0xef53), Kind::Disk);
    }
}
