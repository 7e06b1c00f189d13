//! Whether the clocks can be trusted: the system's time is watched against the LSL clock while everything else is tried.

use kalmind_acquisition::clock::{ClockPair, clock_pair, now};

use super::{Finding, Status, kernel_clock};

const NAME: &str = "clock";
/// Readings of the clock whose cost is measured.
const READINGS: u32 = 10_000;
/// A reading that takes longer than this is not one of the processor's own counter, in nanoseconds.
const SLOW_READING_NS: f64 = 500.0;
/// How far the clocks may drift apart, in parts per million: NTP corrects 500 at most.
const DRIFT_PPM: f64 = 500.0;
/// How far the two clocks may jump apart, in seconds.
const JUMP: f64 = 0.005;

/// Both clocks, as they were when the first thing was tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    started: ClockPair,
}

impl Watch {
    pub(super) fn begin() -> Self {
        Self { started: clock_pair() }
    }

    /// Compares with what the clocks say now.
    pub(super) fn finish(self) -> Finding {
        let before = now();
        for _ in 0..READINGS {
            let _reading = std::hint::black_box(now());
        }
        let reading_ns = (now() - before).0 / f64::from(READINGS) * 1e9;
        let apart = Apart::between(self.started, clock_pair());
        judge(apart, reading_ns, source().as_deref(), kernel_clock::is_synchronised())
            .with("watched_s", apart.watched)
            .with("drift_ppm", apart.ppm())
            .with("reading_ns", reading_ns)
    }
}

/// How far the system's time and the LSL clock moved apart.
#[derive(Clone, Copy, Debug)]
struct Apart {
    /// Seconds by the LSL clock.
    watched: f64,
    /// Seconds by which the system's time went further.
    gained: f64,
}

impl Apart {
    fn between(earlier: ClockPair, later: ClockPair) -> Self {
        let watched = (later.lsl - earlier.lsl).0;
        Self { watched, gained: later.unix - earlier.unix - watched }
    }

    fn ppm(self) -> f64 {
        self.gained / self.watched.max(1e-9) * 1e6
    }
}

/// What the kernel counts time by.
fn source() -> Option<String> {
    let file = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    std::fs::read_to_string(file).ok().map(|text| text.trim().to_owned())
}

fn judge(apart: Apart, reading_ns: f64, source: Option<&str>, synchronised: Option<bool>) -> Finding {
    let named = source.unwrap_or("not told");
    let found = format!(
        "Over {:.1} s the system's time and the LSL clock drifted apart by {:.3} ms ({:.0} ppm). A reading takes {reading_ns:.0} ns \
         (source: {named}). The system's time is {}.",
        apart.watched,
        apart.gained * 1e3,
        apart.ppm(),
        match synchronised {
            Some(true) => "synchronised",
            Some(false) => "not synchronised",
            None => "of unknown origin",
        }
    );
    let finding = if apart.gained.abs() > JUMP && apart.ppm().abs() > DRIFT_PPM {
        Finding::bad(
            NAME,
            Status::Warning,
            found,
            "find what sets the system's time while it runs (two time services at once? a virtual machine's guest tools?) and \
             leave one. Decoding goes by the LSL clock, which does not jump; dates of recordings, and senders that stamp by the \
             system's time, do.",
        )
    } else if reading_ns > SLOW_READING_NS
        || matches!(source, Some("hpet" | "acpi_pm" | "jiffies" | "refined-jiffies"))
    {
        Finding::bad(
            NAME,
            Status::Warning,
            found,
            "find out why the kernel does not count by the processor (`dmesg | grep -i clocksource`); in a virtual machine, let \
             the host pass its counter on.",
        )
    } else if synchronised == Some(false) {
        Finding::bad(
            NAME,
            Status::Warning,
            found,
            "switch a time service on (`timedatectl set-ntp true`), so that recordings of several machines have the same dates. \
             LSL itself does not need it.",
        )
    } else {
        Finding::ok(NAME, found)
    };
    finding.with("source", source).with("synchronised", synchronised)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_a_slow_source_and_a_free_running_clock_are_warnings() {
        let calm = Apart { watched: 4.0, gained: 1e-5 };
        let jump = Apart { watched: 4.0, gained: -0.5 };
        for (apart, reading, source, synchronised, status, says) in [
            (calm, 30.0, "tsc", Some(true), Status::Ok, "synchronised"),
            (calm, 30.0, "tsc", None, Status::Ok, "unknown"),
            (jump, 30.0, "tsc", Some(true), Status::Warning, "-500.000 ms"),
            (calm, 1500.0, "tsc", Some(true), Status::Warning, "1500 ns"),
            (calm, 30.0, "hpet", Some(true), Status::Warning, "hpet"),
            (calm, 30.0, "tsc", Some(false), Status::Warning, "not synchronised"),
        ] {
            let finding = judge(apart, reading, Some(source), synchronised);
            assert_eq!(finding.status, status, "{finding:?}");
            assert!(finding.found.contains(says), "{finding:?}");
            assert_eq!(finding.remedy.is_none(), status == Status::Ok);
        }
    }
}
