//! f, Q, their scales and the filter around them, all judged on rows that f was not fitted to.

use kalmind_types::Intent;
use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::accuracy;
use crate::covariance_calibration::{self, HeldOutError};
use crate::decoders::dkf_nw::LeaveOneOut;
use crate::decoders::kind::{DecoderFit, Job, Lesson, MakeLearner, MeanFit};
use crate::direction::{Directed, can_have_direction, with_direction};
use crate::dynamics::fit_dynamics;
use crate::learner::{Examples, Learned, learn};
use crate::state_model::fit_state_model;
use crate::windows::{folds_of, second_moment, unit_scales};
use crate::{FitError, FitReport, HeldOut};
use crate::{FitProgress, Tried};
use kalmind_filter::cholesky::Cholesky;
use kalmind_filter::published_covariance::Measure;
use kalmind_filter::small_matrix::triangle;
use kalmind_filter::{
    Choice, CovarianceScale, DiscriminativeFilter, DkfParameters, Dynamics, Folds, FoldsOf, Form, ModelError,
    Noise, NoiseKind, NonlinearDynamics, Options, Parameters, ResidualSource, Start, StateModel,
    TrainingData,
};

/// Pivots of Q below this part of their diagonal entry mean that residuals follow from each other.
const COLLINEAR: f64 = 1e-12;
/// Factors on Q that `q-scale=auto` tries.
const NOISE_SCALES: [f64; 15] =
    [0.03, 0.06, 0.1, 0.17, 0.25, 0.35, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 2.0, 2.8];
/// Orders that `state-order=auto` tries.
const STATE_ORDERS: [usize; 5] = [1, 2, 3, 4, 5];
/// Windows that `lags=auto` tries, in bins.
const LAGS: [usize; 5] = [1, 2, 3, 5, 8];
/// A more complex candidate has to be better by this part of the error.
const WORTH_ITS_COST: f64 = 5e-4;

/// The fit of a discriminative filter, of how its f is learnt.
pub(crate) const fn discriminative(learner: MakeLearner, direction: Choice<bool>) -> DecoderFit {
    let mean = Some(MeanFit { learner, direction });
    DecoderFit { mean, ..DecoderFit::of(|job| Ok(Parameters::Dkf(fit_discriminative(job)?))) }
}

/// Fits a discriminative Kalman filter: f by its learner, then Q, the state model and the form around it.
fn fit_discriminative(job: &mut Job<'_>) -> Result<DkfParameters, FitError> {
    let Job { spec, data, background, settings, report, progress, mean_of } = job;
    let (data, background) = (*data, *background);
    let Some(mean) = mean_of(spec.decoder) else { return Err(FitError::NoBandwidth) };
    let rows = measurement_rows(data)?;
    // states that no filter can follow are an error before anything costly is learnt
    let least_order = spec.options.state_order.and_then(Choice::given).unwrap_or(1);
    if least_order > 1 && spec.options.dynamics.unwrap_or_default() != Dynamics::Linear {
        return Err(FitError::DynamicsOrder { order: least_order });
    }
    let _state = fit_state_model(data, least_order, spec.options.stationary.unwrap_or_default(), report)?;
    let lags = match spec.options.lags.unwrap_or(Choice::Given(1)) {
        Choice::Given(lags) => vec![lags],
        Choice::Auto => LAGS.to_vec(),
    };
    let direction = spec.options.direction.unwrap_or(mean.direction);
    let direction = if can_have_direction(data.states.ncols()) { direction } else { Choice::Given(false) };
    let doubled = (direction != Choice::Given(false)).then(|| with_direction(data));
    let several = lags.len() > 1;
    let mut best: Option<(FilterChoice, Directed, usize)> = None;
    // what it says of the best one's hyperparameters
    let mut said = FitReport::default();
    for (at, &lags) in lags.iter().enumerate() {
        if at > 0 && settings.budget.is_some_and(|budget| budget.left() <= 0.0) {
            report.budget_used_up = true;
            break;
        }
        let examples = Examples { data: doubled.as_ref().unwrap_or(data), background, lags };
        let learner =
            (mean.learner)(Lesson { spec, examples: &examples, rows: &rows, settings, report, progress })?;
        progress(FitProgress::new("cross-fitting", 0.4));
        let residuals = spec.options.residuals.unwrap_or_default();
        let learned = learn(&*learner, &examples, &rows, residuals, &mut |part| {
            progress(FitProgress::new("cross-fitting", 0.4 + 0.5 * part));
            true
        })?;
        let learned = Directed::new(learned, direction, data);
        progress(FitProgress::new("filter", 0.9));
        let examples = Examples { data, ..examples };
        let choice = choose_filter(&spec.options, &examples, &learned.learned, settings.seed, report)?;
        let tried = Tried { candidate: format!("lags={lags}"), error: choice.error };
        if several {
            progress(FitProgress { tried: Some(tried.clone()), ..FitProgress::new("filter", 0.9) });
        }
        report.tried.push(tried);
        if best.as_ref().is_none_or(|(least, ..)| choice.error < least.error * (1.0 - WORTH_ITS_COST)) {
            best = Some((choice, learned, lags));
            said = report.clone();
        }
    }
    let Some((choice, learned, lags)) = best else { return Err(FitError::NoBandwidth) };
    (report.hyperparameters, report.bandwidth) = (said.hyperparameters, said.bandwidth);
    (report.leave_one_out_error, report.noise_bandwidth) = (said.leave_one_out_error, said.noise_bandwidth);
    report.uses("lags", lags);
    if direction == Choice::Auto {
        report.uses("direction", if learned.direction { "on" } else { "off" });
    }
    finish(&spec.options, &Examples { data, background, lags }, learned, choice, report)
}

