//! Features to intent: the discriminative Kalman filter, the baselines it is compared with, and their fitting.
//!
//! *Invariant:* pure. This crate knows no clock, file, socket or thread on the way of a tick (fitting uses rayon); what
//! comes out depends on what goes in and on the kernel path alone.

pub mod accuracy;
mod belief;
mod blocked_cholesky;
mod build;
mod cholesky;
mod decoder;
mod discriminative;
mod dkf;
mod exponential;
mod factors;
mod fit;
mod guard;
mod kalman;
mod label;
mod matrix_product;
mod model;
mod nonlinear;
mod options;
mod panel;
mod parameters;
mod refit;
mod regression;
mod small_matrix;
mod spec;
mod stacked;
mod steady;
mod training;
mod validate;
mod wiener;
mod window;

pub use decoder::{Decoder, FilterState, StepReport};
pub use discriminative::DiscriminativeFilter;
pub use fit::{Budget, FitError, FitProgress, FitReport, FitSettings, Fitted, Tried, fit};
pub use guard::{ChannelCondition, Guarded};
pub use label::{LabelKind, LabelLaw};
pub use model::{GuardStatistics, Model, ModelError, ZScore};
pub use options::{
    Choice, Dynamics, Feedback, KalmanUpdate, KernelShape, KernelWeights, NoiseKind, Optimizer, Options,
    ResidualSource, Sparsification,
};
pub use panel::kernel_path;
pub use parameters::{
    Cell, CovarianceScale, DkfParameters, EnsembleMember, Form, JointKernel, KalmanParameters, Linearization,
    Noise, NonlinearDynamics, NonlinearKalmanParameters, Parameters, RecurrentLayer, RecurrentNetwork,
    RefitKalmanParameters, Regressor, Start, StateModel, StationarySource, TanhNetwork,
    WienerCascadeParameters, WienerParameters,
};
pub use spec::{DecoderName, DecoderSpec, SpecError};
pub use training::{TaskSample, TrainingData};
