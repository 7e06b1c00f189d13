//! The commands, a file each: arguments with their help, and what is done. [`command_line`] lists them.

mod beginning;
pub mod command;
pub mod command_line;
pub mod decoders;
pub mod demo;
pub mod doctor;
pub mod evaluate;
pub mod features;
pub mod fit;
mod live_session;
pub mod participant_arguments;
pub mod recording;
pub mod reference;
pub mod replay;
pub mod result;
pub mod run;
pub mod session;
pub mod simulate;
pub mod streams;
mod summary;
pub mod table_arguments;
mod values;
