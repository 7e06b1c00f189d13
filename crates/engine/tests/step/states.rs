//! Output states: silence, stops, faults, and who lets the cursor go on.

use super::*;

#[test]
fn silence_is_stale_and_a_long_one_waits_for_the_operator() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    assert_eq!(bench.silence(0.1).state, OutputState::Control);
    let stale = bench.silence(0.04);
    assert_eq!(stale.state, OutputState::Stale);
    assert_eq!(stale.reason.map(|reason| reason.cause), Some(Cause::InputNotFresh));
    assert_eq!(stale.velocity.0, [0.0, 0.0]);
    bench.silence(3.0);
    assert_eq!(bench.tick(Some(ROW), &[]).state, OutputState::Stale);
    let task = Command::Request { mode: Mode::Control, resume: false, by: Actor::Task };
    assert_eq!(bench.tick(Some(ROW), &[task]).state, OutputState::Stale, "a task cannot resume");
    let operator = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    assert_eq!(bench.tick(Some(ROW), &[operator]).state, OutputState::Control);
}

#[test]
fn silence_on_the_local_clock_waits_for_the_operator_whatever_the_stamps_say() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    assert_eq!(bench.tick(Some(ROW), &[Command::InputWasSilent]).state, OutputState::Stale);
    bench.silence(0.12);
    assert_eq!(bench.tick(Some(ROW), &[]).state, OutputState::Stale, "a short gap does not clear it");
    let operator = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    assert_eq!(bench.tick(Some(ROW), &[operator]).state, OutputState::Control);
}

#[test]
fn whoever_resumed_before_the_signal_was_back_did_not_agree_to_its_return() {
    let operator = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    let accept = Command::AcceptInput { by: Actor::Task };
    for early in [operator, accept] {
        for commands in [[early, Command::InputWasSilent], [Command::InputWasSilent, early]] {
            let mut bench = Bench::with_model(Mode::Control);
            bench.tick(Some(ROW), &[SWAP]);
            let back = bench.tick(Some(ROW), &commands);
            assert_eq!((back.state, back.velocity.0), (OutputState::Stale, [0.0, 0.0]), "{commands:?}");
            assert_eq!(back.reason.map(|reason| reason.cause), Some(Cause::AwaitsResume));
            assert_eq!(bench.tick(Some(ROW), &[operator]).state, OutputState::Control);
        }
    }
    // a stop is cleared all the same: it was not the silence that it was for
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    bench.tick(Some(ROW), &[Command::Stop { by: Actor::Client }]);
    let back = bench.tick(Some(ROW), &[operator, Command::InputWasSilent]);
    assert_eq!(back.reason.map(|reason| reason.cause), Some(Cause::AwaitsResume));
}

#[test]
fn on_an_input_that_is_too_slow_no_decoder_moves_the_cursor_in_any_mode() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let arrival = |input| Command::Arrival { input, max_wait: Seconds(0.02), silence: Seconds(0.0) };
    let calibrate = Command::Request { mode: Mode::Calibrating, resume: true, by: Actor::Operator };
    let slow = bench.tick(Some(ROW), &[arrival(InputArrival::Slow), calibrate]);
    assert_eq!((slow.state, slow.velocity.0), (OutputState::Calibrating, [0.0, 0.0]));
    bench.tick(Some(ROW), &[arrival(InputArrival::Fit)]);
    assert!(bench.tick(Some(ROW), &[]).velocity.0[0] > 0.0, "once somebody has agreed it moves");
}

#[test]
fn what_was_shown_while_there_were_no_ticks_is_what_the_next_tick_knows() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let states = |bench: &Bench, commands: &[Command]| bench.engine.preview(commands).state();
    assert_eq!(states(&bench, &[]), OutputState::Control);
    assert_eq!(states(&bench, &[Command::InputNotFresh]), OutputState::Stale);
    // a silence that stands alone ends with its first complete bin
    assert_eq!(bench.tick(Some(ROW), &[Command::InputNotFresh]).state, OutputState::Control);
    // one that follows it ends after a steady second, and what is told does not change meanwhile
    let unsteady = |output: &TickOutput| {
        (output.state, output.reason.map(|reason| reason.cause))
            == (OutputState::Stale, Some(Cause::InputUnsteady))
    };
    assert!(unsteady(&bench.tick(Some(ROW), &[Command::InputNotFresh])));
    let shown = bench.engine.preview(&[Command::InputNotFresh]).shown();
    assert_eq!(shown, bench.engine.states().shown());
    let steady = (1.0 / WIDTH).round() as usize;
    let course: Vec<TickOutput> = (0..steady + 2).map(|_| bench.tick(Some(ROW), &[])).collect();
    assert!(course[..steady - 1].iter().all(|output| unsteady(output) && output.velocity.0 == [0.0, 0.0]));
    assert_eq!(course.last().map(|output| output.state), Some(OutputState::Control));
}

