//! The event stream for machines: one JSON object per line.

use std::io::{self, Write};

use rollup_model::{Event, Record, Sink};

/// Writes every kept record, and of what is only shown the meter's totals, at most once a second.
#[derive(Debug)]
pub struct JsonLines<W> {
    writer: W,
    last_meter: Option<jiff::Timestamp>,
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `writer`, usually standard output.
    pub fn new(writer: W) -> Self {
        Self { writer, last_meter: None }
    }

    fn is_due(&mut self, record: &Record) -> bool {
        if record.seq > 0 {
            return true;
        }
        if !matches!(record.event, Event::Meter(_)) {
            return false;
        }
        let due = self.last_meter.is_none_or(|last| crate::human::millis_between(last, record.at) >= 1000);
        if due {
            self.last_meter = Some(record.at);
        }
        due
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn event(&mut self, record: &Record) -> io::Result<()> {
        if !self.is_due(record) {
            return Ok(());
        }
        let mut line = serde_json::to_string(record)?;
        line.push('\n');
        self.writer.write_all(line.as_bytes())?;
        // A reader that follows the stream must see each line when it happens.
        self.writer.flush()
    }
}
