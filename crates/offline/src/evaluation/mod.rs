//! The work of `kalmind evaluate`: which rows train and test, decoders at work on them, and what comes out.

pub mod chance;
pub mod channels;
pub mod comparison;
pub mod decode;
pub mod document;
pub mod figures_table;
pub mod predictions;
pub mod runs;
pub mod split;
pub mod text;
