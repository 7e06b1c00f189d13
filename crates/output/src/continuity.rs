//! Which messages one client gets, and what it is told about those it does not.

use crate::hub::{Kind, Shown};

/// What one client has been sent so far: finds holes in `seq` and `event_seq`, and thins ticks. Pure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Continuity {
    every: u64,
    last_seq: Option<u64>,
    last_event: Option<u64>,
    shown: Option<Shown>,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// States missed since the one before, those that thinning leaves out not counted.
    pub(crate) missed: u64,
    /// Events missed since the one before.
    pub(crate) missed_events: u64,
    /// Whether the message goes to the client.
    pub(crate) send: bool,
}

impl Continuity {
    /// A client that knows events up to `last_event`, is shown `shown`, and wants every `every`th tick (at least 1),
    /// and every change of state besides.
    pub(crate) fn new(every: u64, last_seq: Option<u64>, last_event: Option<u64>, shown: Shown) -> Self {
        Self { every: every.max(1), last_seq, last_event, shown: Some(shown) }
    }

    /// Takes note of the next message.
    pub(crate) fn step(&mut self, kind: Kind) -> Step {
        match kind {
            Kind::State { seq, shown } => {
                // a repeated tick would be presented as new
                if self.last_seq.is_some_and(|last| seq <= last) {
                    return Step::default();
                }
                let missed = self.wanted_before(seq);
                let changed = self.shown.replace(shown) != Some(shown);
                self.last_seq = Some(seq);
                let send = changed || missed > 0 || seq.is_multiple_of(self.every);
                Step { missed, missed_events: 0, send }
            }
            Kind::Heartbeat { shown } => {
                self.shown = Some(shown);
                Step { send: true, ..Step::default() }
            }
            Kind::Event { event_seq } => {
                let missed_events = self.skip_events(Some(event_seq)).saturating_sub(1);
                Step { missed: 0, missed_events, send: true }
            }
        }
    }

    /// Takes note that events up to `newest` will not come; gives their number.
    pub(crate) fn skip_events(&mut self, newest: Option<u64>) -> u64 {
        let Some(newest) = newest else { return 0 };
        let skipped = self.last_event.map_or(newest + 1, |last| newest.saturating_sub(last));
        self.last_event = self.last_event.max(Some(newest));
        skipped
    }

    /// Ticks that this client wants after the last one that it knows of (`seq` starts from 0) and before `seq`.
    fn wanted_before(&self, seq: u64) -> u64 {
        let first = self.last_seq.map_or(0, |last| last + 1);
        seq.div_ceil(self.every).saturating_sub(first.div_ceil(self.every))
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::OutputState;

    use super::*;

    const CONTROL: Shown = Shown { state: OutputState::Control, reason: None };
    const HOLD: Shown = Shown { state: OutputState::Hold, reason: None };

    fn state(seq: u64, shown: Shown) -> Kind {
        Kind::State { seq, shown }
    }

    fn client(every: u64) -> Continuity {
        Continuity::new(every, None, None, CONTROL)
    }

    #[test]
    fn ticks_before_the_first_one_seen_are_missed_unless_they_were_before_its_time() {
        assert_eq!(client(1).step(state(3, CONTROL)).missed, 3);
        assert_eq!(client(2).step(state(3, CONTROL)).missed, 2);
        assert_eq!(Continuity::new(1, Some(2), None, CONTROL).step(state(3, CONTROL)).missed, 0);
    }

    #[test]
    fn every_tick_is_sent_and_holes_are_counted() {
        let mut client = Continuity::new(1, Some(39), None, CONTROL);
        assert_eq!(client.step(state(40, CONTROL)), Step { send: true, ..Step::default() });
        assert_eq!(client.step(state(41, CONTROL)), Step { send: true, ..Step::default() });
        assert_eq!(client.step(state(45, CONTROL)), Step { missed: 3, missed_events: 0, send: true });
    }

    #[test]
    fn a_tick_is_never_sent_twice() {
        let mut client = Continuity::new(1, Some(6), None, CONTROL);
        assert!(client.step(state(7, CONTROL)).send);
        assert_eq!(client.step(state(7, CONTROL)), Step::default());
        assert_eq!(client.step(state(6, CONTROL)), Step::default());
        assert_eq!(client.step(state(8, CONTROL)), Step { send: true, ..Step::default() });
    }

    #[test]
    fn thinned_client_gets_every_nth_and_every_change_of_state() {
        let mut client = client(5);
        let sent: Vec<u64> = (0..20)
            .filter(|seq| client.step(state(*seq, if *seq < 12 { CONTROL } else { HOLD })).send)
            .collect();
        assert_eq!(sent, [0, 5, 10, 12, 15]);
    }

    #[test]
    fn thinned_client_is_told_only_of_ticks_it_wanted() {
        let mut client = client(5);
        client.step(state(0, CONTROL));
        assert_eq!(client.step(state(4, CONTROL)), Step::default());
        // 5 and 10 are gone, 12 comes in their place
        assert_eq!(client.step(state(12, CONTROL)), Step { missed: 2, missed_events: 0, send: true });
    }

    #[test]
    fn lost_events_are_announced() {
        let mut client = Continuity::new(1, None, Some(4), CONTROL);
        assert_eq!(client.step(Kind::Event { event_seq: 5 }).missed_events, 0);
        assert_eq!(client.step(Kind::Event { event_seq: 9 }).missed_events, 3);
        assert_eq!(client.skip_events(Some(11)), 2);
        assert_eq!(client.skip_events(Some(11)), 0);
        assert_eq!(client.skip_events(None), 0);
    }

    #[test]
    fn the_first_event_ever_is_no_loss_and_a_later_first_one_is() {
        assert_eq!(client(1).step(Kind::Event { event_seq: 0 }).missed_events, 0);
        assert_eq!(client(1).step(Kind::Event { event_seq: 3 }).missed_events, 3);
    }
}
