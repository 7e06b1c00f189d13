//! What is known of one connection to an outlet, and how it is put into words. Pure.

use kalmind_types::{ClockOffset, LslTime, Seconds, StreamDescription, StreamHealth, StreamTime};

use crate::health::{Evidence, Fate, Link, MonitorLimits};
use crate::numeric::delivery::PullContext;
use crate::numeric::sorting::Sorted;

/// How long `backlog` stays visible after the last old sample; a burst itself is over in milliseconds.
const SHOW_BACKLOG: Seconds = Seconds(1.0);

/// The outlet that was connected last.
pub(crate) struct Last {
    pub(crate) uid: String,
    pub(crate) newest_stamp: Option<StreamTime>,
}

/// What one pull brought.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) received: u64,
    pub(crate) dropped: u64,
    pub(crate) missing: u64,
    pub(crate) newest: Option<LslTime>,
}

/// One connection to one outlet.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// When the newest sample arrived, or the connection was made.
    pub(crate) heard: LslTime,
    /// What became of the newest sample.
    pub(crate) newest: Option<Fate>,
    /// The offset in force at the newest sample.
    pub(crate) clock: ClockOffset,
    /// How often the stream was connected anew before.
    pub(crate) number: u32,
    /// The outlet's header.
    pub(crate) description: StreamDescription,
    /// How it differs from what was expected; then it is refused.
    pub(crate) difference: Option<String>,
    /// The state shown last.
    pub(crate) shown: Option<StreamHealth>,
    backlog_until: Option<LslTime>,
}

impl Connection {
    pub(crate) fn new(
        description: &StreamDescription,
        difference: Option<String>,
        number: u32,
        now: LslTime,
    ) -> Self {
        Self {
            heard: now,
            newest: None,
            clock: ClockOffset::default(),
            number,
            description: description.clone(),
            difference,
            shown: None,
            backlog_until: None,
        }
    }

    /// What blocks say of a pull that returned now, of a stream that is well or not, whose stages are of a generation.
    pub(crate) fn context(&self, received: LslTime, health: StreamHealth, generation: u32) -> PullContext {
        let (clock, connection) = (self.clock, self.number);
        PullContext { received, clock, health: Some(health), connection, generation }
    }

    /// A sample arrived and was sorted.
    pub(crate) fn saw(&mut self, sorted: &Sorted, arrival: LslTime) {
        self.newest = Some(sorted.fate);
        self.clock = sorted.clock;
        if sorted.fate == Fate::Backlog {
            self.backlog_until = Some(arrival + SHOW_BACKLOG);
        }
    }

    /// What a judgement is made from.
    pub(crate) fn evidence(&self, now: LslTime, unanswered: bool, measured_rate_hz: Option<f64>) -> Evidence {
        Evidence {
            link: match (&self.difference, unanswered) {
                (Some(_), _) => Link::Refused,
                (None, true) => Link::Unanswered,
                (None, false) => Link::Connected,
            },
            was_connected: true,
            silent_for: now - self.heard,
            newest: self.newest,
            measured_rate_hz,
            nominal_rate_hz: self.description.nominal_rate_hz,
        }
    }

    /// The state to show when `health` is the state now: a burst of old samples is shown long enough to be seen.
    pub(crate) fn to_show(&self, health: StreamHealth, now: LslTime) -> StreamHealth {
        let samples_are_used =
            self.difference.is_none() && matches!(health, StreamHealth::Live | StreamHealth::Mismatch);
        if samples_are_used && self.backlog_until.is_some_and(|until| now < until) {
            StreamHealth::Backlog
        } else {
            health
        }
    }

