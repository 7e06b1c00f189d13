//! Publishers: everything by which other programs and people get what the tick thread makes.
//!
//! ```text
//! tick thread --queue--> LSL publisher thread --> cursor outlets, events outlet, latency ledger
//!            '--queue--> bridge thread --> hub --> clients thread --> WebSocket clients
//!
//! connection --> server thread --STOP--> tick thread
//!                    '--> http thread (HTTP, console) --upgrade--> clients thread
//! ```
//!
//! *Invariants:* nothing here runs on the tick thread, and nothing that a client does can make it wait: queues are
//! bounded, and the tick thread never blocks on one. A message is serialised once, whatever the number of clients. No
//! number that is not finite leaves. This crate knows neither engine nor acquisition: publications come through a
//! [`PublicationSource`], requests go to [`Controls`], time comes from a [`Clock`].

mod access;
mod admission;
mod app;
mod assets;
mod bridge;
mod channel_scale;
mod charge;
mod client;
mod clock;
mod closing;
mod connection;
mod continuity;
mod controls;
mod cors;
mod counters;
mod cursor_heartbeat;
mod cursor_row;
mod documents;
mod door;
mod flow;
mod hub;
mod ledger;
mod limits;
mod lsl_error;
mod messages;
mod metrics;
mod models;
mod numeric_outlet;
mod outlet;
mod permission;
mod placed;
mod places;
mod player_outlet;
mod presence;
mod publisher;
mod rate;
mod refusal;
mod request;
mod routes;
mod server;
mod session;
mod session_feed;
mod source;
mod stages;
mod state_times;
mod status;
mod steering;
mod token;
mod upgrade;
mod watchdog;
mod writer;

use access::{Access, Credentials, Denied};
pub use bridge::{Bridge, OnStateChange};
pub use channel_scale::{Counts, PerChannel};
pub use clock::Clock;
pub use controls::{ControlRefused, Controls, DecoderInfo, ModelEntry, ModelList, StagesRequest};
pub use counters::ClientCounts;
use counters::Counters;
pub use cursor_row::{CursorLayout, CursorOutletConfig, CursorRow, NO_NEWEST, NO_SEQ, cursor_channel_labels};
pub use hub::{Hub, SessionInfo};
pub use ledger::{Ledger, LedgerSnapshot, LedgerWriter, Stage, StageSummary};
pub use limits::Limits;
pub use lsl_error::LslError;
pub use messages::{PROTOCOL, Workspace};
pub use numeric_outlet::{NumericOutlet, NumericOutletConfig};
pub use player_outlet::{PlayerOutlet, PlayerOutletConfig};
pub use publisher::{EventsOutletConfig, LslCounts, LslPublisher, spawn_lsl_publisher};
pub use server::{Server, ServerConfig, ServerError, start_server};
pub use source::PublicationSource;
pub use token::{Token, TokenError};
