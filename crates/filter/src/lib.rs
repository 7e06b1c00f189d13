//! Features to intent: the discriminative Kalman filter and the baselines it is compared with.
//!
//! *Invariant:* pure. This crate knows no clock, file, socket or thread, and cannot fit; what comes out depends on what
//! goes in and on the kernel path alone.

pub mod activation;
pub mod array_statistics;
mod belief;
mod button;
mod centred;
mod checked;
pub mod cholesky;
mod click;
mod covariance_scale;
mod decoder;
pub mod decoders;
mod discriminative;
mod discriminator;
pub mod dynamics;
pub mod exponential;
pub mod factors;
mod grid;
pub mod guard;
mod guard_statistics;
mod innovation;
pub mod kernel_mean;
pub mod kernel_path;
#[cfg(test)]
mod kernel_reference;
mod kernel_sum;
mod label;
mod model;
mod model_error;
mod option_value;
pub mod options;
pub mod panel;
mod plausibility;
pub mod published_covariance;
mod quality;
mod readers;
mod reduction;
mod registry;
mod screen;
mod sigma_points;
pub mod small_matrix;
mod spec;
mod stacked;
mod state_filter;
mod state_model;
pub mod tanh_layer;
mod tanh_network;
pub mod tensors;
mod training;
mod validate;
pub mod window;
mod zscore;

pub use array_statistics::PlausibilityStatistics;
pub use button::{Button, PressLaw};
pub use click::{ClickDecoder, ClickParameters, ClickSettings};
pub use covariance_scale::CovarianceScale;
pub use decoder::{ChannelCondition, Decoder, FilterState, LookBack, StepReport};
pub use decoders::dkf::noise::Noise;
pub use decoders::dkf::parameters::DkfParameters;
pub use decoders::dkf::regressor::{EnsembleMember, EnsembleRegressor, Regressor};
pub use decoders::dkf::scaling::NetworkScaling;
pub use decoders::dkf_gp::GaussianProcessRegressor;
pub use decoders::dkf_gru::RecurrentRegressor;
pub use decoders::dkf_gru::network::{RecurrentLayer, RecurrentNetwork};
pub use decoders::dkf_linear::LinearRegressor;
pub use decoders::dkf_mk::{JointKernel, MultipleKernelRegressor};
pub use decoders::dkf_nn::NetworksRegressor;
pub use decoders::dkf_nw::NadarayaWatsonRegressor;
pub use decoders::kalman::parameters::KalmanParameters;
pub use decoders::nonlinear_kalman::parameters::NonlinearKalmanParameters;
pub use decoders::refit_kalman::RefitKalmanParameters;
pub use decoders::wiener::parameters::WienerParameters;
pub use decoders::wiener_cascade::WienerCascadeParameters;
pub use discriminative::DiscriminativeFilter;
pub use dynamics::{Linearization, NonlinearDynamics, StateDynamics};
pub use guard::Guarded;
pub use guard_statistics::GuardStatistics;
pub use kernel_path::{KernelPath, kernel_path};
pub use label::{LabelKind, LabelLaw};
pub use model::{CheckedModel, GREATEST_BIN_MS, LEAST_BIN_MS, Model, running_weight};
pub use model_error::ModelError;
pub use option_value::{Limit, RunningZScore};
pub use options::{
    Cell, Choice, Dynamics, Feedback, Form, KalmanUpdate, KernelShape, KernelWeights, NoiseKind, OPTIONS,
    Optimizer, OptionInfo, Options, ResidualSource, Sparsification, Start, StateMean, StationarySource,
};
pub use plausibility::Implausible;
pub use quality::{AgainstChance, ChanceFigures, FitQuality, Folds, FoldsOf};
pub use readers::{
    MAX_VALUES, MeanSettings, READERS, ReaderEntry, ReaderError, ReaderSettings, WindowReader, WindowShape,
};
pub use reduction::{PrincipalComponents, Reduction};
pub use registry::{DecoderName, DecoderOption, Parameters};
pub use screen::{CHECKS, Screen, Screened};
pub use spec::{DecoderSpec, SpecError};
pub use state_model::StateModel;
pub use tanh_network::TanhNetwork;
pub use training::{TaskSample, TrainingData};
pub use zscore::ZScore;
