//! Bytes on their way from one machine to another: never more than a little of them here, and never on this disk.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Cmd, Host, ReadOnly, RemoteError, Stdin};

/// What a transfer holds in memory at most, in bytes.
const BETWEEN: usize = 256 * 1024;

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Open = Box<dyn FnOnce() -> Reader + Send>;

/// A reader that one command takes, once. Clones share it.
#[derive(Clone)]
pub struct StdinStream(Arc<Mutex<Option<Open>>>);

impl StdinStream {
    /// Holds a reader ready for a command.
    pub fn new(reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self::lazy(move || Box::new(reader))
    }

    /// Makes a reader when a command takes it, and not when none does.
    pub fn lazy(open: impl FnOnce() -> Reader + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(open)))))
    }

    /// The reader; an error when a command took it before.
    pub fn take(&self) -> std::io::Result<Reader> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let open =
            taken.ok_or_else(|| std::io::Error::other("the stream was taken before; it cannot be sent twice"))?;
        Ok(open())
    }

    /// Drops the reader when no command took it, so that whoever writes to its other end is not left waiting.
    pub fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// What is in it is nobody's business here.
impl fmt::Debug for StdinStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        f.write_str(if taken { "Stream(taken)" } else { "Stream(..)" })
    }
}

/// Sends what `read` writes on one machine to the input of `write` on another, through a little memory of this one.
///
/// Whoever reads sees an end of input also when the writing side fails half-way, so `write` must know how many bytes it
/// expects, or their checksum.
pub async fn transfer(from: ReadOnly<'_>, read: &Cmd, to: &dyn Host, write: Cmd) -> Result<(), RemoteError> {
    transfer_seen(from, read, to, write, &|_| {}).await
}

/// [`transfer`], telling `seen` how many bytes have passed so far.
pub async fn transfer_seen(
    from: ReadOnly<'_>,
    read: &Cmd,
    to: &dyn Host,
    write: Cmd,
    seen: &(dyn Fn(u64) + Send + Sync),
) -> Result<(), RemoteError> {
    let (near, far) = tokio::io::duplex(BETWEEN);
    let stream = StdinStream::new(far);
    let write = write.stdin(Stdin::Stream(stream.clone()));
    let reading = async {
        let mut sink = Counted { to: near, bytes: 0, seen };
        // Dropping the sink at the end is what the writing side sees as the end.
        from.exec_to(read, &mut sink).await
    };
    let writing = async {
        let result = to.exec(&write).await;
        stream.close();
        result
    };
    match tokio::join!(reading, writing) {
        // The writing side went away first; it says why.
        (Err(RemoteError::Sink { .. }), Err(error)) => Err(error),
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
        (Ok(_), Ok(_)) => Ok(()),
    }
}

