//! What is done next for a model that waits: without a desk, since all of it is in the history and in what the model has
//! been shown.

use kalmind_engine::{BinFacts, HistoryRow};
use kalmind_filter::{Decoder, FilterState, LookBack, Screen, StepReport};
use kalmind_signal::{AdaptiveState, Preparation, running_state};
use kalmind_types::{Actor, Cause, Intent, Mode, TickInput};

use super::{
    super::tests::{engine, model, staged},
    *,
};

const ROWS: usize = 10;

fn swaps() -> Swaps<()> {
    Swaps::new(1, ROWS, engine().examiner(), None)
}

fn wait(swaps: &mut Swaps<()>) {
    assert!(swaps.push(staged(&model("a")), ()));
}

fn ticks(swaps: &mut Swaps<()>, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        let mut input = TickInput::empty();
        input.seq = seq;
        swaps.history.push(&HistoryRow::of(&input, BinFacts::default(), &[1.0]));
    }
}

/// Shows the model bins until `last`.
fn show(swaps: &mut Swaps<()>, bins: std::ops::RangeInclusive<u64>) {
    let Swaps { history, examiner, waiting, .. } = swaps;
    let swap = waiting.front_mut().expect("one waits");
    for row in bins.map(|seq| history.row(seq).expect("it is held")) {
        swap.model.warm(&row, examiner);
    }
}

#[test]
fn a_model_is_shown_everything_there_is_and_what_comes_meanwhile() {
    let mut swaps = swaps();
    assert_eq!(swaps.next(), None);
    wait(&mut swaps);
    assert_eq!(swaps.next(), Some(Next::SendCold), "nothing was decoded yet");
    ticks(&mut swaps, 0..15);
    assert_eq!(swaps.next(), Some(Next::Show(5, 14)));
    show(&mut swaps, 5..=9);
    ticks(&mut swaps, 15..18);
    assert_eq!(swaps.next(), Some(Next::Show(10, 17)));
    show(&mut swaps, 10..=17);
    assert_eq!(swaps.next(), Some(Next::Send));
    let swap = &swaps.waiting[0];
    assert_eq!((swap.from, swap.model.warmed_through(), swap.tries), (5, Some(17), 0));
}

#[test]
fn ticks_that_never_came_begin_it_anew_and_three_times_is_enough() {
    let mut swaps = swaps();
    wait(&mut swaps);
    ticks(&mut swaps, 0..10);
    show(&mut swaps, 0..=9);
    for (tries, first) in [(1, 20), (2, 30)] {
        ticks(&mut swaps, first..first + 3);
        assert_eq!(swaps.next(), Some(Next::Show(first, first + 2)), "after the hole");
        assert_eq!((swaps.waiting[0].tries, swaps.waiting[0].from), (tries, first));
        show(&mut swaps, first..=first + 2);
    }
    ticks(&mut swaps, 40..43);
    assert_eq!(swaps.next(), Some(Next::SendCold));
}

#[test]
fn a_model_slower_than_the_ticks_come_is_not_warmed_for_ever() {
    let mut swaps = swaps();
    wait(&mut swaps);
    ticks(&mut swaps, 0..10);
    let mut shown = 0;
    // two ticks come for each bin that it is shown
    for seq in (10..).step_by(2) {
        match swaps.next() {
            Some(Next::Show(first, _)) => show(&mut swaps, first..=first),
            next => {
                assert_eq!(next, Some(Next::SendCold));
                break;
            }
        }
        ticks(&mut swaps, seq..seq + 2);
        shown += 1;
    }
    assert!(shown < 3 * 3 * ROWS, "{shown}");
}

