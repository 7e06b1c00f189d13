//! The tick thread and its queues: the one place where samples become cursor movement.

mod counts;
mod lane;
mod panics;
mod record;
mod stop_latch;
mod thread;

pub use counts::{Suspects, TickCounts};
pub use lane::{Lane, LaneSource, lane};
pub use panics::silence_panics_here;
pub use record::{EngineView, RecordLane, TickRecord};
pub use stop_latch::StopLatch;
pub use thread::{QueuedCommand, StreamInput, TickQueues, TickThread};