/// Tells how much went through.
struct Counted<'a, W> {
    to: W,
    bytes: u64,
    seen: &'a (dyn Fn(u64) + Send + Sync),
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Counted<'_, W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.to).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &result {
            self.bytes += *written as u64;
            (self.seen)(self.bytes);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.to).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.to).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::Output;

    /// Writes `bytes` to whoever asks; takes at most `room` bytes of input and then fails.
    struct Fake {
        bytes: u64,
        room: u64,
        reachable: bool,
        breaks: bool,
        took: AtomicU64,
    }

    impl Fake {
        fn new(bytes: u64, room: u64) -> Self {
            Self { bytes, room, reachable: true, breaks: false, took: AtomicU64::new(0) }
        }
    }

    fn exit(id: &str, stderr: &str) -> RemoteError {
        let text = str::to_owned;
        RemoteError::Exit { host: text("fake"), id: text(id), code: 1, stdout: text("SECRET"), stderr: text(stderr) }
    }

    #[async_trait::async_trait]
    impl Host for Fake {
        fn name(&self) -> &str {
            "fake"
        }

        async fn exec(&self, cmd: &Cmd) -> Result<Output, RemoteError> {
            let Stdin::Stream(stream) = &cmd.stdin else {
                return Err(exit(cmd.id, "no such key"));
            };
            if !self.reachable {
                return Err(RemoteError::Unreachable { host: "fake".to_owned(), why: "no route".to_owned() });
            }
            let reader = stream.take().map_err(|error| exit(cmd.id, &error.to_string()))?;
            let mut some = tokio::io::AsyncReadExt::take(reader, self.room);
            let took = tokio::io::copy(&mut some, &mut tokio::io::sink()).await.unwrap();
            self.took.store(took, Ordering::SeqCst);
            if took == self.room { Err(exit(cmd.id, "No space left on device")) } else { Ok(Output::default()) }
        }

        async fn exec_to(&self, cmd: &Cmd, sink: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<Output, RemoteError> {
            for _ in 0..self.bytes / 1000 {
                sink.write_all(&[7; 1000]).await.map_err(|error| RemoteError::sink("fake", cmd, &error))?;
            }
            if self.breaks { Err(exit(cmd.id, "Input/output error")) } else { Ok(Output::default()) }
        }
    }

    /// The default way to stream.
    struct Plain;

    #[async_trait::async_trait]
    impl Host for Plain {
        fn name(&self) -> &str {
            "plain"
        }
        async fn exec(&self, cmd: &Cmd) -> Result<Output, RemoteError> {
            match cmd.id {
                "bad" => Err(exit("bad", "no")),
                _ => Ok(Output { stdout: "hello".to_owned(), stderr: String::new() }),
            }
        }
    }

    fn cmds() -> (Cmd, Cmd) {
        (Cmd::read("part.send", "", [""; 0]), Cmd::mutate("part.receive", "", [""; 0]))
    }

    #[tokio::test]
    async fn more_than_memory_holds_goes_through() {
        let (from, to) = (Fake::new(30_000_000, 0), Fake::new(0, u64::MAX));
        let (read, write) = cmds();
        let most = AtomicU64::new(0);
        let seen = |bytes| most.store(bytes, Ordering::SeqCst);
        transfer_seen(ReadOnly::new(&from), &read, &to, write, &seen).await.unwrap();
        assert_eq!((to.took.load(Ordering::SeqCst), most.load(Ordering::SeqCst)), (30_000_000, 30_000_000));
    }

    #[tokio::test]
    async fn the_side_that_failed_first_says_why_and_nobody_waits_for_ever() {
        let (read, write) = cmds();
        let from = Fake::new(30_000_000, 0);
        let full = Fake::new(0, 1_000_000);
        let error = transfer(ReadOnly::new(&from), &read, &full, write.clone()).await.unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error}");

        let away = Fake { reachable: false, ..Fake::new(0, 0) };
        let error = transfer(ReadOnly::new(&from), &read, &away, write.clone()).await.unwrap_err();
        assert!(matches!(error, RemoteError::Unreachable { .. }), "{error}");

        let broken = Fake { breaks: true, ..Fake::new(5000, 0) };
        let error = transfer(ReadOnly::new(&broken), &read, &Fake::new(0, u64::MAX), write).await.unwrap_err();
        assert!(error.to_string().contains("Input/output error"), "{error}");
    }

    #[tokio::test]
    async fn output_that_may_be_secret_is_in_no_error_and_no_output() {
        let mut sink = Vec::new();
        let output = Plain.exec_to(&Cmd::read("good", "", [""; 0]), &mut sink).await.unwrap();
        assert_eq!((sink.as_slice(), output.stdout.as_str()), (b"hello".as_slice(), ""));
        let error = Plain.exec_to(&Cmd::read("bad", "", [""; 0]), &mut sink).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
        let refused = ReadOnly::new(&Plain).exec_to(&Cmd::mutate("x.y", "", [""; 0]), &mut sink).await.unwrap_err();
        assert!(matches!(refused, RemoteError::ReadOnly { .. }));
    }

    #[test]
    fn input_is_never_shown() {
        let cmd = Cmd::mutate("x.y", "cat", [""; 0]);
        let shown = format!("{:?}", cmd.clone().stdin(Stdin::Bytes(b"SECRET".to_vec())));
        assert!(shown.contains("6 bytes") && !shown.contains("SECRET") && !shown.contains("83, 69"), "{shown}");
        let stream = StdinStream::new(std::io::Cursor::new(b"SECRET".to_vec()));
        assert!(!format!("{:?}", cmd.stdin(Stdin::Stream(stream.clone()))).contains("83, 69"));
        assert!(stream.take().is_ok() && stream.take().is_err(), "once");
    }
}
