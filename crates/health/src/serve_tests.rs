use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{http, tests::inventory};

fn check(ok: bool) -> Check {
    Check { ok, ..failed("no key") }
}

/// A look that takes some time, and counts.
fn looks(takes: Duration, good: impl Fn(u64) -> bool + Send + Sync + 'static) -> (Look, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let look: Look = Box::new(move || {
        let ok = good(counted.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move {
            within(takes, std::future::pending::<()>()).await;
            Ok(vec![check(ok)])
        })
    });
    (look, count)
}

struct Running {
    url: String,
    address: std::net::SocketAddr,
    stop: tokio::sync::oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<()>>,
}

async fn start(limit: Duration, look: Look) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let desk = Desk::new(NodeName::new("node-a").unwrap(), limit, look);
    let ended = tokio::spawn(run(listener, desk, async { drop(stopped.await) }));
    Running { url: format!("http://{address}"), address, stop, ended }
}

impl Running {
    async fn get(&self, path: &str) -> http::Answer {
        http::request(&format!("{}{path}", self.url), None, Duration::from_secs(10)).await.unwrap()
    }

    /// Sends raw bytes and reads to the end.
    async fn raw(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[tokio::test]
async fn a_thousand_requests_are_served_by_a_few_looks_hlt_1() {
    let (look, count) = looks(Duration::from_millis(50), |_| true);
    let running = start(Duration::from_secs(2), look).await;
    let requests = (0..1000).map(|_| running.get("/health"));
    let answers = futures_util::future::join_all(requests).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let looks = count.load(Ordering::SeqCst);
    assert!(looks <= 10, "{looks} looks");
    let metrics = running.get("/metrics").await.body;
    assert!(metrics.contains("rollup_health_requests_total{node=\"node-a\",code=\"200\"} 1000\n"), "{metrics}");
}

#[tokio::test]
async fn a_database_that_accepts_and_never_answers_is_503_within_the_limit_hlt_1() {
    // The kernel accepts for a frozen server just like this.
    let frozen = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut inventory = inventory();
    inventory.database.port = frozen.local_addr().unwrap().port();
    inventory.health.timeout = rollup_model::Span::millis(300);
    inventory.service.health_urls.clear();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    let node = NodeName::new("node-a").unwrap();
    tokio::spawn(async move { serve(listener, &inventory, &node, std::future::pending()).await });
    let began = Instant::now();
    let answer = http::request(&url, None, Duration::from_secs(10)).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(300) + MARGIN, "{:?}", began.elapsed());
    assert_eq!(answer.status, 503);
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((&body["healthy"], &body["node"]), (&false.into(), &"node-a".into()));
    let database = body["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"].as_str().is_some_and(|name| name.starts_with("database on port")));
    let database = database.unwrap_or_else(|| panic!("{body}"));
    assert_eq!((&database["ok"], &database["reason"]), (&false.into(), &"no answer within 0.3s".into()));
    assert!(database["since"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{body}");
}

#[tokio::test]
async fn a_look_that_hangs_is_an_answer_and_is_not_begun_again_hlt_1() {
    let (look, count) = looks(Duration::from_secs(3600), |_| true);
    let running = start(Duration::from_millis(200), look).await;
    let requests = (0..50).map(|_| running.get("/health"));
    for answer in futures_util::future::join_all(requests).await {
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("no answer within 0.2s"), "{}", answer.body);
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn bad_news_is_told_at_once_while_the_next_look_goes_on_and_good_news_follows_hlt_1() {
    let (look, count) = looks(Duration::from_millis(400), |at| at > 0);
    let running = start(Duration::from_secs(2), look).await;
    assert_eq!(running.get("/health").await.status, 503);
    within(GOOD_FOR, std::future::pending::<()>()).await;
    let began = Instant::now();
    assert_eq!(running.get("/health").await.status, 503, "what is known");
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    within(Duration::from_millis(500), std::future::pending::<()>()).await;
    assert_eq!(running.get("/health").await.status, 200, "what the look found meanwhile");
    // Good news that is older than a second is not told again: the request waits for the look.
    within(GOOD_FOR, std::future::pending::<()>()).await;
    let began = Instant::now();
    assert_eq!(running.get("/health").await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(350), "{:?}", began.elapsed());
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_end_the_look_of_others_hlt_1() {
    let (look, count) = looks(Duration::from_millis(300), |_| true);
    let running = start(Duration::from_secs(2), look).await;
    let url = format!("{}/health", running.url);
    assert!(http::request(&url, None, Duration::from_millis(50)).await.is_err());
    assert_eq!(running.get("/health").await.status, 200);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn other_paths_methods_and_noise_are_refused_hlt_1() {
    let (look, _) = looks(Duration::ZERO, |_| true);
    let running = start(Duration::from_secs(2), look).await;
    assert_eq!(running.get("/").await.status, 404);
    assert_eq!(running.get("/health/x").await.status, 404);
    let posted = running.raw("POST /health HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await;
    assert!(posted.starts_with("HTTP/1.1 405 ") && posted.contains("allow: GET, HEAD\r\n"), "{posted}");
    let head = running.raw("HEAD /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: "), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "a body after HEAD: {head}");
    let noise = running.raw("\u{16}\u{3}\u{1}\r\n\r\n").await;
    assert!(noise.is_empty() || noise.starts_with("HTTP/1.1 400 "), "{noise}");
    let long = running.raw(&format!("GET /health HTTP/1.1\r\nhost: {}\r\n\r\n", "a".repeat(20_000))).await;
    assert!(long.is_empty() || long.starts_with("HTTP/1.1 4"), "{long}");
}

#[tokio::test]
async fn clients_that_send_nothing_do_not_keep_others_out_hlt_1() {
    let (look, _) = looks(Duration::ZERO, |_| true);
    let running = start(Duration::from_millis(200), look).await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    let began = Instant::now();
    assert_eq!(running.get("/health").await.status, 200);
    assert!(began.elapsed() < HEADERS + MARGIN, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_answers_first_hlt_1() {
    let (look, _) = looks(Duration::from_millis(300), |_| true);
    let running = start(Duration::from_secs(2), look).await;
    let url = format!("{}/health", running.url);
    let asked = tokio::spawn(async move { http::request(&url, None, Duration::from_secs(10)).await });
    within(Duration::from_millis(100), std::future::pending::<()>()).await;
    running.stop.send(()).unwrap();
    assert_eq!(asked.await.unwrap().unwrap().status, 200);
    running.ended.await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}
