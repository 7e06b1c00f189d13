//! What runs for one model on one bin: the one implementation, for the tick and for warming.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_filter::{ClickDecoder, Decoder, Implausible, PressLaw, Screen, StepReport};
use kalmind_signal::Preparation;
use kalmind_types::{Cause, Intent, LslTime, ModelId};

use super::{
    examined::{Examined, Examiner, FeatureSets},
    history::HistoryRow,
};

/// A model ready to decode: built on the slow side, warmed there with bins that are over, handed to the engine, and handed
/// back to be freed there.
#[derive(Debug)]
pub struct StagedModel {
    /// Its identity.
    pub id: ModelId,
    /// What decodes.
    pub decoder: Box<dyn Decoder>,
    /// Training means and z-score.
    pub preparation: Preparation,
    /// What looks at the features before they are decoded.
    pub screen: Screen,
    /// Why it may not control until a [`Command::ConfirmModel`](kalmind_types::Command::ConfirmModel) names it; none where
    /// it may.
    pub doubt: Option<Cause>,
    /// What decodes clicks, where something does.
    click: Option<ClickDecoder>,
    pub(super) past: Past,
}

/// What a model has been shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    /// Time of the newest complete bin; before the first one, start of the first bin.
    pub(super) last_complete: Option<LslTime>,
    /// Time of the newest bin that was screened.
    pub(super) last_screened: Option<LslTime>,
    /// `seq` of the newest bin.
    pub(super) newest: Option<u64>,
    /// How many bins.
    pub(super) bins: u64,
    /// Whether the engine gave it back without having put it in.
    pub(super) turned_away: bool,
    /// Whether its adaptive state is the one of the run: it goes on with every bin as it did there.
    pub(super) follows: bool,
}

/// What decoding a bin gave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decoded {
    pub(super) intent: Option<Intent>,
    pub(super) report: StepReport,
    /// Whether the decoder began anew, because no bin had been complete for so long.
    pub(super) restarted: bool,
    pub(super) clicking: Option<Clicking>,
}

/// How likely a click is meant in a bin, and what counts as a press.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clicking {
    pub(super) probability: f64,
    /// Whether what decodes began anew with this bin.
    pub(super) is_new: bool,
    pub(super) law: PressLaw,
}

impl StagedModel {
    /// A model that has been shown nothing.
    #[must_use]
    pub fn new(
        id: ModelId,
        decoder: Box<dyn Decoder>,
        preparation: Preparation,
        screen: Screen,
        doubt: Option<Cause>,
    ) -> Self {
        Self { id, decoder, preparation, screen, doubt, click: None, past: Past::default() }
    }

    /// The same, decoding clicks of the same features.
    #[must_use]
    pub fn with_click(mut self, click: Option<ClickDecoder>) -> Self {
        self.click = click;
        self
    }

    /// Whether it decodes clicks.
    #[must_use]
    pub fn decodes_clicks(&self) -> bool {
        self.click.is_some()
    }

    /// Shows it a bin that is over, as if it had decoded it. Bins follow one another; a model that is swapped in with a
    /// history has been shown all of it. Costs what a tick costs; real-time.
    pub fn warm(&mut self, row: &HistoryRow<'_>, examiner: &mut Examiner) {
        self.past.follows |= row.before.is_some_and(|before| self.preparation.carry(before));
        let examined = self.examine(row, examiner);
        if row.facts.restarted {
            self.restart();
        }
        let complete = row.facts.arrived && examined.failing.is_none();
        let _over = self.decode(row, complete, examiner);
    }

    /// `seq` of the newest bin that it has been shown.
    #[must_use]
    pub fn warmed_through(&self) -> Option<u64> {
        self.past.newest
    }

    /// Whether the engine gave it back without having put it in: its history ended too long before the tick of its swap, the
    /// step of that tick panicked, or it does not fit.
    #[must_use]
    pub fn turned_away(&self) -> bool {
        self.past.turned_away
    }

    /// Forgets all that it has been shown.
    pub fn forget(&mut self) {
        self.restart();
        self.preparation.reset();
        self.past = Past::default();
    }

    /// Its next bin is row one.
    pub(super) fn restart(&mut self) {
        self.restart_decoder();
        self.screen.restart();
    }

    fn restart_decoder(&mut self) {
        self.decoder.restart();
        if let Some(click) = &mut self.click {
            click.restart();
        }
    }

