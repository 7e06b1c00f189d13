//! Every decoder on data as other people record them: means, units, counts, no noise, channels that are constant, repeated or
//! share a reference, few and many of them, slow and fast bins. What is asked of each is what a textbook promises.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "functions that several tests share fail like tests")]

mod linear_data;

use kalmind_filter::DecoderName;
use linear_data::{Noise, Rows, difference, linear, mapped};
use nalgebra::{DMatrix, DVector};

/// A decoder and what can be asked of it.
struct Case {
    spec: &'static str,
    /// The greatest difference that another unit or mean may make, in standard deviations: rounding, but for networks in
    /// single precision, whose training takes another course from the last bit on.
    invariance: f64,
    /// How much larger than that of a regression of one bin the error may be.
    worse: f64,
}

/// All decoders, with their defaults but for what only takes time.
const CASES: [Case; 15] = [
    Case { spec: "kalman", invariance: 1e-6, worse: 1.0 },
    Case { spec: "kalman-steady", invariance: 1e-6, worse: 1.0 },
    Case { spec: "wiener", invariance: 1e-6, worse: 1.05 },
    Case { spec: "wiener-cascade", invariance: 1e-6, worse: 1.05 },
    Case { spec: "ole", invariance: 1e-6, worse: 1.01 },
    Case { spec: "refit-kalman", invariance: 1e-6, worse: 1.0 },
    Case { spec: "ekf:epochs=10", invariance: 0.1, worse: 1.1 },
    Case { spec: "ukf:epochs=10", invariance: 0.1, worse: 1.1 },
    Case { spec: "dkf-linear", invariance: 1e-6, worse: 1.0 },
    Case { spec: "dkf-nw", invariance: 1e-3, worse: 1.3 },
    Case { spec: "dkf-gp:steps=8", invariance: 1e-2, worse: 1.1 },
    Case { spec: "dkf-mk:steps=4", invariance: 1e-3, worse: 1.1 },
    Case { spec: "dkf-nn:networks=2,epochs=20", invariance: 0.1, worse: 1.1 },
    Case { spec: "dkf-gru:networks=1,layers=1,hidden=16,epochs=15", invariance: 0.15, worse: 1.3 },
    Case { spec: "auto", invariance: 0.1, worse: 1.1 },
];
