//! What follows for the whole input from how each stream arrives: how long bins wait, how late the input is, and whether a
//! cursor can be controlled with it.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use kalmind_acquisition::{StreamMonitor, limit_ms, wait_ms};
use kalmind_types::{Arrival, ArrivalStatus, Command, InputArrival, InputDelay, Seconds, StreamArrival};

/// An input that is later than this is too slow for a cursor, in milliseconds.
pub const SLOW_MS: f64 = 150.0;
/// The longest wait of a bin that follows from a measurement, in milliseconds: pools are sized for it.
const LONGEST_WAIT_MS: f64 = 1000.0;
/// How long bins wait while arrival is being measured, in milliseconds: nothing is controlled meanwhile.
const WAIT_WHILE_MEASURING_MS: f64 = 1000.0;
/// Samples that come further apart than so many of their periods come in chunks.
const SAMPLES_APART: f64 = 1.5;
/// Chunks shorter than this are not worth a word, in milliseconds.
const CHUNK_MS: f64 = 5.0;

/// What the configuration leaves open and what it fixes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArrivalRules {
    /// Whether arrival is measured at all.
    pub measured: bool,
    /// How long bins wait where nothing longer is measured, in milliseconds.
    pub max_wait_ms: f64,
    /// What is added to that where it is not configured: how long the streams' stages take, in milliseconds.
    pub stages_ms: f64,
    /// Whether that is configured, and so stands.
    pub fixed_wait: bool,
    /// Time without a complete bin after which the state is `stale`, where it is configured.
    pub fixed_stale_ms: Option<f64>,
    /// Whether `control` needs no confirmation on a slow input.
    pub slow_allowed: bool,
}

impl ArrivalRules {
    /// How long bins wait before anything is measured, in milliseconds.
    #[must_use]
    pub fn longest_wait_ms(&self) -> f64 {
        self.max_wait_ms + if self.fixed_wait { 0.0 } else { self.stages_ms }
    }
}

/// Where the newest [`InputDelay`] is kept for everyone.
#[derive(Clone, Debug)]
pub struct DelayBoard(Arc<Mutex<InputDelay>>);

impl DelayBoard {
    /// What is known now.
    #[must_use]
    pub fn now(&self) -> InputDelay {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, delay: InputDelay) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }
}

/// Watches how the required streams arrive. Belongs to the desk, which tells the tick what it finds.
#[derive(Debug)]
pub struct InputArrivals {
    rules: ArrivalRules,
    /// Those that bins wait for.
    streams: Vec<Arc<StreamMonitor>>,
    state: InputArrival,
    board: DelayBoard,
    /// Newest command, to be sent again with a confirmation.
    in_force: Command,
}

impl InputArrivals {
    /// Of the streams that bins wait for.
    #[must_use]
    pub fn new(rules: ArrivalRules, streams: Vec<Arc<StreamMonitor>>) -> Self {
        let mut this = Self {
            rules,
            streams,
            state: InputArrival::Fit,
            board: DelayBoard(Arc::new(Mutex::new(InputDelay {
                state: InputArrival::Fit,
                delay_ms: None,
                max_wait_ms: rules.longest_wait_ms(),
                text: "not measured".to_owned(),
            }))),
            in_force: Command::Arrival {
                input: InputArrival::Fit,
                max_wait: Seconds::from_millis(rules.longest_wait_ms()),
                silence: Seconds(0.0),
            },
        };
        if rules.measured {
            this.begin();
        }
        this
    }

