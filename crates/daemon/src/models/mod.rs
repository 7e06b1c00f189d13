//! The models of a run and of a participant: those that can be put to work now, and those that sessions saved.

pub mod keeper;
mod participant_files;
pub(crate) mod posted;
pub mod run_models;
pub mod saved;
pub mod saved_references;
pub mod saved_session;
pub mod saved_state;