/// The rows that may train f and Q, enough of them.
pub(crate) fn measurement_rows(data: &TrainingData) -> Result<Vec<usize>, FitError> {
    let rows = data.measurement_rows();
    let needed = 20.max(2 * data.states.ncols());
    if rows.len() < needed {
        return Err(FitError::TooFewRows {
            what: "rows for the measurement model",
            found: rows.len(),
            needed,
        });
    }
    Ok(rows)
}

/// The filter around f: what [`choose_filter`] found best on held-out rows.
#[derive(Clone, Debug)]
pub(crate) struct FilterChoice {
    state: StateModel,
    dynamics: Option<NonlinearDynamics>,
    form: Form,
    noise: FittedNoise,
    noise_scale: f64,
    /// Root of the squared error over the squared truth, of held-out rows through the filter.
    pub(crate) error: f64,
}

/// Q, and what it says of held-out rows without their own residual.
#[derive(Clone, Debug)]
struct FittedNoise {
    noise: Noise,
    /// Lower triangles, one a held row, or one for all.
    held_out: Vec<Vec<f64>>,
}

/// Chooses order of the state, form, kind of Q and its scale by the error of held-out rows through the filter.
pub(crate) fn choose_filter(
    options: &Options,
    examples: &Examples<'_>,
    learned: &Learned,
    seed: u64,
    report: &mut FitReport,
) -> Result<FilterChoice, FitError> {
    let data = examples.data;
    let kinds = match options.noise.unwrap_or(Choice::Given(NoiseKind::Constant)) {
        Choice::Given(kind) => vec![kind],
        Choice::Auto => vec![NoiseKind::Constant, NoiseKind::Kernel],
    };
    let noises = kinds
        .iter()
        .map(|&kind| fit_noise(kind, examples, learned, report))
        .collect::<Result<Vec<_>, FitError>>()?;
    let movement = options.dynamics.unwrap_or_default();
    let orders = match options.state_order.unwrap_or(Choice::Auto) {
        Choice::Given(order) => vec![order],
        Choice::Auto if movement == Dynamics::Linear => STATE_ORDERS.to_vec(),
        Choice::Auto => vec![1],
    };
    let source = options.stationary.unwrap_or_default();
    let mut states = Vec::with_capacity(orders.len());
    // what is to be said of the states was said of the least order, before f was learnt
    let said = report.warnings.len();
    for &order in &orders {
        match fit_state_model(data, order, source, report) {
            Ok(state) => states.push(state),
            // a higher order may ask for more rows than there are, or find no noise
            Err(_) if !states.is_empty() => {}
            Err(error) => return Err(error),
        }
    }
    report.warnings.truncate(said);
    let mut dynamics = None;
    if let Some(state) = states.first_mut() {
        dynamics = fit_dynamics(movement, data, seed, state, report)?;
    }
    let forms = match options.form.unwrap_or(Choice::Auto) {
        Choice::Given(form) => vec![form],
        Choice::Auto => vec![Form::Standard, Form::Robust, Form::Clipped, Form::Augmented],
    };
    let scales = match options.noise_scale.unwrap_or(Choice::Auto) {
        Choice::Given(scale) => vec![scale],
        Choice::Auto => NOISE_SCALES.to_vec(),
    };
    let mut candidates = Vec::new();
    for state in &states {
        for &form in &forms {
            for noise in &noises {
                for &scale in &scales {
                    candidates.push((state, form, noise, scale));
                }
            }
        }
    }
    let start = options.start.unwrap_or_default();
    let errors: Vec<f64> = candidates
        .par_iter()
        .map(|(state, form, noise, scale)| {
            held_out_run(data, learned, (state, dynamics.as_ref()), &noise.held_out, *form, start, *scale)
                .map_or(f64::INFINITY, |run| run.error)
        })
        .collect();
    let mut best: Option<(usize, f64)> = None;
    for (at, &error) in errors.iter().enumerate() {
        if error.is_finite() && best.is_none_or(|(_, least)| error < least * (1.0 - WORTH_ITS_COST)) {
            best = Some((at, error));
        }
    }
    let Some((at, error)) = best else { return Err(FitError::NoResiduals { column: 0 }) };
    for (order, form) in states.iter().flat_map(|state| forms.iter().map(move |form| (state.order, *form))) {
        let least = candidates
            .iter()
            .zip(&errors)
            .filter(|((state, other, ..), _)| state.order == order && *other == form)
            .map(|(_, error)| *error)
            .fold(f64::INFINITY, f64::min);
        if states.len() * forms.len() > 1 {
            report.tried(
                format!("state-order={order},form={}", kalmind_filter::options::form_text(form)),
                least,
            );
        }
    }
    let (state, form, noise, noise_scale) = &candidates[at];
    Ok(FilterChoice {
        state: (*state).clone(),
        dynamics: dynamics.clone(),
        form: *form,
        noise: (*noise).clone(),
        noise_scale: *noise_scale,
        error,
    })
}

