//! What the process asks of the operating system: to be the only one of its name, priorities, open files, an orderly
//! end, and LSL's settings in its environment.

pub mod instance;
pub mod lsl_network;
pub mod open_files;
pub mod realtime;
pub mod termination;
