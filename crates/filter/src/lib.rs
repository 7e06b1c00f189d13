//! Features to intent: the discriminative Kalman filter, the baselines it is compared with, and their fitting.
//!
//! *Invariant:* pure. This crate knows no clock, file, socket or thread on the way of a tick (fitting uses rayon); what
//! comes out depends on what goes in and on the kernel path alone.

pub mod accuracy;
mod activation;
mod belief;
mod blocked_cholesky;
pub mod bootstrap;
mod build;
mod catalogue;
mod centred;
mod chance;
pub mod chance_level;
mod checked;
mod cholesky;
mod covariance_scale;
mod decoder;
mod discriminative;
mod dkf;
mod dynamics;
mod exponential;
mod factors;
mod fit;
mod grid;
mod guard;
mod innovation;
mod kalman;
mod kernel_mean;
mod kernel_path;
#[cfg(test)]
mod kernel_reference;
mod kernel_sum;
mod label;
mod matrix_product;
mod model;
mod nonlinear;
mod options;
mod panel;
mod parameters;
mod plausibility;
mod published_covariance;
mod quality;
mod refit;
mod regression;
mod riccati;
pub mod scores;
mod screen;
pub mod sensitivity;
mod sigma_points;
mod small_matrix;
mod spec;
mod stacked;
mod steady;
mod tanh_layer;
mod training;
pub mod uncertainty;
mod validate;
mod wiener;
mod window;

pub use catalogue::DecoderOption;
pub use covariance_scale::CovarianceScale;
pub use decoder::{Decoder, FilterState, StepReport};
pub use discriminative::DiscriminativeFilter;
pub use dynamics::StateDynamics;
pub use fit::{Budget, FitError, FitProgress, FitReport, FitSettings, Fitted, HeldOut, Tried, fit, judge};
pub use guard::{ChannelCondition, Guarded};
pub use kernel_path::{KernelPath, kernel_path};
pub use label::{LabelKind, LabelLaw};
pub use model::{GREATEST_BIN_MS, GuardStatistics, LEAST_BIN_MS, Model, ModelError, ZScore};
pub use options::{
    Choice, Dynamics, Feedback, KalmanUpdate, KernelShape, KernelWeights, NoiseKind, OPTIONS, Optimizer,
    OptionInfo, Options, ResidualSource, Sparsification, StateMean,
};
pub use parameters::{
    Cell, DkfParameters, EnsembleMember, Form, JointKernel, KalmanParameters, Linearization, Noise,
    NonlinearDynamics, NonlinearKalmanParameters, Parameters, RecurrentLayer, RecurrentNetwork,
    RefitKalmanParameters, Regressor, Start, StateModel, StationarySource, TanhNetwork,
    WienerCascadeParameters, WienerParameters,
};
pub use plausibility::{Implausible, PlausibilityStatistics};
pub use quality::{AgainstChance, ChanceFigures, FitQuality, Folds, FoldsOf};
pub use screen::{CHECKS, Screen, Screened};
pub use spec::{DecoderName, DecoderSpec, SpecError};
pub use training::{TaskSample, TrainingData};
