//! Connections that have asked for something: their places, and how long a client may take.

use core::{
    convert::Infallible,
    error::Error,
    iter::successors,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, body::Body, http::HeaderValue, http::header, response::Response};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::mpsc,
    task::{self, AbortHandle, JoinSet},
    time::{self, Sleep},
};

use crate::{
    counters::count,
    door::{Arrival, answer},
    limits::REFUSALS,
    places::Place,
    rate::RateLimit,
    routes,
    server::App,
};

/// How long a client may take to read the answer to a STOP, or that there is no place for it.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// How long the server waits for its clients when it ends.
pub(crate) const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// Serves the connections that come from the door until the server ends.
pub(crate) async fn serve_arrivals(mut arrivals: mpsc::Receiver<Arrival>, app: &Arc<App>) {
    let (router, crowded) = (routes::router(app), routes::crowded_router(app));
    let places = Arc::clone(&app.places);
    let mut ending = app.ending.clone();
    let (mut connections, mut refusals) = (JoinSet::new(), VecDeque::<AbortHandle>::new());
    loop {
        tokio::select! {
            Some(Arrival { stream, said }) = arrivals.recv() => {
                let Ok(stream) = TcpStream::from_std(stream) else { continue };
                let stream = Prefixed::new(said, stream);
                if let Some(place) = places.take(app.hub.clock().lsl()) {
                    count(&app.counters.connections);
                    let stream = Placed::new(stream, Arc::new(place), app.limits.pong_within);
                    connections.spawn(serve(stream, router.clone(), Arc::clone(app)));
                } else {
                    count(&app.counters.connections_refused);
                    refusals.retain(|refusal| !refusal.is_finished());
                    if refusals.len() >= REFUSALS && let Some(oldest) = refusals.pop_front() {
                        oldest.abort();
                    }
                    refusals.push_back(connections.spawn(refuse(stream, crowded.clone())));
                }
            },
            Some(_) = connections.join_next() => {}
            _ = ending.changed() => break,
        }
    }
    drop(time::timeout(GOODBYE_WITHIN, async { while connections.join_next().await.is_some() {} }).await);
}

/// Serves one connection until it is closed or becomes a WebSocket.
async fn serve(stream: Placed, router: Router, app: Arc<App>) {
    let place = Arc::clone(&stream.place);
    let now = app.hub.clock().lsl();
    let rate = app.limits.requests_per_connection;
    let allowance = Arc::new(Mutex::new(RateLimit::new(rate, rate, now)));
    let service = {
        let (app, place) = (Arc::clone(&app), Arc::clone(&place));
        service_fn(move |request: Request<Incoming>| {
            one_request(request, router.clone(), Arc::clone(&app), Arc::clone(&place), Arc::clone(&allowance))
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.limits.request_within)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut ending = app.ending.clone();
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = place.displaced() => return,
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

/// Answers one request of a connection. Connections take turns request by request, so that one that sends thousands at
/// once keeps nobody waiting; one that sends too many a second is ended.
async fn one_request(
    request: Request<Incoming>,
    router: Router,
    app: Arc<App>,
    place: Arc<Place>,
    allowance: Arc<Mutex<RateLimit>>,
) -> Result<Response, Infallible> {
    task::yield_now().await;
    let now = app.hub.clock().lsl();
    let allowed = allowance.lock().unwrap_or_else(PoisonError::into_inner).take(now);
    if !allowed && request.uri().path() != routes::STOP {
        count(&app.counters.too_frequent);
        let mut refused = routes::too_frequent();
        refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return Ok(refused);
    }
    let answer = TowerToHyperService::new(router).call(request.map(Body::new)).await;
    place.heard(app.hub.clock().lsl());
    answer
}

/// Answers one request of a client that has no place (STOP is carried out, everything else refused).
async fn refuse(stream: Prefixed, crowded: Router) {
    drop(time::timeout(ANSWERED_WITHIN, answer(stream, crowded)).await);
}

/// Whether a connection ended because the client took nothing for too long.
pub(crate) fn took_nothing(error: &(dyn Error + 'static)) -> bool {
    successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// A connection of which the beginning was read already; it is read again from here.
#[derive(Debug)]
pub(crate) struct Prefixed {
    said: io::Cursor<Vec<u8>>,
    stream: TcpStream,
}

impl Prefixed {
    pub(crate) fn new(said: Vec<u8>, stream: TcpStream) -> Self {
        Self { said: io::Cursor::new(said), stream }
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let position = self.said.position() as usize;
        let left = &self.said.get_ref()[position..];
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let taken = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..taken]);
        self.said.set_position((position + taken) as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
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

/// A connection with its place among those allowed at once; a WebSocket takes both along. A write that makes no headway
/// for `patience` fails as [`TimedOut`](io::ErrorKind::TimedOut), so that nobody keeps a place by not reading.
#[derive(Debug)]
pub(crate) struct Placed {
    stream: Prefixed,
    place: Arc<Place>,
    patience: Duration,
    /// Runs while a write makes no headway.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Placed {
    fn new(stream: Prefixed, place: Arc<Place>, patience: Duration) -> Self {
        Self { stream, place, patience, stalled: None }
    }

    /// Its place.
    pub(crate) fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    /// The same connection on the runtime of the calling thread.
    pub(crate) fn moved_here(self) -> io::Result<Self> {
        let stream = TcpStream::from_std(self.stream.stream.into_std()?)?;
        Ok(Self { stream: Prefixed { said: self.stream.said, stream }, stalled: None, ..self })
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
