//! Flow control: whether a WebSocket client reads what it is sent, and so whether it may be sent a state now.
//!
//! A state that waits in a buffer on its way is shown late as if it were new. So the server watches how far the client
//! has read: by pings, which a client's library answers in the order in which it reads, and, for clients that ask for it,
//! by acknowledgements of the states themselves, since browsers answer pings while a page hangs.

use std::collections::VecDeque;

use kalmind_types::LslTime;

use crate::Limits;

/// An answer within this time and the shortest round trip is a quick one.
const QUICK: f64 = 0.050;
/// So many quick answers in a row, and a client that fell behind is trusted again.
const TRUST_AFTER: u32 = 10;
/// A shortest round trip counts for no more than this.
const LONGEST_ROUND_TRIP: f64 = 1.0;

/// How far one client has read. Pure: times are handed in.
///
/// A client that fell behind once is sent one state at a time, each when the one before has been read, until it has
/// answered quickly ten times in a row; so one that is a little too slow for every state gets fresh ones, and no queue
/// builds up in front of it.
#[derive(Debug)]
pub(crate) struct Flow {
    ping_every: f64,
    silent_after: f64,
    pong_within: f64,
    acknowledged_within: f64,
    /// Unanswered pings, the oldest first.
    pings: VecDeque<Sent>,
    next_ping: u64,
    pinged: LslTime,
    fastest: Option<f64>,
    acknowledgements: Option<Acknowledgements>,
    /// Quick answers still to come before the client is trusted again; 0 where it is.
    distrust: u32,
}

/// What a client that acknowledges has not acknowledged.
#[derive(Debug)]
struct Acknowledgements {
    under_way: VecDeque<Sent>,
    limit: usize,
    newest: Option<u64>,
}

/// A ping's number or a state's `seq`, and when it was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u64,
    time: LslTime,
}

impl Flow {
    /// A client that has just connected; `acknowledges` says whether it asked for `?flow=ack`.
    pub(crate) fn new(limits: &Limits, acknowledges: bool, now: LslTime) -> Self {
        let acknowledgements = acknowledges.then(|| Acknowledgements {
            under_way: VecDeque::with_capacity(limits.states_under_way),
            limit: limits.states_under_way.max(1),
            newest: None,
        });
        Self {
            ping_every: limits.ping_every.as_secs_f64(),
            silent_after: limits.silent_after.as_secs_f64(),
            pong_within: limits.pong_within.as_secs_f64(),
            acknowledged_within: limits.acknowledged_within.as_secs_f64(),
            pings: VecDeque::with_capacity(4),
            next_ping: 0,
            pinged: LslTime(now.0 - limits.ping_every.as_secs_f64()),
            fastest: None,
            acknowledgements,
            distrust: 0,
        }
    }

    /// Whether a state may be sent now.
    pub(crate) fn open(&mut self, now: LslTime) -> bool {
        if self.silent(now) {
            self.distrust = TRUST_AFTER;
            return false;
        }
        match &self.acknowledgements {
            Some(acknowledgements) => {
                let limit = if self.distrust > 0 { 1 } else { acknowledgements.limit };
                acknowledgements.under_way.len() < limit
            }
            None => self.distrust == 0 || self.pings.is_empty(),
        }
    }

    /// Takes note that the state `seq` is sent; gives the ping to send right behind it, if one is due.
    pub(crate) fn state_sent(&mut self, seq: u64, now: LslTime) -> Option<u64> {
        if let Some(acknowledgements) = &mut self.acknowledgements {
            acknowledgements.under_way.push_back(Sent { number: seq, time: now });
            acknowledgements.newest = acknowledgements.newest.max(Some(seq));
            return self.ping_due(now);
        }
        if self.distrust > 0 { Some(self.ping(now)) } else { self.ping_due(now) }
    }

    /// The ping to send now, if one is due. None is while one is overdue: the client has enough to answer.
    pub(crate) fn ping_due(&mut self, now: LslTime) -> Option<u64> {
        // a timer that fires a little early is not to skip a whole round
        let due = (now - self.pinged).0 > 0.9 * self.ping_every;
        let overdue = self.pings.front().is_some_and(|oldest| (now - oldest.time).0 > self.patience());
        (due && !overdue).then(|| self.ping(now))
    }

