//! The text of the messages that the agent sends.

use crate::protocol::{CommandName, HostId, LineEncoder, RunId};
use crate::runlog::Batch;
use serde::Serialize;
use std::io::Write;

/// A message of any type but `output`.
pub(super) fn json(message: &impl Serialize) -> Vec<u8> {
    // These are structs with string keys: they always have a form in JSON.
    serde_json::to_vec(message).unwrap_or_default()
}

/// Writes `output` messages.
#[derive(Default)]
pub(super) struct OutputWriter {
    lines: LineEncoder,
    /// How long the last message was, to ask for memory once.
    likely: usize,
}

impl OutputWriter {
    /// The lines of `batch` as one message.
    pub(super) fn write(
        &mut self,
        host_id: &HostId,
        run_id: &RunId,
        command: &CommandName,
        batch: &Batch,
    ) -> Vec<u8> {
        let mut to = Vec::with_capacity(self.likely + self.likely / 8 + 512);
        // None of the three can hold what JSON escapes; and writing to memory does not fail.
        let _ = write!(
            to,
            "{{\"type\":\"output\",\"host_id\":\"{host_id}\",\"run_id\":\"{run_id}\",\"command\":\"{command}\",\"seq\":{},\"lines\":[",
            batch.first()
        );
        for (n, line) in batch.iter().enumerate() {
            if n > 0 {
                to.push(b',');
            }
            self.lines
                .write(&mut to, line.line, line.timestamp, line.is_error);
        }
        to.extend_from_slice(b"]}");
        self.likely = to.len();
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Output, Timestamp};
    use crate::runlog::{Header, LogReader, LogWriter};

    #[test]
    fn a_batch_becomes_the_message_that_serde_reads() {
        let folder = tempfile::tempdir().unwrap();
        let run_id = RunId::new("2025-12-14T10-30-00-switch").unwrap();
        let host_id = HostId::new("h1").unwrap();
        let command = CommandName::new("switch").unwrap();
        let at = Timestamp::from_millis(1_765_708_200_123);
        let header = Header::started_at(host_id.clone(), command.clone(), at);
        let mut log = LogWriter::create(folder.path(), &run_id, &header).unwrap();
        let lines = [
            "plain",
            "quote \" slash \\ tab \t NUL \0 colour \x1b[1m",
            "",
            "ünï",
        ];
        lines.iter().for_each(|line| log.push(line, at, Some(true)));
        log.flush().unwrap();
        let mut batch = Batch::default();
        let reader = LogReader::open(folder.path(), &run_id).unwrap();
        reader.read(1, 100, 1 << 20, &mut batch).unwrap();
        let text = OutputWriter::default().write(&host_id, &run_id, &command, &batch);
        let output: Output<'_> = serde_json::from_slice(&text).unwrap();
        assert_eq!(output.seq, 1);
        assert_eq!(
            output.lines.iter().map(|l| &*l.line).collect::<Vec<_>>(),
            lines[1..]
        );
        assert!(
            output
                .lines
                .iter()
                .all(|l| l.timestamp == "2025-12-14T10:30:00.123Z" && l.is_error == Some(true))
        );
        // Ours and serde's agree to the byte.
        assert_eq!(serde_json::to_string(&output).unwrap().into_bytes(), text);
    }
}
