//! `kalmind streams`: what is on the network.

use std::{io::Write as _, path::PathBuf};

use clap::Args;
use kalmind_acquisition::{StreamSurvey, list_streams};
use kalmind_types::Seconds;

use crate::{
    commands::{
        beginning::{apply_network_of, log_for_lsl},
        command::Command,
        values::seconds,
    },
    failure::{OrFail as _, Outcome},
};

/// List the streams on the network, with measured rate, age and clock offset.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example: kalmind streams --seconds 3 --json")]
pub struct StreamsArguments {
    /// Seconds to listen.
    #[arg(long, value_name = "N", default_value_t = 2.0, value_parser = seconds, allow_negative_numbers = true)]
    pub seconds: f64,
    /// Configuration whose `[lsl]` settings to use.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

impl Command for StreamsArguments {
    fn run(&self) -> Outcome<()> {
        apply_network_of(self.config.as_deref())?;
        log_for_lsl();
        run(self)
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 3 when LSL cannot search.
fn run(arguments: &StreamsArguments) -> Outcome<()> {
    let streams = list_streams(Seconds(arguments.seconds)).or_stream()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        return writeln!(out, "{}", serde_json::json!({ "streams": streams })).or_work();
    }
    if streams.is_empty() {
        return writeln!(
            out,
            "No stream is visible. Is the sender running, in the same LSL session and network? ([lsl] in the \
             configuration; give it with --config)"
        )
        .or_work();
    }
    writeln!(
        out,
        "{:<28} {:<12} {:>5} {:<9} {:>9} {:>9} {:>8} {:>10}  source_id@host",
        "name", "type", "chan", "format", "nominal", "measured", "age ms", "offset ms"
    )
    .or_work()?;
    for stream in &streams {
        writeln!(out, "{}", line(stream)).or_work()?;
    }
    Ok(())
}

fn line(stream: &StreamSurvey) -> String {
    let StreamSurvey { description, .. } = stream;
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let format =
        description.format.map_or_else(|| "text".to_owned(), |format| format!("{format:?}").to_lowercase());
    let nominal = if description.nominal_rate_hz > 0.0 {
        format!("{}", description.nominal_rate_hz)
    } else {
        "irregular".to_owned()
    };
    let mut text = format!(
        "{:<28} {:<12} {:>5} {:<9} {:>9} {:>9} {:>8} {:>10}  {}@{}",
        description.name,
        description.content_type,
        description.channels,
        format,
        nominal,
        number(stream.measured_rate_hz, 2),
        number(stream.age_ms, 1),
        number(stream.clock_offset_ms, 3),
        description.source_id,
        description.hostname
    );
    if let Some(problem) = &stream.problem {
        text.push_str("\n    ");
        text.push_str(problem);
    }
    text
}
