//! The programs of a run, one after the other: each is started, or taken over from an earlier supervisor, and
//! heard to its end.

use super::child::{Child, ChildEnd};
use super::pace::{Pace, READ_BYTES};
use super::program::{Cause, Ended, Finished, How, Interruption};
use super::recorder::Recorder;
use super::standing::Standing;
use super::streams::Stream;
use super::waiter::End;
use super::watch::Watch;
use super::{failed_units, failure, fd_store, journal, memory, reserve, tree, unit_end};
use crate::progress::{Failure, Killed};
use crate::protocol::{CauseKind, Phase, Timestamp};
use crate::spool::{RunDir, Spec};
use std::io;
use std::time::Duration;

/// What the programs of a run have in common.
pub(super) struct Programs<'a> {
    pub(super) rundir: &'a RunDir,
    pub(super) spec: &'a Spec,
    pub(super) recorder: Recorder,
    pub(super) standing: Standing,
    pub(super) watch: Watch,
    pub(super) buffer: Vec<u8>,
    pub(super) pace: Pace,
    /// The activation that the present program had begun went on behind its end.
    pub(super) outlived: bool,
}

impl<'a> Programs<'a> {
    pub(super) fn new(
        rundir: &'a RunDir,
        spec: &'a Spec,
        recorder: Recorder,
        standing: Standing,
        watch: Watch,
    ) -> Self {
        Self {
            rundir,
            spec,
            recorder,
            standing,
            watch,
            buffer: vec![0; READ_BYTES],
            pace: Pace::new(),
            outlived: false,
        }
    }

    /// How long the run has taken.
    pub(super) fn elapsed(&self) -> Duration {
        self.standing.elapsed()
    }

    /// Whether the repository differed from its commit when the latest step began, where that is known.
    pub(super) fn local_changes(&self) -> Option<bool> {
        self.standing.local_changes()
    }

    /// Runs the next program to its end, in this phase where that is known. Its output is in the spool when this
    /// returns. One that an earlier supervisor saw end is not run again, and one that it started is taken over.
    pub(super) fn run(&mut self, argv: &[String], phase: Option<Phase>) -> Ended {
        if let Some(finished) = self.standing.next_finished() {
            return Ended::Finished(finished);
        }
        self.outlived = false;
        let child = match self.standing.take_started() {
            Some(launch) => Ok(self.take_over(launch)),
            None => {
                if let Some(cause) = self.order(false).or_else(|| self.timeout()) {
                    // The program before it is over, and so is its phase.
                    return Ended::Interrupted(Interruption {
                        cause,
                        phase: None,
                        left_behind: false,
                    });
                }
                self.start(argv, phase)
            }
        };
        let how = match child {
            Ok(child) => match self.attend(child) {
                Ok(ChildEnd::Seen(End::Exited(code))) => How::Exited(code),
                Ok(ChildEnd::Seen(End::NotStarted(error))) => {
                    How::not_started(argv, &io::Error::from_raw_os_error(error))
                }
                Ok(ChildEnd::Unseen) => self.killed().map_or(How::Unseen, How::OutOfMemory),
                Err(interruption) if self.is_stopped_for_memory(&interruption) => {
                    How::OutOfMemory(Killed::Run)
                }
                Err(interruption) => return Ended::Interrupted(interruption),
            },
            Err(error) => How::not_started(argv, &error),
        };
        let failure = self.explain(argv, &how, phase);
        let finished = Finished {
            how,
            failure,
            activating: self.recorder.is_activating(),
        };
        self.standing.finish(finished.clone());
        Ended::Finished(finished)
    }

    /// Notes why a program failed, and gives what to tell the user.
    fn explain(&mut self, argv: &[String], how: &How, phase: Option<Phase>) -> Option<String> {
        let program = argv.first().map_or("", String::as_str);
        let mut failure = match how {
            How::Exited(0) => {
                let failure = self.recorder.decoder_ref().failure_despite_success()?;
                self.recorder.mask(failure)
            }
            How::Exited(code) => self.failure_of(program, *code, None),
            // As the exit code is of what is killed.
            How::OutOfMemory(killed) => self.failure_of(program, 137, Some(*killed)),
            How::NotStarted(_, message) => self.failure_of_launch(message.clone()),
            How::Unseen => self.failure_of_launch(format!("Result of {program} unknown")),
        };
        if phase == Some(Phase::Testing) {
            failure.causes.truncate(1);
        }
        self.recorder.note_causes(failure.causes);
        Some(failure.message)
    }

