//! The floor of every latency figure: a stream of 32-bit floats passed on as it came, by plain calls of liblsl.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program that reports to a terminal")]

use lsl::{ChannelFormat, ExPushable, Pullable, StreamInfo, StreamInlet, StreamOutlet};

/// Seconds that the stream may take to appear.
const SEARCH: f64 = 30.0;
/// Seconds that a pull waits; a sample ends the wait at once.
const PATIENCE: f64 = 1.0;

/// One thread: a blocking pull from the stream named `input`, a push to an outlet named `output` with the same stamp.
/// Prints `ready` when it is connected, and ends when the outlet it reads from does. No part of Kalmind is in it.
pub(crate) fn relay(input: &str, output: &str) {
    let found = lsl::resolve_byprop("name", input, 1, SEARCH).expect("LSL searches");
    let source = found.first().expect("the stream is there");
    let inlet = StreamInlet::new(source, 360, 0, false).expect("an inlet");
    let channels = source.channel_count() as u32;
    let header =
        StreamInfo::new(output, "Relay", channels, source.nominal_srate(), ChannelFormat::Float32, output)
            .expect("a header");
    let outlet = StreamOutlet::new(&header, 0, 360).expect("an outlet");
    inlet.open_stream(SEARCH).expect("the stream opens");
    println!("ready");
    let mut row = vec![0.0_f32; channels as usize];
    while let Ok(stamp) = inlet.pull_sample_buf(&mut row, PATIENCE) {
        if stamp != 0.0 {
            outlet.push_sample_ex(&row, stamp, true).expect("pushed");
        }
    }
}
