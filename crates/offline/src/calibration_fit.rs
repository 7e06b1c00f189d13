//! From what calibration gathered to a model that is ready to swap in.

use std::sync::Arc;

use kalmind_engine::StagedModel;
use kalmind_filter::{
    AgainstChance, ClickParameters, DecoderSpec, KernelPath, Model, TrainingData, running_weight,
};
use kalmind_fitting::{ClickFitSettings, FitError, FitProgress, FitReport, FitSettings, fit, fit_click};
use kalmind_recording::{FittedRows, ModelFileError, PackedModel};
use kalmind_session::{Calibration, CalibrationError, ChanceTest, ClickLabelLaw, FittedModel, click_labels};
use serde_json::json;

use crate::{
    decoder_quality::judge_fit,
    host::Host,
    model::{BuildError, Demand, IdentifiedModel},
    sources::GatheredSessions,
};

/// A fitted model, built.
#[derive(Debug)]
pub struct CalibrationFit {
    /// The model.
    pub model: Arc<IdentifiedModel>,
    /// What the tick runs.
    pub staged: Box<StagedModel>,
    /// Training rows.
    pub rows: usize,
    /// What the fit found.
    pub report: FitReport,
    /// How it is recorded, where it is.
    pub recorded: Option<Arc<RecordedFit>>,
}

impl CalibrationFit {
    /// The model as a session is told of it.
    #[must_use]
    pub fn told(&self) -> FittedModel {
        let (better_than_chance, p_value) = match self.model.model.quality().map(|quality| quality.chance) {
            Some(AgainstChance::Better(figures)) => (Some(true), Some(figures.p)),
            Some(AgainstChance::NotBetter(figures)) => (Some(false), Some(figures.p)),
            Some(AgainstChance::NotTested { .. }) | None => (None, None),
        };
        FittedModel {
            id: self.model.id,
            decoder: self.model.model.decoder.to_string(),
            decodes_clicks: self.model.model.click.is_some(),
            rows: self.rows,
            better_than_chance,
            p_value,
            doubt: self.model.doubt().map(|doubt| doubt.text),
            warnings: self.model.warnings(),
        }
    }
}

/// A fitted model as it stands in a recording of the session that it was fitted in.
#[derive(Debug)]
pub struct RecordedFit {
    /// The model.
    pub packed: PackedModel,
    /// Features of a row.
    pub width: usize,
    seqs: Vec<u64>,
    features: Vec<f64>,
}

impl RecordedFit {
    /// Packs a model beside the rows that it was fitted to, without what no tick needs where it `is_saved` as well; `None`
    /// where it has to be recorded as it stands.
    #[must_use]
    pub fn of(model: &IdentifiedModel, calibration: Calibration, is_saved: bool) -> Option<Self> {
        let width = model.model.features();
        let (mut seqs, mut features) = calibration.into_rows();
        let rows = FittedRows { seqs: &seqs, features: &features };
        let packed = PackedModel::of(&model.model, &model.file, rows, is_saved)?;
        if packed.ticks.is_empty() {
            (seqs, features) = (Vec::new(), Vec::new());
        }
        Some(Self { packed, width, seqs, features })
    }

