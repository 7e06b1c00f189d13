//! The items of a recording with its derived samples in their places, where only the raw ones were recorded.

use std::collections::VecDeque;

use kalmind_signal::ChainError;
use kalmind_types::{Samples, TickInput};

use super::{Deriving, InputStream, Item, RecordedAs};

/// Items that are held back at most. What was given to the stages is recorded up to a second late; where it is missing, ticks
/// go on without the samples.
const HELD_BACK: usize = 16_384;

/// Makes the derived samples that a recording lacks, and holds ticks back until theirs are there.
#[derive(Debug)]
pub struct DerivedItems {
    streams: Vec<Option<Deriving>>,
    held_back: VecDeque<Item>,
    made: u64,
}

impl DerivedItems {
    /// For the streams of a session; none where everything is recorded.
    ///
    /// # Errors
    /// The place of a stream whose stages cannot be built, and why.
    pub fn of(streams: &[InputStream]) -> Result<Option<Self>, (usize, ChainError)> {
        let stages =
            |input: &InputStream| input.stages.clone().filter(|stages| stages.recorded == RecordedAs::Raw);
        let deriving = |(place, input): (usize, &InputStream)| {
            stages(input).as_ref().map(Deriving::new).transpose().map_err(|error| (place, error))
        };
        let streams: Vec<_> = streams.iter().enumerate().map(deriving).collect::<Result<_, _>>()?;
        let is_needed = streams.iter().any(Option::is_some);
        Ok(is_needed.then(|| Self { streams, held_back: VecDeque::new(), made: 0 }))
    }

    /// Derived samples made so far.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Takes the next item of the file, and appends what can go on.
    pub fn take(&mut self, item: Item, out: &mut Vec<Item>) {
        let place = match &item {
            Item::Raw(place, ..) => Some(*place),
            Item::Document(document) => document.stages_of(),
            _ => None,
        };
        let deriving = place.and_then(|place| Some((place, self.streams.get_mut(place)?.as_mut()?)));
        let Some((place, deriving)) = deriving else {
            self.held_back.push_back(item);
            return self.go_on(HELD_BACK, None, out);
        };
        deriving.take(item);
        let mut made = Vec::new();
        deriving.go_on(&mut |samples| made.push(samples));
        for samples in made {
            self.made += samples.stamps.len() as u64;
            let end = samples.first + samples.stamps.len() as u64;
            let values = Samples::Double64(samples.values);
            out.push(Item::Samples(place, samples.first, samples.stamps, values));
            // no more samples ahead of the ticks than there were in the session
            self.go_on(HELD_BACK, Some((place, end)), out);
        }
        self.go_on(HELD_BACK, None, out);
    }

    /// Appends what is still held back: nothing more comes.
    pub fn end(&mut self, out: &mut Vec<Item>) {
        self.go_on(0, None, out);
    }

    /// Appends what names no samples that are not there yet, and all but so many items. Of the stream `of` those up to an
    /// index are there, whatever has been made.
    fn go_on(&mut self, most: usize, of: Option<(usize, u64)>, out: &mut Vec<Item>) {
        let Self { streams, held_back, .. } = self;
        let is_there = |place: usize, end: u64| match (of, streams.get(place)) {
            (Some((of, samples)), _) if place == of => end <= samples,
            (_, Some(Some(deriving))) => deriving.next_index().is_some_and(|next| end <= next),
            _ => true,
        };
        while let Some(item) = held_back.front()
            && (held_back.len() > most || may_go_on(item, is_there))
        {
            out.extend(held_back.pop_front());
        }
    }
}

/// Whether an item names no derived samples that are not there yet.
fn may_go_on(item: &Item, is_there: impl Fn(usize, u64) -> bool) -> bool {
    let Item::Tick(tick) = item else { return true };
    let TickInput { streams, windows, .. } = &*tick.document.input;
    // a window may reach past the bin
    let mut read = windows.iter().filter(|window| window.missing.is_none());
    streams.iter().enumerate().all(|(place, stream)| {
        stream.ranges.iter().map(|range| range.end).max().is_none_or(|end| is_there(place, end))
    }) && read.all(|window| {
        is_there(usize::from(window.stream), window.first.saturating_add(u64::from(window.count)))
    })
}
