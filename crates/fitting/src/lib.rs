//! Fitting: training rows in, tensors and a report out; and how good what was fitted is. Slow side; uses all cores; the same
//! seed gives the same model.

pub mod accuracy;
mod adam;
mod baseline_covariance;
mod blocked_cholesky;
pub mod bootstrap;
mod chance;
pub mod chance_level;
mod click;
mod correlation;
mod covariance_calibration;
mod decoders;
mod direction;
mod discriminative;
mod dynamics;
mod few_rows;
mod fit;
mod fit_error;
mod guard;
mod held_out;
mod held_out_fits;
mod inducing_points;
mod judging;
mod kept;
mod kernel_features;
mod kernel_matrix;
mod kernel_scales;
mod kernel_variances;
mod learner;
mod levenberg_marquardt;
mod linear;
mod marginal_likelihood;
mod matrix_product;
mod moments;
mod plausibility;
mod pool;
mod quality;
mod quasi_newton;
mod reduction;
mod regression_reference;
mod report;
pub mod scores;
pub mod sensitivity;
mod sparse_mean;
mod state_mean;
mod state_model;
mod tanh_network;
mod training;
mod training_time;
pub mod uncertainty;
mod windows;

pub use click::{ClickFitError, ClickFitSettings, ClickReport, FittedClick, HeldOutClicks, fit_click};
pub use fit::fit;
pub use fit_error::FitError;
pub use held_out::HeldOut;
pub use judging::judge;
pub use pool::{FitBroken, FitPool, abandon};
pub use quality::held_out_quality;
pub use regression_reference::{
    Leaning, RegressionReference, RegressionReferenceError, regression_reference,
};
pub use report::{Budget, EarlierFit, FitProgress, FitReport, FitSettings, Fitted, Tried};