    /// Takes note of a pong; `false` when it answers no ping that is unanswered.
    pub(crate) fn pong(&mut self, number: u64, now: LslTime) -> bool {
        let Some(sent) = answered(&mut self.pings, number) else { return false };
        // a browser's pong says nothing of its page
        let judged = self.acknowledgements.is_none();
        self.answer_took((now - sent).0, judged);
        true
    }

    /// Takes note that the client has handled states up to `seq`; `false` when that acknowledges nothing.
    pub(crate) fn acknowledge(&mut self, seq: u64, now: LslTime) -> bool {
        let Some(acknowledgements) = &mut self.acknowledgements else { return false };
        if acknowledgements.newest.is_none_or(|newest| seq > newest) {
            return false;
        }
        let Some(sent) = answered(&mut acknowledgements.under_way, seq) else { return false };
        self.answer_took((now - sent).0, true);
        true
    }

    /// Until when everything was answered: since when something is unanswered, or now.
    pub(crate) fn answered_until(&self, now: LslTime) -> LslTime {
        let states = self.acknowledgements.as_ref().and_then(|known| known.under_way.front());
        let unanswered = [self.pings.front(), states].into_iter().flatten();
        unanswered.map(|sent| sent.time).fold(now, |oldest, time| if time < oldest { time } else { oldest })
    }

    /// Whether a ping or a state has been unanswered for so long that the client counts as gone.
    pub(crate) fn gone(&self, now: LslTime) -> bool {
        let over = |oldest: Option<&Sent>, limit| oldest.is_some_and(|oldest| (now - oldest.time).0 >= limit);
        let states = self.acknowledgements.as_ref().and_then(|known| known.under_way.front());
        over(self.pings.front(), self.pong_within) || over(states, self.acknowledged_within)
    }

    /// Whether a ping or a state has been unanswered for too long.
    fn silent(&self, now: LslTime) -> bool {
        let states = self.acknowledgements.as_ref().and_then(|known| known.under_way.front());
        let patience = self.patience();
        [self.pings.front(), states].into_iter().flatten().any(|oldest| (now - oldest.time).0 > patience)
    }

    fn patience(&self) -> f64 {
        self.silent_after + self.fastest.unwrap_or(0.0)
    }

    fn ping(&mut self, now: LslTime) -> u64 {
        let number = self.next_ping;
        self.next_ping += 1;
        self.pinged = now;
        self.pings.push_back(Sent { number, time: now });
        number
    }

    fn answer_took(&mut self, seconds: f64, judged: bool) {
        let seconds = seconds.max(0.0);
        let fastest = self.fastest.map_or(seconds, |fastest| fastest.min(seconds)).min(LONGEST_ROUND_TRIP);
        self.fastest = Some(fastest);
        if judged && self.distrust > 0 {
            self.distrust = if seconds < fastest + QUICK { self.distrust - 1 } else { TRUST_AFTER };
        }
    }
}

