//! The decoders, each in a folder of its own with what it brings along; several share the filter of `dkf` or of
//! `nonlinear_kalman`. The [registry](crate::DecoderName) names them.

pub(crate) mod auto;
pub mod dkf;
pub(crate) mod dkf_gp;
pub mod dkf_gru;
pub(crate) mod dkf_linear;
pub(crate) mod dkf_mk;
pub(crate) mod dkf_nn;
pub(crate) mod dkf_nw;
pub mod kalman;
pub mod kalman_steady;
pub(crate) mod kind;
pub(crate) mod mean;
pub(crate) mod nonlinear_kalman;
pub(crate) mod ole;
pub mod refit_kalman;
pub mod wiener;
pub(crate) mod wiener_cascade;
