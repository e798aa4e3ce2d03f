//! The clients themselves: readers and writers that go through the VIP until they are told to stop.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{ClientError, Side, TrafficOptions};
use crate::{topology::VIP, wait};

/// A request that takes longer is lost to a user.
const PATIENCE: Duration = Duration::from_secs(2);
/// A reader asks only for orders this old: the standby of an asynchronous pair may be that far behind.
const KNOWN_AFTER: Duration = Duration::from_secs(3);
const ERRORS_KEPT: usize = 20;

/// What all clients share.
pub(super) struct Shared {
    pub(super) started: Instant,
    pub(super) stop: AtomicBool,
    /// Completions of good answers since the start, for whoever waits for the first ones.
    pub(super) successes: [AtomicU64; 2],
    run: String,
    orders: Mutex<Vec<(Instant, u64)>>,
    errors: Mutex<Vec<ClientError>>,
}

/// What one client has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: u64,
    /// When each good answer came, from the start of the run.
    pub(super) successes: Vec<Duration>,
    /// How long each good answer took.
    pub(super) latencies: Vec<Duration>,
    /// Each acknowledged write, and when its answer came.
    pub(super) acknowledged: Vec<(Duration, String)>,
}

impl Shared {
    pub(super) fn new(run: String) -> Self {
        Self {
            started: Instant::now(),
            stop: AtomicBool::new(false),
            successes: [AtomicU64::new(0), AtomicU64::new(0)],
            run,
            orders: Mutex::new(Vec::new()),
            errors: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn errors(&self) -> Vec<ClientError> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn error(&self, side: Side, error: &anyhow::Error) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() < ERRORS_KEPT {
            let offset_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            errors.push(ClientError {
                side,
                offset_ms,
                at: jiff::Timestamp::now().to_string(),
                text: format!("{error:#}"),
            });
        }
    }

    /// Some order that every node should know: number 1, or one that was written a while ago.
    fn known_order(&self, seed: u64) -> u64 {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let old = orders.partition_point(|(written, _)| written.elapsed() >= KNOWN_AFTER);
        let choice = usize::try_from(scramble(seed)).unwrap_or(0) % (old + 1);
        orders[..old].get(choice).map_or(1, |(_, id)| *id)
    }
}

/// Spreads a counter over all numbers; which orders are read only has to differ.
fn scramble(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33
}

/// One client until the stop: asks, records, pauses.
///
/// It begins `after` the others: clients in step would see nothing between their steps.
pub(super) async fn client(
    shared: Arc<Shared>,
    side: Side,
    number: usize,
    after: Duration,
    options: Arc<TrafficOptions>,
) -> Seen {
    let mut seen = Seen::default();
    let mut connection = None;
    let every = Duration::from_millis(options.every_ms);
    let mut due = shared.started + after;
    while !shared.stopped() {
        wait::pace(due.saturating_duration_since(Instant::now())).await;
        let began = Instant::now();
        let serial = seen.requests;
        seen.requests += 1;
        // A new reference for every attempt: a write without an answer may have happened.
        let reference = format!("{}-{number}-{serial}", shared.run);
        let asked = ask(&shared, side, number as u64 * 1_000_003 + serial, &reference, &mut connection);
        let answer = wait::limited(PATIENCE, asked).await;
        match answer.unwrap_or_else(|| Err(anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs()))) {
            Ok(order) => {
                let at = shared.started.elapsed();
                seen.successes.push(at);
                seen.latencies.push(began.elapsed());
                shared.successes[side as usize].fetch_add(1, Ordering::Relaxed);
                if side == Side::Write {
                    seen.acknowledged.push((at, reference));
                    if let Some(id) = order {
                        shared.orders.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), id));
                    }
                }
            }
            Err(error) => {
                connection = None;
                shared.error(side, &error);
            }
        }
        if !options.keep_alive {
            connection = None;
        }
        // Kept to its own beat; one that came too late does not catch up with what it missed.
        due = (due + every).max(Instant::now());
    }
    seen
}

type Sender = http1::SendRequest<Full<Bytes>>;

async fn ask(
    shared: &Shared,
    side: Side,
    seed: u64,
    reference: &str,
    connection: &mut Option<Sender>,
) -> Result<Option<u64>> {
    let sender = match connection {
        Some(sender) if !sender.is_closed() => sender,
        _ => connection.insert(connect().await?),
    };
    let (request, wanted) = match side {
        Side::Read => {
            let target = format!("/orders/{}", shared.known_order(seed));
            (Request::get(target).body(Bytes::new()), StatusCode::OK)
        }
        Side::Write => {
            let body = serde_json::json!({ "ref": reference, "item": "lamp" }).to_string();
            (Request::post("/orders").body(Bytes::from(body)), StatusCode::CREATED)
        }
    };
    let mut request = request.context("request")?.map(Full::new);
    let headers = request.headers_mut();
    headers.insert(header::HOST, header::HeaderValue::from_static("orders.lab"));
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    let answer = sender.send_request(request).await.context("request")?;
    let status = answer.status();
    let body = answer.into_body().collect().await.context("answer")?.to_bytes();
    ensure!(status == wanted, "{status}: {}", String::from_utf8_lossy(&body[..body.len().min(200)]));
    let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(parsed.get("id").and_then(serde_json::Value::as_u64))
}

async fn connect() -> Result<Sender> {
    let stream = TcpStream::connect(SocketAddr::new(VIP.into(), 8080)).await.context("connect")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("connect")?;
    // Ends by itself when the sender is dropped; its errors reach whoever waits for the answer.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_orders_are_not_read_yet() {
        let shared = Shared::new("r".to_owned());
        shared.orders.lock().unwrap().push((Instant::now(), 77));
        assert!((0..100).all(|seed| shared.known_order(seed) == 1));
    }

    #[test]
    fn scrambled_counters_reach_every_choice() {
        let reached: std::collections::BTreeSet<_> = (0..200).map(|seed| scramble(seed) % 5).collect();
        assert_eq!(reached.len(), 5);
    }
}
