//! When the button goes down and up: threshold with hysteresis, a hold, and a time after a press in which there is none.
//!
//! One act is never two presses. A press can begin only where the probability has been below the release threshold since the
//! press before, since its refractory time was over, since another model decodes, and since clicks have counted at all. Where
//! what decodes begins anew, it knows nothing of an act that goes on, and its probability is low however that is: then a press
//! can begin only after a few bins in a row in which the probability was below.
//!
//! *Invariant:* plain numbers, no allocation.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{Click, ClickTuning};

/// What counts as a press, in bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PressLaw {
    /// The button goes down where the probability is at least this.
    pub threshold: f64,
    /// It goes up where the probability is below this.
    pub release: f64,
    /// For how many bins in a row the probability has to be at least the threshold.
    pub hold: u32,
    /// The least number of bins from one press to the next.
    pub refractory: u32,
    /// Width of a bin, in milliseconds.
    pub bin_ms: f64,
}

/// What part of a bin rounding may make of a time that is a whole number of bins.
const ROUNDING: f64 = 1e-9;

impl PressLaw {
    /// So many bins of this width that the time is over; at least one.
    pub(crate) fn bins(milliseconds: f64, bin_ms: f64) -> u32 {
        (milliseconds / bin_ms - ROUNDING).ceil().max(1.0) as u32
    }

    /// The same with what an operator has set. Real-time.
    #[must_use]
    pub fn tuned(self, tuning: ClickTuning) -> Self {
        let threshold = tuning.threshold.unwrap_or(self.threshold);
        let release = self.release * (threshold / self.threshold);
        let hold = tuning.hold.map_or(self.hold, |hold| Self::bins(hold.as_millis(), self.bin_ms));
        Self { threshold, release, hold, ..self }
    }
}

/// The button of a run: its counters outlive models. One step a tick.
#[derive(Clone, Copy, Debug, Default)]
pub struct Button {
    click: Click,
    /// Bins in a row, up to the newest, in which a press may begin and the probability was at least the threshold.
    held: u32,
    /// Bins since the newest press.
    since_press: u32,
    /// Whether the probability has been below the release threshold since whatever came before.
    ready: bool,
    /// Bins in a row that are still missing, with features and below the release threshold, since what decodes began anew.
    unsure: u32,
    /// Whether there has been a click decoder in the run.
    is_used: bool,
}

/// So many of them it takes: an act of 300 ms shows in fewer bins of 20 ms.
const QUIET_BINS: u32 = 5;

impl Button {
    /// Handles the bin of tick `seq`, in which a click is meant with this probability; `measured` says whether the bin had
    /// features: without, no press begins. `counts` says whether clicks count in this state: where they do not, the button
    /// is up, and the probability is shown all the same. Real-time.
    pub fn step(&mut self, law: PressLaw, seq: u64, probability: f64, measured: bool, counts: bool) -> Click {
        self.since_press = self.since_press.saturating_add(1);
        self.is_used = true;
        self.unsure = match (self.unsure, probability < law.release) {
            (0, _) => 0,
            (_, false) => QUIET_BINS,
            // a bin without features says nothing
            (unsure, true) => unsure.saturating_sub(u32::from(measured)),
        };
        if !counts {
            return self.up(probability);
        }
        self.click.probability = probability;
        let may_begin = self.click.presses == 0 || self.since_press >= law.refractory;
        if probability < law.release {
            self.lift();
            self.held = 0;
            // a bin without features says nothing of an act that goes on
            self.ready = may_begin && self.unsure == 0 && (measured || self.ready);
        } else if probability < law.threshold || !may_begin {
            self.held = 0;
        } else if self.ready && measured {
            self.held = self.held.saturating_add(1);
            if self.held >= law.hold {
                self.click.pressed = true;
                self.click.presses = self.click.presses.saturating_add(1);
                self.click.last_press_seq = Some(seq);
                (self.held, self.since_press, self.ready) = (0, 0, false);
            }
        }
        self.click
    }

    /// The button is up: clicks do not count now.
    pub fn up(&mut self, probability: f64) -> Click {
        self.lift();
        self.forget();
        self.click.probability = probability;
        self.click
    }

    /// Another model decodes from this bin on: what it makes of an act that has begun is no press.
    pub fn forget(&mut self) {
        (self.held, self.ready) = (0, false);
    }

    /// What decodes began anew with this bin: it knows nothing of an act that goes on.
    pub fn begin_anew(&mut self) {
        self.forget();
        self.unsure = QUIET_BINS;
    }