    /// A failure that only we know of. The name of a program may hold a secret, too.
    fn failure_of_launch(&self, message: String) -> Failure {
        self.recorder.mask(Failure {
            causes: vec![failure::only(CauseKind::Other, &message)],
            message,
        })
    }

    fn failure_of(&mut self, program: &str, code: i32, killed: Option<Killed>) -> Failure {
        let end = failure::ProgramEnd {
            program,
            code,
            outlived: self.outlived,
            killed,
        };
        let known = (&mut self.recorder, &self.standing, self.rundir);
        failure::explain(&end, known)
    }

    /// What was killed, where systemd says that all of the run was, because memory ran out. An activation is in a unit
    /// of its own, and how that ended nobody saw.
    fn killed(&self) -> Option<Killed> {
        let may_activate = self.recorder.is_activating() || self.outlived;
        (!may_activate).then(|| unit_end::killed_for_memory(self.rundir))?
    }

    /// Whether it was systemd that stopped the run, because memory ran out (`OOMPolicy=stop`).
    fn is_stopped_for_memory(&self, interruption: &Interruption) -> bool {
        let is_signal = matches!(interruption.cause, Cause::Stop { by: None, .. });
        is_signal && unit_end::is_ending_for_memory(self.rundir)
    }

    fn start(&mut self, argv: &[String], phase: Option<Phase>) -> io::Result<Child> {
        self.recorder.step_begins();
        let next = self.recorder.next_seq();
        match phase {
            Some(phase) => self.recorder.decoder().begin(phase, Timestamp::now(), next),
            // Where the phase is not known beforehand, it may become that of an activation.
            None if journal::is_there() => {
                if let Some(end) = journal::end() {
                    self.recorder.follow_journal(end);
                }
            }
            None => {}
        }
        if phase.is_none() && self.standing.failed_before().is_none() {
            self.standing.note_failed_before(failed_units::now());
        }
        if phase.is_none() {
            let changes = tree::has_changes(&self.spec.work_dir);
            self.standing.note_local_changes(changes);
        }
        let group = memory::own_group();
        self.standing
            .note_kills(group.and_then(|group| memory::Kills::now(&group)));
        let launch = self.standing.launch(self.rundir, &self.recorder);
        if fd_store::is_there() {
            fd_store::forget(launch - 1);
        }
        Child::spawn(argv, self.spec, self.rundir, launch)
    }

    /// Takes over the program that an earlier supervisor started, and decodes what that one had read of it.
    fn take_over(&mut self, launch: u32) -> Child {
        if self.recorder.gap().is_some_and(|gap| gap.is_closing) {
            self.recorder.close_gap();
        }
        let mut child = Child::attach(launch);
        for stream in self.standing.replay(&mut self.recorder) {
            child.close(stream);
        }
        // Its reader of the journal is gone, perhaps in the middle of an entry.
        self.end_stream(&mut child, Stream::Journal, Timestamp::now());
        child
    }

    /// Stores what was kept of the lines for which there was no room. Whoever goes on with the run in the midst of
    /// that finds that it had begun.
    pub(super) fn close_gap(&mut self) -> bool {
        self.recorder.announce_close();
        self.standing.store(self.rundir, &self.recorder);
        self.recorder.close_gap()
    }

    /// The run is over: what was kept is stored, with the room that was kept for that if need be.
    pub(super) fn finish(mut self) -> Recorder {
        self.recorder.flush();
        let is_whole = self.recorder.gap().is_none() || self.close_gap();
        reserve::release(self.rundir);
        if !is_whole {
            self.recorder.close_gap_at_last();
        }
        self.recorder
    }

    /// An order to stop, unless it is refused: an activation is ended by force alone.
    pub(super) fn order(&mut self, activating: bool) -> Option<Cause> {
        let order = self.watch.order()?;
        if activating && !order.force {
            tracing::warn!("stop refused: the host is activating");
            self.watch.refuse();
            return None;
        }
        Some(Cause::Stop {
            by: order.requested_by,
            force: order.force,
        })
    }

    /// Whether the run has taken too long. An activation is not ended for that: the run then ends before its
    /// next program, if there is one.
    pub(super) fn timeout(&self) -> Option<Cause> {
        let left = self.time_left()?;
        left.is_zero().then_some(Cause::Timeout)
    }

    pub(super) fn time_left(&self) -> Option<Duration> {
        let timeout = Duration::from_secs(self.spec.timeout?);
        Some(timeout.saturating_sub(self.elapsed()))
    }

    pub(super) fn interrupted(&self, cause: Cause) -> Interruption {
        Interruption {
            cause,
            phase: self.recorder.phase_of_step(),
            left_behind: false,
        }
    }
}
