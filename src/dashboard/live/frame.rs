//! A frame under construction: one array of messages.

use super::ToBrowser;
use crate::protocol::{CommandName, HostId, LineEncoder, RunId, Seq};
use crate::runlog::Batch;
use serde::Serialize;

/// Messages for one browser, written as they come.
#[derive(Debug, Default)]
pub(super) struct Frame {
    json: Vec<u8>,
}

/// Of which run the lines in a `command_output` are.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) sub: &'a str,
    pub(super) host_id: &'a HostId,
    pub(super) run_id: &'a RunId,
    pub(super) command: &'a CommandName,
}

impl Frame {
    pub(super) fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.json.len()
    }

    pub(super) fn push(&mut self, message: &ToBrowser<'_>) {
        self.separate();
        self.write(message);
    }

    /// Lines in a row, as `command_output`; `skipped` lines before them are not shown.
    pub(super) fn push_lines(&mut self, source: Source<'_>, batch: &Batch, skipped: Seq) {
        self.separate();
        self.json
            .extend_from_slice(b"{\"type\":\"command_output\",\"sub\":");
        self.write(source.sub);
        self.json.extend_from_slice(b",\"host_id\":");
        self.write(source.host_id);
        self.json.extend_from_slice(b",\"run_id\":");
        self.write(source.run_id);
        self.json.extend_from_slice(b",\"command\":");
        self.write(source.command);
        self.json.extend_from_slice(b",\"seq\":");
        self.write(&batch.first());
        self.json.extend_from_slice(b",\"skipped\":");
        self.write(&(skipped > 0).then_some(skipped));
        self.json.extend_from_slice(b",\"lines\":[");
        let mut lines = LineEncoder::default();
        for (i, line) in batch.iter().enumerate() {
            if i > 0 {
                self.json.push(b',');
            }
            lines.write(&mut self.json, line.line, line.timestamp, line.is_error);
        }
        self.json.extend_from_slice(b"]}");
    }

    /// The text to send; the frame is empty afterwards.
    pub(super) fn finish(&mut self) -> String {
        self.json.push(b']');
        // Every piece was written by serde_json or is ASCII.
        String::from_utf8(std::mem::take(&mut self.json)).unwrap_or_default()
    }

    fn separate(&mut self) {
        self.json
            .push(if self.json.is_empty() { b'[' } else { b',' });
    }

    fn write(&mut self, value: &(impl Serialize + ?Sized)) {
        // Writing into memory cannot fail, and our types have string keys alone.
        let _ = serde_json::to_writer(&mut self.json, value);
    }
}
