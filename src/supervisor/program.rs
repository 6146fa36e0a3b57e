//! One program of a run, from its start until its output was read to the end.

use super::capture::Taken;
use super::child::{Child, ChildEnd, not_started};
use super::ending::Ending;
use super::recorder::{Recorder, Stream};
use super::standing::Standing;
use super::waiter::End;
use super::watch::Watch;
use super::{fd_store, outcome, reserve};
use crate::proctree::{self, ProcessId};
use crate::protocol::{Phase, Timestamp};
use crate::spool::{RunDir, Spec};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How much is read from a pipe at once; all of it becomes one batch of the spool.
const READ_BYTES: usize = 256 * 1024;

/// The longest time without a look at everything.
const IDLE: Duration = Duration::from_secs(1);

/// A program has ended but others hold its pipes: how long they may be silent, and how long they are heard.
const SILENCE: Duration = Duration::from_secs(2);
const HEARING: Duration = Duration::from_secs(10);

/// How a program ended.
pub(super) enum Ended {
    /// By itself, or by a signal of somebody else.
    Finished(Finished),
    /// We ended it, or did not begin it any more.
    Interrupted(Interruption),
}

/// A program that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Finished {
    pub(super) how: How,
    /// Where it failed: its first error, or its last lines on standard error.
    pub(super) said: Option<String>,
    /// Whether the machine was being changed when it ended.
    pub(super) activating: bool,
}

/// How it came to be over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum How {
    /// With this exit code.
    Exited(i32),
    /// It could not be started: the exit code, and what to tell the user.
    NotStarted(i32, String),
    /// Nobody saw its end.
    Unseen,
}

/// Why a run ends before its time.
pub(super) struct Interruption {
    pub(super) cause: Cause,
    /// Where the run was.
    pub(super) phase: Option<Phase>,
    /// Something did not go, even after SIGKILL.
    pub(super) left_behind: bool,
}

pub(super) enum Cause {
    /// Somebody asked for it; a signal gives no name.
    Stop { by: Option<String>, force: bool },
    /// The run took too long.
    Timeout,
}

impl Cause {
    fn is_forced(&self) -> bool {
        matches!(self, Self::Stop { force: true, .. })
    }
}

/// What the programs of a run have in common.
pub(super) struct Programs<'a> {
    pub(super) rundir: &'a RunDir,
    pub(super) spec: &'a Spec,
    pub(super) recorder: Recorder,
    standing: Standing,
    watch: Watch,
    buffer: Vec<u8>,
    pace: Pace,
}