/// Takes what is answered by `number` (it and all before) out of `sent`; when the newest of them was sent.
fn answered(sent: &mut VecDeque<Sent>, number: u64) -> Option<LslTime> {
    let mut newest = None;
    while let Some(oldest) = sent.front().filter(|oldest| oldest.number <= number) {
        newest = Some(oldest.time);
        sent.pop_front();
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: f64 = 100.0;

    fn at(ms: f64) -> LslTime {
        LslTime(T0 + ms / 1e3)
    }

    fn client(acknowledges: bool) -> Flow {
        Flow::new(&Limits::default(), acknowledges, at(0.0))
    }

    #[test]
    fn pings_go_out_every_100_ms() {
        let mut flow = client(false);
        let mut pings = Vec::new();
        for ms in (0..1000).step_by(20) {
            if let Some(number) = flow.ping_due(at(f64::from(ms))) {
                pings.push(ms);
                assert!(flow.pong(number, at(f64::from(ms) + 1.0)));
            }
        }
        assert_eq!(pings, (0..1000).step_by(100).collect::<Vec<_>>());
    }

    #[test]
    fn no_state_while_a_ping_is_unanswered_for_150_ms() {
        let mut flow = client(false);
        let first = flow.ping_due(at(0.0)).unwrap();
        let second = flow.ping_due(at(100.0)).unwrap();
        assert!(flow.open(at(149.0)));
        assert!(!flow.open(at(151.0)));
        // it is asked no more until it has answered
        assert_eq!(flow.ping_due(at(200.0)), None);
        assert!(flow.pong(first, at(9000.0)));
        assert!(!flow.open(at(9000.0)), "the second one is unanswered too");
        assert!(flow.pong(second, at(9000.0)));
        assert!(flow.open(at(9000.0)));
        assert!(!flow.pong(second, at(9001.0)), "answered already");
    }

    #[test]
    fn the_answer_to_a_later_ping_answers_the_earlier_ones() {
        let mut flow = client(false);
        flow.ping_due(at(0.0)).unwrap();
        let second = flow.ping_due(at(100.0)).unwrap();
        assert!(flow.pong(second, at(120.0)));
        assert!(flow.open(at(240.0)));
        assert!(!flow.pong(99, at(121.0)), "nothing was left to answer");
    }

    #[test]
    fn a_long_way_to_the_client_is_not_its_slowness() {
        let mut flow = client(false);
        let number = flow.ping_due(at(0.0)).unwrap();
        assert!(flow.pong(number, at(120.0)));
        flow.ping_due(at(130.0)).unwrap();
        assert!(flow.open(at(390.0)));
        assert!(!flow.open(at(410.0)));
    }

    #[test]
    fn a_client_that_fell_behind_gets_one_state_at_a_time_until_it_is_quick_again() {
        let mut flow = client(false);
        let number = flow.ping_due(at(0.0)).unwrap();
        assert!(flow.pong(number, at(1.0)));
        let number = flow.ping_due(at(100.0)).unwrap();
        assert!(!flow.open(at(300.0)));
        assert!(flow.pong(number, at(300.0)));
        let mut now = 300.0;
        let mut slow_answers = 0;
        let mut quick_answers = 0;
        while flow.open(at(now)) {
            let Some(number) = flow.state_sent(0, at(now)) else { break };
            assert!(!flow.open(at(now)), "a second state under way");
            let took = if slow_answers < 5 { 100.0 } else { 10.0 };
            if took > 50.0 {
                slow_answers += 1;
            } else {
                quick_answers += 1;
            }
            now += took;
            assert!(flow.pong(number, at(now)));
            if quick_answers == TRUST_AFTER {
                break;
            }
        }
        assert_eq!((slow_answers, quick_answers), (5, TRUST_AFTER));
        // trusted: states go out without waiting for each one's answer
        flow.state_sent(1, at(now));
        assert!(flow.open(at(now + 1.0)));
    }

    #[test]
    fn at_most_four_states_are_unacknowledged() {
        let mut flow = client(true);
        for seq in 0..4 {
            assert!(flow.open(at(0.0)));
            flow.state_sent(seq, at(0.0));
        }
        assert!(!flow.open(at(1.0)));
        assert!(flow.acknowledge(1, at(2.0)), "and with it what was before");
        for seq in 4..6 {
            assert!(flow.open(at(2.0)));
            flow.state_sent(seq, at(2.0));
        }
        assert!(!flow.open(at(2.0)));
        assert!(!flow.acknowledge(6, at(3.0)), "never sent");
        assert!(!flow.acknowledge(1, at(3.0)), "acknowledged already");
        assert!(flow.acknowledge(5, at(3.0)));
    }

    #[test]
    fn a_client_that_answers_pings_and_does_not_acknowledge_is_slow() {
        let mut flow = client(true);
        let number = flow.state_sent(0, at(0.0)).unwrap();
        assert!(flow.pong(number, at(1.0)));
        assert!(flow.open(at(100.0)));
        assert!(!flow.open(at(152.0)));
        assert!(flow.acknowledge(0, at(200.0)));
        assert!(flow.open(at(200.0)));
        let number = flow.state_sent(1, at(200.0)).unwrap();
        assert!(!flow.open(at(201.0)), "one at a time from now on");
        assert!(flow.pong(number, at(202.0)));
        assert!(!flow.open(at(203.0)), "an answered ping does not say that the page has handled it");
        assert!(!flow.gone(at(60_000.0)));
        assert!(flow.gone(at(60_201.0)));
    }

    #[test]
    fn a_client_without_a_pong_for_10_s_is_gone() {
        let mut flow = client(false);
        flow.ping_due(at(0.0)).unwrap();
        assert!(!flow.gone(at(9_900.0)));
        assert!(flow.gone(at(10_000.0)));
        assert!(!client(false).gone(at(60_000.0)), "nothing was asked");
    }

    #[test]
    fn acknowledgements_mean_nothing_where_they_were_not_asked_for() {
        let mut flow = client(false);
        flow.state_sent(0, at(0.0));
        assert!(!flow.acknowledge(0, at(1.0)));
    }
}