#[test]
fn a_task_that_may_accepts_the_input_and_clears_neither_stop_nor_fault() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let awaits = bench.tick(Some(ROW), &[Command::InputWasSilent]);
    assert_eq!(awaits.reason.map(|reason| reason.cause), Some(Cause::AwaitsResume));
    let accept = Command::AcceptInput { by: Actor::Task };
    assert_eq!(bench.tick(Some(ROW), &[accept]).state, OutputState::Control);
    let stop = Command::Stop { by: Actor::Client };
    assert_eq!(bench.tick(Some(ROW), &[stop, accept]).state, OutputState::Hold);
    let fault = Command::Fault(Cause::Panicked);
    assert_eq!(bench.tick(Some(ROW), &[fault, accept]).state, OutputState::Fault);
}

#[test]
fn a_stop_holds_until_a_resume() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let held = bench.tick(Some(ROW), &[Command::Stop { by: Actor::Client }]);
    assert_eq!((held.state, held.velocity.0), (OutputState::Hold, [0.0, 0.0]));
    let task = Command::Request { mode: Mode::Control, resume: false, by: Actor::Task };
    assert_eq!(bench.tick(Some(ROW), &[task]).state, OutputState::Hold);
    let resume = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    let resumed = bench.tick(Some(ROW), &[resume]);
    assert_eq!(resumed.state, OutputState::Control);
    assert!((resumed.velocity.0[0] - 0.04).abs() < 1e-12, "the gain ramps up after a resume");
}

#[test]
fn control_without_a_model_is_idle_and_says_why() {
    let mut bench = Bench::new(Mode::Control);
    let output = bench.tick(Some(ROW), &[]);
    assert_eq!((output.state, output.intent), (OutputState::Idle, None));
    assert_eq!(output.reason.map(|reason| reason.cause), Some(Cause::NoModel));
}

#[test]
fn a_decoder_that_gives_infinity_is_a_fault_and_no_number_leaves() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let broken = bench.tick(Some([f64::MAX, f64::MAX, 0.0, 0.0]), &[]);
    assert_eq!(broken.state, OutputState::Control, "large but finite is only fast");
    assert!(broken.velocity.speed() <= 1.0 + 1e-12);
    bench.stage(f64::INFINITY, 2);
    let fault = bench.tick(Some(ROW), &[Command::SwapModel(ModelId([2; 32]))]);
    assert_eq!((fault.state, fault.intent, fault.velocity.0), (OutputState::Fault, None, [0.0, 0.0]));
    assert_eq!(fault.reason.map(|reason| reason.cause), Some(Cause::NotFinite));
    bench.stage(1.0, 1);
    let back = bench.tick(Some(ROW), &[SWAP]);
    assert_eq!(back.state, OutputState::Fault, "a fault waits for the operator");
    let resume = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    let resumed = bench.tick(Some(ROW), &[resume]);
    assert_eq!((resumed.state, resumed.row_one), (OutputState::Control, true));
}

#[test]
fn a_panic_that_was_caught_is_a_fault_and_the_next_ticks_go_on() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let input = bench.input(Some([666.0, 0.0, 0.0, 0.0]), &[Command::Stop { by: Actor::Client }]);
    let engine = &mut bench.engine;
    let rows = &bench.rows;
    let step = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| engine.step(&input, rows)));
    assert!(step.is_err());
    let fault = bench.engine.fault(&input, Cause::Panicked);
    assert_eq!((fault.seq, fault.state, fault.incomplete), (1, OutputState::Fault, true));
    let next = bench.tick(Some(ROW), &[]);
    assert_eq!((next.seq, next.state), (2, OutputState::Fault));
    let task = Command::Request { mode: Mode::Control, resume: false, by: Actor::Task };
    assert_eq!(bench.tick(Some(ROW), &[task]).state, OutputState::Fault);
}

const NOTHING: [f64; CHANNELS] = [f64::NAN; CHANNELS];

impl Bench {
    /// Ticks for `seconds` of a stream whose stages declare that they settle for so long, of which comes `row`.
    fn settle(&mut self, seconds: f64, row: [f64; CHANNELS]) -> Vec<TickOutput> {
        self.settle_for(seconds, seconds, row)
    }

    /// The first `seconds` of a time that they declare.
    fn settle_for(&mut self, seconds: f64, declared: f64, row: [f64; CHANNELS]) -> Vec<TickOutput> {
        let [ticks, declared] = [seconds, declared].map(|seconds| (seconds / WIDTH).round() as u32);
        let of = |left: u32| {
            let mut input = self.input(Some(row), &[]);
            input.streams[0].settling = Some(Seconds(f64::from(left) * WIDTH));
            self.engine.step(&input, &self.rows)
        };
        (declared - ticks..declared).rev().map(of).collect()
    }
}

fn cause(output: &TickOutput) -> Option<Cause> {
    output.reason.map(|reason| reason.cause)
}