/// A program that was started.
struct Running {
    child: Child,
    /// When it had ended and, if later, when something was last read.
    exited: Option<Instant>,
    last_read: Instant,
    ending: Option<(Ending, Interruption)>,
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
        }
    }

    /// How long the run has taken.
    pub(super) fn elapsed(&self) -> Duration {
        self.standing.elapsed()
    }

    /// Runs the next program to its end, in this phase where that is known. Its output is in the spool when this
    /// returns. One that an earlier supervisor saw end is not run again, and one that it started is taken over.
    pub(super) fn run(&mut self, argv: &[String], phase: Option<Phase>) -> Ended {
        if let Some(finished) = self.standing.next_finished() {
            return Ended::Finished(finished);
        }
        let child = match self.standing.take_started() {
            Some(launch) => Ok(self.take_over(launch)),
            None => {
                if let Some(cause) = self.order(false).or_else(|| self.timeout()) {
                    return Ended::Interrupted(self.interrupted(cause));
                }
                self.begin(phase);
                let launch = self.standing.launch(self.rundir, &self.recorder);
                if fd_store::is_there() {
                    fd_store::forget(launch - 1);
                }
                Child::spawn(argv, self.spec, self.rundir, launch)
            }
        };
        let how = match child {
            Ok(child) => match self.attend(child) {
                Ok(ChildEnd::Seen(End::Exited(code))) => How::Exited(code),
                Ok(ChildEnd::Seen(End::NotStarted(error))) => {
                    cannot_start(argv, &io::Error::from_raw_os_error(error))
                }
                Ok(ChildEnd::Unseen) => How::Unseen,
                Err(interruption) => return Ended::Interrupted(interruption),
            },
            Err(error) => cannot_start(argv, &error),
        };
        let said = match how {
            How::Exited(0) => None,
            _ => outcome::said(&self.recorder, self.rundir, self.standing.from()),
        };
        let activating = self.recorder.is_activating();
        let finished = Finished {
            how,
            said,
            activating,
        };
        self.standing.finish(finished.clone());
        Ended::Finished(finished)
    }

    fn close_gap_if_it_may(&mut self) {
        if self.recorder.gap_may_close() {
            self.close_gap();
        }
    }

    /// Stores what was kept of the lines for which there was no room. Whoever goes on with the run in the midst of
    /// that finds that it had begun.
    fn close_gap(&mut self) -> bool {
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

    /// Prepares for a program.
    fn begin(&mut self, phase: Option<Phase>) {
        let next = self.recorder.next_seq();
        let decoder = self.recorder.decoder();
        decoder.step_begins();
        if let Some(phase) = phase {
            decoder.begin(phase, Timestamp::now(), next);
        }
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
        child
    }

    /// Hears a program to its end.
    fn attend(&mut self, child: Child) -> Result<ChildEnd, Interruption> {
        self.claim(&child);
        let mut running = Running {
            child,
            exited: None,
            last_read: Instant::now(),
            ending: None,
        };
        let end = loop {
            self.turn(&mut running);
            if let Some(end) = running.end_if_over() {
                break end;
            }
        };
        let now = Timestamp::now();
        self.recorder.end(Stream::Stdout, now);
        self.recorder.end(Stream::Stderr, now);
        self.recorder.flush();
        match running.ending {
            Some((ending, interruption)) => Err(Interruption {
                left_behind: ending.is_given_up(),
                ..interruption
            }),
            None => Ok(end),
        }
    }

    fn claim(&self, child: &Child) {
        if let Err(error) = super::claim(self.rundir, child.id()) {
            tracing::warn!(%error, "cannot write down the child");
        }
    }

    /// Waits for something to happen, and deals with it.
    fn turn(&mut self, running: &mut Running) {
        let wait = self.look(running);
        let [stdout, stderr] = self.wait(&running.child, wait);
        let now = Timestamp::now();
        let mut most = 0;
        for (stream, ready) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            if ready {
                most = most.max(self.read(&mut running.child, stream, now));
            }
        }
        if most > 0 {
            running.last_read = Instant::now();
            self.recorder.flush();
            self.close_gap_if_it_may();
            self.standing.roll_if_full(self.rundir, &self.recorder);
            self.pace.rest_after(most);
        }
        running.child.look(self.rundir, self.watch.changed());
        if running.exited.is_none() && running.child.end.is_some() {
            running.exited = Some(Instant::now());
        }
    }

    /// Looks at orders, clocks and files; gives the longest time to wait for the child.
    fn look(&mut self, running: &mut Running) -> Duration {
        let activating = self.is_activating(running);
        let child = running.child.id();
        // What is heard no longer is waited for only while the tree is being ended, which has its own times.
        let hear = running.time_to_hear().filter(|time| !time.is_zero());
        let mut wait = hear.unwrap_or(IDLE);
        if let Some(after) = self.recorder.write_progress() {
            wait = wait.min(after);
        }
        if let Some((ending, _)) = &mut running.ending {
            if self.watch.order().is_some_and(|order| order.force) {
                ending.force();
            }
            return wait.min(ending.turn(self.rundir, running.child.id(), activating));
        }
        let may_time_out = !activating && running.exited.is_none();
        let mut cause = self
            .order(activating)
            .or_else(|| may_time_out.then(|| self.timeout())?);
        if running.exited.is_none() && !cause.as_ref().is_none_or(Cause::is_forced) {
            // An activation that has begun and said nothing yet is one, too.
            cause.take_if(|_| self.finds_activation(child));
        }
        if let Some(cause) = cause {
            let ending = Ending::begin(self.rundir, child, cause.is_forced());
            running.ending = Some((ending, self.interrupted(cause)));
            return Duration::ZERO;
        }
        match self.time_left() {
            Some(left) if may_time_out => wait.min(left),
            _ => wait,
        }
    }

    /// Looks whether an activation has begun of which the output does not tell yet.
    fn finds_activation(&mut self, child: Option<ProcessId>) -> bool {
        let found = proctree::of_supervisor(self.rundir.path(), child)
            .into_iter()
            .any(ProcessId::activates);
        if found {
            tracing::warn!("the run is not ended: an activation has begun");
            let next = self.recorder.next_seq();
            let decoder = self.recorder.decoder();
            decoder.activation_begins(Timestamp::now(), next);
            self.watch.refuse();
        }
        found
    }

    /// An order to stop, unless it is refused: an activation is ended by force alone.
    fn order(&mut self, activating: bool) -> Option<Cause> {
        let order = self.watch.order()?;
        if activating && !order.force {
            tracing::warn!("an order to stop was refused: the host is activating");
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
    fn timeout(&self) -> Option<Cause> {
        let left = self.time_left()?;
        left.is_zero().then_some(Cause::Timeout)
    }

    fn time_left(&self) -> Option<Duration> {
        let timeout = Duration::from_secs(self.spec.timeout?);
        Some(timeout.saturating_sub(self.elapsed()))
    }

    fn interrupted(&self, cause: Cause) -> Interruption {
        Interruption {
            cause,
            phase: self.recorder.progress().phase(),
            left_behind: false,
        }
    }

    /// Whether the program still runs and the run is in a phase that may not be interrupted.
    fn is_activating(&self, running: &Running) -> bool {
        running.exited.is_none() && self.recorder.is_activating()
    }

    /// Waits until something is there; says for each stream whether to read it.
    fn wait(&self, child: &Child, longest: Duration) -> [bool; 2] {
        // Rounded up, so as not to wake just before the time.
        let timeout = PollTimeout::try_from(longest + Duration::from_micros(999))
            .unwrap_or(PollTimeout::from(1000u16));
        let readers = [&child.stdout, &child.stderr];
        let mut descriptors: Vec<PollFd<'_>> = readers
            .into_iter()
            .flatten()
            .map(AsFd::as_fd)
            .chain(self.watch.descriptors())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        if let Err(error) = poll(&mut descriptors, timeout) {
            if error == Errno::EINTR {
                return [false; 2];
            }
            tracing::error!(%error, "cannot poll");
            sleep(Duration::from_millis(10));
            return [true; 2];
        }
        let mut found = descriptors.iter().map(|fd| fd.any().unwrap_or(true));
        readers.map(|reader| reader.is_some() && found.next().unwrap_or(false))
    }

    /// Reads one stream once; gives the number of bytes.
    fn read(&mut self, child: &mut Child, stream: Stream, now: Timestamp) -> usize {
        let capture = self.standing.capture();
        match child.read(stream, capture, now, &mut self.buffer) {
            Taken::Bytes(count) => {
                self.recorder.take(stream, &self.buffer[..count], now);
                count
            }
            Taken::End => {
                capture.note_end(stream, now);
                child.close(stream);
                self.recorder.end(stream, now);
                1
            }
            Taken::Nothing => 0,
        }
    }
}

fn cannot_start(argv: &[String], error: &io::Error) -> How {
    let (code, message) = not_started(argv.first().map_or("", String::as_str), error);
    How::NotStarted(code, message)
}

impl Running {
    /// The program's end once there is nothing more to wait for.
    fn end_if_over(&self) -> Option<ChildEnd> {
        let ending = self.ending.as_ref().map(|(ending, _)| ending);
        if ending.is_some_and(Ending::is_given_up) {
            return Some(self.child.end.unwrap_or(ChildEnd::Unseen));
        }
        let end = self.child.end?;
        let tree_gone = ending.is_none_or(Ending::is_over);
        let heard = self.child.is_drained() || self.time_to_hear().is_some_and(|t| t.is_zero());
        (tree_gone && heard).then_some(end)
    }

    /// How much longer those that hold the pipes of an ended program are heard.
    fn time_to_hear(&self) -> Option<Duration> {
        let exited = self.exited?;
        let silence_ends = exited.max(self.last_read) + SILENCE;
        let end = silence_ends.min(exited + HEARING);
        Some(end.saturating_duration_since(Instant::now()))
    }
}

/// Rests a little between small reads that follow each other fast, so that they become one: 200 a second
/// are read at once, beyond that what came within a millisecond.
struct Pace {
    window: Instant,
    reads: u32,
}

impl Pace {
    const WINDOW: Duration = Duration::from_millis(100);
    const FREE_READS: u32 = 20;
    const REST: Duration = Duration::from_millis(1);

    fn new() -> Self {
        Self {
            window: Instant::now(),
            reads: 0,
        }
    }

    fn rest_after(&mut self, bytes: usize) {
        if self.window.elapsed() > Self::WINDOW {
            *self = Self::new();
        }
        self.reads += 1;
        if self.reads > Self::FREE_READS && bytes < READ_BYTES / 2 {
            sleep(Self::REST);
        }
    }
}