#[test]
fn a_model_that_came_late_waits_again_and_its_confirmation_is_said_again() {
    let mut swaps = swaps();
    wait(&mut swaps);
    let Swap { model, .. } = swaps.take().expect("it waits");
    let id = model.id;
    assert_eq!(swaps.sent(id, 0, true), [None; 2]);
    let confirm = Command::ConfirmModel { model: id, by: Actor::Operator };
    swaps.note(confirm);
    let control = |resume| Command::Request { mode: Mode::Control, resume, by: Actor::Task };
    swaps.note(control(true));
    assert_eq!(swaps.sent(id, 1, false), [Some(confirm), Some(control(false))]);
    assert_eq!(
        swaps.sent(id, TRIES, true),
        [None; 2],
        "put in once more, and confirmed for no more than before"
    );
    assert_eq!(swaps.take_back(model), Back::Done, "it was swapped in, and out again by another");
    assert!(swaps.take().is_none());
}

#[test]
fn a_model_that_no_tick_puts_in_is_given_up() {
    let mut swaps = swaps();
    wait(&mut swaps);
    for tries in 0..=TRIES {
        let Swap { model, tries: tried, .. } = swaps.take().expect("it waits");
        assert_eq!(tried, tries);
        swaps.sent(model.id, tries, tries == 0);
        let mut engine = engine();
        let mut input = TickInput::empty();
        input.commands.push(Command::SwapModel(model.id));
        assert!(engine.stage(model).is_ok());
        engine.fault(&input, Cause::Panicked);
        let back = swaps.take_back(engine.take_retired().expect("it was not put in"));
        assert_eq!(back, if tries < TRIES { Back::Waits } else { Back::GivenUp });
    }
    assert!(swaps.take().is_none());
}

/// Panics at its second bin.
#[derive(Debug)]
struct Failing(u32);

impl Decoder for Failing {
    fn features(&self) -> usize {
        1
    }
    fn dimension(&self) -> usize {
        1
    }
    fn restart(&mut self) {}
    fn step(&mut self, _features: Option<&[f64]>, _intent: &mut Intent) -> StepReport {
        self.0 += 1;
        assert!(self.0 < 2, "as asked for");
        StepReport::default()
    }
    fn look_back(&self) -> LookBack {
        LookBack { bins: 1, fades: false }
    }
    fn state(&self) -> Option<FilterState<'_>> {
        None
    }
    fn adopt(&mut self, _state: FilterState<'_>) -> bool {
        false
    }
}

#[test]
fn a_model_that_panics_when_it_is_shown_a_bin_is_given_up_and_the_next_one_goes_on() {
    let mut swaps = swaps();
    let preparation = Preparation::new(vec![0.0], None).expect("a mean");
    let id = ModelId([7; 32]);
    let failing = StagedModel::new(id, Box::new(Failing(0)), preparation, Screen::open(vec![0.0]), None);
    assert!(swaps.push(Box::new(failing), ()));
    wait(&mut swaps);
    ticks(&mut swaps, 0..5);
    let failed = swaps.show(0, 4).expect_err("it panics").expect("it is handed out");
    assert!(failed.model.id == id && failed.then.is_some());
    assert_eq!(swaps.next(), Some(Next::Show(0, 4)));
    assert!(swaps.show(0, 4).is_ok());
    assert_eq!(swaps.next(), Some(Next::Send));
}

#[test]
fn where_the_adaptive_state_is_another_one_a_model_waits_for_the_bin_after() {
    let mut swaps = swaps();
    let tick = |swaps: &mut Swaps<()>, seq: u64, turned: bool, after: Option<&AdaptiveState>| {
        let input = TickInput { seq, ..TickInput::empty() };
        let facts = BinFacts { weight: 0.1, turned, ..BinFacts::default() };
        swaps.history.follow(&HistoryRow::of(&input, facts, &[1.0]), after);
    };
    wait(&mut swaps);
    let state = running_state(1);
    tick(&mut swaps, 0, true, Some(&state));
    assert_eq!(swaps.next(), None);
    tick(&mut swaps, 1, false, None);
    assert_eq!(swaps.next(), Some(Next::Show(1, 1)));
    // a tick that never came here: until the state is told nothing is known of the bins
    tick(&mut swaps, 3, false, None);
    tick(&mut swaps, 4, false, None);
    assert_eq!(swaps.next(), None);
    tick(&mut swaps, 5, false, Some(&state));
    tick(&mut swaps, 6, false, None);
    assert_eq!(swaps.next(), Some(Next::Show(6, 6)));
}