/// Calibrates what is published, and puts the decoder together.
pub(crate) fn finish(
    options: &Options,
    examples: &Examples<'_>,
    learned: Directed,
    choice: FilterChoice,
    report: &mut FitReport,
) -> Result<DkfParameters, FitError> {
    let FilterChoice { state, dynamics, mut form, noise, noise_scale, error } = choice;
    let Directed { learned, direction } = learned;
    let start = options.start.unwrap_or_default();
    let unfit = |_error: ModelError| FitError::NoResiduals { column: 0 };
    let movement = (&state, dynamics.as_ref());
    let mut run = held_out_run(examples.data, &learned, movement, &noise.held_out, form, start, noise_scale)
        .map_err(unfit)?;
    let left_open = !matches!(options.form, Some(Choice::Given(_)));
    if left_open && form == Form::Standard && run.fallbacks == learned.held_rows.len() {
        // the standard update that never applies is the robust one, step by step
        form = Form::Robust;
        run.fallbacks = 0;
    }
    let (covariance_scale, distances) = match options.covariance_scale.unwrap_or(Choice::Auto) {
        Choice::Given(scale) => {
            (CovarianceScale::constant(scale), covariance_calibration::scaled(&run.errors, |_row| scale))
        }
        Choice::Auto => covariance_calibration::covariance_scale(&run.errors, examples),
    };
    report.covers(&distances, state.dimension());
    report.noise_scale = Some(noise_scale);
    let [least, greatest] = covariance_scale.limits;
    report.covariance_scale = Some(libm::exp(0.5 * (least + greatest)));
    report.fallback_steps = Some(run.fallbacks);
    report.held_out_error = Some(error);
    report.held_out = Some(run.held_out(options, examples.data, &learned.held_rows));
    report.uses("state-order", state.order);
    report.uses("form", kalmind_filter::options::form_text(form));
    report.uses("q-scale", noise_scale);
    Ok(DkfParameters {
        state,
        dynamics,
        form,
        start,
        lags: examples.lags,
        regressor: learned.regressor,
        direction,
        noise: noise.noise,
        noise_scale,
        covariance_scale,
    })
}

