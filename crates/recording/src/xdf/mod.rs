//! XDF 1.0: the file format of recordings. [`encode`] writes chunks.

pub mod encode;
