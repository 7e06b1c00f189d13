//! How a stream of numbers is received that is only recorded.

use kalmind_acquisition::{InletConfig, StreamSelector};
use kalmind_types::StreamDescription;

use crate::recorder;

/// Samples in a block of an irregular stream that is only recorded, and its blocks: a burst of 65,536 samples.
const IRREGULAR_BLOCK: usize = 256;
const IRREGULAR_BLOCKS: usize = 256;

/// How a further stream of numbers is received: whatever its age or clock, it is recorded.
pub(crate) fn recorded_config(
    key: String,
    selector: StreamSelector,
    description: &StreamDescription,
) -> InletConfig {
    let mut config = InletConfig::new(key, selector, description.clone());
    config.limits.backlog_ms = f64::INFINITY;
    config.limits.bad_clock_ms = f64::INFINITY;
    if description.nominal_rate_hz > 0.0 {
        config.blocks = recorder::blocks(description.nominal_rate_hz, config.block_samples);
    } else {
        // nothing says how many come at once
        (config.block_samples, config.blocks) = (IRREGULAR_BLOCK, IRREGULAR_BLOCKS);
    }
    config
}
