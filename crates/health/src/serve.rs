//! `GET /health` and `GET /metrics` of a node, for load balancers and monitoring.
//!
//! Work is bounded whatever comes in: one look at a time serves every request, and is good for a second; connections,
//! headers and the life of a connection have limits; nothing is logged per request. A look has the limit
//! `health.timeout`, so a database that hangs is an answer and never a silence.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rollup_model::{Inventory, NodeName};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::Instant,
};

use crate::{
    Check,
    definition::{self, Questions},
    facts::too_late,
    look,
    look::within,
    standing::Standing,
};

/// How long the answers of a look are good for.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Connections at once; others wait in the kernel's queue until one ends.
const CONNECTIONS: u32 = 256;

/// Until a client has sent its request.
const HEADERS: Duration = Duration::from_secs(2);

/// What a request may wait beyond the look's own limit, and a client take to read its answer.
const MARGIN: Duration = Duration::from_millis(500);

type Look = Box<dyn Fn() -> BoxFuture<'static, Result<Vec<Check>>> + Send + Sync>;

/// Answers requests until `stop` comes true, then those that are under way.
pub async fn serve(
    listener: TcpListener,
    inventory: &Inventory,
    node: &NodeName,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let (inventory, limit) = (Arc::new(inventory.clone()), inventory.health.timeout.duration());
    let look: Look = Box::new(move || {
        let inventory = Arc::clone(&inventory);
        Box::pin(async move {
            let facts = look::look(&Questions::of(&inventory)).await?;
            Ok(definition::checks(&inventory, &facts))
        })
    });
    run(listener, Desk::new(node.clone(), limit, look), stop).await
}

async fn run(listener: TcpListener, desk: Arc<Desk>, stop: impl Future<Output = ()>) -> Result<()> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS as usize));
    let life = HEADERS + desk.limit + 2 * MARGIN;
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await.context("the slots are closed")?;
            Ok::<_, anyhow::Error>((listener.accept().await, slot))
        };
        let (accepted, slot) = tokio::select! {
            next = next => next?,
            () = &mut stop => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, or a client that has gone: a moment later there is one again.
            within(Duration::from_millis(50), std::future::pending::<()>()).await;
            continue;
        };
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            within(life, connection(stream, desk)).await;
            drop(slot);
        });
    }
    drop(listener);
    within(life, slots.acquire_many(CONNECTIONS)).await;
    Ok(())
}

/// One request and its answer: a connection that is kept would only hold a slot.
async fn connection(stream: TcpStream, desk: Arc<Desk>) {
    let service = service_fn(|request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(&request).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADERS).keep_alive(false);
    server.max_buf_size(8 * 1024).max_headers(64);
    // A client that breaks off, or sends what is no HTTP, is its own affair.
    let _ended = server.serve_connection(TokioIo::new(stream), service).await;
}

/// The one look at a time that all requests share.
struct Desk {
    node: NodeName,
    limit: Duration,
    look: Look,
    state: Mutex<State>,
    news: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    latest: Option<Latest>,
    is_under_way: bool,
    looks: u64,
    requests: BTreeMap<u16, u64>,
}

#[derive(Clone)]
struct Latest {
    standing: Arc<Standing>,
    body: Bytes,
    at: Instant,
}

impl Latest {
    fn new(standing: Standing) -> Self {
        // A standing is made of strings, numbers and moments: it cannot fail to be JSON.
        let body = serde_json::to_vec(&standing).unwrap_or_default();
        Self { standing: Arc::new(standing), body: body.into(), at: Instant::now() }
    }
}

impl Desk {
    fn new(node: NodeName, limit: Duration, look: Look) -> Arc<Self> {
        Arc::new(Self { node, limit, look, state: Mutex::default(), news: watch::Sender::new(()) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self: Arc<Self>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        let response = match (request.uri().path(), is_read) {
            ("/health", true) => {
                let latest = self.latest().await;
                let status = if latest.standing.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                page(status, "application/json", latest.body)
            }
            ("/metrics", true) => {
                let latest = self.latest().await;
                let age = u64::try_from(latest.at.elapsed().as_millis()).unwrap_or(u64::MAX);
                let text = {
                    let state = self.state();
                    latest.standing.metrics(age, state.looks, &state.requests)
                };
                page(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text.into())
            }
            ("/health" | "/metrics", false) => {
                let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n".into());
                response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
                response
            }
            _ => page(StatusCode::NOT_FOUND, TEXT, "/health or /metrics\n".into()),
        };
        *self.state().requests.entry(response.status().as_u16()).or_default() += 1;
        response
    }

    /// How the node stands: at most a second old, or what the look that is under way finds.
    ///
    /// Bad news is passed on at once while that look goes on: waiting two seconds again would only keep a balancer from
    /// using the other node. Good news is never older than a second.
    async fn latest(self: &Arc<Self>) -> Latest {
        let mut news = {
            let mut state = self.state();
            let age = state.latest.as_ref().map(|latest| latest.at.elapsed());
            if let (Some(latest), Some(age)) = (&state.latest, age)
                && age < GOOD_FOR
            {
                return latest.clone();
            }
            // Before the look can end: what it says must not be missed.
            let news = self.news.subscribe();
            if !std::mem::replace(&mut state.is_under_way, true) {
                tokio::spawn(Arc::clone(self).look());
            }
            if let (Some(latest), Some(age)) = (&state.latest, age)
                && !latest.standing.healthy
                && age < GOOD_FOR + self.limit
            {
                return latest.clone();
            }
            news
        };
        let told = within(self.limit + MARGIN, news.changed()).await;
        let latest = self.state().latest.clone().filter(|_| told.is_some());
        latest.unwrap_or_else(|| Latest::new(self.stand(None, vec![failed(&too_late(self.limit))], Duration::ZERO)))
    }

    /// One look. A task of its own, so that it ends, and is told to all who wait, whichever client goes away.
    async fn look(self: Arc<Self>) {
        let began = Instant::now();
        let checks = match tokio::spawn((self.look)()).await {
            Ok(Ok(checks)) => checks,
            Ok(Err(error)) => vec![failed(&format!("{error:#}"))],
            Err(panicked) => vec![failed(&panicked.to_string())],
        };
        let mut state = self.state();
        let before = state.latest.take();
        let before = before.as_ref().map(|latest| &*latest.standing);
        state.latest = Some(Latest::new(self.stand(before, checks, began.elapsed())));
        state.looks += 1;
        state.is_under_way = false;
        self.news.send_replace(());
    }

    fn stand(&self, before: Option<&Standing>, checks: Vec<Check>, took: Duration) -> Standing {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Standing::take(before, &self.node, checks, jiff::Timestamp::now(), took)
    }
}

/// A look that has not come to its end.
fn failed(why: &str) -> Check {
    Check {
        id: "health.look",
        name: "look".to_owned(),
        ok: false,
        expected: "a look at this machine".to_owned(),
        found: why.to_owned(),
        fix: "journalctl -u rollup-health -n 50".to_owned(),
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

fn page(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
