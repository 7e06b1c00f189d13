//! Connections that have asked for something: their places, and how long a client may take.

use core::convert::Infallible;
use std::{
    collections::VecDeque,
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
    net::TcpStream,
    sync::mpsc,
    task::{self, AbortHandle, JoinSet},
    time,
};

use crate::{
    app::App,
    counters::count,
    door::{Arrival, answer},
    limits::{ANSWERED_WITHIN, GOODBYE_WITHIN, REFUSALS},
    placed::{Placed, Prefixed, took_nothing},
    places::Place,
    rate::RateLimit,
    refusal, routes,
};

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
    let place = stream.place();
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
        let mut refused = refusal::too_frequent();
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
