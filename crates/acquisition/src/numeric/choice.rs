//! Which of the outlets that answered a search is the stream.

use kalmind_types::StreamDescription;
use lsl::{StreamInfo, StreamInlet};

use crate::numeric::config::InletConfig;
use crate::search::difference::{difference, difference_of_shape};
use crate::search::resolve::open_queued;
use crate::search::wording::phrase;

/// An outlet that was chosen.
pub(super) struct Chosen {
    pub(super) info: StreamInfo,
    pub(super) inlet: StreamInlet,
    pub(super) description: StreamDescription,
    /// How it differs from what was expected, if it does.
    pub(super) difference: Option<String>,
    /// Other outlets that matched and were not chosen.
    pub(super) passed_over: Vec<String>,
}

/// What a search led to.
pub(super) enum Choice {
    /// The stream, or where there is none an outlet that differs from it.
    One(Box<Chosen>),
    /// Too many could be it: what to do, in words.
    Several(String),
    /// None is there.
    None,
}

/// Opens all of `infos` and takes the one that does not differ from the stream configured; of several the one that was
/// connected `last`, by its identifier.
pub(super) fn choose(infos: Vec<StreamInfo>, config: &InletConfig, last: &str) -> Choice {
    let uids: Vec<_> = infos.iter().map(StreamInfo::uid).collect();
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for info in infos {
        let Some((inlet, description)) = open_queued(&info, config.rate_hz) else { continue };
        let difference = if config.is_assumed {
            difference_of_shape(&config.description, &description)
        } else {
            difference(&config.description, &description)
        };
        let passed_over = uids.iter().filter(|uid| **uid != description.uid).cloned().collect();
        let candidates = if difference.is_none() { &mut same } else { &mut other };
        candidates.push(Chosen { info, inlet, description, difference, passed_over });
    }
    if same.len() > 1 {
        if let Some(known) = same.iter().position(|chosen| chosen.description.uid == *last) {
            return Choice::One(Box::new(same.swap_remove(known)));
        }
        let names: Vec<_> = same.iter().map(|chosen| phrase(&chosen.description)).collect();
        return Choice::Several(format!(
            "{} outlets could be this stream: {}; end the programs that send all but one of them",
            names.len(),
            names.join(", ")
        ));
    }
    same.pop().or_else(|| other.pop()).map_or(Choice::None, |chosen| Choice::One(Box::new(chosen)))
}
