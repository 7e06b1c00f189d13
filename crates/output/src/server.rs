//! The server: one port for the WebSocket, HTTP and the console.
//!
//! Three threads, so that none keeps another waiting: the door (`kalmind-server`) takes connections in and carries STOP
//! out, `kalmind-http` answers requests, `kalmind-clients` speaks to WebSocket clients.

use core::net::SocketAddr;
use std::{
    io,
    sync::{Arc, Mutex, atomic::AtomicU64},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{self, Runtime},
    sync::{Semaphore, mpsc, watch},
};

use crate::{
    Access, ClientCounts, Controls, Counters, Hub, Ledger, Limits, Token, app::App, client, connection, door,
    hub::Relay, places::Places, rate::RateLimit, session,
};

/// Connections that the system keeps until they are accepted; it takes fewer where `net.core.somaxconn` says so. With
/// more than that a client's system waits a second before it tries again.
const BACKLOG: u32 = 4096;
/// Connections on their way from one of the server's threads to another; more are dropped and counted as refused.
const HANDED_OVER: usize = 1024;
/// How long the end waits for work that a thread of its own does.
const LONGEST_END: Duration = Duration::from_secs(1);

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

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another program listens there.
    #[error(
        "{address} is in use by another program, which may be a Kalmind with a session running (`ss -ltnp 'sport = :{port}'` \
         names it): end it if it is yours to end, or give this instance another port ([server] bind)"
    )]
    PortInUse {
        /// The address asked for.
        address: SocketAddr,
        /// Its port.
        port: u16,
    },
    /// The system does not let this program listen there.
    #[error("this program may not listen at {address} ({source}): choose a port above 1023")]
    NotPermitted {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No network device of this machine has that address.
    #[error("this machine has no address {address}: `ip address` lists those it has")]
    NoSuchAddress {
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

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    counters: Arc<Counters>,
    ending: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts the server on threads of its own: the WebSocket at `/v1/state`, HTTP and the console, all on one port.
///
/// The port is bound when this returns. `controls` is called on the server's threads and must not block.
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
    let failed = |source| explain(address, source);
    let runtimes = [runtime(), runtime(), runtime()];
    let [door, http, talk] = runtimes.map(|runtime| runtime.map_err(failed));
    let (door, http, talk) = (door?, http?, talk?);
    let bound = {
        let _context = door.enter();
        bind(address, &config.limits)
    };
    let (listener, local_addr) = match bound {
        Ok(bound) => bound,
        Err(source) => {
            // a caller that is itself asynchronous cannot wait for them
            [door, http, talk].into_iter().for_each(Runtime::shutdown_background);
            return Err(failed(source));
        }
    };
    let counters = Arc::new(Counters::default());
    let (ending, ends) = watch::channel(false);
    let (hall, arrivals) = mpsc::channel(HANDED_OVER);
    let (clients, admissions) = mpsc::channel(HANDED_OVER);
    let now = hub.clock().lsl();
    let limit = |per_second| Mutex::new(RateLimit::new(per_second, per_second, now));
    let app = Arc::new(App {
        access: Access::new(local_addr, &config.allowed_hosts, &config.allowed_origins, config.token),
        hub,
        controls,
        ledger,
        requests: limit(config.limits.requests_per_second),
        reads: limit(config.limits.reads_per_second),
        places: Arc::new(Places::new(config.limits.connections, Arc::clone(&counters))),
        limits: config.limits,
        counters: Arc::clone(&counters),
        posting: Arc::new(Semaphore::new(1)),
        activating: Arc::new(Semaphore::new(1)),
        asking: Arc::new(Semaphore::new(session::WAITING)),
        calls: limit(session::CALLS_PER_SECOND),
        session: watch::Sender::new(None),
        presence: Mutex::default(),
        open_websockets: AtomicU64::new(0),
        relay: Relay::new(),
        clients,
        ending: ends,
    });
    let mut server = Server { local_addr, counters, ending, threads: Vec::new() };
    server.run("kalmind-clients", talk, {
        let app = Arc::clone(&app);
        async move { client::serve_clients(admissions, &app).await }
    })?;
    server.run("kalmind-http", http, {
        let app = Arc::clone(&app);
        async move { connection::serve_arrivals(arrivals, &app).await }
    })?;
    server.run("kalmind-server", door, async move { door::accept(listener, &app, hall).await })?;
    Ok(server)
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

    /// Runs `work` on a thread of its own. The runtime is dropped there too, so that a caller may itself be asynchronous.
    fn run(
        &mut self,
        name: &str,
        runtime: Runtime,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServerError> {
        let thread = thread::Builder::new().name(String::from(name));
        let started = thread.spawn(move || {
            runtime.block_on(work);
            // a model that is being checked or built is not waited for
            runtime.shutdown_timeout(LONGEST_END);
        });
        self.threads.push(started.map_err(|source| explain(self.local_addr, source))?);
        Ok(())
    }

    fn end(&mut self) {
        self.ending.send_replace(true);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the server panicked");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

/// Listens at `address`; gives the address that it got, too. Accepted sockets inherit the small send buffer and
/// `TCP_NODELAY`.
fn bind(address: SocketAddr, limits: &Limits) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // a port that this program has just left may be taken again at once; one in use stays an error
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(limits.send_buffer_bytes)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let local_addr = listener.local_addr()?;
    Ok((listener, local_addr))
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
        let (listener, address) = bind("127.0.0.1:0".parse().unwrap(), &Limits::default()).unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert!(accepted.nodelay().unwrap(), "TCP_NODELAY is off");
        let socket = TcpSocket::from_std_stream(accepted.into_std().unwrap());
        // Linux doubles what was asked for, to have room for its own book-keeping
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * 16 * 1024);
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_a_remedy() {
        let (_taken, address) = bind("127.0.0.1:0".parse().unwrap(), &Limits::default()).unwrap();
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
