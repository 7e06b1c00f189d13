//! Clicks in a session: what selects, and what counts as a press.

use kalmind_types::{Actor, ClickTuning, Command, LslTime, Seconds, SelectBy, SessionChange};

use super::{
    Session,
    action::SessionAction,
    click_options::ClickOptions,
    preset::{BlockPlan, Preset},
    request::{SessionOptions, SessionRefused},
};

impl Session {
    /// Whether a click selects in a block: the preset says so, nobody has set it otherwise, and clicks are decoded.
    pub(super) fn selects_by_click(&self, plan: &BlockPlan) -> bool {
        plan.selects_by_click() && !self.clicks.dwells && self.can_click()
    }

    /// How long before its press a click selects in a block; none where clicks do not.
    pub(super) fn lead_of_clicks(&self, plan: &BlockPlan) -> Option<Seconds> {
        let lead = plan.options.get("lead").copied().unwrap_or_default();
        self.selects_by_click(plan).then_some(Seconds(lead))
    }

    /// Whether what decodes can tell clicks.
    fn can_click(&self) -> bool {
        // one that was put in counts at once, though no tick has shown it yet
        self.model.as_ref().map_or(self.decodes_clicks, |model| model.decodes_clicks)
    }

    /// Says where a block that was to be selected by clicking is selected by staying.
    pub(super) fn say_what_selects(&mut self, plan: &BlockPlan) {
        if plan.selects_by_click() && !self.clicks.dwells && !self.can_click() {
            self.problem = Some(format!(
                "{}: clicks cannot be told with this decoder, so staying selects: calibrate clicks longer",
                plan.title
            ));
        }
    }

    /// Changes what selects from the next block on, and what counts as a press from the next tick on.
    pub(super) fn tune_clicks(
        &mut self,
        now: LslTime,
        options: SessionOptions,
        by: Actor,
        actions: &mut Vec<SessionAction>,
    ) -> Result<(), SessionRefused> {
        let SessionOptions { select, click_threshold, click_hold_ms, .. } = options;
        if select == Some(SelectBy::Click) && !self.preset.as_ref().is_some_and(Preset::selects_by_click) {
            let why =
                "nothing in this preset is selected by clicking, and none is calibrated: open one that is";
            return Err(SessionRefused::Invalid(why.to_owned()));
        }
        let ClickTuning { threshold, hold } = self.clicks.tuning;
        let options = ClickOptions {
            dwells: select.map_or(self.clicks.dwells, |select| select == SelectBy::Dwell),
            tuning: ClickTuning {
                threshold: click_threshold.or(threshold),
                hold: click_hold_ms.map(Seconds::from_millis).or(hold),
            },
        };
        self.retune_clicks(now, options, by, actions);
        Ok(())
    }

    pub(super) fn retune_clicks(
        &mut self,
        now: LslTime,
        options: ClickOptions,
        by: Actor,
        actions: &mut Vec<SessionAction>,
    ) {
        if options == self.clicks {
            return;
        }
        if options.tuning != self.clicks.tuning {
            actions.push(SessionAction::Command(Command::TuneClick(options.tuning)));
        }
        self.clicks = options;
        let ClickTuning { threshold, hold } = options.tuning;
        let hold_s = hold.map(|hold| hold.0);
        let change = SessionChange::ClicksTuned { select: options.select(), threshold, hold_s };
        self.publish(now, by, change, actions);
    }
}
