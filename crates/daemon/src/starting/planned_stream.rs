//! A stream of a run, as it was configured and found.

use kalmind_acquisition::InletConfig;
use kalmind_engine::StreamBinning;
use kalmind_types::StreamFeatures;

use crate::starting::stages::DerivedPlan;

/// A stream as configured and as found.
#[derive(Clone, Debug)]
pub struct PlannedStream {
    /// How it is received.
    pub inlet: InletConfig,
    /// How it takes part in the bins.
    pub binning: StreamBinning,
    /// The features it contributes.
    pub features: StreamFeatures,
    /// Where it has stages: what comes of them, and is decoded in its place.
    pub derived: Option<DerivedPlan>,
}
