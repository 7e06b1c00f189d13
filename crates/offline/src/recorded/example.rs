//! A session to record and to replay.

use kalmind_engine::{CursorSettings, EngineSettings};
use kalmind_filter::{LabelLaw, kernel_path};
use kalmind_types::{Component, Mode, Seconds, StreamFeatures};

use super::{ClockReading, ConfigurationText, FORMAT, InputStream, SessionDocument};

impl SessionDocument {
    /// A session of one stream, called `array`, in bins of 20 ms and in control from its start, for tests and benchmarks.
    #[must_use]
    pub fn example(features: StreamFeatures) -> Self {
        let component = |name: &str| Component { name: name.to_owned(), unit: String::new() };
        Self {
            format: FORMAT,
            version: "0".to_owned(),
            session: "session".to_owned(),
            run: 1,
            instance: "Test".to_owned(),
            participant: String::new(),
            subject: serde_json::Value::Null,
            bin_ms: 20.0,
            components: vec![component("vx"), component("vy")],
            workspace: [1.0, 1.0],
            kernel_path: kernel_path().to_owned(),
            guard: true,
            engine: EngineSettings {
                features: vec![features],
                max_masked: 0.25,
                restart_after: Seconds(0.5),
                stale_after: Seconds(0.2),
                auto_resume: Seconds(2.0),
                start: Mode::Control,
                cursor: CursorSettings::default(),
                label_law: LabelLaw::default(),
                plausibility: true,
                fallback_stale: Seconds(0.3),
                doubted_calibrates: true,
            },
            streams: vec![InputStream { key: "array".to_owned(), held_samples: 100, stages: None }],
            windows: Vec::new(),
            configuration: ConfigurationText {
                file: String::new(),
                sha256: String::new(),
                toml: String::new(),
            },
            clock: ClockReading { lsl: 1.0, unix: 2.0 },
            adaptive: None,
        }
    }
}
