//! Every reader of windows, by the registry: equal windows give equal bits, a window knows nothing of the one before.

use kalmind_filter::{MAX_VALUES, READERS, ReaderSettings, WindowShape};

const SAMPLES: usize = 40;

fn shape(channels: usize) -> WindowShape {
    WindowShape { channels: (0..channels).map(|channel| format!("ch{channel}")).collect(), samples: SAMPLES }
}

/// Rows of three channels.
fn rows(seed: u64) -> Vec<[f64; 3]> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..SAMPLES).map(|_| [next(), next(), next()]).collect()
}

#[test]
fn every_reader_reads_a_window_alike_whatever_it_read_before() {
    for entry in READERS {
        let settings = (entry.example)();
        assert_eq!(settings.name(), entry.name);
        assert!(!entry.about.is_empty());
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<ReaderSettings>(&text).unwrap(), settings);
        let read = |before: Option<u64>| {
            let mut reader = settings.build(&shape(3)).unwrap();
            if let Some(seed) = before {
                // one that was not finished
                reader.begin();
                for row in rows(seed).iter().take(7) {
                    reader.row(row);
                }
            }
            reader.begin();
            for row in &rows(1) {
                reader.row(row);
            }
            let mut values = vec![f64::NAN; reader.names().len()];
            reader.finish(&mut values);
            values
        };
        let alone = read(None);
        assert!(alone.iter().all(|value| value.is_finite()), "{}", entry.name);
        assert!(alone.len() <= MAX_VALUES);
        let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(read(Some(2))), bits(alone), "{}", entry.name);
    }
}

#[test]
fn the_mean_is_that_of_each_channel() {
    // `numpy.mean` of columns that are exact: 0, 1, .., 39, minus that, and a constant
    let mut reader = (READERS[0].example)().build(&shape(3)).unwrap();
    reader.begin();
    for sample in 0..SAMPLES {
        reader.row(&[sample as f64, -(sample as f64), 0.25]);
    }
    let mut values = [0.0; 3];
    reader.finish(&mut values);
    assert!(values.iter().zip([19.5, -19.5, 0.25]).all(|(found, mean)| (found - mean).abs() < 1e-15));
}

#[test]
fn more_values_than_an_event_holds_are_refused_at_once() {
    let settings = (READERS[0].example)();
    assert!(settings.build(&shape(MAX_VALUES)).is_ok());
    let error = settings.build(&shape(MAX_VALUES + 1)).unwrap_err().to_string();
    assert!(error.contains("1025"), "{error}");
    assert!(settings.build(&shape(0)).is_err());
}
