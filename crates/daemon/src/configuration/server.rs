//! `[server]`: who may read the cursor and steer, and at what cost.

use std::net::{Ipv4Addr, SocketAddr};

use kalmind_output::{Limits, ServerConfig, Token};

use super::{
    check::Conflicts,
    rule::Rule,
    table::{table, table_of},
};
use crate::process::open_files::most_connections;

table_of! {
    /// What clients may cost.
    Limits {
        /// Connections at the same time. If there is one more, the one that has been silent longest is closed; if all are
        /// WebSocket clients that read, the new one is turned away, unless it asks for STOP.
        connections as "max_connections": usize = Limits::default().connections, in Rule::Between(1.0, 4096.0);
        /// Largest message that a client may send, in bytes.
        message_bytes as "max_message_bytes": usize = Limits::default().message_bytes, in Rule::Between(256.0, 65_536.0);
        /// Messages that a client may send per second; one that sends more is disconnected.
        messages_per_second as "max_messages_per_s": u32 = Limits::default().messages_per_second, in Rule::Between(1.0, 10_000.0);
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
        /// What clients may cost.
        limits: Limits = Limits::default(), and part;
    }
}

impl Server {
    /// As the server takes it.
    #[must_use]
    pub fn config(&self, token: Token) -> ServerConfig {
        ServerConfig {
            allowed_hosts: self.allowed_hosts.clone(),
            allowed_origins: self.allowed_origins.clone(),
            limits: self.limits,
            ..ServerConfig::new(self.bind, token)
        }
    }
}

impl Conflicts<'_> {
    /// `[server]`.
    pub(super) fn server(&mut self, server: &Server) {
        if server.bind.ip().is_unspecified() && server.allowed_hosts.is_empty() && self.known(&["server"]) {
            self.at(
                self.value("server.bind"),
                "`server.bind` listens on every address, but no `allowed_hosts` are given",
                "requests from other machines would all be refused",
                "add allowed_hosts = [\"NAME:PORT\"] as clients will write it, or bind one address",
            );
        }
        if let Some(most) = most_connections(server.limits.connections)
            && self.known(&["server.max_connections"])
        {
            self.at(
                self.value("server.max_connections"),
                "`server.max_connections` needs more open files than this system allows the program",
                "a STOP might not get through",
                format!(
                    "use at most {most}, or raise the hard limit of open files (`ulimit -Hn` shows it; LimitNOFILE= in a \
                     systemd unit, nofile in /etc/security/limits.conf)"
                ),
            );
        }
    }
}