    /// How each stream arrives, for messages.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamArrival> {
        let arrival = |monitor: &Arc<StreamMonitor>| monitor.measured().map(|(_, status)| status);
        let streams = self.streams.iter();
        streams
            .map(|stream| StreamArrival { key: stream.key().to_owned(), arrival: arrival(stream) })
            .collect()
    }

    /// What is known, for others.
    #[must_use]
    pub fn board(&self) -> DelayBoard {
        self.board.clone()
    }

    /// What the tick has to know now.
    #[must_use]
    pub fn command(&self) -> Command {
        self.in_force
    }

    /// Has every stream measured anew; what the tick has to know. Nothing where nothing is measured.
    pub fn measure_anew(&mut self) -> Option<Command> {
        if !self.rules.measured {
            return None;
        }
        for stream in &self.streams {
            stream.measure_arrival();
        }
        self.begin();
        Some(self.in_force)
    }

    /// A person agrees to control with a slow input; what the tick has to know.
    pub fn confirm(&mut self) -> Option<Command> {
        let Command::Arrival { input: InputArrival::Slow, max_wait, silence } = self.in_force else {
            return None;
        };
        self.in_force = Command::Arrival { input: InputArrival::Fit, max_wait, silence };
        self.state = InputArrival::Fit;
        let mut delay = self.board.now();
        delay.state = InputArrival::Fit;
        delay.text.push_str("; confirmed for control");
        self.board.set(delay);
        Some(self.in_force)
    }

    /// Looks whether a measurement is done, or is due where the time `is_free` for one (no block runs, nobody controls);
    /// what the tick has to know, if there is news.
    pub fn look(&mut self, is_free: bool) -> Option<Command> {
        if self.state == InputArrival::Measuring {
            let measured: Option<Vec<_>> = self.streams.iter().map(|stream| stream.measured()).collect();
            return measured.map(|measured| self.conclude(&measured));
        }
        let outdated = self.streams.iter().any(|stream| stream.arrival_is_outdated());
        if is_free && outdated { self.measure_anew() } else { None }
    }

    fn begin(&mut self) {
        self.state = InputArrival::Measuring;
        let max_wait_ms = if self.rules.fixed_wait {
            self.rules.max_wait_ms
        } else {
            self.rules.max_wait_ms.max(WAIT_WHILE_MEASURING_MS) + self.rules.stages_ms
        };
        self.in_force = Command::Arrival {
            input: self.state,
            max_wait: Seconds::from_millis(max_wait_ms),
            silence: Seconds::from_millis(self.rules.fixed_stale_ms.map_or(WAIT_WHILE_MEASURING_MS, |_| 0.0)),
        };
        self.board.set(InputDelay {
            state: self.state,
            delay_ms: None,
            max_wait_ms,
            text: "measuring how samples arrive".to_owned(),
        });
    }

    fn conclude(&mut self, measured: &[(Arrival, ArrivalStatus)]) -> Command {
        let most = |value: fn(&Arrival) -> f64| {
            measured.iter().map(|(arrival, _)| value(arrival)).fold(0.0, f64::max)
        };
        let stages_ms = self.rules.stages_ms;
        let delay_ms = most(|arrival| arrival.delay_ms) + stages_ms;
        let (wait, silence) =
            (most(|arrival| arrival.longest_wait_ms), most(|arrival| arrival.longest_interval_ms));
        let rules = self.rules;
        let wanted = wait_ms(wait, rules.max_wait_ms) + stages_ms;
        let max_wait_ms = if rules.fixed_wait {
            rules.max_wait_ms
        } else {
            wanted.min(rules.max_wait_ms.max(LONGEST_WAIT_MS) + stages_ms)
        };
        let silence_ms =
            if rules.fixed_stale_ms.is_some() { 0.0 } else { limit_ms(silence, 0.0) + stages_ms };
        self.state =
            if delay_ms > SLOW_MS && !rules.slow_allowed { InputArrival::Slow } else { InputArrival::Fit };

        let streams = self.streams.iter().zip(measured).map(|(stream, (arrival, status))| {
            let way = if is_chunked(arrival, stream.nominal_rate_hz()) {
                format!("in chunks, every {:.0} ms", arrival.interval_ms)
            } else {
                "sample by sample".to_owned()
            };
            format!(
                "\"{}\" {way}, {:.0} ms late (stall_ms {:.0}, backlog_ms {:.0})",
                stream.key(),
                arrival.delay_ms,
                status.stall_ms,
                status.backlog_ms
            )
        });
        let mut text = streams.collect::<Vec<_>>().join(", ");
        let _infallible = write!(text, "; bins wait up to {max_wait_ms:.0} ms (max_wait_ms)");
        if wait + stages_ms > max_wait_ms {
            let _infallible = write!(
                text,
                ", which is too short for samples that take {:.0} ms: bins will be incomplete; {}",
                wait + stages_ms,
                if rules.fixed_wait {
                    format!("set max_wait_ms = {wanted:.0}, or leave it out")
                } else {
                    "make the sender push shorter chunks".to_owned()
                }
            );
        }
        if let Some(stale_ms) = rules.fixed_stale_ms.filter(|stale_ms| silence > *stale_ms) {
            let _infallible = write!(
                text,
                "; stale_after_ms = {stale_ms:.0} is too short for a stream that is silent for {silence:.0} ms between \
                 chunks: set stale_after_ms = {:.0}, or leave it out",
                limit_ms(silence, 0.0)
            );
        }
        if delay_ms > SLOW_MS {
            let _infallible = write!(
                text,
                "; samples arrive too late for cursor control ({delay_ms:.0} ms, more than {SLOW_MS:.0}): make the sender \
                 push shorter chunks{}",
                if rules.slow_allowed {
                    " (allowed by allow_slow_input)"
                } else {
                    ", or confirm it when you ask for control, or set allow_slow_input = true under [safety]"
                }
            );
        }
        tracing::info!("input: {text}");
        self.board.set(InputDelay { state: self.state, delay_ms: Some(delay_ms), max_wait_ms, text });
        self.in_force = Command::Arrival {
            input: self.state,
            max_wait: Seconds::from_millis(max_wait_ms),
            silence: Seconds::from_millis(silence_ms),
        };
        self.in_force
    }
}

