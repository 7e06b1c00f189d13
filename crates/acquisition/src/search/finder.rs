//! Finds the streams that selectors mean, all at the same time, and reads their whole headers.
//!
//! liblsl asks in waves: by multicast at once, the hosts of `KnownPeers` half a second later (with its own settings), and
//! then again after a pause. A search that is shorter than a wave never hears of streams that only `KnownPeers` reaches. So
//! one search for everything goes on for as long as something is wanted, and selectors are matched here: what is there
//! instead is known at any moment.

use core::time::Duration;
use std::collections::BTreeMap;

use kalmind_types::{LslTime, Seconds, StreamDescription};
use lsl::{ContinuousResolver, StreamInfo};

use crate::clock::{self, Deadline};
use crate::search::resolve::{ResolveError, checked_predicate, failed, open, short_description, unique};
use crate::search::selector::StreamSelector;

/// By then whoever is there has answered LSL's first wave, hosts that are asked by name included.
const FIRST_WAVE: Seconds = Seconds(0.8);
/// How long a second match of a stream that appeared later may take to answer.
const SETTLE: Seconds = Seconds(0.5);
/// A second search runs half a wave behind the first, so that what appears later is asked for twice as often.
const SECOND_SEARCH: Seconds = Seconds(0.9);
/// Longer than LSL's pause between two waves: an outlet that answered one and not the next is gone.
const REMEMBERED: f64 = 2.5;
/// How long an outlet that fits and cannot be taken, or several, are left alone before their headers are asked for again.
const ASK_AGAIN: Seconds = Seconds(0.5);
/// How often the answers are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What has become of one selector.
#[derive(Clone, Debug)]
enum Sought {
    /// Nothing fits so far.
    Missing,
    /// Several fit.
    Several(Vec<StreamDescription>),
    /// One fitted, and did not send its header.
    Vanished(Box<StreamDescription>),
    /// The one that fits, with its whole header.
    Found(Box<StreamDescription>),
}

#[derive(Debug)]
struct Want {
    selector: StreamSelector,
    predicate: String,
    sought: Sought,
    /// When outlets that fit were last asked for their headers.
    asked: Option<LslTime>,
}

/// A search for several streams. Stays in the thread that made it; dropping it ends the search.
#[derive(Debug)]
pub struct StreamFinder {
    begun: LslTime,
    searches: Vec<ContinuousResolver>,
    /// When each outlet was first seen, by its identifier.
    first_seen: BTreeMap<String, LslTime>,
    seen: Vec<StreamDescription>,
    wants: Vec<Want>,
}

impl StreamFinder {
    /// Begins to search for a stream of each selector.
    ///
    /// # Errors
    /// [`ResolveError::Selector`] for the first selector that cannot be used, [`ResolveError::Failed`] where LSL cannot
    /// search.
    pub fn new(selectors: &[StreamSelector]) -> Result<Self, ResolveError> {
        let wants = selectors
            .iter()
            .map(|selector| {
                let predicate = checked_predicate(selector)?;
                Ok(Want { selector: selector.clone(), predicate, sought: Sought::Missing, asked: None })
            })
            .collect::<Result<_, ResolveError>>()?;
        let first = ContinuousResolver::new(REMEMBERED).map_err(failed)?;
        Ok(Self {
            begun: clock::now(),
            searches: vec![first],
            first_seen: BTreeMap::new(),
            seen: Vec::new(),
            wants,
        })
    }

    /// Waits a moment, looks at who has answered, and takes the streams that are found by now. Blocks for 20 ms; for
    /// longer, 2 s at most, while an outlet that fits is slow to send its header.
    ///
    /// # Errors
    /// [`ResolveError::Failed`].
    pub fn look(&mut self) -> Result<(), ResolveError> {
        std::thread::park_timeout(LOOK);
        let now = clock::now();
        if self.searches.len() == 1 && (now - self.begun).0 > SECOND_SEARCH.0 {
            self.searches.push(ContinuousResolver::new(REMEMBERED).map_err(failed)?);
        }
        let mut infos = Vec::new();
        for search in &self.searches {
            infos.extend(search.results().map_err(failed)?);
        }
        let infos = unique(infos);
        self.first_seen.retain(|uid, _| infos.iter().any(|info| info.uid() == *uid));
        for info in &infos {
            self.first_seen.entry(info.uid()).or_insert(now);
        }
        let can_be_meant = |info: &&StreamInfo| !self.wants.iter().any(|want| want.selector.excludes(info));
        self.seen = infos.iter().filter(can_be_meant).map(short_description).collect();
        for place in 0..self.wants.len() {
            if !matches!(self.wants[place].sought, Sought::Found(_)) {
                self.seek(place, &infos, now);
            }
        }
        Ok(())
    }

