//! `[server]` and `[output]`: who may read the cursor, and where it appears.

use std::net::{Ipv4Addr, SocketAddr};

use kalmind_types::NumberFormat;

use super::{
    rule::Rule,
    table::{choices, table},
};

choices!(NumberFormat { Float32 => "float32", Double64 => "double64" });

table! {
    /// The WebSocket and HTTP server, and the console page on it.
    pub struct Server {
        /// Address and port. Any address but a loopback one makes reading need the token too.
        bind: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8765));
        /// The secret that everything but reading from this machine and STOP needs.
        token: Option<String> = None, in Rule::Token, or "a new random one each run, shown at start";
        /// Browser origins besides the console's own that may connect.
        allowed_origins: Vec<String> = Vec::new(), in Rule::Origin;
        /// Values of the Host header, besides the bound address and the loopback names, that are answered.
        allowed_hosts: Vec<String> = Vec::new(), in Rule::Host;
        /// Connections at the same time. For one more, the one that has been silent longest gives way; where all are
        /// WebSocket clients that read, the new one is turned away, unless it asks for STOP.
        max_connections: usize = 64, in Rule::Between(1.0, 4096.0);
        /// Largest message that a client may send, in bytes.
        max_message_bytes: usize = 4096, in Rule::Between(256.0, 65_536.0);
        /// Messages that a client may send per second; one that sends more is disconnected.
        max_messages_per_s: u32 = 50, in Rule::Between(1.0, 10_000.0);
    }
}

table! {
    /// An LSL outlet of the cursor, one sample a tick; one table for each outlet. Without any there is one, named after
    /// the instance; `lsl = []` under `[output]` switches it off.
    pub struct CursorOutlet {
        /// The stream's name; no two outlets alike.
        name: Option<String> = None, or "the instance's name and \"-Cursor\"";
        /// The stream's content type.
        content_type as "type": String = "Cursor".to_owned();
        /// The stream's source identifier, by which readers find it again after a restart.
        source_id: Option<String> = None, or "the stream's name in lower case";
        /// The stream's number format.
        format: NumberFormat = NumberFormat::Double64;
        /// Factor on x, y, vx and vy alone, for readers that expect other units; the intent stays in the units it was
        /// fitted in.
        scale: f64 = 1.0, in Rule::Between(-1e9, 1e9);
        /// Labels of the channels to send, in their order.
        channels: Option<Vec<String>> = None, or "all channels";
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
    /// Where the cursor and the events appear besides the server.
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
