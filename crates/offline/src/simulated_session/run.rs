//! One session in simulated time.

use kalmind_engine::EngineSettings;
use kalmind_filter::DecoderSpec;
use kalmind_fitting::FitPool;
use kalmind_session::{
    BroadbandOptions, Calibration, DetectedCounts, FitOrder, FittedModel, Participant, ParticipantOptions,
    Person, Preset, Session, SessionAction, SessionInput, SessionOptions, SessionRequest, SessionSettings,
    SessionState, SessionTick, VerdictKind,
};
use kalmind_signal::ChainSettings;
use kalmind_types::{Actor, EventBody, LslTime, Phase, Seconds, TaskBlock};

use super::{
    figures::{Figures, SessionFigures},
    ideal::Ideal,
    perturbation::Perturbation,
    ticks::Ticks,
};
use crate::{model::Demand, session_fits::SessionFits};

/// A session may take so many times as long as its preset says, and so many seconds more, before it is broken off.
const PATIENCE: (f64, f64) = (3.0, 120.0);
/// How often it is looked at where the session stands.
const LOOK: Seconds = Seconds(0.5);

/// What a simulated session is made of; the seed comes with each.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct SimulationSettings {
    /// The participant, apart from its seed.
    pub participant: ParticipantOptions,
    /// Stages by which its counts are found in broadband that its spikes are put into; without any its counts are what is decoded.
    pub stages: Option<ChainSettings>,
    /// The session, apart from its seed.
    pub session: SessionSettings,
    /// The preset that is run.
    pub preset: String,
    /// The engine; its one stream gives the participant's counts.
    pub engine: EngineSettings,
    /// What a model has to match.
    pub demand: Demand,
    /// Whether a guard stands in front of decoders whose options leave it open.
    pub guard: bool,
    /// How long a fit takes, in seconds of the session. The model takes over that long after the fit was asked for, whatever
    /// the fit takes here.
    pub fit: Seconds,
    /// What the operator sets before the start.
    pub options: SessionOptions,
    /// An offset on a channel while a block is evaluated.
    pub perturbation: Option<Perturbation>,
    /// Control experiment: labels in random order.
    pub shuffled_labels: bool,
    /// Whether the operator lets a decoder control that the verdict does not.
    pub overrides: bool,
    /// Whether cursor and button do what the participant means, in place of what is decoded: the ideal observer.
    pub ideal: bool,
}

/// Sees what goes into the session and what comes out of it.
pub trait Audience {
    /// An input, at its time.
    fn input(&mut self, now: LslTime, input: &SessionInput<'_>);
    /// What the session made of the input before.
    fn actions(&mut self, actions: &[SessionAction]);
}

/// Nobody watches.
impl Audience for () {
    fn input(&mut self, _now: LslTime, _input: &SessionInput<'_>) {}
    fn actions(&mut self, _actions: &[SessionAction]) {}
}

/// Runs a session from its opening to its end. Fits run on `fits`; `clock` is monotonic, in seconds.
///
/// # Errors
/// Where the settings make no participant, engine or session.
pub fn simulate(
    settings: &SimulationSettings,
    seed: u64,
    fits: &FitPool,
    clock: fn() -> f64,
    audience: &mut dyn Audience,
) -> anyhow::Result<SessionFigures> {
    let begun = clock();
    let mut run = Run::new(settings, seed, fits, audience)?;
    let why = run.until_over()?;
    let Run { session, figures, now, .. } = run;
    Ok(figures.ended(&session.status(), now, why, clock() - begun))
}

/// How it goes on with a session.
enum Course {
    On,
    Over,
    /// Why it is over too soon.
    Stuck(String),
}

/// A session that runs.
struct Run<'a> {
    settings: &'a SimulationSettings,
    fits: &'a FitPool,
    audience: &'a mut dyn Audience,
    participant: Participant,
    detected: Option<DetectedCounts>,
    ideal: Option<Ideal>,
    ticks: Ticks,
    session: Session,
    /// What fits keep of each other.
    fitting: SessionFits,
    /// The fit that runs, and when it ends.
    fit: Option<(LslTime, Box<FitOrder>)>,
    /// The rows that the newest fit was asked for with.
    rows: Option<Calibration>,
    /// The channel that an offset is on, and how much, while a block is evaluated.
    offset: Option<(usize, f64)>,
    figures: Figures,
    now: LslTime,
}

impl<'a> Run<'a> {
    fn new(
        settings: &'a SimulationSettings,
        seed: u64,
        fits: &'a FitPool,
        audience: &'a mut dyn Audience,
    ) -> anyhow::Result<Self> {
        // who is to select by clicking clicks in calibration as well
        let selects = settings.session.presets.iter().find(|preset| preset.name == settings.preset);
        let clicks = settings.participant.clicks || selects.is_some_and(Preset::selects_by_click);
        let options = ParticipantOptions { seed, clicks, ..settings.participant.clone() };
        let (profile, bin, channels) = (options.profile, options.bin, options.units);
        let broadband = BroadbandOptions { seed, channels, bin, ..BroadbandOptions::default() };
        let detected = settings.stages.as_ref().map(|stages| DetectedCounts::new(broadband, stages));
        Ok(Self {
            detected: detected.transpose()?,
            participant: Participant::new(options)?,
            ideal: settings.ideal.then(|| Ideal::new(&settings.engine)),
            ticks: Ticks::new(settings.engine.clone(), bin)?,
            session: Session::new(SessionSettings { seed, simulated: true, ..settings.session.clone() }),
            fitting: SessionFits::new(
                settings.demand.clone(),
                settings.guard,
                settings.shuffled_labels.then_some(seed),
            ),
            fit: None,
            rows: None,
            offset: None,
            figures: Figures::new(seed, profile),
            now: LslTime(0.0),
            settings,
            fits,
            audience,
        })
    }