    pub(super) fn with_doubt(&self) -> (ModelId, Option<Cause>) {
        (self.id, self.doubt)
    }

    /// Whether what it was shown says enough of the past for it to know what it would have believed.
    pub(super) fn knows_the_past(&self) -> bool {
        self.past.bins >= self.decoder.look_back().settled() as u64
    }

    /// Takes mean and covariance, and how likely a click is meant, of the model before, where it was shown too few bins to know.
    pub(super) fn carry_on(&mut self, before: &Self) {
        if !self.knows_the_past()
            && let Some(state) = before.decoder.state()
        {
            self.decoder.adopt(state);
        }
        if let (Some(click), Some(before)) = (&mut self.click, &before.click)
            && self.past.bins < click.look_back()
        {
            click.adopt(before);
        }
    }

    /// Which features of a bin can be decoded from, and why the bin cannot, if so.
    pub(super) fn examine(&mut self, row: &HistoryRow<'_>, examiner: &mut Examiner) -> Examined {
        let Self { decoder, preparation, screen, past, .. } = self;
        examiner.switch_off(row.masked);
        let prepared = preparation.prepare(row.raw, &examiner.sets.switched_off);
        examiner.sets.missing.copy_from(prepared.missing);
        let mut found = examiner.count(decoder.left_out());
        if !row.facts.arrived || found.failing.is_some() {
            return found;
        }
        let Examiner { sets, restart_after, plausibility, .. } = examiner;
        let FeatureSets { switched_off, missing, lost, suspects, .. } = sets;
        if past.last_screened.is_some_and(|last| (row.time - last).0.abs() > restart_after.0) {
            screen.restart();
        }
        past.last_screened = Some(row.time);
        let screened = screen.screen(prepared.features, missing, *plausibility);
        found.guarded = screened.guarded;
        suspects.copy_from(screened.suspects);
        suspects.remove(switched_off);
        if *plausibility && row.facts.decoding {
            lost.add(screened.lost);
            lost.remove(switched_off);
            found.failing = screened.implausible.map(cause);
            let too_many = lost.count() as f64 > found.most_lost;
            if found.failing.is_none() && (too_many || examiner.too_few_taken(decoder.left_out())) {
                found.failing = Some(Cause::ChannelsMasked);
            }
        }
        found
    }

    /// Prepares the features of a bin that another model has examined.
    pub(super) fn prepare(&mut self, row: &HistoryRow<'_>, examiner: &mut Examiner) {
        examiner.switch_off(row.masked);
        let prepared = self.preparation.prepare(row.raw, &examiner.sets.switched_off);
        self.screen.screen(prepared.features, prepared.missing, examiner.plausibility);
    }

    /// Decodes the bin that it has examined last: a time update only, where it is not complete.
    pub(super) fn decode(&mut self, row: &HistoryRow<'_>, complete: bool, examiner: &Examiner) -> Decoded {
        let last_complete = *self.past.last_complete.get_or_insert(row.start);
        let restarted = complete && (row.time - last_complete).0.abs() > examiner.restart_after.0;
        if restarted {
            self.restart_decoder();
        }
        let Self { decoder, preparation, screen, click, past, .. } = self;
        if decoder.takes_cursor() {
            decoder.observe_cursor(row.facts.displayed);
        }
        let mut intent = Intent::zero(decoder.dimension());
        let report = decoder.step(complete.then(|| screen.features()), &mut intent);
        let clicking = click.as_mut().map(|click| {
            let is_new = click.is_new();
            let probability = click.step(complete.then(|| screen.features()));
            Clicking { probability, is_new, law: click.law() }
        });
        match row.moved.filter(|_| past.follows) {
            Some(moved) => preparation.follow(row.raw, moved, row.facts.weight),
            None => preparation.adapt(row.raw, complete, screen.hidden()),
        }
        if complete {
            past.last_complete = Some(row.time);
        }
        past.newest = Some(row.seq);
        past.bins = past.bins.saturating_add(1);
        Decoded { intent: report.valid.then_some(intent), report, restarted, clicking }
    }
}

/// What clients are told of an array unlike training.
fn cause(implausible: Implausible) -> Cause {
    match implausible {
        Implausible::Constant => Cause::ChannelsConstant,
        Implausible::Variance => Cause::VarianceUnlikeTraining,
        Implausible::Pattern => Cause::PatternUnlikeTraining,
    }
}
