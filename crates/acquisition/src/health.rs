//! Decides in which state a stream is. Pure: facts in, state out.

use kalmind_types::{Seconds, StreamHealth};

/// How far acquisition has got with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// No outlet is connected; searching.
    Searching,
    /// An outlet is connected that is not the stream expected; its samples are refused.
    Refused,
    /// Connected, silent, and the outlet does not answer a search either.
    Unanswered,
    /// Connected.
    Connected,
}

/// What became of the newest sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Good: into a block.
    Deliver,
    /// Older than the backlog limit: dropped.
    Backlog,
    /// Its stamp has nothing to do with this machine's clock: refused.
    BadClock,
    /// From another machine whose clock is not measured yet: dropped.
    Unmeasured,
}

/// When a stream counts as stalled, behind, foreign or off its rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MonitorLimits {
    /// Nothing for longer than this is `stalled`; three sample periods of a regular stream where those are longer.
    pub stall_ms: f64,
    /// Samples older than this are dropped; infinity never drops.
    pub backlog_ms: f64,
    /// A corrected stamp further than this from now is on a clock of its own; infinity never refuses.
    pub bad_clock_ms: f64,
    /// Relative deviation of the measured from the nominal rate that is shown as `mismatch`; infinity never shows it.
    pub rate_tolerance: f64,
    /// Over how long the rate is measured.
    pub rate_window_ms: f64,
}

impl MonitorLimits {
    /// The defaults for bins of `bin_ms`: stalled after max(100 ms, 3 bins), backlog after max(150 ms, 3 bins), a clock
    /// off by 10 s, a rate off by 5 % over 4 s.
    #[must_use]
    pub fn for_bin(bin_ms: f64) -> Self {
        Self {
            stall_ms: (3.0 * bin_ms).max(100.0),
            backlog_ms: (3.0 * bin_ms).max(150.0),
            bad_clock_ms: 10_000.0,
            rate_tolerance: 0.05,
            rate_window_ms: 4000.0,
        }
    }

    /// The stall limit for a stream of this nominal rate (0: irregular).
    #[must_use]
    pub fn stall(&self, nominal_rate_hz: f64) -> Seconds {
        let periods = if nominal_rate_hz > 0.0 { 3.0 / nominal_rate_hz } else { 0.0 };
        Seconds(Seconds::from_millis(self.stall_ms).0.max(periods))
    }
}

impl Default for MonitorLimits {
    fn default() -> Self {
        Self::for_bin(20.0)
    }
}

/// What is known about a stream right now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// How far acquisition has got with it.
    pub link: Link,
    /// Whether it was ever connected.
    pub was_connected: bool,
    /// Time since the newest sample arrived, or since the connection where none has.
    pub silent_for: Seconds,
    /// What became of the newest sample of this connection; `None` before the first.
    pub newest: Option<Fate>,
    /// Measured rate, once known.
    pub measured_rate_hz: Option<f64>,
    /// Nominal rate; 0 for irregular streams.
    pub nominal_rate_hz: f64,
}

impl Evidence {
    /// Whether the measured rate is off the nominal one by more than the tolerance.
    #[must_use]
    pub fn rate_is_off(&self, limits: &MonitorLimits) -> bool {
        self.nominal_rate_hz > 0.0
            && self
                .measured_rate_hz
                .is_some_and(|measured| (measured / self.nominal_rate_hz - 1.0).abs() > limits.rate_tolerance)
    }
}

