//! XDF 1.0: the file format of recordings.
//!
//! [`encode`] makes chunks and [`writer`] puts them into a file. [`chunks`] reads them one after the other, where a file
//! should be whole; `walk` reads any file and says of every byte what it is, for [`recording`], which reads a file whole,
//! [`check`], which says what is wrong with one, and [`repair`], which mends it. [`header`] and [`samples`] say what is in
//! chunks, [`clocks`] tells which clocks the stamps are on, [`jumps`] where one was set, [`synchronization`] puts them on one.

mod bytes;
pub mod check;
pub mod chunks;
pub mod clocks;
pub mod encode;
pub mod header;
pub mod jumps;
mod problem;
pub mod recording;
pub mod repair;
pub mod samples;
mod source;
pub mod synchronization;
mod walk;
pub mod writer;
mod xml;

pub use problem::{Problem, Severity};
pub use source::{Source, SourceError};
