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
    last_good: Option<(Instant, jiff::Timestamp)>,
    /// A failure was seen since the last good answer; the step that ran then.
    failing: Option<Option<StepId>>,
}

impl Track {
    fn new() -> Self {
        Self { totals: SideTotals::default(), last_good: None, failing: None }
    }

    /// Takes the end of a probe; returns an outage that it ends.
    fn take(&mut self, probe: &Probe, step: Option<StepId>, now: jiff::Timestamp) -> Option<Event> {
        self.totals.sent += 1;
        if !probe.good {
            self.totals.failed += 1;
            // A probe sent before the last good answer says nothing about the time after it.
            let old = self.last_good.is_some_and(|(last, _)| probe.sent < last);
            if !old && self.failing.is_none() {
                self.failing = Some(step);
            }
            return None;
        }
        let previous = self.last_good.replace((probe.ended, now));
        let failing = self.failing.take();
        let (last, since) = previous?;
        let millis = u64::try_from(probe.ended.saturating_duration_since(last).as_millis()).unwrap_or(u64::MAX);
        self.totals.longest_gap_millis = self.totals.longest_gap_millis.max(millis);
        let during = failing?;
        self.totals.down_millis += millis;
        Some(Event::Outage { side: probe.side, since, millis, during })
    }
}

/// Runs until `end` says so or its sender is gone; the last totals are in the journal when this returns.
pub async fn meter(meter: Meter, recorder: Arc<Recorder>, mut end: watch::Receiver<bool>) {
    let (send, mut receive) = mpsc::unbounded_channel();
    let mut tick = tokio::time::interval(meter.interval.duration());
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut show = tokio::time::interval(Duration::from_millis(500));
    show.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut keep = tokio::time::interval(Duration::from_secs(5));
    let (mut read, mut write) = (Track::new(), Track::new());
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
    let _ = recorder.record(totals(&read, &write)).await;
}

fn totals(read: &Track, write: &Track) -> Event {
    Event::Meter(MeterTotals { read: read.totals.clone(), write: write.totals.clone() })
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
        let mut track = Track::new();
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
    fn a_slow_answer_is_a_gap_and_no_outage() {
        let (start, now) = (Instant::now(), jiff::Timestamp::now());
        let mut track = Track::new();
        track.take(&at(start, 0, 10, true), None, now);
        assert_eq!(track.take(&at(start, 100, 900, true), None, now), None);
        assert_eq!((track.totals.longest_gap_millis, track.totals.down_millis), (890, 0));
    }

    #[test]
    fn a_failure_sent_before_the_last_good_answer_is_history() {
        let (start, now) = (Instant::now(), jiff::Timestamp::now());
        let mut track = Track::new();
        track.take(&at(start, 0, 10, true), None, now);
        track.take(&at(start, 200, 210, true), None, now);
        track.take(&at(start, 100, 2100, false), None, now);
        assert_eq!(track.take(&at(start, 2200, 2210, true), None, now), None);
        assert_eq!(track.totals.failed, 1);
    }
}
