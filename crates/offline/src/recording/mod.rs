//! What is in a recording, whether it is whole, mended, and in other formats.

mod answer;
mod check;
mod csv_files;
mod edf;
mod export;
mod file;
mod information;
mod models;
mod problems;
mod repairing;

pub use answer::Answer;
pub use check::check;
pub use export::export;
pub use file::require_xdf;
pub use information::information;
pub use models::export_models;
pub use repairing::repair;