    fn seek(&mut self, place: usize, infos: &[StreamInfo], now: LslTime) {
        let want = &self.wants[place];
        let fitting: Vec<&StreamInfo> =
            infos.iter().filter(|info| info.matches_query(&want.predicate)).collect();
        let has_settled = fitting.iter().all(|info| self.has_settled(&info.uid(), now));
        let sought = if fitting.is_empty() || !has_settled {
            Sought::Missing
        } else if want.asked.is_some_and(|asked| (now - asked).0 < ASK_AGAIN.0) {
            return;
        } else {
            self.wants[place].asked = Some(now);
            Self::ask(&fitting)
        };
        self.wants[place].sought = sought;
    }

    /// Asks outlets that fit for their headers.
    fn ask(fitting: &[&StreamInfo]) -> Sought {
        // those that were there until a moment ago send no header
        let mut opened: Vec<StreamDescription> =
            fitting.iter().filter_map(|info| open(info).map(|(_, description)| description)).collect();
        match (opened.len(), fitting.first()) {
            (1, _) => opened.pop().map_or(Sought::Missing, |found| Sought::Found(Box::new(found))),
            (0, Some(info)) => Sought::Vanished(Box::new(short_description(info))),
            _ => Sought::Several(opened),
        }
    }

    /// Whether any other stream that fits as well has had the time to answer.
    fn has_settled(&self, uid: &str, now: LslTime) -> bool {
        let first_seen = self.first_seen.get(uid).copied().unwrap_or(now);
        if (first_seen - self.begun).0 < FIRST_WAVE.0 {
            self.is_first_wave_over(now)
        } else {
            (now - first_seen).0 >= SETTLE.0
        }
    }

    fn is_first_wave_over(&self, now: LslTime) -> bool {
        (now - self.begun).0 >= FIRST_WAVE.0
    }

    /// Whether whoever is there has had the time to answer once.
    #[must_use]
    pub fn has_asked_everyone(&self) -> bool {
        self.is_first_wave_over(clock::now())
    }

    /// The stream that the selector of this place means, once it is found.
    #[must_use]
    pub fn found(&self, place: usize) -> Option<&StreamDescription> {
        match &self.wants.get(place)?.sought {
            Sought::Found(description) => Some(description),
            _ => None,
        }
    }

    /// Looks for the stream of this place again: what was found cannot be used, and its sender may be corrected.
    pub fn seek_again(&mut self, place: usize) {
        if let Some(want) = self.wants.get_mut(place) {
            want.sought = Sought::Missing;
        }
    }

    /// Why the stream of this place is not found yet, and what is there instead; `None` where it is.
    #[must_use]
    pub fn problem(&self, place: usize) -> Option<ResolveError> {
        let Want { selector, sought, .. } = self.wants.get(place)?;
        let selector = Box::new(selector.clone());
        match sought {
            Sought::Found(_) => None,
            Sought::Missing => Some(ResolveError::NotFound { selector, seen: self.seen.clone() }),
            Sought::Several(found) => Some(ResolveError::Ambiguous { selector, found: found.clone() }),
            Sought::Vanished(found) => Some(ResolveError::Vanished { found: found.clone() }),
        }
    }

    /// What is visible now, by short header.
    #[must_use]
    pub fn seen(&self) -> &[StreamDescription] {
        &self.seen
    }
}

/// Finds the one stream that `selector` means and reads its whole header, waiting up to `timeout` for it to appear.
///
/// Blocks the calling thread; takes about 0.8 s where the stream is there, because a second match has to be given time
/// to answer, and as long where `timeout` is shorter. A stream that is visible on two interfaces is one stream.
///
/// # Errors
/// See [`ResolveError`]. Two matches are an error at once.
pub fn find_one(selector: &StreamSelector, timeout: Seconds) -> Result<StreamDescription, ResolveError> {
    let mut finder = StreamFinder::new(core::slice::from_ref(selector))?;
    let deadline = Deadline::after(timeout);
    loop {
        finder.look()?;
        if let Some(found) = finder.found(0) {
            return Ok(found.clone());
        }
        let Some(problem) = finder.problem(0) else { continue };
        if matches!(problem, ResolveError::Ambiguous { .. })
            || (deadline.passed() && finder.has_asked_everyone())
        {
            return Err(problem);
        }
    }
}
