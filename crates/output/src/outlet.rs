//! The cursor as an LSL stream.

use kalmind_types::{NumberFormat, TickOutput};
use lsl::{ChannelFormat, ExPushable as _, StreamInfo, StreamOutlet};

use crate::{
    LslError,
    channel_scale::{Counts, WholeNumbers},
    cursor_heartbeat::CursorHeartbeat,
    cursor_row::{Channel, CursorLayout, CursorOutletConfig, RowWriter},
};

/// How many seconds an outlet keeps for a reader that is slow.
const KEPT_SECONDS: i32 = 360;

/// A cursor outlet in operation. Stays in the thread that made it.
pub(crate) struct CursorOutlet {
    outlet: StreamOutlet,
    row: RowWriter,
    values: Values,
}

/// One sample, in the outlet's number format; allocated once.
enum Values {
    Float32(Vec<f32>),
    Double64(Vec<f64>),
    Int8(Vec<i8>, WholeNumbers),
    Int16(Vec<i16>, WholeNumbers),
    Int32(Vec<i32>, WholeNumbers),
}

impl CursorOutlet {
    /// Makes the outlet; from then on readers can find it.
    pub(crate) fn new(config: &CursorOutletConfig, layout: &CursorLayout) -> Result<Self, LslError> {
        let row = RowWriter::new(config, layout)?;
        let width = row.channels.len();
        let carries = || row.channels.iter().map(|channel| row.carries(channel)).collect();
        let whole = |least: f64, greatest: f64| WholeNumbers::new(carries(), least, greatest);
        let (format, values) = match config.format {
            NumberFormat::Float32 => (ChannelFormat::Float32, Values::Float32(vec![0.0; width])),
            NumberFormat::Double64 => (ChannelFormat::Double64, Values::Double64(vec![0.0; width])),
            NumberFormat::Int8 => {
                let whole = whole(f64::from(i8::MIN), f64::from(i8::MAX));
                (ChannelFormat::Int8, Values::Int8(vec![0; width], whole))
            }
            NumberFormat::Int16 => {
                let whole = whole(f64::from(i16::MIN), f64::from(i16::MAX));
                (ChannelFormat::Int16, Values::Int16(vec![0; width], whole))
            }
            NumberFormat::Int32 => {
                let whole = whole(f64::from(i32::MIN), f64::from(i32::MAX));
                (ChannelFormat::Int32, Values::Int32(vec![0; width], whole))
            }
            other @ NumberFormat::Int64 => {
                return Err(LslError::Format { outlet: config.name.clone(), format: other });
            }
        };
        let created = |source| LslError::Create { outlet: config.name.clone(), source };
        let mut info = StreamInfo::new(
            &config.name,
            &config.content_type,
            row.channels.len() as u32,
            1000.0 / layout.bin_ms,
            format,
            &config.source_id,
        )
        .map_err(created)?;
        describe(&mut info, layout, config.counts, &row);
        let outlet = StreamOutlet::new(&info, 0, KEPT_SECONDS).map_err(created)?;
        Ok(Self { outlet, row, values })
    }

    /// Whether anybody reads it.
    pub(crate) fn is_read(&self) -> bool {
        self.outlet.have_consumers()
    }

    /// Pushes a sample without a tick, stamped with its own time. Does not wait for readers.
    pub(crate) fn push_heartbeat(&mut self, heartbeat: &CursorHeartbeat) -> Result<(), lsl::Error> {
        self.send(heartbeat.time.0, false, |row, put| row.write_heartbeat(heartbeat, put))
    }

    /// Pushes a tick, stamped with its time. Does not wait for readers.
    pub(crate) fn push(&mut self, output: &TickOutput, age_ms: f64) -> Result<(), lsl::Error> {
        self.send(output.time.0, output.state.moves(), |row, put| row.write(output, age_ms, put))
    }

    /// Writes a sample in the outlet's number format; `moves` says whether the cursor does.
    fn send(
        &mut self,
        stamp: f64,
        moves: bool,
        write: impl FnOnce(&mut RowWriter, &mut dyn FnMut(usize, f64)),
    ) -> Result<(), lsl::Error> {
        let Self { outlet, row, values } = self;
        if let Values::Int8(_, whole) | Values::Int16(_, whole) | Values::Int32(_, whole) = values {
            whole.rest_unless(moves);
        }
        match values {
            Values::Double64(values) => {
                write(row, &mut |index, value| values[index] = value);
                outlet.push_sample_ex(values, stamp, true)
            }
            Values::Float32(values) => {
                write(row, &mut |index, value| {
                    values[index] = value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
                });
                outlet.push_sample_ex(values, stamp, true)
            }
            Values::Int8(values, whole) => {
                write(row, &mut |index, value| values[index] = whole.round(index, value) as i8);
                outlet.push_sample_ex(values, stamp, true)
            }
            Values::Int16(values, whole) => {
                write(row, &mut |index, value| values[index] = whole.round(index, value) as i16);
                outlet.push_sample_ex(values, stamp, true)
            }
            Values::Int32(values, whole) => {
                write(row, &mut |index, value| values[index] = whole.round(index, value) as i32);
                outlet.push_sample_ex(values, stamp, true)
            }
        }
    }
}

/// The stream's header: labels and units, that samples may be missing, and where it comes from.
fn describe(info: &mut StreamInfo, layout: &CursorLayout, counts: Counts, row: &RowWriter) {
    let mut desc = info.desc();
    let mut list = desc.append_child("channels");
    for (channel, (factor, shift)) in row.channels.iter().zip(row.factors.iter().zip(&row.shifts)) {
        let mut unit = channel.unit.clone();
        if factor.to_bits() != 1.0_f64.to_bits() {
            unit = format!("{unit} * {factor}");
        }
        if shift.abs() > 0.0 {
            unit = format!("{unit} + {shift}");
        }
        let mut entry = list.append_child("channel");
        entry.append_child_value("label", &channel.label);
        entry.append_child_value("unit", &unit);
    }
    let counts = if counts == Counts::Velocity { "velocity" } else { "position" };
    desc.append_child("cursor").append_child_value("counts", counts);
    desc.append_child("synchronization").append_child_value("can_drop_samples", "true");
    if row.channels.iter().any(Channel::is_of_intent) {
        let gated = if row.gated { "true" } else { "false" };
        desc.append_child("intent").append_child_value("gated", gated);
    }
    describe_session(info, layout);
}

/// Who made the stream, in which session.
pub(crate) fn describe_session(info: &mut StreamInfo, layout: &CursorLayout) {
    let mut desc = info.desc();
    desc.append_child("acquisition").append_child_value("manufacturer", "Kalmind");
    let mut session = desc.append_child("kalmind");
    for (name, value) in [
        ("version", layout.version.as_str()),
        ("session", &layout.session),
        ("run", &layout.run.to_string()),
        ("instance", &layout.instance),
        ("participant", &layout.participant),
        ("bin_ms", &layout.bin_ms.to_string()),
        ("workspace_height", &layout.height.to_string()),
    ] {
        session.append_child_value(name, value);
    }
}
