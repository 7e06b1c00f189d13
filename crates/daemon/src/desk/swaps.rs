//! Models on their way to the tick: each is shown the bins of the last seconds before it takes over, so that it decodes as
//! if it had been there all along.
//!
//! A few bins at a time, so that tasks and requests wait no longer than that; while it is shown them new ones come, until
//! it has seen the newest. Then it goes to the tick, with a command that names the history. Where the tick has gone on for
//! more bins than it may show it itself, the model comes back and is warmed anew; after [`TRIES`] times, and where it is
//! slower than the ticks come, it is swapped in cold.

use std::{collections::VecDeque, fmt};

use kalmind_engine::{Examiner, History, StagedModel};
use kalmind_types::{Command, ModelId};

use super::Desk;

/// Models that may wait; more are refused.
const WAITING: usize = 8;
/// Bins that are shown between two looks at everything else.
const AT_ONCE: u64 = 16;
/// How often a model is warmed.
const TRIES: u32 = 3;

/// What the desk keeps for swaps.
#[derive(Debug)]
pub(super) struct Swaps {
    /// The bins of the last seconds.
    pub(super) history: History,
    examiner: Examiner,
    /// Bins that a history holds at most.
    rows: u64,
    /// The first is being warmed.
    waiting: VecDeque<Swap>,
    /// The model that was sent last, and how often it had been before.
    sent: Option<(ModelId, u32)>,
    /// That somebody has confirmed it since: it counts for no model that is not there, and is said again.
    confirmed: Option<Command>,
}

/// A model that waits for its swap.
struct Swap {
    model: Box<StagedModel>,
    /// The first bin that it was shown.
    from: u64,
    /// How often it was warmed for nothing.
    tries: u32,
    /// What is done once it was sent.
    then: Option<Then>,
}

/// What is done once a model was sent.
pub(super) type Then = Box<dyn FnOnce(&mut Desk) + Send>;

impl fmt::Debug for Swap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Swap").field("model", &self.model.id).finish_non_exhaustive()
    }
}

/// What there is to do for the model that waits longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Show it these bins.
    Show(u64, u64),
    /// It has seen everything there is.
    Send,
    /// There is nothing to warm it with, or no warming it.
    SendCold,
}

impl Swaps {
    /// For bins of so many features that are examined so; a history of so many of them.
    pub(super) fn new(features: usize, rows: usize, examiner: Examiner) -> Self {
        Self {
            history: History::new(features, rows),
            examiner,
            rows: rows as u64,
            waiting: VecDeque::new(),
            sent: None,
            confirmed: None,
        }
    }

    /// Notes a command on its way to the tick.
    pub(super) fn note(&mut self, command: Command) {
        if let Command::ConfirmModel { model, .. } = command
            && self.sent.is_some_and(|(id, _)| id == model)
        {
            self.confirmed = Some(command);
        }
    }

    fn next(&mut self) -> Option<Next> {
        let Self { history, waiting, rows, .. } = self;
        let swap = waiting.front_mut()?;
        let Some((oldest, newest)) = history.held() else { return Some(Next::SendCold) };
        if swap.tries >= TRIES {
            return Some(Next::SendCold);
        }
        let next = match swap.model.warmed_through() {
            Some(through) => through + 1,
            None => {
                swap.from = oldest;
                oldest
            }
        };
        if next < oldest || next > newest + 1 || newest - swap.from >= 2 * *rows {
            // ticks that never came here, or a model that is slower than they come
            swap.forget();
            return self.next();
        }
        Some(if next > newest { Next::Send } else { Next::Show(next, newest) })
    }
}

impl Swap {
    fn forget(&mut self) {
        self.model.forget();
        self.tries += 1;
    }
}

impl Desk {
    /// Lets a model take over, warmed, and does `then` once it is on its way. False where too many wait.
    pub(super) fn warm_in(&mut self, model: Box<StagedModel>, then: Then) -> bool {
        let room = self.swaps.waiting.len() < WAITING;
        if room {
            self.swaps.waiting.push_back(Swap { model, from: 0, tries: 0, then: Some(then) });
        }
        room
    }

    /// Shows the model that waits longest some bins. Whether there is more to show it at once.
    pub(super) fn warm(&mut self) -> bool {
        match self.swaps.next() {
            None => false,
            Some(Next::Show(first, newest)) => {
                let Swaps { history, examiner, waiting, .. } = &mut self.swaps;
                let last = newest.min(first + AT_ONCE - 1);
                if let Some(swap) = waiting.front_mut() {
                    for row in (first..=last).filter_map(|seq| history.row(seq)) {
                        swap.model.warm(&row, examiner);
                    }
                }
                true
            }
            Some(Next::Send) => self.send(false),
            Some(Next::SendCold) => self.send(true),
        }
    }

    /// Sends the model that waits longest. Whether there may be more to do; where the tick has no room yet, not now.
    fn send(&mut self, cold: bool) -> bool {
        let Some(Swap { model, from, tries, then }) = self.swaps.waiting.pop_front() else { return false };
        let id = model.id;
        let command = match model.warmed_through() {
            Some(through) if !cold => Command::SwapWarmed { model: id, from, through },
            _ => Command::SwapModel(id),
        };
        if let Err(full) = self.queues.models.push(model) {
            self.swaps.waiting.push_front(Swap { model: full.0, from, tries, then });
            return false;
        }
        if tries >= TRIES {
            tracing::warn!(
                "the model {} was warmed {tries} times and was behind the ticks each time: it takes over without knowing the bins before",
                id.to_hex()
            );
        }
        if tries == 0 {
            self.swaps.confirmed = None;
        }
        self.swaps.sent = Some((id, tries));
        self.command(command);
        if let Some(confirmed) = self.swaps.confirmed {
            self.command(confirmed);
        }
        if let Some(then) = then {
            then(self);
        }
        true
    }

    /// A model that the tick is done with: freed here, unless it came too late for its swap and none was sent since.
    pub(super) fn take_back(&mut self, mut model: Box<StagedModel>) {
        let Some((_, tries)) = self.swaps.sent.filter(|(id, _)| model.came_late() && model.id == *id) else {
            return;
        };
        tracing::warn!("the model {} came too late for its swap and is warmed again", model.id.to_hex());
        model.forget();
        self.swaps.waiting.push_front(Swap { model, from: 0, tries: tries + 1, then: None });
    }
}

#[cfg(test)]
mod tests;
