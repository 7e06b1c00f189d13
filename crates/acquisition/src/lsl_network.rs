//! Which part of the network LSL uses: the text of the file that `LSLAPICFG` names.

use core::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// How far streams are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Over 127.0.0.1 alone, by IPv4: nothing leaves the machine, and nothing but the loopback interface is needed.
    Loopback,
    /// On this machine, over whatever interfaces it has.
    Machine,
    /// On the laboratory's network, as LSL does by itself.
    #[default]
    Lab,
}

/// LSL's network settings, as far as Kalmind sets them. What is `None` keeps LSL's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// How far streams are looked for.
    pub network: Network,
    /// Programs see only streams of their own session (LSL's default: `default`).
    pub session_id: Option<String>,
    /// Hosts to ask directly, where multicast does not reach.
    pub known_peers: Vec<String>,
    /// First port that outlets take.
    pub base_port: Option<u16>,
    /// How many ports from the first on.
    pub port_range: Option<u16>,
    /// Port of the searches. Programs that shall see each other need the same.
    pub multicast_port: Option<u16>,
}

/// Why network settings cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The session identifier holds a character that the file or LSL's queries cannot carry.
    #[error("session_id {0:?}: only letters, digits, `-`, `_` and `.` can be used")]
    SessionId(String),
    /// A peer is no host name or address.
    #[error("known_peers: {0:?} is not a host name or an address")]
    Peer(String),
    /// Fewer than two ports, or more than there are.
    #[error(
        "port_range {range} from base_port {base} on does not fit into 1..=65535 (an outlet takes two ports)"
    )]
    Ports {
        /// First port.
        base: u16,
        /// Number of ports.
        range: u16,
    },
}

impl NetworkConfig {
    /// A session of its own on this machine: what tests and demonstrations use.
    #[must_use]
    pub fn loopback(session_id: impl Into<String>) -> Self {
        Self { network: Network::Loopback, session_id: Some(session_id.into()), ..Self::default() }
    }

    /// The first port that outlets take, and how many there are from it on.
    #[must_use]
    pub fn ports(&self) -> (u16, u16) {
        (self.base_port.unwrap_or(16572), self.port_range.unwrap_or(32))
    }

    /// Whether [`lslapicfg`] can write these settings down.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn validate(&self) -> Result<(), NetworkError> {
        if let Some(session) = &self.session_id
            && !is_plain(session, "-_.")
        {
            return Err(NetworkError::SessionId(session.clone()));
        }
        if let Some(peer) = self.known_peers.iter().find(|peer| !is_plain(peer, "-_.:%")) {
            return Err(NetworkError::Peer(peer.clone()));
        }
        let (base, range) = self.ports();
        if base == 0 || range < 2 || u32::from(base) + u32::from(range) > 65_536 {
            return Err(NetworkError::Ports { base, range });
        }
        Ok(())
    }
}

fn is_plain(text: &str, besides: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || besides.contains(letter))
}

/// The text of the file that `LSLAPICFG` has to name before the first LSL call of a process. Pure; give it settings
/// that [`validate`](NetworkConfig::validate).
#[must_use]
pub fn lslapicfg(config: &NetworkConfig) -> String {
    let mut text = String::from("; written by Kalmind\n[ports]\n");
    let mut line = |key: &str, value: &dyn core::fmt::Display| {
        // writing into a String cannot fail
        let _infallible = writeln!(text, "{key} = {value}");
    };
    if config.network == Network::Loopback {
        line("IPv6", &"disable");
    }
    for (key, port) in [
        ("BasePort", config.base_port),
        ("PortRange", config.port_range),
        ("MulticastPort", config.multicast_port),
    ] {
        if let Some(port) = port {
            line(key, &port);
        }
    }
    if config.network != Network::Lab {
        text.push_str("[multicast]\nResolveScope = machine\n");
    }
    let mut peers = config.known_peers.clone();
    if config.network != Network::Lab && !peers.iter().any(|peer| peer == "127.0.0.1") {
        peers.insert(0, String::from("127.0.0.1"));
    }
    text.push_str("[lab]\n");
    if !peers.is_empty() {
        let _infallible = writeln!(text, "KnownPeers = {{{}}}", peers.join(", "));
    }
    if let Some(session) = &config.session_id {
        let _infallible = writeln!(text, "SessionID = {session}");
    }
    if config.network != Network::Lab {
        // of all outlets on a machine, a search sent to 127.0.0.1 reaches the newest alone; the others answer on ports of
        // their own, which LSL asks half a second later unless it is told that nobody is far away
        text.push_str("[tuning]\nMulticastMinRTT = 0.02\nUnicastMinRTT = 0.1\n");
    }
    // errors only: what happens to a stream is told by its monitor
    text.push_str("[log]\nlevel = -2\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_stays_on_the_machine() {
        let config = NetworkConfig {
            base_port: Some(20_000),
            port_range: Some(64),
            multicast_port: Some(19_999),
            ..NetworkConfig::loopback("test-1")
        };
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(
            lslapicfg(&config),
            "; written by Kalmind\n[ports]\nIPv6 = disable\nBasePort = 20000\nPortRange = 64\nMulticastPort = 19999\n\
             [multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {127.0.0.1}\nSessionID = test-1\n\
             [tuning]\nMulticastMinRTT = 0.02\nUnicastMinRTT = 0.1\n[log]\nlevel = -2\n"
        );
    }

    #[test]
    fn the_lab_keeps_what_lsl_does() {
        let config = NetworkConfig {
            known_peers: vec!["amp.local".into(), "10.0.0.7".into()],
            ..NetworkConfig::default()
        };
        assert_eq!(
            lslapicfg(&config),
            "; written by Kalmind\n[ports]\n[lab]\nKnownPeers = {amp.local, 10.0.0.7}\n[log]\nlevel = -2\n"
        );
    }

    #[test]
    fn the_machine_scope_keeps_ipv6() {
        let text = lslapicfg(&NetworkConfig { network: Network::Machine, ..NetworkConfig::default() });
        assert!(text.contains("ResolveScope = machine") && !text.contains("IPv6"), "{text}");
    }

    #[test]
    fn settings_that_would_change_other_lines_are_refused() {
        let session = NetworkConfig::loopback("a\n[ports]");
        assert!(matches!(session.validate(), Err(NetworkError::SessionId(_))));
        let peer = NetworkConfig { known_peers: vec!["a} b".into()], ..NetworkConfig::default() };
        assert!(matches!(peer.validate(), Err(NetworkError::Peer(_))));
        let ports =
            NetworkConfig { base_port: Some(65_535), port_range: Some(32), ..NetworkConfig::default() };
        assert!(matches!(ports.validate(), Err(NetworkError::Ports { .. })));
    }
}