    /// What is wrong, and what to do.
    pub(crate) fn sentence(
        &self,
        health: StreamHealth,
        evidence: &Evidence,
        limits: &MonitorLimits,
    ) -> Option<String> {
        Some(match health {
            // what is wrong with stages is said where they run
            StreamHealth::Live | StreamHealth::Overloaded | StreamHealth::Fault => return None,
            StreamHealth::Waiting if evidence.newest == Some(Fate::Unmeasured) => format!(
                "measuring the clock of host {:?}; samples are used as soon as it is known",
                self.description.hostname
            ),
            StreamHealth::Waiting => String::from("connected; no sample has arrived yet"),
            StreamHealth::Stalled => format!(
                "connected, but no sample for more than {:.0} ms; is the sender paused?",
                limits.stall(evidence.nominal_rate_hz).as_millis()
            ),
            StreamHealth::Lost => {
                String::from("the outlet cannot be found: its program has hung or the network is down")
            }
            StreamHealth::Mismatch => match (&self.difference, evidence.measured_rate_hz) {
                (Some(difference), _) => format!(
                    "the stream has changed: {difference}; its samples are refused (restore it, or restart Kalmind to use \
                     it as it is)"
                ),
                (None, measured) => format!(
                    "measured rate {:.1} Hz, nominal {:.1} Hz; samples are used, but the sender does not keep its \
                     stated rate",
                    measured.unwrap_or(0.0),
                    evidence.nominal_rate_hz
                ),
            },
            StreamHealth::Backlog => format!(
                "samples older than {:.0} ms arrive and are dropped: the sender or the network was delayed, or the sender \
                 now pushes longer chunks",
                limits.backlog_ms
            ),
            StreamHealth::BadClock => String::from(
                "its time stamps are not on LSL's clock (Unix time? a device counter?); its samples are refused; set \
                 clock = \"arrival\" for this stream to use arrival times",
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::NumberFormat;

    use super::*;

    fn description() -> StreamDescription {
        StreamDescription {
            name: "Array".into(),
            content_type: "Features".into(),
            channels: 2,
            format: Some(NumberFormat::Float32),
            nominal_rate_hz: 50.0,
            source_id: String::new(),
            hostname: "lab".into(),
            uid: "one".into(),
            session_id: "default".into(),
            labels: None,
            units: None,
            desc: String::new(),
        }
    }

    fn sorted(fate: Fate) -> Sorted {
        Sorted { fate, missing: 0, corrected: LslTime(10.0), clock: ClockOffset::default() }
    }

    #[test]
    fn a_burst_is_shown_for_a_second_and_no_longer() {
        let mut connection = Connection::new(&description(), None, 0, LslTime(9.0));
        connection.saw(&sorted(Fate::Backlog), LslTime(10.0));
        connection.saw(&sorted(Fate::Deliver), LslTime(10.0));
        assert_eq!(connection.to_show(StreamHealth::Live, LslTime(10.9)), StreamHealth::Backlog);
        assert_eq!(connection.to_show(StreamHealth::Live, LslTime(11.1)), StreamHealth::Live);
        assert_eq!(connection.to_show(StreamHealth::Stalled, LslTime(10.9)), StreamHealth::Stalled);
    }

    #[test]
    fn every_state_but_live_has_a_sentence() {
        let limits = MonitorLimits::default();
        for difference in [None, Some(String::from("format int16 instead of float32"))] {
            let mut connection = Connection::new(&description(), difference, 0, LslTime(9.0));
            for fate in [Fate::Deliver, Fate::Backlog, Fate::BadClock, Fate::Unmeasured] {
                connection.saw(&sorted(fate), LslTime(10.0));
                let evidence = connection.evidence(LslTime(10.0), false, Some(40.0));
                for health in [
                    StreamHealth::Waiting,
                    StreamHealth::Stalled,
                    StreamHealth::Lost,
                    StreamHealth::Mismatch,
                    StreamHealth::Backlog,
                    StreamHealth::BadClock,
                ] {
                    assert!(
                        connection.sentence(health, &evidence, &limits).is_some_and(|text| text.len() > 20)
                    );
                }
                assert_eq!(connection.sentence(StreamHealth::Live, &evidence, &limits), None);
            }
        }
    }

    #[test]
    fn a_refusal_names_the_difference() {
        let named = "format int16 instead of float32";
        let connection = Connection::new(&description(), Some(named.into()), 0, LslTime(9.0));
        let evidence = connection.evidence(LslTime(9.0), false, None);
        assert_eq!(evidence.link, Link::Refused);
        let text = connection.sentence(StreamHealth::Mismatch, &evidence, &MonitorLimits::default()).unwrap();
        assert!(text.contains(named));
    }
}
