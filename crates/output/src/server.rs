//! The server: one port for the WebSocket, HTTP and the console, on a thread of its own.

use core::{net::SocketAddr, time::Duration};
use std::{
    io,
    sync::{Arc, Mutex, atomic::AtomicU64, mpsc},
    thread,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    runtime,
    sync::watch,
};

use crate::{
    Access, ClientCounts, Controls, Counters, Hub, Ledger, Token, connection, counters::count,
    rate::RateLimit,
};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 64;

/// Where and for whom the server listens.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Address and port; port 0 takes a free one. Loopback unless the configuration says otherwise.
    pub bind: SocketAddr,
    /// The run's token.
    pub token: Token,
    /// Further values of the Host header that are ours, as `name:port`. The loopback names and the bound address with
    /// the bound port are always.
    pub allowed_hosts: Vec<String>,
    /// Further origins whose pages may stop and, with the token, read and steer, as `http://name:port`; or `null`, or
    /// `file:`. Our own always may.
    pub allowed_origins: Vec<String>,
    /// What clients may cost.
    pub limits: Limits,
}

impl ServerConfig {
    /// A server at `bind` with the usual limits, for its own page and programs on this machine.
    #[must_use]
    pub fn new(bind: SocketAddr, token: Token) -> Self {
        Self {
            bind,
            token,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// What clients may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; one more is answered 503, unless it asks for STOP.
    pub connections: usize,
    /// Bytes of a WebSocket message from a client; a longer one ends the connection.
    pub message_bytes: usize,
    /// WebSocket messages a second from one client, and at once; more end the connection.
    pub messages_per_second: u32,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// `control` and `events` requests a second, and at once, of all clients together; more are answered 429.
    pub requests_per_second: u32,
    /// Reads of `/v1/status` and `/metrics` a second, and at once, of all clients together; more are answered 429.
    pub reads_per_second: u32,
    /// How often each WebSocket client is pinged.
    pub ping_every: Duration,
    /// A WebSocket client without a pong for this long, and any client that takes nothing of what is written to it for
    /// this long, is disconnected.
    pub pong_within: Duration,
    /// How long a client may take to send a request's headers, its body, or the token.
    pub request_within: Duration,
    /// Size of a socket's send buffer in bytes (the kernel doubles it).
    pub send_buffer_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            message_bytes: 4096,
            messages_per_second: 50,
            body_bytes: 16 * 1024,
            requests_per_second: 100,
            reads_per_second: 200,
            ping_every: Duration::from_secs(2),
            pong_within: Duration::from_secs(10),
            request_within: Duration::from_secs(5),
            send_buffer_bytes: 64 * 1024,
        }
    }
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another program listens there.
    #[error(
        "{address} is in use by another program: end that program (`ss -ltnp 'sport = :{port}'` names it), or give \
         this instance another port ([server] bind)"
    )]
    PortInUse {
        /// The address asked for.
        address: SocketAddr,
        /// Its port.
        port: u16,
    },
    /// The system does not let this program listen there.
    #[error("{address} is not for this program to listen at ({source}): choose a port above 1023")]
    NotPermitted {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No network device of this machine has that address.
    #[error("{address} is no address of this machine: `ip address` lists them")]
    NoSuchAddress {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The server's thread ended before it listened.
    #[error("the server at {address} ended before it listened")]
    Ended {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("the server at {address} could not start: {source}")]
    Other {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// What every request handler sees.
pub(crate) struct App {
    pub(crate) hub: Hub,
    pub(crate) controls: Arc<dyn Controls>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) access: Access,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    pub(crate) requests: Mutex<RateLimit>,
    pub(crate) reads: Mutex<RateLimit>,
    pub(crate) open_websockets: AtomicU64,
    pub(crate) ending: watch::Receiver<bool>,
}

impl App {
    /// Counts and carries out a STOP on behalf of whoever showed `credentials`.
    pub(crate) fn stop(&self, authorised: bool) {
        count(&self.counters.stops);
        self.controls.stop(if authorised {
            kalmind_types::Actor::Operator
        } else {
            kalmind_types::Actor::Client
        });
    }
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    counters: Arc<Counters>,
    ending: watch::Sender<bool>,
    handle: Option<thread::JoinHandle<()>>,
}

/// Starts the server on a thread of its own: the WebSocket at `/v1/state`, HTTP and the console, all on one port.
///
/// The port is bound when this returns. `controls` is called on the server's thread and must not block.
///
/// # Errors
/// See [`ServerError`].
pub fn start_server(
    config: ServerConfig,
    hub: Hub,
    controls: Arc<dyn Controls>,
    ledger: Arc<Ledger>,
) -> Result<Server, ServerError> {
    let address = config.bind;
    let counters = Arc::new(Counters::default());
    let (ending, ends) = watch::channel(false);
    // the runtime is made and dropped in its own thread, so that a caller may itself be asynchronous
    let (ready, bound) = mpsc::sync_channel(1);
    let handle = thread::Builder::new()
        .name(String::from("kalmind-server"))
        .spawn({
            let counters = Arc::clone(&counters);
            move || match open(address, &config.limits) {
                Ok((runtime, listener, local_addr)) => {
                    let now = hub.clock().lsl();
                    let limit = |per_second| Mutex::new(RateLimit::new(per_second, per_second, now));
                    let app = Arc::new(App {
                        access: Access::new(
                            local_addr,
                            &config.allowed_hosts,
                            &config.allowed_origins,
                            config.token,
                        ),
                        hub,
                        controls,
                        ledger,
                        requests: limit(config.limits.requests_per_second),
                        reads: limit(config.limits.reads_per_second),
                        limits: config.limits,
                        counters,
                        open_websockets: AtomicU64::new(0),
                        ending: ends,
                    });
                    if ready.send(Ok(local_addr)).is_ok() {
                        runtime.block_on(connection::accept(listener, &app));
                    }
                }
                Err(source) => drop(ready.send(Err(explain(address, source)))),
            }
        })
        .map_err(|source| ServerError::Other { address, source })?;
    let local_addr = bound.recv().map_err(|mpsc::RecvError| ServerError::Ended { address })??;
    Ok(Server { local_addr, counters, ending, handle: Some(handle) })
}

impl Server {
    /// The address it listens at, with the port it got.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it counted so far.
    #[must_use]
    pub fn counts(&self) -> ClientCounts {
        self.counters.snapshot()
    }

    /// Says goodbye to the clients and ends the thread; takes a second at most.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.ending.send_replace(true);
        if let Some(handle) = self.handle.take()
            && handle.join().is_err()
        {
            tracing::error!("the server's thread had panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A runtime and a listener on it.
fn open(address: SocketAddr, limits: &Limits) -> io::Result<(runtime::Runtime, TcpListener, SocketAddr)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _context = runtime.enter();
        bind(address, limits)?
    };
    let local_addr = listener.local_addr()?;
    Ok((runtime, listener, local_addr))
}

/// Listens at `address`. Accepted sockets inherit the small send buffer and `TCP_NODELAY`.
fn bind(address: SocketAddr, limits: &Limits) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // a port that this program has just left may be taken again at once; one in use stays an error
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(limits.send_buffer_bytes)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn explain(address: SocketAddr, source: io::Error) -> ServerError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ServerError::PortInUse { address, port: address.port() },
        io::ErrorKind::PermissionDenied => ServerError::NotPermitted { address, source },
        io::ErrorKind::AddrNotAvailable => ServerError::NoSuchAddress { address },
        _ => ServerError::Other { address, source },
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn accepted_sockets_send_at_once_from_a_small_buffer() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), &Limits::default()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert!(accepted.nodelay().unwrap(), "TCP_NODELAY is off");
        let socket = TcpSocket::from_std_stream(accepted.into_std().unwrap());
        // Linux doubles what was asked for, to have room for its own book-keeping
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * 64 * 1024);
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_a_remedy() {
        let taken = bind("127.0.0.1:0".parse().unwrap(), &Limits::default()).unwrap();
        let address = taken.local_addr().unwrap();
        let error = explain(address, bind(address, &Limits::default()).unwrap_err());
        assert!(matches!(error, ServerError::PortInUse { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&address.to_string()) && text.contains("another port"), "{text}");
    }

    #[tokio::test]
    async fn a_foreign_address_is_named() {
        // TEST-NET-1 (RFC 5737) belongs to nobody
        let address = "192.0.2.1:0".parse().unwrap();
        let error = explain(address, bind(address, &Limits::default()).unwrap_err());
        assert!(matches!(error, ServerError::NoSuchAddress { .. }), "{error:?}");
    }
}
