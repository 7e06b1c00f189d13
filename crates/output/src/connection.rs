//! Connections: how many, and how long a client may take to say what it wants.

use core::{
    error::Error,
    iter::successors,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use std::{io, sync::Arc};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{self, Sleep},
};

use crate::{counters::count, routes, server::App};

/// Clients without a place that are heard at once, since STOP always works; more are dropped without a word.
const REFUSALS: usize = 16;
/// How long such a client may take.
const REFUSAL_WITHIN: Duration = Duration::from_secs(1);
/// How long the server waits for its clients when it ends.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// Accepts connections until the server ends.
pub(crate) async fn accept(listener: TcpListener, app: &Arc<App>) {
    let (router, crowded) = (routes::router(app), routes::crowded_router(app));
    let places = Arc::new(Semaphore::new(app.limits.connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut ending = app.ending.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                        count(&app.counters.connections);
                        let stream = Placed::new(stream, place, app.limits.pong_within);
                        connections.spawn(serve(stream, router.clone(), Arc::clone(app)));
                    } else {
                        count(&app.counters.connections_refused);
                        if let Ok(refusing) = Arc::clone(&refusals).try_acquire_owned() {
                            connections.spawn(refuse(stream, refusing, crowded.clone()));
                        }
                    }
                }
                // out of file descriptors, or a client that left: both pass
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    time::sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = ending.changed() => break,
        }
    }
    drop(listener);
    // upgraded connections hold their places until they are gone
    let all = u32::try_from(app.limits.connections).unwrap_or(u32::MAX);
    drop(time::timeout(GOODBYE_WITHIN, places.acquire_many(all)).await);
}

/// Serves one connection until it is closed or becomes a WebSocket.
async fn serve(stream: Placed, router: Router, app: Arc<App>) {
    if let Err(error) = stream.stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY refused");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.limits.request_within)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut ending = app.ending.clone();
    let result = tokio::select! {
        result = connection.as_mut() => result,
        _ = ending.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        if took_nothing(&error) {
            count(&app.counters.silent_disconnected);
        }
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// Answers one request of a client that has no place (STOP is carried out, everything else refused), and waits a little
/// for it to have read that.
async fn refuse(stream: TcpStream, _refusing: OwnedSemaphorePermit, crowded: Router) {
    let answer = async {
        let connection = http1::Builder::new()
            .keep_alive(false)
            .max_headers(64)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(crowded));
        let Ok(served) = connection.without_shutdown().await else { return Ok(()) };
        let mut stream = served.io.into_inner();
        stream.shutdown().await?;
        let mut scrap = [0_u8; 1024];
        while stream.read(&mut scrap).await? > 0 {}
        io::Result::Ok(())
    };
    drop(time::timeout(REFUSAL_WITHIN, answer).await);
}

/// Whether a connection ended because the client took nothing for too long.
pub(crate) fn took_nothing(error: &(dyn Error + 'static)) -> bool {
    successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// A connection with its place among those allowed at once; a WebSocket takes both along. A write that makes no headway
/// for `patience` fails as [`TimedOut`](io::ErrorKind::TimedOut), so that nobody keeps a place by not reading.
struct Placed {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    patience: Duration,
    /// Runs while a write makes no headway.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Placed {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit, patience: Duration) -> Self {
        Self { stream, _place: place, patience, stalled: None }
    }

    /// What became of a write, once the patience with it is counted in.
    fn judge<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(time::sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
