//! Jumps of a stream's stamps: clocks that were set or began anew, and pauses of a stream that should be regular.

use super::{
    clocks::{self, seconds},
    header::StreamHeader,
};

/// Jumps that are told one by one.
const TOLD: usize = 3;
/// A regular stream does not pause for longer, in seconds, without its being told.
const PAUSE: f64 = 1.0;
/// Stamps that run back by less are out of order as those of markers are, in seconds.
const DISORDER: f64 = 0.1;

/// Two stamps, one after the other, that one clock cannot have given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jump {
    /// The sample after the jump, from 0.
    pub sample: u64,
    /// The stamp before it.
    pub from: f64,
    /// The sample's own.
    pub to: f64,
}

/// The jumps of a stream, and what its stamps span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Jumps {
    /// Time between samples; 0 for irregular streams.
    period: f64,
    samples: u64,
    stamped: u64,
    before: f64,
    /// Jumps forward, and backward.
    pub forward: u64,
    /// Likewise.
    pub backward: u64,
    /// The first ones.
    pub first: Vec<Jump>,
    /// Whether all stamps are the same.
    still: bool,
    /// Earliest and latest stamp before the stream is on another clock.
    span: (f64, f64),
    left: bool,
}

impl Jumps {
    pub(super) fn of(header: &StreamHeader) -> Self {
        let rate = header.nominal_rate_hz;
        Self { period: if rate > 0.0 { rate.recip() } else { 0.0 }, still: true, ..Self::default() }
    }

    /// Takes the next stamp in.
    pub(super) fn saw(&mut self, stamp: f64) {
        let sample = self.samples;
        self.samples += 1;
        if !stamp.is_finite() {
            return;
        }
        self.stamped += 1;
        if self.stamped == 1 {
            (self.before, self.span) = (stamp, (stamp, stamp));
            return;
        }
        let step = stamp - self.before;
        self.still &= step.abs() < f64::MIN_POSITIVE;
        let pause = if self.period > 0.0 { PAUSE.max(2.0 * self.period) } else { clocks::APART };
        let (forward, backward) = (step > pause, step < -DISORDER.max(2.0 * self.period));
        if forward || backward {
            self.forward += u64::from(forward);
            self.backward += u64::from(backward);
            if self.first.len() < TOLD {
                self.first.push(Jump { sample, from: self.before, to: stamp });
            }
        }
        self.left |= step.abs() > clocks::APART;
        if !self.left {
            self.span = (self.span.0.min(stamp), self.span.1.max(stamp));
        }
        self.before = stamp;
    }

    /// Samples with a stamp that is a number.
    pub(super) fn stamped(&self) -> u64 {
        self.stamped
    }

    /// The earliest and the latest stamp, up to where the stream goes over to another clock.
    pub(super) fn span(&self) -> Option<(f64, f64)> {
        (self.stamped > 0).then_some(self.span)
    }

    /// What to tell, in a sentence without its beginning.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        if self.still && self.stamped > 1 {
            return Some(format!(
                "all of its {} samples have the stamp {} s",
                self.stamped,
                seconds(self.before)
            ));
        }
        let count = self.forward + self.backward;
        if count == 0 {
            return None;
        }
        let told: Vec<String> = self.first.iter().map(Jump::describe).collect();
        let more = count - told.len() as u64;
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        let directions = match (self.forward, self.backward) {
            (_, 0) => "forward",
            (0, _) => "back",
            _ => "forward and back",
        };
        Some(format!("its stamps jump {directions} {times}: {}{more}", told.join("; ")))
    }
}

impl Jump {
    fn describe(&self) -> String {
        let step = self.to - self.from;
        let sign = if step > 0.0 { "+" } else { "" };
        let clock = if step.abs() > clocks::APART {
            format!(", which may be {}", clocks::describe(self.to))
        } else {
            String::new()
        };
        let (from, to) = (seconds(self.from), seconds(self.to));
        format!("{sign}{} s at sample {} (from {from} s to {to} s{clock})", seconds(step), self.sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rate: f64, stamps: &[f64]) -> Option<String> {
        let mut jumps = Jumps::of(&StreamHeader { nominal_rate_hz: rate, ..StreamHeader::default() });
        for stamp in stamps {
            jumps.saw(*stamp);
        }
        jumps.sentence()
    }

    #[test]
    fn clocks_that_are_set_and_long_pauses_are_told_with_place_and_size() {
        let begun = |to: f64| [10.0, 10.01, 10.02, to, to + 0.01];
        let said = |to: f64| told(100.0, &begun(to));
        assert_eq!(said(10.9), None, "a gap of less than a second");
        assert_eq!(said(9.95), None, "out of order");
        let back = said(2.52).expect("a jump");
        assert_eq!(back, "its stamps jump back once: -7.5 s at sample 3 (from 10.02 s to 2.52 s)");
        assert!(said(3610.02).expect("a jump").contains("+3600 s at sample 3 (from 10.02 s to 3610.02 s)"));
        let unix = said(1_690_000_000.0).expect("a jump");
        assert!(unix.contains("which may be Unix time, 2023-07-22"), "{unix}");
        assert!(said(1e300).expect("a jump").contains("+1e300 s"));
        assert_eq!(told(0.0, &begun(3610.02)), None, "markers come when they come");
        assert!(told(0.0, &begun(2.5)).is_some(), "but not before the one before");
        let many: Vec<f64> = (0..20).map(|sample| f64::from(sample % 2) * 50.0).collect();
        let said = told(100.0, &many).expect("jumps");
        assert!(said.starts_with("its stamps jump forward and back 19 times: +50 s at sample 1"), "{said}");
        assert!(said.ends_with("and 16 more"), "{said}");
        assert!(told(100.0, &[0.0; 9]).expect("still").contains("all of its 9 samples have the stamp 0 s"));
        assert_eq!(told(100.0, &[f64::NAN, 5.0, f64::INFINITY, 5.01]), None);
    }
}
