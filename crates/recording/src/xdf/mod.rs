//! XDF 1.0: the file format of recordings. [`encode`] makes chunks, [`writer`] puts them into a file.

pub mod encode;
pub mod writer;