    /// Runs ticks until the session is over. Why it was over too soon, in words, where it was.
    fn until_over(&mut self) -> anyhow::Result<Option<String>> {
        let bin = self.participant.options().bin.0;
        let mut counts = vec![0.0; self.participant.options().units];
        let mut features = Vec::new();
        let (mut longest, mut looked) = (f64::INFINITY, LslTime(f64::NEG_INFINITY));
        for number in 1_u64.. {
            self.now = LslTime(number as f64 * bin);
            self.end_fit()?;
            self.participant.counts(self.now, &mut counts);
            if let Some(detected) = &mut self.detected {
                detected.detect(&mut counts);
            }
            if let Some((channel, offset)) = self.offset {
                counts[channel] += offset;
            }
            let mut output = self.ticks.tick(self.now, &counts)?;
            if let Some(ideal) = &mut self.ideal {
                ideal.observe(&self.participant, &mut output);
            }
            self.participant.observe_state(output.time, output.position);
            self.ticks.features(&mut features);
            let tick = SessionTick {
                start: self.ticks.start(),
                output: &output,
                features: &features,
                model: self.ticks.model(),
            };
            self.told(SessionInput::Tick(tick))?;
            if number == 1 {
                self.begin()?;
                longest = PATIENCE.0 * self.session.status().seconds_left + PATIENCE.1;
            }
            if (self.now - looked).0 >= LOOK.0 {
                looked = self.now;
                match self.look(longest)? {
                    Course::On => {}
                    Course::Over => return Ok(None),
                    Course::Stuck(why) => return Ok(Some(why)),
                }
            }
        }
        Ok(None)
    }

    /// The operator opens the session, sets options and starts it.
    fn begin(&mut self) -> anyhow::Result<()> {
        let SimulationSettings { preset, options, .. } = self.settings;
        let participant = self.settings.session.participant.clone();
        self.ask(SessionRequest::Open { preset: preset.clone(), participant })?;
        if *options != SessionOptions::default() {
            self.ask(SessionRequest::Options(*options))?;
        }
        self.ask(SessionRequest::Start)?;
        self.figures.started(self.now);
        Ok(())
    }

