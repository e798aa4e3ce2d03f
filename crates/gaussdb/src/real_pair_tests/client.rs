//! Writes without a pause to whichever server takes it, each row over a new connection.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use super::rig::PORT;

pub(super) struct Client {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, u128)>,
}

impl Client {
    pub(super) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let server = format!(
                "host=127.0.0.1,127.0.0.2 port={PORT} user=postgres dbname=orders connect_timeout=2 \
                 target_session_attrs=read-write"
            );
            let (mut acknowledged, mut gap, mut last) = (0, 0, Instant::now());
            while !asked.load(Ordering::SeqCst) {
                let mut psql = Command::new("psql");
                psql.args(["-X", "-q", "-d", &server, "-c", "insert into probe values (1)"]);
                if psql.stderr(Stdio::null()).status().unwrap().success() {
                    acknowledged += 1;
                    gap = gap.max(last.elapsed().as_millis());
                    last = Instant::now();
                }
            }
            (acknowledged, gap)
        });
        Self { stop, thread }
    }

    /// Acknowledged writes, and the longest time between two of them in milliseconds.
    pub(super) fn stop(self) -> (u64, u128) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}
