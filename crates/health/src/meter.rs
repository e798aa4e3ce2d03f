//! The downtime meter (VIP-5): asks through the VIP all along and counts what was not answered.
//!
//! An outage begins at the last good answer before a failure and ends at the next good one, so its length is what a
//! client that asks again and again would have felt, within one interval. Probes overlap: a slow one does not hold the
//! next one up, and a late answer is a failure only after the inventory's timeout.

use std::{sync::Arc, time::Duration};

use rollup_engine::Recorder;
use rollup_model::{
    Event, StepId,
    event::{MeterTotals, Side, SideTotals},
    inventory::Meter,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior},
};

use crate::http;

/// A probe that has come to its end.
struct Probe {
    side: Side,
    sent: Instant,
    ended: Instant,
    good: bool,
}

/// What is known of one side.
#[derive(Debug)]
struct Track {
    totals: SideTotals,
    /// The last good answer; before the first, the moment from which on this process asks.
    last_good: (Instant, jiff::Timestamp),
    /// A failure was seen since the last good answer; the step that ran then.
    failing: Option<Option<StepId>>,
}

impl Track {
    fn new(begins: Instant, now: jiff::Timestamp) -> Self {
        Self { totals: SideTotals::default(), last_good: (begins, now), failing: None }
    }

    /// Takes the end of a probe; returns an outage that it ends.
    fn take(&mut self, probe: &Probe, step: Option<StepId>, now: jiff::Timestamp) -> Option<Event> {
        self.totals.sent += 1;
        if !probe.good {
            self.totals.failed += 1;
            // A probe sent before the last good answer says nothing about the time after it.
            let old = probe.sent < self.last_good.0;
            if !old && self.failing.is_none() {
                self.failing = Some(step);
            }
            return None;
        }
        let outage = self.close(probe.side, probe.ended);
        self.last_good = (probe.ended, now);
        outage
    }

    /// Counts the time since the last good answer; returns the outage that it was, if it was one.
    fn close(&mut self, side: Side, ended: Instant) -> Option<Event> {
        let (last, since) = self.last_good;
        let millis = millis(ended, last);
        self.totals.longest_gap_millis = self.totals.longest_gap_millis.max(millis);
        let during = self.failing.take()?;
        self.totals.down_millis += millis;
        Some(Event::Outage { side, since, millis, during })
    }

    /// The totals with an outage that goes on.
    fn so_far(&self, now: Instant) -> SideTotals {
        let mut totals = self.totals.clone();
        if self.failing.is_some() {
            let open = millis(now, self.last_good.0);
            totals.down_millis += open;
            totals.longest_gap_millis = totals.longest_gap_millis.max(open);
        }
        totals
    }
}

fn millis(later: Instant, earlier: Instant) -> u64 {
    u64::try_from(later.saturating_duration_since(earlier).as_millis()).unwrap_or(u64::MAX)
}

/// Runs until `end` says so or its sender is gone; the last totals are in the journal when this returns.
pub async fn meter(meter: Meter, recorder: Arc<Recorder>, mut end: watch::Receiver<bool>) {
    let (send, mut receive) = mpsc::unbounded_channel();
    let mut tick = tokio::time::interval(meter.interval.duration());
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut show = tokio::time::interval(Duration::from_millis(500));
    show.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut keep = tokio::time::interval(Duration::from_secs(5));
    let begin = || Track::new(Instant::now(), jiff::Timestamp::now());
    let (mut read, mut write) = (begin(), begin());
    loop {
        tokio::select! {
            _ = tick.tick() => {
                probe(&meter, Side::Read, &meter.read_url, None, &send);
                if let Some(url) = &meter.write_url {
                    probe(&meter, Side::Write, url, Some(meter.write_body.clone()), &send);
                }
            }
            Some(probe) = receive.recv() => {
                let track = match probe.side { Side::Read => &mut read, Side::Write => &mut write };
                if let Some(outage) = track.take(&probe, recorder.current_step(), jiff::Timestamp::now()) {
                    // The meter only observes: when the journal is lost the engine stops the run.
                    let _ = recorder.record(outage).await;
                }
            }
            _ = show.tick() => recorder.show(totals(&read, &write)),
            _ = keep.tick() => { let _ = recorder.record(totals(&read, &write)).await; }
            changed = end.changed() => if changed.is_err() || *end.borrow() { break },
        }
    }
    // An outage that nobody saw the end of is none the less one.
    for (side, track) in [(Side::Read, &mut read), (Side::Write, &mut write)] {
        if track.failing.is_some()
            && let Some(outage) = track.close(side, Instant::now())
        {
            let _ = recorder.record(outage).await;
        }
    }
    let _ = recorder.record(totals(&read, &write)).await;
}

