//! Connections: how many, and how long a client may take to say what it wants.

use core::{
    pin::Pin,
    task::{Context, Poll},
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
    time,
};

use crate::{counters::count, server::App};

/// Clients that are being told that all places are taken, at once; more are dropped without a word.
const REFUSALS: usize = 16;
/// How long a refusal may take.
const REFUSAL_WITHIN: Duration = Duration::from_secs(1);
/// How long the server waits for its clients when it ends.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);
/// What a client gets when all places are taken.
const REFUSAL: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 107\r\n\
                       connection: close\r\nretry-after: 5\r\n\r\n\
                       {\"type\":\"error\",\"code\":\"too_many\",\"message\":\"all connections are taken: close one, then try again\"}        ";

/// Accepts connections until the server ends.
pub(crate) async fn accept(listener: TcpListener, router: Router, app: &Arc<App>) {
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
                        connections.spawn(serve(Placed { stream, _place: place }, router.clone(), Arc::clone(app)));
                    } else {
                        count(&app.counters.connections_refused);
                        if let Ok(refusing) = Arc::clone(&refusals).try_acquire_owned() {
                            connections.spawn(refuse(stream, refusing));
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
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// Tells a client that all places are taken, and waits a little for it to have read that.
async fn refuse(mut stream: TcpStream, _refusing: OwnedSemaphorePermit) {
    let goodbye = async {
        stream.write_all(REFUSAL.as_bytes()).await?;
        stream.shutdown().await?;
        let mut scrap = [0_u8; 1024];
        while stream.read(&mut scrap).await? > 0 {}
        io::Result::Ok(())
    };
    drop(time::timeout(REFUSAL_WITHIN, goodbye).await);
}

/// A connection with its place among those allowed at once; a WebSocket takes both along.
struct Placed {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let (head, body) = REFUSAL.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(value["code"], "too_many");
    }
}
