//! Why a program of a run failed: what its output said, with what the log and the host say besides.

use super::gap::Gap;
use super::memory;
use super::recorder::Recorder;
use super::standing::Standing;
use crate::progress::{Ending, Failure, Killed, Line, Output};
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

/// How the present program ended.
pub(super) struct ProgramEnd<'a> {
    /// As it was called.
    pub(super) program: &'a str,
    pub(super) code: i32,
    /// Whether its activation outlived it.
    pub(super) outlived: bool,
    /// What was killed, where all of the run was ended because memory ran out.
    pub(super) killed: Option<Killed>,
}

/// Why the present program failed. Everything that it wrote must have been recorded.
pub(super) fn explain(
    end: &ProgramEnd<'_>,
    (recorder, standing, rundir): (&mut Recorder, &Standing, &RunDir),
) -> Failure {
    let before = standing.kills_before();
    let memory = match end.killed {
        Some(killed) => Some(memory::of_ended(rundir, before, killed)),
        None => memory::own_group()
            .zip(before)
            .and_then(|(group, before)| memory::since(&group, before)),
    };
    let of_activation = || memory::of_activation(standing.began());
    let activation = recorder.is_activating().then(of_activation).flatten();
    let ending = Ending {
        program: end.program,
        code: end.code,
        activating: recorder.is_activating(),
        outlived: end.outlived,
        failed_before: standing.failed_before(),
        memory: activation.or(memory),
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