fn totals(read: &Track, write: &Track) -> Event {
    let now = Instant::now();
    Event::Meter(MeterTotals { read: read.so_far(now), write: write.so_far(now) })
}

fn probe(meter: &Meter, side: Side, url: &str, body: Option<String>, send: &mpsc::UnboundedSender<Probe>) {
    let (url, limit, send) = (url.to_owned(), meter.timeout.duration(), send.clone());
    tokio::spawn(async move {
        let sent = Instant::now();
        let answer = http::request(&url, body.as_deref(), limit).await;
        let good = answer.is_ok_and(|answer| (200..300).contains(&answer.status));
        // The receiver is gone when the meter ended; the probe does not matter any more.
        let _ = send.send(Probe { side, sent, ended: Instant::now(), good });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, sent: u64, ended: u64, good: bool) -> Probe {
        let ms = |n| start + Duration::from_millis(n);
        Probe { side: Side::Write, sent: ms(sent), ended: ms(ended), good }
    }

    #[test]
    fn an_outage_lasts_from_the_last_good_answer_to_the_next_vip_5() {
        let (start, now) = (Instant::now(), jiff::Timestamp::now());
        let mut track = Track::new(start, now);
        let step = StepId::new("db.switchover@node-b").ok();
        assert_eq!(track.take(&at(start, 0, 10, true), None, now), None);
        assert_eq!(track.take(&at(start, 100, 110, false), step.clone(), now), None);
        assert_eq!(track.take(&at(start, 200, 210, false), None, now), None);
        let outage = track.take(&at(start, 300, 330, true), None, now);
        let Some(Event::Outage { millis, during, .. }) = outage else { panic!("expected an outage") };
        assert_eq!((millis, during), (320, step));
        assert_eq!((track.totals.sent, track.totals.failed, track.totals.down_millis), (4, 2, 320));
    }

    #[test]
    fn an_outage_that_began_before_or_has_not_ended_counts_too_vip_5() {
        let (start, now) = (Instant::now(), jiff::Timestamp::now());
        let mut track = Track::new(start, now);
        track.take(&at(start, 0, 10, false), None, now);
        assert_eq!(track.so_far(start + Duration::from_millis(500)).down_millis, 500, "it goes on");
        let Some(Event::Outage { millis, .. }) = track.take(&at(start, 700, 720, true), None, now) else {
            panic!("a process that began in the middle of an outage saw its end")
        };
        assert_eq!(millis, 720);
        track.take(&at(start, 800, 810, false), None, now);
        let open = track.close(Side::Write, start + Duration::from_millis(1720));
        assert!(matches!(open, Some(Event::Outage { millis: 1000, .. })), "{open:?}");
        assert_eq!(track.totals.down_millis, 1720);
    }

    #[test]
    fn a_slow_answer_is_a_gap_and_no_outage() {
        let (start, now) = (Instant::now(), jiff::Timestamp::now());
        let mut track = Track::new(start, now);
        track.take(&at(start, 0, 10, true), None, now);
        assert_eq!(track.take(&at(start, 100, 900, true), None, now), None);
        assert_eq!((track.totals.longest_gap_millis, track.totals.down_millis), (890, 0));
    }

    #[test]
    fn a_failure_sent_before_the_last_good_answer_is_history() {
        let (start, now) = (Instant::now(), jiff::Timestamp::now());
        let mut track = Track::new(start, now);
        track.take(&at(start, 0, 10, true), None, now);
        track.take(&at(start, 200, 210, true), None, now);
        track.take(&at(start, 100, 2100, false), None, now);
        assert_eq!(track.take(&at(start, 2200, 2210, true), None, now), None);
        assert_eq!(track.totals.failed, 1);
    }
}
