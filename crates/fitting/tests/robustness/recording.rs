//! The real recording (Flint et al. 2012, first run, as published with the DKF).

use kalmind_filter::TrainingData;
use nalgebra::DMatrix;

/// Its 6000 rows, or `None`, said plainly, where `KALMIND_DATA` does not name the data folder.
pub(crate) fn recording() -> Option<TrainingData> {
    let Some(data) = std::env::var_os("KALMIND_DATA").map(std::path::PathBuf::from) else {
        println!("SKIPPED: KALMIND_DATA is not set, so the recording is not there");
        return None;
    };
    Some(TrainingData::new(table(&data.join("flint/x.csv")), table(&data.join("flint/z.csv"))))
}

/// Its first rows.
pub(crate) fn first_rows(data: &TrainingData, rows: usize) -> TrainingData {
    TrainingData::new(data.features.rows(0, rows).into_owned(), data.states.rows(0, rows).into_owned())
}

fn table(path: &std::path::Path) -> DMatrix<f64> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<f64>> =
        text.lines().map(|line| line.split(',').map(|value| value.parse().unwrap()).collect()).collect();
    DMatrix::from_fn(rows.len(), rows[0].len(), |row, column| rows[row][column])
}
