//! Files: tables of features and states as CSV, and the model file.
//!
//! [`read_table`] and [`read_task_table`] read what `fit` and `evaluate` are given, [`parse_rows`] the row ranges that go
//! with it, and [`write_model`] and [`read_model`] keep a fitted decoder (docs/model.md).
//!
//! *Invariant:* whatever stands in a file, reading it ends in a value that was checked whole or in an error that says
//! where and what; it never panics and its memory is bounded by the size limits here. Nothing here knows a clock, a
//! thread or a decoder's mathematics.

mod click_parameters;
mod date;
pub mod edf;
mod encoding;
mod guard_parameters;
mod header;
pub mod kind;
mod model_file;
mod new_file;
pub mod npz;
mod packed_model;
mod reduction_tensors;
mod repeated_key;
mod rows;
mod segments;
pub mod signals;
mod table;
mod task_table;
mod tensors;
pub mod xdf;

pub use date::date;
pub use model_file::{
    MAX_MODEL_BYTES, MODEL_VERSION, ModelFileError, model_from_bytes, model_to_bytes, model_with_bytes,
    read_model, read_model_bytes, write_model,
};
pub use new_file::{
    Existing, NewFile, NewFileError, folder_of, remove_unfinished, require_writable, write_new_file,
};
pub use packed_model::{FittedRows, PackedModel, UnpackError, UnpackedModel, packed_report, unpack_model};
pub use rows::{RowsError, parse_rows, require_rows};
pub use segments::segment_starts;
pub use table::{
    MAX_TABLE_BYTES, RowCountMismatch, Table, TableError, read_features, read_table, require_same_rows,
    table_from_bytes,
};
pub use task_table::{TaskRow, TaskTable, read_task_table, task_table_from_bytes};
