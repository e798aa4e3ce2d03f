//! One HTTP request on a connection of its own, with one limit for all of it.
//!
//! A new connection each time is deliberate: a kept-alive one would not notice that the VIP has moved.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Uri, body::Bytes};
use hyper_util::rt::TokioIo;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body, at most 64 KiB.
    pub body: String,
}

/// Sends one request from this machine. `body`: sent as JSON with POST; without it GET is used.
pub async fn request(url: &str, body: Option<&str>, limit: Duration) -> Result<Answer> {
    #[expect(clippy::disallowed_methods, reason = "a probe from outside has no Cmd; this is its deadline")]
    let answer = tokio::time::timeout(limit, send(url, body)).await;
    answer.with_context(|| crate::facts::too_late(limit))?
}

async fn send(url: &str, body: Option<&str>) -> Result<Answer> {
    let uri: Uri = url.parse().with_context(|| format!("expected a URL, found `{url}`"))?;
    if uri.scheme_str() != Some("http") {
        bail!("expected a URL that starts with http://, found `{url}`");
    }
    let authority = uri.authority().with_context(|| format!("expected a host in `{url}`"))?.clone();
    let port = authority.port_u16().unwrap_or(80);
    let stream = tokio::net::TcpStream::connect((authority.host().trim_matches(['[', ']']), port)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut builder = Request::builder().uri(path).header("host", authority.as_str()).header("connection", "close");
    if body.is_some() {
        builder = builder.method(Method::POST).header("content-type", "application/json");
    }
    let request = builder.body(Full::new(Bytes::from(body.unwrap_or_default().to_owned())))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), 64 * 1024).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?.to_bytes();
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    };
    // The connection is driven only as long as the exchange needs it.
    let exchange = std::pin::pin!(exchange);
    match futures_util::future::select(exchange, std::pin::pin!(connection)).await {
        futures_util::future::Either::Left((answer, _)) => answer,
        futures_util::future::Either::Right((ended, exchange)) => {
            ended?;
            exchange.await
        }
    }
}