    /// Looks where the session stands, as an operator would, and does what keeps it going.
    fn look(&mut self, longest: f64) -> anyhow::Result<Course> {
        let status = self.session.status();
        self.figures.verdict(self.now, status.verdict.verdict.name());
        match status.state {
            SessionState::Done => return Ok(Course::Over),
            _ if self.now.0 > longest => {
                let why = format!("it took longer than {longest:.0} s: {}", status.message);
                return Ok(Course::Stuck(why));
            }
            SessionState::Ready | SessionState::Paused | SessionState::Closed => {
                let allowed =
                    |name: &str| status.actions.iter().any(|action| action.action == name && action.allowed);
                let request = if allowed("start") {
                    SessionRequest::Start
                } else if self.settings.overrides && allowed("override") {
                    SessionRequest::Override
                } else {
                    return Ok(Course::Stuck(status.message));
                };
                self.ask(request)?;
            }
            SessionState::Resting
            | SessionState::Running
            | SessionState::Fitting
            | SessionState::Learning => {
                let waits = !status.control.allowed && status.verdict.verdict != VerdictKind::None;
                let allowed =
                    status.actions.iter().any(|action| action.action == "override" && action.allowed);
                if self.settings.overrides && waits && allowed {
                    self.ask(SessionRequest::Override)?;
                }
            }
        }
        Ok(Course::On)
    }

    fn ask(&mut self, request: SessionRequest) -> anyhow::Result<()> {
        let person = Person { operator: Some("simulated".to_owned()), console: Some("simulated".to_owned()) };
        self.told(SessionInput::Asked { request, person, by: Actor::Operator })
    }

    /// Puts the offset on its channel while a block is evaluated.
    fn perturb(&mut self, block: TaskBlock, phase: Phase) {
        let evaluates = (block, phase) == (TaskBlock::Evaluation, Phase::Start);
        let perturbation = self.settings.perturbation.filter(|_| evaluates);
        self.offset =
            perturbation.zip(self.rows.as_ref()).and_then(|(perturbation, rows)| perturbation.offset(rows));
    }

    /// Ends the fit that runs, where its time is up.
    fn end_fit(&mut self) -> anyhow::Result<()> {
        let Some((_, order)) = self.fit.take_if(|(ends, _)| *ends <= self.now) else { return Ok(()) };
        let result = self.fitted(&order);
        self.told(SessionInput::Fitted { number: order.number, result })
    }

    fn fitted(&mut self, order: &FitOrder) -> Result<FittedModel, String> {
        let spec: DecoderSpec = order.decoder.parse().map_err(|error| format!("{error}"))?;
        let (fitting, asked) = (&mut self.fitting, self.now - self.settings.fit);
        let fit = self
            .fits
            .run(|| fitting.fit(order, &spec, asked, &mut |_| {}))
            .map_err(|broken| broken.to_string())?;
        let fit = fit.map_err(|error| error.to_string())?;
        let told = fit.told();
        self.ticks.keep(fit.staged);
        if self.session.status().comparison.is_some() {
            self.ticks.keep_for_long(fit.model, self.settings.guard);
        }
        Ok(told)
    }

    /// Tells the session something, and does what it wants done.
    fn told(&mut self, input: SessionInput<'_>) -> anyhow::Result<()> {
        self.audience.input(self.now, &input);
        let mut actions = Vec::new();
        self.session.handle(self.now, input, &mut actions)?;
        self.audience.actions(&actions);
        let mut put_in = Vec::new();
        for action in actions {
            match action {
                SessionAction::Command(command) => {
                    self.figures.command(&command);
                    self.ideal.iter_mut().for_each(|ideal| ideal.command(command));
                    self.ticks.command(command);
                }
                SessionAction::Publish { time, event } => {
                    match event {
                        EventBody::Target(target) => self.participant.observe_target(time, target),
                        EventBody::TaskBlock { block, phase } => {
                            self.participant.observe_block(time, block, phase);
                            self.perturb(block, phase);
                        }
                        _ => {}
                    }
                    self.figures.event(time, &event);
                }
                SessionAction::Fit(order) => {
                    if order.anew {
                        self.fitting.begin_anew();
                    }
                    self.rows = self.settings.perturbation.map(|_| order.rows.clone());
                    self.fit = Some((self.now + self.settings.fit, order));
                }
                SessionAction::CancelFit { number } => {
                    self.fit.take_if(|(_, order)| order.number == number);
                }
                SessionAction::PutIn(model) => put_in.push(model),
                // no model is ever on its way here, bins come when they are due, and a preset with a rest is refused: there are
                // no stages
                SessionAction::TakeBack(_)
                | SessionAction::MeasureArrival
                | SessionAction::Learn { .. }
                | SessionAction::CancelLearning { .. } => {}
            }
        }
        for model in put_in {
            let result = self.ticks.put_in(model);
            self.told(SessionInput::PutIn { model, result })?;
        }
        Ok(())
    }
}
