//! The end of a run, for people and for programs.

use std::{fmt::Write as _, path::Path};

use kalmind_offline::report::{SessionPageError, page_beside, write_session_page};
use kalmind_recording::{Existing, NewFileError};
use kalmind_types::Counted;
use serde_json::{Map, Value, json};

use crate::{
    failure::{OrFail as _, Outcome},
    log::say,
    running::summary::Summary,
    terminal::Terminal,
};

impl Summary {
    /// Writes the page of the session beside its recording, if there is one, and says where it is. A run ends well whether
    /// or not its page can be written.
    pub fn write_page(&self) {
        let Some(file) = self.recording.as_ref().and_then(|recording| recording["file"].as_str()) else {
            return;
        };
        let page = page_beside(Path::new(file));
        match write_session_page(Path::new(file), &page, Existing::Refuse, &Terminal) {
            Ok(()) => say(&format!("page of the session: {}", page.display())),
            Err(SessionPageError::Write(error @ (NewFileError::Exists(_) | NewFileError::Link(_)))) => {
                say(&format!(
                    "no page of the session: {error}; `kalmind recording report {file} -o FILE.html` writes one"
                ));
            }
            Err(error) => say(&format!("no page of the session: {error}")),
        }
    }

    /// A run whose recording has lost anything does not end as if all were well.
    ///
    /// # Errors
    /// Exit code 1, with what is missing.
    pub fn require_recording(&self) -> Outcome<()> {
        match &self.recording_loss {
            Some(loss) => Err(anyhow::anyhow!("{loss}")).or_work(),
            None => Ok(()),
        }
    }

    /// A count by name.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.counts.iter().find(|(known, _, _)| *known == name).map_or(0, |(_, _, value)| *value)
    }

    /// Samples that arrived and were not decoded: missing, dropped and late ones of all streams.
    #[must_use]
    pub fn lost_samples(&self) -> u64 {
        self.streams
            .iter()
            .map(|stream| stream.counts.missing + stream.counts.dropped + stream.counts.late)
            .sum()
    }

    /// Latencies by stage, in microseconds.
    #[must_use]
    pub fn latency_us(&self) -> Value {
        let stages: Map<String, Value> = self
            .latency
            .stages
            .iter()
            .map(|stage| {
                (
                    stage.stage.name().to_owned(),
                    match stage.count {
                        // nothing was measured, and nothing is no latency
                        0 => json!({ "p50": null, "p99": null, "max": null }),
                        _ => json!({ "p50": stage.p50, "p99": stage.p99, "max": stage.max }),
                    },
                )
            })
            .collect();
        Value::Object(stages)
    }

    /// The whole summary as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let counts: Map<String, Value> =
            self.counts.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value))).collect();
        let states: Map<String, Value> = self
            .state_seconds
            .iter()
            .map(|(state, seconds)| (state.name().to_owned(), json!(seconds)))
            .collect();
        json!({
            "tick": counts,
            "state_seconds": states,
            "events": self.events,
            "streams": self.streams,
            "input": self.input,
            "latency_us": self.latency_us(),
            "steal_ms": self.latency.steal_ms,
            "lost_samples": self.lost_samples(),
            "recording": self.recording,
            "task": self.task,
            "log": { "dropped_lines": self.dropped_lines },
        })
    }

    /// The whole summary as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}, {} incomplete, {} late, {} closed by max_wait_ms; {}; {} lost\n",
            Counted(self.count("ticks"), "tick"),
            self.count("incomplete"),
            self.count("late"),
            self.count("deadlines"),
            Counted(self.events, "event"),
            Counted(self.lost_samples(), "sample")
        );
        let states: Vec<String> = self
            .state_seconds
            .iter()
            .filter(|(_, seconds)| *seconds > 0.0)
            .map(|(state, seconds)| format!("{state} {seconds:.1} s"))
            .collect();
        let _infallible = writeln!(text, "  time in each state: {}", states.join(", "));
        let _infallible = writeln!(text, "  input: {}", self.input.text);
        for stream in &self.streams {
            let counts = stream.counts;
            let _infallible = writeln!(
                text,
                "  {:<24} {:<9} at the end; {} received, {} missing, {} dropped, {} late, {}",
                stream.key,
                stream.health,
                counts.received,
                counts.missing,
                counts.dropped,
                counts.late,
                Counted(counts.reconnects, "reconnect")
            );
            if counts.overflows > 0 {
                let _infallible = writeln!(
                    text,
                    "    LSL's input queue was full {}: samples may have been lost without being counted",
                    Counted(counts.overflows, "time")
                );
            }
            if let Some(remark) = stream.arrival.as_ref().and_then(|arrival| arrival.remark.as_ref()) {
                let _infallible = writeln!(text, "    {remark}");
            }
        }
        let _infallible = writeln!(text, "  latency, µs {:>14} {:>10} {:>10}", "p50", "p99", "max");
        for stage in &self.latency.stages {
            if stage.count == 0 {
                let _infallible =
                    writeln!(text, "    {:<10} {:>11} {:>10} {:>10}", stage.stage.name(), "-", "-", "-");
                continue;
            }
            let _infallible = writeln!(
                text,
                "    {:<10} {:>11.1} {:>10.1} {:>10.1}",
                stage.stage.name(),
                stage.p50,
                stage.p99,
                stage.max
            );
        }
        if let Some(recording) = &self.recording {
            let count = |name: &str| recording[name].as_u64().unwrap_or_default();
            let _infallible = writeln!(
                text,
                "  recording {}: {:.1} MB; not recorded: {}, {}, {}, {}",
                recording["file"].as_str().unwrap_or_default(),
                count("bytes") as f64 / 1e6,
                Counted(count("lost_samples"), "sample"),
                Counted(count("lost_ticks"), "tick"),
                Counted(count("lost_events"), "event"),
                Counted(count("lost_texts"), "text")
            );
            for file in recording["earlier_files"].as_array().into_iter().flatten() {
                let _infallible = writeln!(text, "    {}", file["because"].as_str().unwrap_or_default());
            }
            if let Some(problem) = recording["problem"].as_str() {
                let _infallible = writeln!(text, "    {problem}");
            }
        }
        for sentence in &self.task_sentences {
            let _infallible = writeln!(text, "  task markers: {sentence}");
        }
        if self.dropped_lines > 0 {
            let _infallible = writeln!(
                text,
                "  log: {} dropped, because nobody read stderr",
                Counted(self.dropped_lines, "line")
            );
        }
        if let Some(steal) = self.latency.steal_ms {
            let _infallible = writeln!(text, "  processor time taken by the hypervisor: {steal} ms");
        }
        text
    }
}
