//! A frame under construction: one array of messages, never over [`MAX_FRAME_BYTES`].

use super::ToBrowser;
use crate::dashboard::assets;
use crate::dashboard::fleet::HostView;
use crate::protocol::{CommandName, HostId, LineEncoder, MAX_FRAME_BYTES, RunId, Seq};
use crate::runlog::Batch;
use serde::Serialize;
use std::iter::Peekable;

/// From here on nothing is begun any more; what is begun below it still fits.
const ROOM: usize = MAX_FRAME_BYTES / 2;
/// As far as more lines are read: they are cut off where the frame is full.
const ROOM_FOR_LINES: usize = MAX_FRAME_BYTES / 8 * 7;
/// The same of a short frame,
const SHORT_ROOM: usize = 32 * 1024;
/// for messages and for lines.
const SHORT_ROOM_FOR_LINES: usize = 64 * 1024;
/// More than what stands around the text of a line, and closes a frame.
const AROUND_A_LINE: usize = 128;
/// The longest escape of one byte, `\u0000`.
const LONGEST_ESCAPE: usize = 6;

/// Messages for one browser, written as they come.
#[derive(Debug, Default)]
pub(super) struct Frame {
    json: Vec<u8>,
    is_long: bool,
    /// Where its lines begin, in bytes.
    before_lines: usize,
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

    /// How long it is so far, in bytes.
    pub(super) fn len(&self) -> usize {
        self.json.len()
    }

    /// Takes back what was written behind the first so many bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        self.json.truncate(length);
    }

    /// Whether it may become as long as a frame may be. It is short at first.
    pub(super) fn set_long(&mut self, is_long: bool) {
        self.is_long = is_long;
    }

    /// Whether another message may be begun.
    pub(super) fn has_room(&self) -> bool {
        self.json.len() < if self.is_long { ROOM } else { SHORT_ROOM }
    }

    /// Has what follows be lines. However long what stands before them is, there is room for some.
    pub(super) fn begin_lines(&mut self) {
        self.before_lines = self.json.len();
    }

    /// Whether more lines may be added.
    pub(super) fn has_room_for_lines(&self) -> bool {
        let room = if self.is_long {
            ROOM_FOR_LINES
        } else {
            SHORT_ROOM_FOR_LINES.max(self.before_lines + SHORT_ROOM)
        };
        self.json.len() < room
    }

    /// The first of these hosts, as `hosts`, at least one if there is one. None are taken before there is room for
    /// them, but for the one that comes next.
    pub(super) fn push_hosts(&mut self, hosts: &mut Peekable<impl Iterator<Item = HostView>>) {
        self.separate();
        self.json
            .extend_from_slice(b"{\"type\":\"hosts\",\"version\":");
        self.write(assets::version());
        self.json.extend_from_slice(b",\"hosts\":[");
        let mut is_first = true;
        while is_first || self.has_room() {
            let Some(host) = hosts.next() else { break };
            if !is_first {
                self.json.push(b',');
            }
            self.write(&host);
            is_first = false;
        }
        self.json.extend_from_slice(b"],\"more\":");
        self.write(&hosts.peek().is_some());
        self.json.push(b'}');
    }

    pub(super) fn push(&mut self, message: &ToBrowser<'_>) {
        self.separate();
        self.write(message);
    }

    /// The first of these lines, as `command_output`; `skipped` lines before them are not shown. Gives how many
    /// lines fit into the frame.
    pub(super) fn push_lines(&mut self, source: Source<'_>, batch: &Batch, skipped: Seq) -> usize {
        let before = self.json.len();
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
        let mut written = 0;
        for line in batch.iter() {
            let longest = line.line.len() * LONGEST_ESCAPE + AROUND_A_LINE;
            let is_full = written > 0 && !self.is_long && !self.has_room_for_lines();
            if is_full || self.json.len() + longest > MAX_FRAME_BYTES {
                break;
            }
            if written > 0 {
                self.json.push(b',');
            }
            lines.write(&mut self.json, line.line, line.timestamp, line.is_error);
            written += 1;
        }
        if written == 0 {
            self.json.truncate(before);
        } else {
            self.json.extend_from_slice(b"]}");
        }
        written
    }

    /// The text to send; the frame is empty afterwards.
    pub(super) fn finish(&mut self) -> String {
        self.json.push(b']');
        self.before_lines = 0;
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