/// In which state a stream with this evidence is. Where several apply: no link, then silence, then what is wrong with
/// the samples, then their rate.
#[must_use]
pub fn judge(evidence: &Evidence, limits: &MonitorLimits) -> StreamHealth {
    match evidence.link {
        Link::Searching if evidence.was_connected => return StreamHealth::Lost,
        Link::Searching => return StreamHealth::Waiting,
        Link::Refused => return StreamHealth::Mismatch,
        Link::Unanswered => return StreamHealth::Lost,
        Link::Connected => {}
    }
    if evidence.silent_for.0 > limits.stall(evidence.nominal_rate_hz).0 {
        return StreamHealth::Stalled;
    }
    match evidence.newest {
        None | Some(Fate::Unmeasured) => StreamHealth::Waiting,
        Some(Fate::BadClock) => StreamHealth::BadClock,
        Some(Fate::Backlog) => StreamHealth::Backlog,
        Some(Fate::Deliver) if evidence.rate_is_off(limits) => StreamHealth::Mismatch,
        Some(Fate::Deliver) => StreamHealth::Live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: [Link; 4] = [Link::Searching, Link::Refused, Link::Unanswered, Link::Connected];
    const FATES: [Option<Fate>; 5] =
        [None, Some(Fate::Deliver), Some(Fate::Backlog), Some(Fate::BadClock), Some(Fate::Unmeasured)];

    /// The table by which states are told apart, written the other way round: by state.
    fn expected(link: Link, was: bool, stalled: bool, newest: Option<Fate>, rate_off: bool) -> StreamHealth {
        let connected = link == Link::Connected;
        let talking = connected && !stalled;
        if talking && newest == Some(Fate::Deliver) && !rate_off {
            StreamHealth::Live
        } else if link == Link::Refused || (talking && newest == Some(Fate::Deliver)) {
            StreamHealth::Mismatch
        } else if connected && stalled {
            StreamHealth::Stalled
        } else if link == Link::Unanswered || (link == Link::Searching && was) {
            StreamHealth::Lost
        } else if talking && newest == Some(Fate::Backlog) {
            StreamHealth::Backlog
        } else if talking && newest == Some(Fate::BadClock) {
            StreamHealth::BadClock
        } else {
            StreamHealth::Waiting
        }
    }

    #[test]
    fn every_combination_has_the_state_of_the_table() {
        let limits = MonitorLimits::default();
        let mut seen = std::collections::HashSet::new();
        for link in LINKS {
            for was_connected in [false, true] {
                for (silent_for, stalled) in [(0.0, false), (0.1, false), (0.101, true), (1e9, true)] {
                    for newest in FATES {
                        for (measured_rate_hz, rate_off) in [
                            (None, false),
                            (Some(50.0), false),
                            (Some(52.4), false),
                            (Some(52.6), true),
                            (Some(47.4), true),
                        ] {
                            let evidence = Evidence {
                                link,
                                was_connected,
                                silent_for: Seconds(silent_for),
                                newest,
                                measured_rate_hz,
                                nominal_rate_hz: 50.0,
                            };
                            let health = judge(&evidence, &limits);
                            assert_eq!(
                                health,
                                expected(link, was_connected, stalled, newest, rate_off),
                                "{evidence:?}"
                            );
                            seen.insert(health);
                        }
                    }
                }
            }
        }
        assert_eq!(seen.len(), 7, "the table reaches every state");
    }

    #[test]
    fn an_irregular_stream_has_no_rate_to_miss() {
        let evidence = Evidence {
            link: Link::Connected,
            was_connected: true,
            silent_for: Seconds(0.0),
            newest: Some(Fate::Deliver),
            measured_rate_hz: Some(3.0),
            nominal_rate_hz: 0.0,
        };
        assert_eq!(judge(&evidence, &MonitorLimits::default()), StreamHealth::Live);
    }

    #[test]
    fn limits_grow_with_the_bin_and_never_below_the_floor() {
        let (short, long) = (MonitorLimits::for_bin(20.0), MonitorLimits::for_bin(200.0));
        assert!((short.stall_ms - 100.0).abs() < 1e-9 && (short.backlog_ms - 150.0).abs() < 1e-9);
        assert!((long.stall_ms - 600.0).abs() < 1e-9 && (long.backlog_ms - 600.0).abs() < 1e-9);
    }

    #[test]
    fn a_slow_stream_may_take_three_periods() {
        let limits = MonitorLimits::default();
        assert!((limits.stall(4.0).0 - 0.75).abs() < 1e-12);
        assert!((limits.stall(1000.0).0 - 0.1).abs() < 1e-12);
        assert!((limits.stall(0.0).0 - 0.1).abs() < 1e-12);
    }
}
