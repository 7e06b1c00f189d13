//! The door: takes connections in, hears what each one asks first, carries STOP out at once, and hands the others over.
//!
//! It has a thread of its own that does nothing else, and connections that have said nothing yet take no place. So neither
//! silent ones, nor a flood of requests, nor a thousand readers keep a STOP waiting.

use std::{collections::VecDeque, io, net, sync::Arc};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{self, AbortHandle},
    time,
};

use crate::{
    app::App,
    counters::count,
    limits::{ANSWERED_WITHIN, WAITING},
    placed::Prefixed,
    routes,
};

/// Connections accepted in one go before those that were accepted are listened to.
const AT_ONCE: usize = 16;
/// A head without an end after so many bytes is handed over, to be refused.
const LONGEST_HEAD: usize = 16 * 1024;
/// How requests for STOP begin.
const STOP: &[u8] = b"POST /v1/stop";

/// A connection with what it has said so far: a request's head at least, or something that is none.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stream: net::TcpStream,
    pub(crate) said: Vec<u8>,
}

/// Accepts connections until the server ends.
pub(crate) async fn accept(listener: TcpListener, app: &Arc<App>, hall: mpsc::Sender<Arrival>) {
    let router = routes::router(app);
    let mut waiting = Waiting::default();
    let mut ending = app.ending.clone();
    let mut in_a_row = 0;
    loop {
        tokio::select! {
            biased;
            _ = ending.changed() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let greeting = greet(stream, Arc::clone(app), hall.clone(), router.clone());
                    waiting.admit(task::spawn(greeting).abort_handle(), app);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // a client that left passes by itself; where file descriptors ran out, one has to be given back
                    if !waiting.drop_oldest(app) {
                        time::sleep(time::Duration::from_millis(10)).await;
                    }
                }
            },
        }
        in_a_row += 1;
        if in_a_row % AT_ONCE == 0 {
            task::yield_now().await;
        }
    }
}

/// Connections that have not asked for anything yet, the oldest first.
#[derive(Debug, Default)]
struct Waiting(VecDeque<AbortHandle>);

impl Waiting {
    /// Takes one more in; where there are too many, the one that has waited longest is dropped.
    fn admit(&mut self, connection: AbortHandle, app: &App) {
        if self.0.len() >= WAITING {
            self.0.retain(|waiting| !waiting.is_finished());
            if self.0.len() >= WAITING {
                self.drop_oldest(app);
            }
        }
        self.0.push_back(connection);
    }

    /// Drops the one that has waited longest; `false` when none waits.
    fn drop_oldest(&mut self, app: &App) -> bool {
        while let Some(oldest) = self.0.pop_front() {
            if !oldest.is_finished() {
                count(&app.counters.waiting_dropped);
                oldest.abort();
                return true;
            }
        }
        false
    }
}

/// Hears what a connection asks first, and carries it out or hands it over.
async fn greet(mut stream: TcpStream, app: Arc<App>, hall: mpsc::Sender<Arrival>, router: Router) {
    let Ok(Ok(Some(said))) = time::timeout(app.limits.request_within, hear(&mut stream)).await else {
        return;
    };
    if asks_for_stop(&said) {
        return drop(time::timeout(ANSWERED_WITHIN, answer(Prefixed::new(said, stream), router)).await);
    }
    let Ok(stream) = stream.into_std() else { return };
    if hall.try_send(Arrival { stream, said }).is_err() {
        count(&app.counters.connections_refused);
    }
}

/// Reads until a request's head is complete or cannot be one; `None` when the client leaves first.
async fn hear(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut said = Vec::with_capacity(1024);
    loop {
        let heard = said.len();
        if stream.read_buf(&mut said).await? == 0 {
            return Ok(None);
        }
        if has_end(&said, heard) || said.len() >= LONGEST_HEAD || !said[0].is_ascii_uppercase() {
            return Ok(Some(said));
        }
    }
}

/// Whether `said`, of which the first `heard` bytes have no end of a head in them, has one now: an empty line.
fn has_end(said: &[u8], heard: usize) -> bool {
    let unseen = &said[heard.saturating_sub(3)..];
    unseen.windows(2).any(|two| two == b"\n\n") || unseen.windows(3).any(|three| three == b"\n\r\n")
}

fn asks_for_stop(said: &[u8]) -> bool {
    said.strip_prefix(STOP).and_then(<[u8]>::first).is_some_and(|next| matches!(next, b' ' | b'?'))
}

/// Answers one request, and waits a little for the client to have read that.
pub(crate) async fn answer(stream: Prefixed, router: Router) -> io::Result<()> {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let Ok(served) = connection.without_shutdown().await else { return Ok(()) };
    let mut stream = served.io.into_inner();
    stream.shutdown().await?;
    let mut scrap = [0_u8; 1024];
    while stream.read(&mut scrap).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_found_wherever_its_bytes_were_cut() {
        for head in ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET / HTTP/1.1\nhost: a\n\n"] {
            for cut in 0..head.len() {
                assert!(!has_end(&head.as_bytes()[..cut], 0), "{cut}");
                assert!(has_end(head.as_bytes(), cut), "{cut}");
            }
        }
    }

    #[test]
    fn only_a_request_for_stop_is_one() {
        for stop in ["POST /v1/stop HTTP/1.1\r\n", "POST /v1/stop?from=page HTTP/1.1\r\n"] {
            assert!(asks_for_stop(stop.as_bytes()), "{stop}");
        }
        for other in
            ["POST /v1/stopping HTTP/1.1", "GET /v1/stop HTTP/1.1", "POST /v1/stop", "POST /v1/st", ""]
        {
            assert!(!asks_for_stop(other.as_bytes()), "{other}");
        }
    }
}
