//! The tick thread and its queues: the one place where samples become cursor movement.

mod counts;
mod lane;
mod panics;
mod record;
mod round;
mod stop_latch;
mod thread;

pub use counts::{Settling, Suspects, TickCounts, WindowCounts};
pub use lane::{Lane, LaneSource, lane};
pub use panics::silence_panics_here;
pub use record::{EngineView, RecordLane, TickRecord};
pub use round::QueuedCommand;
pub use stop_latch::StopLatch;
pub use thread::{StreamInput, TickQueues, TickThread};
