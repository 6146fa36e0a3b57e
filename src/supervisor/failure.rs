//! Why a program of a run failed: what its output said, with what the log and the host say besides.

use super::gap::Gap;
use super::memory;
use super::recorder::Recorder;
use super::standing::Standing;
use crate::progress::{Ending, Failure, Line, Output};
use crate::protocol::{Cause, CauseKind, Seq};
use crate::runlog::{Batch, LogReader};
use crate::spool::RunDir;
use std::ops::Range;

/// How much of the log is read at once, in bytes.
const MAX_READ_BYTES: usize = 256 * 1024;

/// How many lines of the log are read at once.
const MAX_READ_LINES: usize = 1000;

/// The lines of a run: those in its log, and those that wait for room in it.
struct Lines<'a> {
    log: Option<LogReader>,
    gap: Option<&'a Gap>,
    /// The number of the first line that waits.
    next: Seq,
}

impl Output for Lines<'_> {
    fn lines(&self, range: Range<Seq>, take: &mut dyn FnMut(Line<'_>)) {
        let stored = range.start..range.end.min(self.next);
        self.in_log(stored, take);
        let Some(gap) = self.gap.filter(|_| range.end > self.next) else {
            return;
        };
        for text in gap.given_up_errors() {
            take(Line {
                seq: self.next,
                text,
                is_error: true,
            });
        }
        let first = self.next + gap.left_out();
        for (seq, kept) in (first..).zip(gap.tail()) {
            if range.contains(&seq) {
                take(Line {
                    seq,
                    text: &kept.line,
                    is_error: kept.is_error,
                });
            }
        }
    }
}

impl Lines<'_> {
    fn in_log(&self, range: Range<Seq>, take: &mut dyn FnMut(Line<'_>)) {
        let Some(log) = &self.log else {
            return;
        };
        let mut next = range.start;
        let mut batch = Batch::default();
        while next < range.end {
            if log
                .read(next, MAX_READ_LINES, MAX_READ_BYTES, &mut batch)
                .is_err()
                || batch.is_empty()
            {
                return;
            }
            for (seq, line) in (batch.first()..range.end).zip(batch.iter()) {
                take(Line {
                    seq,
                    text: line.line,
                    is_error: line.is_error == Some(true),
                });
            }
            next = batch.first() + batch.len() as Seq;
        }
    }
}

/// Why the present program failed, given its exit code and whether its activation outlived it. Everything that it wrote must have been recorded.
pub(super) fn explain(
    (program, code, outlived): (&str, i32, bool),
    (recorder, standing, rundir): (&mut Recorder, &Standing, &RunDir),
) -> Failure {
    let own = memory::own_group();
    let memory = own.zip(standing.kills_before());
    let memory = memory.and_then(|(group, kills)| memory::since(&group, kills));
    let ending = Ending {
        program,
        code,
        activating: recorder.is_activating(),
        outlived,
        failed_before: standing.failed_before(),
        memory,
        lines: standing.from()..recorder.next_line(),
    };
    let lines = Lines {
        log: LogReader::open(rundir.path(), rundir.run_id()).ok(),
        gap: recorder.gap(),
        next: recorder.next_seq(),
    };
    let failure = recorder.decoder_ref().failure(&ending, &lines);
    recorder.mask(failure)
}

/// The one cause of something that only words tell of.
pub(super) fn only(kind: CauseKind, message: &str) -> Cause {
    let summary = message.lines().next().unwrap_or_default().to_owned();
    Cause {
        kind,
        name: None,
        summary,
        from: None,
        to: None,
        line: None,
    }
}
