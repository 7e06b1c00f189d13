//! Whole sessions in simulated time: the simulated participant, the session, binner, engine and fits in one thread, without
//! streams and without waiting.
//!
//! What a bin, a tick, a fit, a swap and a session are is the live daemon's own code; simulated are the participant, the
//! clock (bin times follow each other without a break), and how long a fit takes. Many seeds run on several threads,
//! one session a thread ([`simulate_all`]); the same settings and seed give the same figures, whatever the threads.

mod batch;
mod document;
mod figures;
mod ideal;
mod intervals;
mod perturbation;
mod run;
mod ticks;

pub use batch::{SimulationJob, simulate_all};
pub use document::{document, table};
pub use figures::{SessionFigures, TrialFigures, VerdictFigures};
pub use intervals::{MedianInterval, ShareInterval};
pub use perturbation::Perturbation;
pub use run::{Audience, SimulationSettings, simulate};