fn fit_noise(
    kind: NoiseKind,
    examples: &Examples<'_>,
    learned: &Learned,
    report: &mut FitReport,
) -> Result<FittedNoise, FitError> {
    let residuals = examples.states(&learned.held_rows) - &learned.held_out;
    let constant = second_moment(&residuals);
    Cholesky::new(&constant, COLLINEAR).map_err(|column| FitError::NoResiduals { column })?;
    if kind == NoiseKind::Constant {
        let held_out = vec![triangle(&constant)];
        return Ok(FittedNoise { noise: Noise::Constant { covariance: constant }, held_out });
    }
    let d = residuals.ncols();
    let entries: Vec<(usize, usize)> =
        (0..d).flat_map(|row| (0..=row).map(move |column| (row, column))).collect();
    let residual_products = DMatrix::from_fn(residuals.nrows(), entries.len(), |row, entry| {
        let (left, right) = entries[entry];
        residuals[(row, left)] * residuals[(row, right)]
    });
    let inputs = examples.inputs(&learned.held_rows);
    let units = unit_scales(&inputs);
    let kernel = LeaveOneOut::new(&inputs, &residual_products, Some(&units));
    let (bandwidth, _error) = kernel.best_bandwidth()?;
    report.noise_bandwidth = Some(bandwidth);
    let prior = triangle(&constant);
    let prior_samples = (d + 1) as f64;
    let held_out = kernel
        .predictions(bandwidth)
        .into_iter()
        .map(|(products, effective)| {
            let all = effective + prior_samples;
            products
                .iter()
                .zip(&prior)
                .map(|(product, prior)| (effective * product + prior_samples * prior) / all)
                .collect()
        })
        .collect();
    let noise = Noise::Kernel {
        residual_products,
        bandwidth,
        scales: Some(units),
        prior_covariance: constant,
        prior_samples,
        points: inputs,
    };
    Ok(FittedNoise { noise, held_out })
}

/// What the filter makes of the training rows with f and Q of rows that it was not fitted to.
struct HeldOutRun {
    /// Root of the squared error over the squared truth.
    error: f64,
    errors: Vec<HeldOutError>,
    fallbacks: usize,
    /// Places in the held rows where there was an intent, and its means.
    places: Vec<usize>,
    means: Vec<f64>,
}

impl HeldOutRun {
    /// For figures of the decoder.
    fn held_out(&self, options: &Options, data: &TrainingData, held_rows: &[usize]) -> HeldOut {
        let (of, count) = match options.residuals.unwrap_or_default() {
            ResidualSource::HeldOut => (FoldsOf::LastRows, 1),
            ResidualSource::CrossFitted => {
                let (of, folds) = folds_of(data, held_rows);
                (of, folds.len())
            }
        };
        HeldOut {
            folds: Folds { of, count },
            rows: self.places.iter().map(|&place| held_rows[place]).collect(),
            means: DMatrix::from_row_slice(self.places.len(), data.states.ncols(), &self.means),
            steps: held_rows.len(),
            fallback_steps: self.fallbacks,
        }
    }
}

fn held_out_run(
    data: &TrainingData,
    learned: &Learned,
    (state, dynamics): (&StateModel, Option<&NonlinearDynamics>),
    noises: &[Vec<f64>],
    form: Form,
    start: Start,
    noise_scale: f64,
) -> Result<HeldOutRun, ModelError> {
    let d = state.dimension();
    let measure = Measure::new(&state.marginal_covariance())?;
    let count = learned.held_rows.len();
    let mut run = HeldOutRun {
        error: 0.0,
        errors: Vec::with_capacity(count),
        fallbacks: 0,
        places: Vec::with_capacity(count),
        means: Vec::with_capacity(count * d),
    };
    let (mut squared_error, mut power) = (0.0, 0.0);
    let mut at = 0;
    let mut intent = Intent::zero(d);
    let (mut f, mut truth) = (vec![0.0; d], vec![0.0; d]);
    let mut q = vec![0.0; d * (d + 1) / 2];
    for segment in data.segments() {
        let mut filter = DiscriminativeFilter::with_network(state, dynamics, form, start)?;
        for row in segment {
            if learned.held_rows.get(at) != Some(&row) {
                filter.step(None, &mut intent);
                continue;
            }
            for column in 0..d {
                f[column] = learned.held_out[(at, column)];
                truth[column] = data.states[(row, column)];
            }
            let noise = noises.get(at).unwrap_or(&noises[0]);
            for (scaled, entry) in q.iter_mut().zip(noise) {
                *scaled = noise_scale * entry;
            }
            let report = filter.step(Some((&f, &q)), &mut intent);
            at += 1;
            run.fallbacks += usize::from(report.fallback);
            if !report.valid {
                continue;
            }
            run.places.push(at - 1);
            run.means.extend_from_slice(intent.mean());
            for (truth, mean) in truth.iter().zip(intent.mean()) {
                squared_error += (truth - mean) * (truth - mean);
                power += truth * truth;
            }
            if let Some(squared_distance) = accuracy::squared_distance(&truth, &intent) {
                run.errors.push(HeldOutError {
                    row,
                    log_size: measure.log_size(intent.mean()),
                    log_surprise: measure.log_surprise(&f, intent.mean()),
                    squared_distance,
                });
            }
        }
    }
    run.error = (squared_error / power).sqrt();
    Ok(run)
}
