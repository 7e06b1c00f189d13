//! The daemon's cursor, as the simulated participant sees it.

use kalmind_acquisition::{InletConfig, NumericInlet, StreamSelector, Waker, find_one};
use kalmind_session::Participant;
use kalmind_types::{Position, SampleRows, Seconds};

/// How often an unfound cursor outlet is searched for.
const SEARCH: Seconds = Seconds(0.5);

/// The daemon's cursor outlet, found whenever it appears.
pub(super) struct CursorWatch {
    selector: StreamSelector,
    inlet: Option<NumericInlet>,
    search: Option<std::thread::JoinHandle<Option<NumericInlet>>>,
}

impl CursorWatch {
    pub(super) fn new(selector: StreamSelector) -> Self {
        Self { selector, inlet: None, search: None }
    }

    /// Tells the participant every state that has arrived.
    pub(super) fn observe(&mut self, participant: &mut Participant) {
        let Some(inlet) = &mut self.inlet else { return self.look() };
        while let Some(block) = inlet.blocks.receive() {
            for (row, stamp) in block.stamps.iter().enumerate() {
                if let SampleRows::Double64([x, y, ..]) = block.values.rows(block.channels, row, row + 1) {
                    participant.observe_state(stamp.corrected(block.clock.offset), Position([*x, *y]));
                }
            }
            inlet.blocks.give_back(block);
        }
    }

    /// Searches without holding up the counts.
    fn look(&mut self) {
        match self.search.take_if(|search| search.is_finished()) {
            Some(search) => self.inlet = search.join().ok().flatten(),
            None if self.search.is_none() => {
                let selector = self.selector.clone();
                let search = std::thread::Builder::new().name("kalmind-search".to_owned()).spawn(move || {
                    let description = find_one(&selector, SEARCH).ok()?;
                    let mut config = InletConfig::new("cursor", selector, description);
                    // the participant takes messages by their own stamps, however old
                    config.limits.backlog_ms = f64::INFINITY;
                    config.limits.bad_clock_ms = f64::INFINITY;
                    NumericInlet::spawn(config, Waker::new()).ok()
                });
                self.search = search.ok();
            }
            None => {}
        }
    }
}