    /// Raw features of a tick that it was fitted to.
    #[must_use]
    pub fn features(&self, seq: u64) -> Option<&[f64]> {
        let place = self.seqs.binary_search(&seq).ok()?;
        self.features.get(place * self.width..)?.get(..self.width)
    }
}

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationFitError {
    /// Too little was gathered.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// The fit failed.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The fitted model cannot be written down.
    #[error(transparent)]
    File(#[from] ModelFileError),
    /// The fitted model cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Labels have two components, the intent another number.
    #[error("labels from targets have 2 components (vx, vy), but [intent] names {0}")]
    Components(usize),
}

/// Fits `spec` to z-scored features and the labels that calibration made; with `shuffle` (a seed) to labels in random
/// order, as a control; with `guard` behind a guard where the decoder's options leave it open. What decodes clicks is fitted to the
/// same rows where the calibration asks for it. The seed and the budget are those of `settings`. Runs in a thread of its own on the slow side.
///
/// # Errors
/// [`CalibrationFitError`].
pub fn fit_calibration(
    calibration: &Calibration,
    spec: &DecoderSpec,
    demand: &Demand,
    shuffle: Option<u64>,
    guard: bool,
    settings: &FitSettings,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<CalibrationFit, CalibrationFitError> {
    let mut test = ChanceTest::once(settings.seed);
    fit_rows(calibration, spec, &FitTerms { demand, shuffle, guard }, settings, &mut test, progress)
}

/// What a run asks of every model that it fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FitTerms<'a> {
    /// What a model has to match.
    pub(crate) demand: &'a Demand,
    /// Control experiment: labels in random order, by this seed.
    pub(crate) shuffle: Option<u64>,
    /// Whether a guard stands in front where the decoder's options leave it open.
    pub(crate) guard: bool,
}

/// [`fit_calibration`], with the test against chance that this look belongs to.
pub(crate) fn fit_rows(
    calibration: &Calibration,
    spec: &DecoderSpec,
    terms: &FitTerms<'_>,
    settings: &FitSettings,
    test: &mut ChanceTest,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<CalibrationFit, CalibrationFitError> {
    let FitTerms { demand, shuffle, guard } = *terms;
    if demand.components.len() != 2 {
        return Err(CalibrationFitError::Components(demand.components.len()));
    }
    let mut data = match running_weight(spec, demand.bin_ms) {
        None => calibration.data(true)?,
        Some(weight) => calibration.running_data(weight)?,
    };
    if let Some(seed) = shuffle {
        data = data.with_shuffled_labels(seed);
    }
    let rows = data.training.rows();
    // lagged windows start from the training mean, which z-scores to zero
    let settings = FitSettings {
        background: Some(vec![0.0; data.training_mean.len()]),
        labels: true,
        ..settings.clone()
    };
    let mut fitted = fit(spec, &data.training, &settings, progress)?;
    judge_fit(spec, &data.training, Some(&data.decoder_moved), test, &mut fitted, progress);
    let law = calibration.clicks();
    let click = law.and_then(|law| clicks(&data.training, law, demand.bin_ms, &mut fitted.report));
    let model = Model {
        decoder: *spec,
        streams: demand.streams.clone(),
        bin_ms: demand.bin_ms,
        components: demand.components.clone(),
        training_mean: data.training_mean,
        zscore: data.zscore,
        label_law: Some(data.label_law),
        participant: demand.participant.clone(),
        training_hash: Some(data.training.hash()),
        report: Some(json!(fitted.report)),
        guard: Some(fitted.guard),
        reduction: fitted.reduction,
        click,
        parameters: fitted.parameters,
    };
    let model = Arc::new(IdentifiedModel::of(model)?);
    let staged = model.stage(guard, KernelPath::detect())?;
    Ok(CalibrationFit { model, staged, rows, report: fitted.report, recorded: None })
}

/// Fits what decodes clicks, and says in the report what it found, or why there is none: the decoder is good without.
fn clicks(
    rows: &TrainingData,
    law: ClickLabelLaw,
    bin_ms: f64,
    report: &mut FitReport,
) -> Option<ClickParameters> {
    let settings = ClickFitSettings { bin_ms, ..ClickFitSettings::default() };
    match fit_click(rows, &click_labels(rows, law, bin_ms), &settings) {
        Ok(fitted) => {
            report.warnings.extend(fitted.report.warnings.iter().cloned());
            report.click = Some(fitted.report);
            Some(fitted.parameters)
        }
        Err(error) => {
            report.warnings.push(format!("clicks are not decoded: {error}"));
            None
        }
    }
}

/// Fits `spec` to the rows of sessions, as one of them would have done; `participant` is the code that the model gets,
/// where it is not that of the sessions.
///
/// # Errors
/// [`CalibrationFitError`].
pub fn fit_sessions(
    sessions: &GatheredSessions,
    spec: &DecoderSpec,
    participant: Option<&str>,
    settings: &FitSettings,
    host: &dyn Host,
) -> Result<CalibrationFit, CalibrationFitError> {
    let session = &sessions.gathered.session;
    let demand = Demand {
        streams: session.engine.features.clone(),
        bin_ms: session.bin_ms,
        components: session.components.clone(),
        participant: participant.map(str::to_owned).or_else(|| sessions.participant.clone()),
    };
    let mut shown = host.fit(spec, "");
    let calibration = &sessions.gathered.calibration;
    fit_calibration(calibration, spec, &demand, None, session.guard, settings, &mut |progress| {
        shown(&progress);
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use kalmind_session::{CalibrationOptions, CalibrationTick};
    use kalmind_types::{
        Binning, Cause, Component, CursorDrive, LslTime, OutputState, Position, StreamFeatures, Target,
        TickOutput, Velocity,
    };

    use super::*;

    const CHANNELS: usize = 12;

    /// An open loop of trials of a second toward random ones of eight targets; what channels say of the velocity that is
    /// meant has this gain beside noise of variance 1/3.
    pub(crate) fn gathered(gain: f64, trials: u32) -> Calibration {
        // splitmix64
        let mut state = 5_u64;
        let mut noise = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        };
        let tuning: Vec<f64> = (0..CHANNELS).map(|at| at as f64).collect();
        let options = CalibrationOptions::default();
        let mut calibration = Calibration::new(options, CHANNELS);
        let mut position = Position([0.5, 0.5]);
        let mut angle = 0.0;
        for tick in 0..trials * 50 {
            let trial = tick / 50;
            if tick % 50 == 0 {
                position = Position([0.5, 0.5]);
                angle = (4.0 + 4.0 * noise()).floor() * core::f64::consts::FRAC_PI_4;
            }
            let target = Position([0.5 + 0.3 * angle.cos(), 0.5 + 0.3 * angle.sin()]);
            let meant = options.label_law.label(position, target).0;
            let features: Vec<f64> = tuning
                .iter()
                .map(|preferred| {
                    let tuned = meant[0] * preferred.cos() + meant[1] * preferred.sin();
                    gain * tuned + noise()
                })
                .collect();
            position = Position([0, 1].map(|axis| position.0[axis] + 0.02 * meant[axis]));
            let output = TickOutput {
                state: OutputState::Calibrating,
                position,
                velocity: Velocity(meant),
                ..TickOutput::neutral(tick.into(), LslTime(f64::from(tick) * 0.02))
            };
            calibration.observe(CalibrationTick {
                output: &output,
                features: &features,
                target: Some(Target { position: target, radius: 0.06 }),
                trial: Some(trial.into()),
                drive: CursorDrive::Label,
            });
        }
        calibration
    }

    /// What models of those rows have to match.
    pub(crate) fn demand() -> Demand {
        Demand {
            streams: vec![StreamFeatures::of_channels(Binning::Mean, CHANNELS, None)],
            bin_ms: 20.0,
            components: ["vx", "vy"]
                .map(|name| Component { name: name.to_owned(), unit: String::new() })
                .to_vec(),
            participant: None,
        }
    }

    fn calibrated(gain: f64, spec: &str) -> CalibrationFit {
        let (calibration, demand) = (gathered(gain, 24), demand());
        let spec = spec.parse().expect("a decoder");
        fit_calibration(&calibration, &spec, &demand, None, false, &FitSettings::default(), &mut |_| {})
            .expect("a fit")
    }

    #[test]
    fn calibrated_on_noise_a_model_may_not_control_and_says_why() {
        for spec in ["kalman-steady", "dkf-nw", "dkf-linear", "refit-kalman"] {
            let fit = calibrated(0.0, spec);
            assert_eq!(fit.staged.doubt, Some(Cause::DecoderAtChance), "{spec}: {:?}", fit.report.quality);
            let warnings = fit.model.warnings();
            assert!(warnings[0].contains("no better than chance"), "{spec}: {warnings:?}");
            assert!(warnings[0].contains("calibrate again"), "{spec}: {warnings:?}");
            assert_eq!(fit.model.doubt().expect("in doubt").model, fit.model.id);
        }
    }

    #[test]
    fn clients_are_told_every_warning_of_the_fit_report_that_on_chance_first() {
        let fit = calibrated(0.0, "kalman-steady");
        let chance = fit.model.warnings()[0].clone();
        let warned = |report: serde_json::Value| {
            let model = Model { report: Some(report), ..(*fit.model.model).clone() };
            IdentifiedModel::of(model).expect("a model file").warnings()
        };
        let mut report = fit.model.model.report.clone().expect("a report");
        report["warnings"] = json!(["the ellipsoids hold too little", chance]);
        assert_eq!(warned(report.clone()), [chance.as_str(), "the ellipsoids hold too little"]);
        // another program's file may have the figures alone
        report["warnings"] = json!([]);
        assert_eq!(warned(report.clone())[0], chance);
        report["quality"] = json!(null);
        report["warnings"] = json!(["how good the decoder is could not be told"]);
        assert_eq!(warned(report), ["how good the decoder is could not be told"]);
        assert!(warned(json!({ "warnings": "none" })).is_empty());
    }

    #[test]
    fn calibrated_on_tuned_channels_a_model_may_control() {
        for spec in ["kalman-steady", "dkf-nw", "dkf-linear", "refit-kalman"] {
            let fit = calibrated(4.0, spec);
            let quality = fit.report.quality.clone().expect("judged");
            assert!(matches!(quality.chance, AgainstChance::Better(_)), "{spec}: {quality:?}");
            assert_eq!((fit.staged.doubt, fit.model.doubt()), (None, None), "{spec}: {quality:?}");
            assert!(quality.r2 > 0.3, "{spec}: {quality:?}");
        }
    }
}
