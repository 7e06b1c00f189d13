//! Which generation's chain makes the samples, and how one follows another at exactly the sample that was named.

use kalmind_types::GenerationId;

use super::chain::Chain;
use super::rows::{Mark, Row, Rows};

/// Why a generation was not started; the chain is handed back.
#[derive(Debug, thiserror::Error)]
pub enum StagedError {
    /// Another one is on its way, or one that was followed has not been taken away.
    #[error("a change of stages is under way; try again when it is over")]
    Busy(Box<Chain>),
    /// The sample at which it would follow has been taken in already.
    #[error("sample {at} has passed: the next one is {next}")]
    Past {
        /// The chain.
        chain: Box<Chain>,
        /// The sample that was named.
        at: u64,
        /// The next one.
        next: u64,
    },
    /// It gives other channels, another rate or another delay.
    #[error("these stages give other channels, another rate or another delay than those in force")]
    Unlike(Box<Chain>),
}

/// The chain in force, the one that will follow it, and the one that it follows.
///
/// A chain that is to follow is given rows from when it is staged, so that its filters have settled when its turn comes. One
/// that was followed is given rows until all that it still owes is out. So two run for a while, and no sample is described by
/// neither or by both.
#[derive(Debug)]
pub(super) struct Succession {
    current: Box<Chain>,
    /// Of the chain in force.
    generation: u32,
    /// The first sample that the chain in force describes.
    since: u64,
    next: Option<(Box<Chain>, u64)>,
    leaving: Option<Leaving>,
    retired: Option<Box<Chain>>,
    /// What the chain in force has given ahead of what the one before still owes.
    waiting: Rows,
}

/// A chain that was followed.
#[derive(Debug)]
struct Leaving {
    chain: Box<Chain>,
    /// Rows until it owes nothing.
    rows_left: u64,
}

impl Succession {
    pub(super) fn new(chain: Box<Chain>) -> Self {
        let waiting = Rows::with_capacity(chain.signal().outputs.len(), most_waiting(&chain));
        Self { current: chain, generation: 0, since: 0, next: None, leaving: None, retired: None, waiting }
    }

    pub(super) fn current(&self) -> &Chain {
        &self.current
    }

    pub(super) fn current_mut(&mut self) -> &mut Chain {
        &mut self.current
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether one chain alone is given rows, and nothing waits.
    pub(super) fn is_quiet(&self) -> bool {
        self.next.is_none() && self.leaving.is_none()
    }

    /// The generation that follows the one in force, and from which sample on.
    pub(super) fn next(&self) -> Option<(GenerationId, u64)> {
        self.next.as_ref().map(|(chain, at)| (chain.generation(), *at))
    }

    /// Raw samples until all that is given after a restart is valid, by what the chains declare.
    pub(super) fn settling(&self) -> u64 {
        let next = self.next.as_ref().map_or(0, |(chain, _)| chain.settling());
        self.current.settling().max(next)
    }

    /// A chain that was followed and owes nothing any more, to be freed by another thread.
    pub(super) fn take_retired(&mut self) -> Option<Box<Chain>> {
        self.retired.take()
    }

    /// Starts a chain that follows the one in force at sample `at`; `next` is the sample that comes next.
    pub(super) fn stage(&mut self, mut chain: Box<Chain>, at: u64, next: u64) -> Result<(), StagedError> {
        if !self.is_quiet() || self.retired.is_some() {
            return Err(StagedError::Busy(chain));
        }
        if at < next {
            return Err(StagedError::Past { chain, at, next });
        }
        let current = &self.current;
        if !chain.signal().is_like(current.signal())
            || chain.delay() != current.delay()
            || chain.block_rows() < current.block_rows()
            || chain.most_rows(chain.block_rows()) > current.most_rows(chain.block_rows())
        {
            return Err(StagedError::Unlike(chain));
        }
        chain.restart();
        self.next = Some((chain, at));
        Ok(())
    }

    /// All chains forget everything; what the one in force has given already comes out.
    pub(super) fn restart(&mut self, output: &mut Rows) {
        self.retire(output);
        self.current.restart();
        if let Some((chain, _)) = &mut self.next {
            chain.restart();
        }
    }

    /// From the next row on these channels of the raw stream are no part of any sum of channels.
    pub(super) fn leave_out(&mut self, channels: &[bool]) {
        self.current.leave_out(channels);
        let next = self.next.as_mut().map(|(chain, _)| chain);
        for chain in next.into_iter().chain(self.leaving.as_mut().map(|leaving| &mut leaving.chain)) {
            chain.leave_out(channels);
        }
    }

    /// The most rows that may be given in one piece, if the first describes sample `next`: a change stands between pieces.
    pub(super) fn before(&mut self, next: u64, output: &mut Rows) -> u64 {
        if let Some((chain, at)) = self.next.take_if(|(_, at)| *at <= next) {
            let chain = core::mem::replace(&mut self.current, chain);
            let rows_left = chain.delay();
            self.leaving = Some(Leaving { chain, rows_left });
            self.since = at;
            self.generation = self.generation.saturating_add(1);
            if rows_left == 0 {
                self.retire(output);
            }
        }
        let until_next = self.next.as_ref().map_or(u64::MAX, |(_, at)| at.saturating_sub(next));
        until_next.min(self.until_left())
    }

    /// The most rows that may be given in one piece, if they fill a gap.
    pub(super) fn until_left(&self) -> u64 {
        self.leaving.as_ref().map_or(u64::MAX, |leaving| leaving.rows_left)
    }

    /// Takes a piece in, and appends the rows that come out.
    pub(super) fn process(&mut self, input: &Rows, output: &mut Rows) {
        let (since, generation) = (self.since, self.generation);
        if let Some(leaving) = &mut self.leaving {
            for row in leaving.chain.process(input).iter().filter(|row| row.mark.index < since) {
                append(output, row, generation.saturating_sub(1));
            }
        }
        let ahead = if self.leaving.is_some() { &mut self.waiting } else { &mut *output };
        for row in self.current.process(input).iter().filter(|row| row.mark.index >= since) {
            append(ahead, row, generation);
        }
        if let Some((chain, _)) = &mut self.next {
            chain.process(input);
        }
        if let Some(leaving) = &mut self.leaving {
            leaving.rows_left = leaving.rows_left.saturating_sub(input.len() as u64);
            if leaving.rows_left == 0 {
                self.retire(output);
            }
        }
    }

    fn retire(&mut self, output: &mut Rows) {
        for row in self.waiting.iter() {
            append(output, row, row.mark.generation);
        }
        self.waiting.clear();
        if let Some(leaving) = self.leaving.take() {
            self.retired = Some(leaving.chain);
        }
    }
}

fn append(output: &mut Rows, row: Row<'_>, generation: u32) {
    output.push_like(Row { mark: Mark { generation, ..row.mark }, ..row });
}

/// The most rows that come out at once, beside those of the chain itself: what the one in force gives while the one before
/// still owes something.
pub(super) fn most_waiting(chain: &Chain) -> usize {
    let owed = usize::try_from(chain.delay()).unwrap_or(usize::MAX);
    chain.most_rows(chain.block_rows()).saturating_add(owed)
}