#[test]
fn filters_that_settle_as_they_declare_are_waited_for_and_control_begins_by_itself() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(None, &[SWAP]);
    // at the start for as long as it takes, and once more from the beginning; later for as long as a gap may last
    bench.settle_for(2.0, 3.0, NOTHING);
    for seconds in [3.0, 1.4] {
        let ticks = bench.settle(seconds, NOTHING);
        let shown = |output: &TickOutput| (output.state, cause(output));
        assert!(ticks.iter().all(|output| shown(output) == (OutputState::Idle, Some(Cause::StagesSettle))));
        assert!(ticks.iter().all(|output| output.velocity.0 == [0.0, 0.0] && output.incomplete));
        let begun = bench.tick(Some(ROW), &[]);
        assert_eq!((begun.state, begun.row_one, steps(&begun)), (OutputState::Control, true, Some(1.0)));
        assert!((begun.velocity.0[0] - 0.04).abs() < 1e-12, "the gain ramps up");
        // a short silence, after which the stages begin anew
        assert_eq!(bench.silence(0.6).state, OutputState::Stale);
    }
}

#[test]
fn what_lasts_longer_than_stages_declare_waits_for_the_operator() {
    // dead channels behind them
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    bench.settle(1.0, NOTHING);
    for _ in 0..120 {
        let output = bench.tick(Some(NOTHING), &[]);
        assert_ne!(output.state, OutputState::Control);
    }
    let back = bench.tick(Some(ROW), &[]);
    assert_eq!((back.state, cause(&back)), (OutputState::Stale, Some(Cause::AwaitsResume)));
    // a long silence, before they settle or meanwhile
    for settled in [0.0, 1.0] {
        let mut bench = Bench::with_model(Mode::Control);
        bench.tick(None, &[SWAP]);
        bench.settle(settled, NOTHING);
        assert_eq!(bench.silence(2.5).state, OutputState::Stale);
        let settling = bench.settle(3.0, NOTHING);
        let awaits = |output: &TickOutput| cause(output) == Some(Cause::AwaitsResume);
        assert!(settling.iter().all(awaits));
        assert!(awaits(&bench.tick(Some(ROW), &[])));
    }
    // the local clock counts as well
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(NOTHING), &[SWAP, Command::InputWasSilent]);
    bench.settle(1.0, NOTHING);
    assert_eq!(cause(&bench.tick(Some(ROW), &[])), Some(Cause::AwaitsResume));
}

#[test]
fn filters_that_settle_in_mid_session_for_longer_than_a_gap_may_last_wait_for_the_operator() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let settling = bench.settle(3.0, NOTHING);
    assert!(settling.iter().all(|output| cause(output) == Some(Cause::StagesSettle)));
    let settled = bench.tick(Some(ROW), &[]);
    assert_eq!((settled.state, cause(&settled)), (OutputState::Stale, Some(Cause::AwaitsResume)));
    let resume = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    assert_eq!(bench.tick(Some(ROW), &[resume]).state, OutputState::Control);
}

#[test]
fn a_stream_that_starts_again_and_again_is_not_waited_for() {
    for is_start in [false, true] {
        let mut bench = Bench::with_model(Mode::Control);
        bench.tick((!is_start).then_some(ROW), &[SWAP]);
        let mut restart = || bench.settle_for(1.0, 1.5, NOTHING);
        let waits: Vec<TickOutput> = (0..if is_start { 2 } else { 1 }).flat_map(|_| restart()).collect();
        assert!(waits.iter().all(|output| cause(output) == Some(Cause::StagesSettle)));
        let lasts: Vec<TickOutput> = (0..4).flat_map(|_| restart()).collect();
        let idle = lasts.iter().take_while(|output| output.state == OutputState::Idle).count();
        // half a second is left of what was declared, and `stale_after` passes
        assert!((0.55..0.75).contains(&(idle as f64 * WIDTH)), "{idle}");
        assert!(lasts[idle..].iter().all(|output| output.state == OutputState::Stale));
        bench.settle(1.5, NOTHING);
        let back = bench.tick(Some(ROW), &[]);
        assert_eq!((back.state, cause(&back)), (OutputState::Stale, Some(Cause::AwaitsResume)));
    }
}

#[test]
fn a_settling_too_short_to_be_seen_is_not_shown_and_values_that_are_there_are_decoded() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let short = bench.settle(0.1, NOTHING);
    assert!(short.iter().all(|output| output.state == OutputState::Control && output.incomplete));
    assert!(bench.settle(3.0, ROW).iter().all(|output| output.state == OutputState::Control));
}

#[test]
fn a_dead_stream_beside_one_that_settles_is_not_excused() {
    let stream = StreamFeatures::of_channels(Binning::Sample, CHANNELS, None);
    let features = vec![stream.clone(), stream];
    let mut bench = Bench::of(EngineSettings { features, ..settings(Mode::Control) });
    let mut of = |settling: [Option<Seconds>; 2]| {
        let mut input = bench.input(Some(NOTHING), &[]);
        input.streams[0].settling = settling[0];
        let other = StreamTick { settling: settling[1], ..input.streams[0].clone() };
        input.streams.push(other);
        bench.engine.step(&input, &bench.rows)
    };
    let settling = Some(Seconds(3.0));
    let both = of([settling, settling]);
    assert_eq!((both.state, cause(&both)), (OutputState::Idle, Some(Cause::StagesSettle)));
    for _ in 0..10 {
        of([settling, None]);
    }
    let one = of([settling, None]);
    assert_eq!((one.state, cause(&one)), (OutputState::Stale, Some(Cause::ChannelsMasked)));
}