/// Whether a sender of this rate (0: irregular) pushes chunks. How late they are says nothing of it: a sender may stamp its
/// samples ahead of time.
fn is_chunked(arrival: &Arrival, nominal_rate_hz: f64) -> bool {
    let more_than_a_sample = if nominal_rate_hz > 0.0 {
        arrival.interval_ms > SAMPLES_APART * 1e3 / nominal_rate_hz
    } else {
        arrival.delay_ms > CHUNK_MS
    };
    arrival.interval_ms > CHUNK_MS && more_than_a_sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_of_chunks_is_one_however_it_stamps_them_and_one_of_samples_however_late() {
        let of = |interval_ms, delay_ms| Arrival { interval_ms, delay_ms, ..Arrival::default() };
        // stamps ahead of time: what comes is never old
        assert!(is_chunked(&of(100.0, 0.0), 250.0));
        assert!(!is_chunked(&of(20.3, 8.0), 50.0), "late on its way");
        assert!(!is_chunked(&of(4.0, 0.0), 1000.0), "not worth a word");
        assert!(is_chunked(&of(100.0, 98.0), 0.0) && !is_chunked(&of(100.0, 1.0), 0.0));
    }

    const RULES: ArrivalRules = ArrivalRules {
        measured: true,
        max_wait_ms: 20.0,
        stages_ms: 0.0,
        fixed_wait: false,
        fixed_stale_ms: None,
        slow_allowed: false,
    };

    fn arrival(interval_ms: f64) -> (Arrival, ArrivalStatus) {
        let arrival = Arrival {
            interval_ms,
            longest_interval_ms: interval_ms,
            delay_ms: interval_ms,
            longest_wait_ms: interval_ms + 4.0,
            ahead_ms: 0.0,
        };
        (arrival, ArrivalStatus { measured: Some(arrival), ..ArrivalStatus::default() })
    }

    fn concluded(rules: ArrivalRules, intervals_ms: &[f64]) -> (Command, InputDelay) {
        let stream = || Arc::new(StreamMonitor::new("array"));
        let mut arrivals = InputArrivals::new(rules, intervals_ms.iter().map(|_| stream()).collect());
        let measured: Vec<_> = intervals_ms.iter().map(|interval_ms| arrival(*interval_ms)).collect();
        let command = arrivals.conclude(&measured);
        (command, arrivals.board().now())
    }

    fn parts(command: Command) -> (InputArrival, f64, f64) {
        let Command::Arrival { input, max_wait, silence } = command else { panic!("{command:?}") };
        (input, max_wait.as_millis().round(), silence.as_millis().round())
    }

    #[test]
    fn nothing_is_controlled_until_every_required_stream_is_measured() {
        let monitors = [StreamMonitor::new("a"), StreamMonitor::new("b")].map(Arc::new);
        let mut arrivals = InputArrivals::new(RULES, monitors.to_vec());
        assert_eq!(parts(arrivals.command()), (InputArrival::Measuring, 1000.0, 1000.0));
        assert_eq!(arrivals.look(true), None);
        assert_eq!(arrivals.board().now().delay_ms, None);
    }

    #[test]
    fn a_quick_stream_keeps_the_defaults() {
        let (command, delay) = concluded(RULES, &[4.0]);
        assert_eq!(parts(command), (InputArrival::Fit, 20.0, 6.0));
        assert!(delay.text.contains("sample by sample"), "{}", delay.text);
    }

    #[test]
    fn bins_wait_for_the_slowest_stream() {
        let (command, delay) = concluded(RULES, &[4.0, 100.0]);
        assert_eq!(parts(command), (InputArrival::Fit, 206.0, 150.0));
        assert!(delay.text.contains("in chunks, every 100 ms"), "{}", delay.text);
    }

    #[test]
    fn a_slow_input_needs_a_confirmation_unless_it_is_allowed() {
        let (command, delay) = concluded(RULES, &[500.0]);
        assert_eq!(parts(command), (InputArrival::Slow, 806.0, 750.0));
        assert!(delay.text.contains("too late for cursor control"), "{}", delay.text);
        assert!(delay.text.contains("allow_slow_input"), "{}", delay.text);
        let (command, _) = concluded(ArrivalRules { slow_allowed: true, ..RULES }, &[500.0]);
        assert_eq!(parts(command).0, InputArrival::Fit);

        let stream = Arc::new(StreamMonitor::new("array"));
        let mut arrivals = InputArrivals::new(RULES, vec![stream]);
        assert_eq!(arrivals.confirm(), None, "nothing to confirm yet");
        arrivals.conclude(&[arrival(500.0)]);
        assert_eq!(arrivals.confirm().map(parts), Some((InputArrival::Fit, 806.0, 750.0)));
        assert_eq!(arrivals.confirm(), None);
    }

    #[test]
    fn what_is_configured_stands_and_is_checked() {
        let rules = ArrivalRules { fixed_wait: true, fixed_stale_ms: Some(60.0), ..RULES };
        let (command, delay) = concluded(rules, &[100.0]);
        assert_eq!(parts(command), (InputArrival::Fit, 20.0, 0.0));
        assert!(delay.text.contains("set max_wait_ms = 206"), "{}", delay.text);
        assert!(delay.text.contains("set stale_after_ms = 150"), "{}", delay.text);
    }

    #[test]
    fn what_stages_take_is_added_to_every_wait_that_is_not_configured() {
        let rules = ArrivalRules { stages_ms: 8.0, ..RULES };
        let (command, delay) = concluded(rules, &[4.0]);
        assert_eq!(parts(command), (InputArrival::Fit, 28.0, 14.0));
        assert_eq!((delay.delay_ms, rules.longest_wait_ms()), (Some(12.0), 28.0));
        let (command, delay) =
            concluded(ArrivalRules { fixed_wait: true, max_wait_ms: 10.0, ..rules }, &[4.0]);
        assert!((parts(command).1 - 10.0).abs() < 1e-9);
        assert!(delay.text.contains("samples that take 16 ms"), "{}", delay.text);
    }

    #[test]
    fn a_wait_is_bounded() {
        let (command, delay) = concluded(RULES, &[2500.0]);
        assert_eq!(parts(command), (InputArrival::Slow, 1000.0, 3750.0));
        assert!(delay.text.contains("bins will be incomplete"), "{}", delay.text);
    }

    #[test]
    fn where_nothing_is_measured_everything_is_as_configured() {
        let stream = Arc::new(StreamMonitor::new("array"));
        let mut arrivals = InputArrivals::new(ArrivalRules { measured: false, ..RULES }, vec![stream]);
        assert_eq!(parts(arrivals.command()), (InputArrival::Fit, 20.0, 0.0));
        assert_eq!((arrivals.look(true), arrivals.measure_anew()), (None, None));
    }
}
