//! `[server]` and `[output]`: who may read the cursor, and where it appears.

use std::net::{Ipv4Addr, SocketAddr};

use kalmind_output::{Counts, PerChannel};
use kalmind_types::NumberFormat;
use toml::{Spanned, Value, de::DeValue};

use super::{
    reader::Reader,
    rule::Rule,
    setting::Setting,
    table::{choices, table},
};

choices!(NumberFormat {
    Float32 => "float32",
    Double64 => "double64",
    Int8 => "int8",
    Int16 => "int16",
    Int32 => "int32",
});

choices!(Counts { Position => "position", Velocity => "velocity" });

impl Setting for PerChannel {
    fn kind() -> String {
        "number, or a list of one a channel".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
        match value.get_ref() {
            DeValue::Array(elements) => {
                let numbers = Vec::<f64>::read(value, rule, reader)?;
                // with one that was refused the others have no place
                (numbers.len() == elements.len()).then_some(Self::Each(numbers))
            }
            DeValue::Integer(_) | DeValue::Float(_) => f64::read(value, rule, reader).map(Self::Cursor),
            _ => reader.wrong_type(value, &Self::kind()),
        }
    }

    fn write(&self) -> Option<Value> {
        match self {
            Self::Cursor(number) => number.write(),
            Self::Each(numbers) => numbers.write(),
        }
    }
}

table! {
    /// The WebSocket and HTTP server, and the console page on it.
    pub struct Server {
        /// Address and port. On any address but a loopback one, reading needs the token too.
        bind: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8765));
        /// The secret that is needed for everything but STOP and reading from this machine.
        token: Option<String> = None, in Rule::Token, or "a new random one each run, shown at start";
        /// Origins of web pages, besides the console's own, that may use the server: to stop without the token, for
        /// everything else with it. `file:` stands for pages opened from a file, `null` for pages that have no origin; any
        /// site can make one of those, so either lets any site stop.
        allowed_origins: Vec<String> = Vec::new(), in Rule::Origin;
        /// Host header values to accept in addition to the bound address and the loopback names.
        allowed_hosts: Vec<String> = Vec::new(), in Rule::Host;
        /// Connections at the same time. If there is one more, the one that has been silent longest is closed; if all are
        /// WebSocket clients that read, the new one is turned away, unless it asks for STOP.
        max_connections: usize = 64, in Rule::Between(1.0, 4096.0);
        /// Largest message that a client may send, in bytes.
        max_message_bytes: usize = 4096, in Rule::Between(256.0, 65_536.0);
        /// Messages that a client may send per second; one that sends more is disconnected.
        max_messages_per_s: u32 = 50, in Rule::Between(1.0, 10_000.0);
    }
}

table! {
    /// An LSL outlet of the cursor, one sample a tick, and without ticks one every 100 ms with velocity 0; one table for each outlet. Without any there is one, named after
    /// the instance; `lsl = []` under `[output]` switches it off.
    pub struct CursorOutlet {
        /// The stream's name; no two outlets alike.
        name: Option<String> = None, or "the instance's name and \"-Cursor\"";
        /// The stream's content type.
        content_type as "type": String = "Cursor".to_owned();
        /// The stream's source identifier, by which readers find it again after a restart.
        source_id: Option<String> = None, or "the stream's name in lower case";
        /// The stream's number format. Whole numbers are rounded to the nearest one, halves away from zero; what they
        /// cannot hold becomes the nearest that they can.
        format: NumberFormat = NumberFormat::Double64;
        /// What the reader uses. `position`: vx and vy are what moved Kalmind's own cursor, 0 where it stands at the edge
        /// of its workspace. `velocity`: the reader keeps the position itself, so vx and vy ignore the edges; with whole
        /// numbers the rounding error is carried into the next sample, so that a slow movement is not lost.
        counts: Counts = Counts::Position;
        /// Factor for readers that expect other units: one number for x, y, vx and vy alone (the intent stays in the units it
        /// was fitted in), or a list with a factor for every channel of the outlet in its order; a negative one flips a
        /// channel, as for a screen whose y goes down.
        scale: PerChannel = PerChannel::Cursor(1.0), in Rule::Between(-1e9, 1e9);
        /// Added after the factor: one number to x and y alone, or a list with one for every channel.
        offset: PerChannel = PerChannel::Cursor(0.0), in Rule::Between(-1e9, 1e9);
        /// Labels of the channels to send, in their order.
        channels: Option<Vec<String>> = None, or "all channels";
        /// Whether intent, covariance and `intent_valid` are 0 while the state lets nothing move the cursor (STOP, stale
        /// input, fault, idle). Without the channel `state` a reader could not know, and would move on.
        gated: Option<bool> = None, or "true where `channels` leaves out `state`, else false";
    }
}

table! {
    /// The LSL outlet of the events (text, JSON).
    pub struct EventsOutlet {
        /// The stream's name.
        name: Option<String> = None, or "the instance's name and \"-Events\"";
        /// The stream's source identifier.
        source_id: Option<String> = None, or "the stream's name in lower case";
    }
}

table! {
    /// Outputs in addition to the server.
    pub struct Output {
        /// The cursor over LSL.
        lsl: Vec<CursorOutlet> = vec![CursorOutlet::default()];
        /// The events over LSL.
        events: EventsOutlet = EventsOutlet::default();
    }
}

impl CursorOutlet {
    /// The stream's name, given the instance's.
    pub fn name(&self, instance: &str) -> String {
        self.name.clone().unwrap_or_else(|| format!("{instance}-Cursor"))
    }

    /// The stream's source identifier, given the instance's name.
    pub fn source_id(&self, instance: &str) -> String {
        self.source_id.clone().unwrap_or_else(|| self.name(instance).to_lowercase())
    }
}

impl EventsOutlet {
    /// The stream's name, given the instance's.
    pub fn name(&self, instance: &str) -> String {
        self.name.clone().unwrap_or_else(|| format!("{instance}-Events"))
    }

    /// The stream's source identifier, given the instance's name.
    pub fn source_id(&self, instance: &str) -> String {
        self.source_id.clone().unwrap_or_else(|| self.name(instance).to_lowercase())
    }
}
