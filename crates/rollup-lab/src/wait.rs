//! The only place where the lab waits.
//!
//! The rest of the workspace leaves waiting to the engine's policies. A lab has no engine: it polls machines that boot.

use std::time::{Duration, Instant};

/// Polls until `done` says so; false when the limit passed first.
pub(crate) fn until(limit: Duration, every: Duration, mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if done() {
            return true;
        }
        if started.elapsed() >= limit {
            return false;
        }
        pause(every);
    }
}

/// Holds up a frame of the relay.
pub(crate) fn rest(length: Duration) {
    if !length.is_zero() {
        pause(length);
    }
}

#[expect(clippy::disallowed_methods, reason = "the lab polls machines that boot; no engine runs here")]
fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// Waits without blocking the other clients.
#[expect(clippy::disallowed_methods, reason = "the pace of the lab's clients is theirs alone")]
pub(crate) async fn pace(length: Duration) {
    tokio::time::sleep(length).await;
}

/// Gives a request a limit; `None` when it passed.
#[expect(clippy::disallowed_methods, reason = "a client's patience is part of what the lab measures")]
pub(crate) async fn limited<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}
