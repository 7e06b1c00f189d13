//! Clicks: when they count, and what they outlive.

use kalmind_filter::{ClickDecoder, ClickParameters, ClickSettings};
use kalmind_types::{Click, ClickTuning};

use super::*;

/// Rows in which nothing, and in which a click, is meant: the last channel tells.
const STILL: [f64; CHANNELS] = [0.2, -0.1, 0.0, 0.0];
const MEANT: [f64; CHANNELS] = [0.2, -0.1, 0.0, 1.0];

/// Said with certainty e^5; a press comes with the third bin that says so.
fn decoder() -> ClickDecoder {
    let settings = ClickSettings {
        begin: 0.05,
        end: 0.1,
        threshold: 0.9,
        release: 0.5,
        hold_ms: 40.0,
        refractory_ms: 100.0,
    };
    let parameters = ClickParameters { weights: vec![0.0, 0.0, 0.0, 10.0], intercept: -5.0, settings };
    ClickDecoder::new(&parameters, 1e3 * WIDTH)
}

/// So many bins without a click come before one is decoded, where decoding began anew.
const QUIET: usize = 5;

/// A bench whose models 1 and 2 decode clicks and whose model 3 does not; 1 decodes, and has seen [`QUIET`] bins.
fn bench(start: Mode) -> Bench {
    let mut bench = Bench::new(start);
    for id in [1, 2] {
        let preparation = Preparation::new(vec![0.25; CHANNELS], None).expect("means are finite");
        let screen = Screen::open(vec![0.25; CHANNELS]);
        let plain = Box::new(Plain::new(1.0));
        let model = StagedModel::new(ModelId([id; 32]), plain, preparation, screen, None);
        assert!(bench.engine.stage(Box::new(model.with_click(Some(decoder())))).is_ok());
    }
    bench.stage(1.0, 3);
    bench.tick(Some(STILL), &[SWAP]);
    after(&mut bench, STILL, QUIET - 1);
    bench
}

/// The click of the last of so many such ticks.
fn after(bench: &mut Bench, row: [f64; CHANNELS], ticks: usize) -> Click {
    let last = (0..ticks).map(|_| bench.tick(Some(row), &[])).last();
    last.and_then(|output| output.click).expect("a click decoder decodes")
}

fn counted(click: Click) -> (bool, u64, u64) {
    (click.pressed, click.presses, click.releases)
}

fn ask(mode: Mode) -> Command {
    Command::Request { mode, resume: false, by: Actor::Operator }
}

#[test]
fn an_act_is_one_press_with_the_tick_that_it_came_in() {
    let mut bench = bench(Mode::Control);
    assert_eq!(counted(after(&mut bench, MEANT, 2)), (false, 0, 0));
    let down = after(&mut bench, MEANT, 1);
    assert_eq!((counted(down), down.last_press_seq), ((true, 1, 0), Some(7)));
    assert_eq!(counted(after(&mut bench, MEANT, 50)), (true, 1, 0));
    let up = after(&mut bench, STILL, 2);
    assert_eq!((counted(up), up.last_press_seq), ((false, 1, 1), Some(7)));
    assert_eq!(counted(after(&mut bench, MEANT, 3)), (true, 2, 1));
}

#[test]
fn clicks_count_only_where_the_decoder_may_move_the_cursor() {
    let mut bench = bench(Mode::Idle);
    let idle = after(&mut bench, MEANT, 10);
    assert_eq!(counted(idle), (false, 0, 0));
    assert!(idle.probability > 0.99, "what is decoded is shown in every state");
    bench.tick(Some(MEANT), &[ask(Mode::Control)]);
    assert_eq!(counted(after(&mut bench, MEANT, 10)), (false, 0, 0), "what began before is no press");
    after(&mut bench, STILL, 2);
    assert_eq!(counted(after(&mut bench, MEANT, 3)), (true, 1, 0));
    let stop = bench.tick(Some(MEANT), &[Command::Stop { by: Actor::Operator }]);
    assert_eq!(stop.click.map(counted), Some((false, 1, 1)), "a stop lets the button go");
    let task = |drive| Command::Task(TaskState { drive, ..TaskState::default() });
    let resume = Command::Request { mode: Mode::Calibrating, resume: true, by: Actor::Operator };
    bench.tick(Some(STILL), &[resume, task(CursorDrive::Label)]);
    assert_eq!(counted(after(&mut bench, MEANT, 5)), (false, 1, 1), "the task moves the cursor");
    bench.tick(Some(STILL), &[task(CursorDrive::Decoder)]);
    after(&mut bench, STILL, 1);
    assert_eq!(counted(after(&mut bench, MEANT, 3)), (true, 2, 1));
}