    /// Whether there has been a click decoder in the run: its counters go on, so that no reader takes a model without one for
    /// a count that begins anew.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.is_used
    }

    fn lift(&mut self) {
        if core::mem::take(&mut self.click.pressed) {
            self.click.releases = self.click.releases.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::Seconds;

    use super::*;

    const LAW: PressLaw = PressLaw { threshold: 0.9, release: 0.5, hold: 2, refractory: 6, bin_ms: 20.0 };

    /// The button after each of these bins: `(pressed, presses, releases)`.
    fn after(button: &mut Button, first: u64, bins: &[f64]) -> Vec<(bool, u64, u64)> {
        let step = |(seq, probability): (u64, &f64)| {
            let click = button.step(LAW, seq, *probability, true, true);
            (click.pressed, click.presses, click.releases)
        };
        (first..).zip(bins).map(step).collect()
    }

    #[test]
    fn it_goes_down_after_the_hold_and_up_below_the_release_threshold() {
        let mut button = Button::default();
        let up = (false, 0, 0);
        assert_eq!(after(&mut button, 0, &[0.1, 0.95, 0.6, 0.95]), [up; 4], "the hold begins anew");
        assert_eq!(
            after(&mut button, 4, &[0.9, 0.6, 0.5, 0.49]),
            [(true, 1, 0), (true, 1, 0), (true, 1, 0), (false, 1, 1)]
        );
        let click = button.step(LAW, 8, 0.1, true, true);
        assert_eq!((click.last_press_seq, click.probability), (Some(4), 0.1));
    }

    #[test]
    fn what_an_operator_sets_takes_the_place_of_the_models() {
        let tuning = ClickTuning { threshold: Some(0.45), hold: Some(Seconds(0.05)) };
        let PressLaw { threshold, release, hold, refractory, .. } = LAW.tuned(tuning);
        assert_eq!((threshold, release, hold, refractory), (0.45, 0.25, 3, 6), "50 ms end in the third bin");
        assert_eq!(LAW.tuned(ClickTuning::default()), LAW);
    }

    #[test]
    fn what_flickers_above_the_threshold_is_one_press() {
        let mut button = Button::default();
        let flickering = [0.1, 0.95, 0.95, 0.95, 0.3, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95];
        let last = after(&mut button, 0, &flickering).pop();
        assert_eq!(last, Some((false, 1, 1)), "it came again within six bins, and has not gone since");
        let again = after(&mut button, 11, &[0.4, 0.95, 0.95]).pop();
        assert_eq!(again, Some((true, 2, 1)));
    }

    #[test]
    fn no_press_begins_where_clicks_did_not_count_or_the_model_was_another() {
        let mut button = Button::default();
        after(&mut button, 0, &[0.1, 0.95, 0.95]);
        let click = button.step(LAW, 3, 0.95, true, false);
        assert_eq!((click.pressed, click.releases), (false, 1), "up on hold");
        assert!((click.probability - 0.95).abs() < 1e-15, "the probability is shown all the same");
        let none = after(&mut button, 4, &[0.95; 10]);
        assert!(none.iter().all(|state| *state == (false, 1, 1)), "{none:?}");
        after(&mut button, 14, &[0.1, 0.95]);
        button.forget();
        assert_eq!(after(&mut button, 16, &[0.95, 0.95]).pop(), Some((false, 1, 1)));
        assert_eq!(after(&mut button, 18, &[0.2, 0.95, 0.95]).pop(), Some((true, 2, 1)));
        button.forget();
        assert_eq!(after(&mut button, 21, &[0.95]).pop(), Some((true, 2, 1)), "what was down stays down");
    }

    #[test]
    fn where_decoding_began_anew_a_few_quiet_bins_come_first() {
        let mut button = Button::default();
        button.begin_anew();
        // weak evidence of an act that goes on: the first bins are below the release threshold
        let weak = after(&mut button, 0, &[0.3, 0.4, 0.45, 0.48, 0.6, 0.95, 0.95, 0.95, 0.3, 0.95, 0.95]);
        assert!(weak.iter().all(|state| *state == (false, 0, 0)), "{weak:?}");
        after(&mut button, 11, &[0.1, 0.1, 0.1]);
        assert!(!button.step(LAW, 14, 0.1, false, true).pressed, "a bin without features says nothing");
        assert_eq!(after(&mut button, 15, &[0.1, 0.95, 0.95]).pop(), Some((false, 0, 0)));
        let quiet = [0.1, 0.1, 0.1, 0.1, 0.1, 0.95, 0.95];
        assert_eq!(after(&mut button, 18, &quiet).pop(), Some((true, 1, 0)));
        // it may be over before clicks count
        button.begin_anew();
        for seq in 25..30 {
            button.step(LAW, seq, 0.1, true, false);
        }
        assert_eq!(after(&mut button, 30, &[0.1, 0.95, 0.95]).pop(), Some((true, 2, 1)));
    }

    #[test]
    fn no_press_begins_in_a_bin_without_features() {
        let mut button = Button::default();
        after(&mut button, 0, &[0.1, 0.95]);
        assert!(!button.step(LAW, 2, 0.95, false, true).pressed);
        assert!(button.step(LAW, 3, 0.95, true, true).pressed);
        assert!(!button.step(LAW, 4, 0.2, false, true).pressed, "but it may go up");
    }
}
