//! Models on their way to the tick: each is shown the bins of the last seconds before it takes over, so that it decodes as
//! if it had been there all along.
//!
//! A few bins at a time, so that tasks and requests wait no longer than that; while it is shown them new ones come, until
//! it has seen the newest. Then it goes to the tick, with a command that names the history. Where the tick has gone on for
//! more bins than it may show it itself, or has failed, the model comes back and is warmed anew; after [`TRIES`] times, and
//! where it is slower than the ticks come, it is swapped in cold. One that comes back even then is given up, and so is one
//! that panics when it is shown a bin.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use kalmind_engine::{Examiner, History, StagedModel};
use kalmind_types::{Command, ModelId};

/// Models that may wait; more are refused.
const WAITING: usize = 8;
/// Bins that are shown between two looks at everything else.
const AT_ONCE: u64 = 16;
/// How often a model is warmed.
pub(super) const TRIES: u32 = 3;

/// What the desk keeps for swaps. A model that waits brings with it what is done once it was sent.
pub(super) struct Swaps<T> {
    /// The bins of the last seconds.
    pub(super) history: History,
    examiner: Examiner,
    /// Bins that a history holds at most.
    rows: u64,
    /// The first is being warmed.
    waiting: VecDeque<Swap<T>>,
    /// The model that was sent last, and how often it had been before.
    sent: Option<(ModelId, u32)>,
    /// That somebody has confirmed it since, and the newest mode asked for: they count for no model that is not there, and
    /// are said again.
    confirmed: Option<Command>,
    asked: Option<Command>,
}

/// A model that waits for its swap.
pub(super) struct Swap<T> {
    pub(super) model: Box<StagedModel>,
    /// The first bin that it was shown.
    pub(super) from: u64,
    /// How often it was warmed for nothing.
    pub(super) tries: u32,
    /// What is done once it was sent.
    pub(super) then: Option<T>,
}

impl<T> fmt::Debug for Swaps<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Swaps").field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// What there is to do for the model that waits longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Show it these bins.
    Show(u64, u64),
    /// It has seen everything there is.
    Send,
    /// There is nothing to warm it with, or no warming it.
    SendCold,
}

/// What becomes of a model that the tick is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// It has decoded, or another one was sent since.
    Done,
    /// It is warmed anew.
    Waits,
    /// It was sent often enough.
    GivenUp,
}

impl<T> Swaps<T> {
    /// For bins of so many features that are examined so; a history of so many of them.
    /// The model of the start was sent by whoever started the tick thread.
    pub(super) fn new(features: usize, rows: usize, examiner: Examiner, start: Option<ModelId>) -> Self {
        Self {
            history: History::new(features, rows),
            examiner,
            rows: rows as u64,
            waiting: VecDeque::new(),
            sent: start.map(|id| (id, 0)),
            confirmed: None,
            asked: None,
        }
    }

    /// Notes a command on its way to the tick.
    pub(super) fn note(&mut self, command: Command) {
        match command {
            Command::ConfirmModel { model, .. } if self.sent.is_some_and(|(id, _)| id == model) => {
                self.confirmed = Some(command);
            }
            // said again it clears nothing that has stopped the cursor meanwhile
            Command::Request { mode, by, .. } => {
                self.asked = Some(Command::Request { mode, resume: false, by });
            }
            _ => {}
        }
    }

    /// Takes a model that is to take over. False where too many wait.
    pub(super) fn push(&mut self, model: Box<StagedModel>, then: T) -> bool {
        let room = self.waiting.len() < WAITING;
        if room {
            self.waiting.push_back(Swap { model, from: 0, tries: 0, then: Some(then) });
        }
        room
    }

    /// Shows the model that waits longest some of these bins.
    ///
    /// # Errors
    /// The model, which waits no more, where it panicked.
    pub(super) fn show(&mut self, first: u64, newest: u64) -> Result<(), Option<Swap<T>>> {
        let Self { history, examiner, waiting, .. } = self;
        let last = newest.min(first + AT_ONCE - 1);
        let shown = catch_unwind(AssertUnwindSafe(|| {
            if let Some(swap) = waiting.front_mut() {
                for row in (first..=last).filter_map(|seq| history.row(seq)) {
                    swap.model.warm(&row, examiner);
                }
            }
        }));
        shown.map_err(|_panic| waiting.pop_front())
    }

    /// The model that waits longest.
    pub(super) fn take(&mut self) -> Option<Swap<T>> {
        self.waiting.pop_front()
    }

    /// A model that waits does not take over any more. Whether it waited.
    pub(super) fn remove(&mut self, id: ModelId) -> bool {
        let waiting = self.waiting.len();
        self.waiting.retain(|swap| swap.model.id != id);
        self.waiting.len() < waiting
    }

    /// Puts a model back that found no room on its way to the tick.
    pub(super) fn put_back(&mut self, swap: Swap<T>) {
        self.waiting.push_front(swap);
    }

    /// Notes that a model was sent that had been warmed so often before, for the first time or since it came back; what to
    /// say again in that case. Whoever puts it in once more has to confirm it once more.
    pub(super) fn sent(&mut self, id: ModelId, tries: u32, first: bool) -> [Option<Command>; 2] {
        self.sent = Some((id, tries));
        if first {
            (self.confirmed, self.asked) = (None, None);
        }
        [self.confirmed, self.asked]
    }

    /// Takes a model back that the tick is done with, to be warmed again, where it was not put in and none was sent since;
    /// else it is freed.
    pub(super) fn take_back(&mut self, mut model: Box<StagedModel>) -> Back {
        let Some((_, tries)) = self.sent.filter(|(id, _)| model.turned_away() && model.id == *id) else {
            return Back::Done;
        };
        if tries >= TRIES {
            return Back::GivenUp;
        }
        model.forget();
        self.waiting.push_front(Swap { model, from: 0, tries: tries + 1, then: None });
        Back::Waits
    }

    /// What there is to do for the model that waits longest.
    pub(super) fn next(&mut self) -> Option<Next> {
        let Self { history, waiting, rows, .. } = self;
        let swap = waiting.front_mut()?;
        let Some((oldest, newest)) = history.held() else {
            // where the adaptive state is another one, the history begins with the next bin
            return (!history.awaits()).then_some(Next::SendCold);
        };
        if swap.tries >= TRIES {
            return Some(Next::SendCold);
        }
        let next = if let Some(through) = swap.model.warmed_through() {
            through + 1
        } else {
            swap.from = oldest;
            oldest
        };
        if next < oldest || next > newest + 1 || newest - swap.from >= 2 * *rows {
            // ticks that never came here, or a model that is slower than they come
            swap.forget();
            return self.next();
        }
        Some(if next > newest { Next::Send } else { Next::Show(next, newest) })
    }
}

impl<T> Swap<T> {
    fn forget(&mut self) {
        self.model.forget();
        self.tries += 1;
    }
}

#[cfg(test)]
mod tests;
