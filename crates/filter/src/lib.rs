//! Features to intent: the discriminative Kalman filter and the baselines it is compared with.
//!
//! *Invariant:* pure. This crate knows no clock, file, socket or thread, and cannot fit; what comes out depends on what
//! goes in and on the kernel path alone.

pub mod activation;
mod belief;
pub mod build;
mod catalogue;
mod centred;
mod checked;
pub mod cholesky;
mod covariance_scale;
mod decoder;
mod discriminative;
mod dkf;
pub mod dynamics;
pub mod exponential;
pub mod factors;
mod grid;
pub mod guard;
mod innovation;
pub mod kalman;
pub mod kernel_mean;
pub mod kernel_path;
#[cfg(test)]
mod kernel_reference;
mod kernel_sum;
mod label;
mod model;
mod nonlinear;
pub mod options;
pub mod panel;
mod parameters;
pub mod plausibility;
pub mod published_covariance;
mod quality;
pub mod refit;
pub mod regression;
pub mod riccati;
mod screen;
mod sigma_points;
mod small_matrix;
mod spec;
mod stacked;
pub mod steady;
pub mod tanh_layer;
mod training;
mod validate;
pub mod wiener;
pub mod window;

pub use catalogue::DecoderOption;
pub use covariance_scale::CovarianceScale;
pub use decoder::{Decoder, FilterState, StepReport};
pub use discriminative::DiscriminativeFilter;
pub use dynamics::StateDynamics;
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
