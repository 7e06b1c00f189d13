//! XDF 1.0: the file format of recordings.
//!
//! [`encode`] makes chunks and [`writer`] puts them into a file. [`chunks`] reads them one after the other; [`header`] and
//! [`samples`] say what is in them. [`recording`] reads a file whole, [`repair`] checks and mends one,
//! [`synchronization`] puts its stamps on one clock.

pub mod chunks;
pub mod encode;
pub mod header;
pub mod recording;
pub mod repair;
pub mod samples;
pub mod synchronization;
pub mod writer;