#[test]
fn counters_outlive_a_swap_and_no_press_arises_from_it() {
    let mut bench = bench(Mode::Control);
    after(&mut bench, MEANT, 3);
    after(&mut bench, STILL, 10);
    after(&mut bench, MEANT, 2);
    let swapped = bench.tick(Some(MEANT), &[Command::SwapModel(ModelId([2; 32]))]);
    assert_eq!(swapped.click.map(counted), Some((false, 1, 1)));
    assert_eq!(counted(after(&mut bench, MEANT, 10)), (false, 1, 1), "the act had begun before");
    after(&mut bench, STILL, QUIET - 1);
    assert_eq!(counted(after(&mut bench, MEANT, 3)), (false, 1, 1), "it knows nothing of what was before");
    after(&mut bench, STILL, QUIET);
    assert_eq!(counted(after(&mut bench, MEANT, 3)), (true, 2, 1));
    // with a model that decodes none the button is up, and no reader's count begins anew
    let without = bench.tick(Some(MEANT), &[Command::SwapModel(ModelId([3; 32]))]).click;
    assert_eq!(without.map(counted), Some((false, 2, 2)));
    assert_eq!(bench.tick(Some(MEANT), &[]).click.map(counted), Some((false, 2, 2)));
}

#[test]
fn a_bin_without_features_moves_the_chain_only() {
    let mut bench = bench(Mode::Control);
    let before = after(&mut bench, MEANT, 2).probability;
    let silent = bench.tick(None, &[]).click.expect("it goes on");
    assert!((silent.probability - (0.9 * before + 0.05 * (1.0 - before))).abs() < 1e-15);
    assert_eq!(counted(silent), (false, 0, 0));
    let started = bench.silence(0.6).click.expect("it goes on").probability;
    assert!((started - 1.0 / 3.0).abs() < 0.02, "{started}");
    let again = after(&mut bench, STILL, 1).probability;
    // it began anew: 1/3 predicts itself
    let expected = 1.0 / (1.0 + 2.0 * 5.0_f64.exp());
    assert!((again - expected).abs() < 1e-12, "{again} {expected}");
}

#[test]
fn an_act_that_goes_on_over_a_gap_is_no_press_however_weak_what_says_so() {
    let mut bench = bench(Mode::Control);
    let tuning = ClickTuning { threshold: Some(0.85), hold: None };
    bench.tick(Some(STILL), &[Command::TuneClick(tuning)]);
    // from the chain's own 1/3 to below the release threshold, 0.472, in the first bin, and above 0.85 in the end
    let weak = [0.2, -0.1, 0.0, 0.555];
    bench.silence(0.6);
    let first = after(&mut bench, weak, 1).probability;
    assert!((first - 0.464).abs() < 1e-3, "{first}");
    let last = after(&mut bench, weak, 60);
    assert!(last.probability > 0.85 && counted(last) == (false, 0, 0), "{last:?}");
    after(&mut bench, STILL, QUIET);
    assert_eq!(counted(after(&mut bench, weak, 60)), (true, 1, 0));
}

#[test]
fn a_tick_that_failed_lets_the_button_go() {
    let mut bench = bench(Mode::Control);
    after(&mut bench, MEANT, 3);
    let input = bench.input(Some(MEANT), &[]);
    let fault = bench.engine.fault(&input, Cause::TickSilent);
    assert_eq!(fault.click.map(counted), Some((false, 1, 1)));
}

#[test]
fn what_a_model_decodes_of_clicks_is_shown_beside_an_intent_that_is_what_it_was() {
    let (mut with, mut without) = (bench(Mode::Control), Bench::with_model(Mode::Control));
    without.tick(Some(STILL), &[SWAP]);
    for _ in 1..QUIET {
        without.tick(Some(STILL), &[]);
    }
    for number in 0..200_u32 {
        let row =
            (number % 7 != 3).then_some([f64::from(number).sin(), 0.1, 0.0, f64::from(number % 20 / 10)]);
        let (clicking, plain) = (with.tick(row, &[]), without.tick(row, &[]));
        assert_eq!(TickOutput { click: None, ..clicking }, plain);
    }
    let presses = with.tick(None, &[]).click.map(|click| click.presses);
    assert_eq!(presses, Some(10));
}
