//! The model that the daemon runs, and what the textbook makes of the same rows.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use kalmind_filter::Parameters;

use crate::{
    comparison::Consumed,
    processes::{Laboratory, Scheduling},
    textbook::TextbookKalman,
};

/// Rows that the model is fitted on, and that are pushed over and over.
const ROWS: usize = 2000;

/// Fits `kalman-steady` with two components to generated rows. Gives the rows as they are pushed, in 32 bits.
pub(crate) fn write_model(
    laboratory: &Laboratory,
    channels: usize,
    rate: f64,
    binning: &str,
) -> anyhow::Result<Vec<Vec<f64>>> {
    let mut state = 1_u64;
    let mut noise = || {
        // a sum of uniform numbers from a 64-bit congruential generator: near enough to a Gaussian
        (0..6)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
            })
            .sum::<f64>()
    };
    let (mut features, mut states) = (String::new(), String::new());
    let mut velocity = [0.0_f64; 2];
    let mut rows = Vec::with_capacity(ROWS);
    for _ in 0..ROWS {
        velocity = velocity.map(|value| 0.95 * value + 0.3 * noise());
        let [x, y] = velocity;
        let row: Vec<f64> = (0..channels)
            .map(|channel| {
                let angle = channel as f64 * 0.6;
                f64::from((x * angle.cos() + y * angle.sin() + 2.0 * noise()) as f32)
            })
            .collect();
        let cells: Vec<String> = row.iter().map(f64::to_string).collect();
        writeln!(features, "{}", cells.join(","))?;
        writeln!(states, "{x},{y}")?;
        rows.push(row);
    }
    std::fs::write(laboratory.path("rows.csv"), features)?;
    std::fs::write(laboratory.path("states.csv"), states)?;
    let output = laboratory
        .command(Scheduling::Normal, std::path::Path::new(env!("CARGO_BIN_EXE_kalmind")))
        .args(["fit", "--features", "rows.csv", "--states", "states.csv", "--rate", &rate.to_string()])
        .args(["--decoder", "kalman-steady", "--binning", binning, "-o", "model.kalmind"])
        .output()?;
    if !output.status.success() {
        bail!("the fit failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(rows)
}

/// How far the intents that came out are from the textbook's: the largest difference of a mean, over the largest mean.
/// Ticks that are marked incomplete stand for samples that the producer sent too late to be the next; the textbook makes a
/// time update of each.
pub(crate) fn difference(
    laboratory: &Laboratory,
    rows: &[Vec<f64>],
    decoded: &Consumed,
) -> anyhow::Result<f64> {
    let (model, _) = kalmind_recording::read_model(&laboratory.path("model.kalmind"))?;
    let Parameters::KalmanSteady(kalman) = &model.parameters else { bail!("not the model that was fitted") };
    let mut textbook = TextbookKalman::new(kalman, true).context("matrices with an inverse")?;
    let labels = decoded.labels.as_ref().context("labels")?;
    let column = |name: &str| {
        labels
            .iter()
            .position(|label| label.as_deref() == Some(name))
            .with_context(|| format!("a channel {name}"))
    };
    let (first, incomplete) = (column("intent_vx")?, column("incomplete")?);
    let (mut most, mut scale) = (0.0_f64, 0.0_f64);
    let mut rows = rows.iter().cycle();
    for sample in &decoded.samples {
        let row = if sample[incomplete] > 0.0 { None } else { rows.next() };
        textbook.step(row.map(Vec::as_slice)).context("matrices with an inverse")?;
        for (found, expected) in sample[first..].iter().zip(textbook.mean.iter()) {
            most = most.max((found - expected).abs());
            scale = scale.max(expected.abs());
        }
    }
    Ok(most / scale)
}
