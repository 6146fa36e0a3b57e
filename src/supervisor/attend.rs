//! A program that runs: what it writes, orders, clocks, its end.

use super::capture::Taken;
use super::child::{Child, ChildEnd};
use super::ending::Ending;
use super::journal::{self, Reader};
use super::program::{Cause, Interruption};
use super::programs::Programs;
use super::streams::Stream;
use crate::proctree::{self, ProcessId};
use crate::protocol::Timestamp;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest time without a look at everything.
const IDLE: Duration = Duration::from_secs(1);

/// A program has ended but others hold its pipes: how long they may be silent, and how long they are heard.
const SILENCE: Duration = Duration::from_secs(2);
const HEARING: Duration = Duration::from_secs(10);

/// How long journalctl may take for what was written before the program's end.
const JOURNAL: Duration = Duration::from_secs(20);

/// A program that was started.
struct Running {
    child: Child,
    /// When it had ended and, if later, when something was last read.
    exited: Option<Instant>,
    last_read: Instant,
    /// It has ended, and the activation that it began goes on.
    outlived: bool,
    /// When a reader of the journal is started, if there is none.
    follow_at: Instant,
    ending: Option<(Ending, Interruption)>,
}

impl Programs<'_> {
    /// Hears a program to its end.
    pub(super) fn attend(&mut self, child: Child) -> Result<ChildEnd, Interruption> {
        if let Err(error) = super::claim(self.rundir, child.id()) {
            tracing::warn!(%error, "the started program cannot be stored");
        }
        let now = Instant::now();
        let mut running = Running {
            child,
            exited: None,
            last_read: now,
            outlived: false,
            follow_at: now,
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
        self.leave_journal(&mut running.child);
        self.recorder.flush();
        match running.ending {
            Some((ending, mut interruption)) => {
                interruption.left_behind = ending.is_given_up();
                // It may have begun to activate in the very moment of the order.
                if self.recorder.is_activating() {
                    interruption.phase = self.recorder.phase_of_step();
                }
                Err(interruption)
            }
            None => Ok(end),
        }
    }

    /// Waits for something to happen, and deals with it.
    fn turn(&mut self, running: &mut Running) {
        self.follow_journal(running);
        let wait = self.look(running);
        let ready = self.wait(&running.child, wait);
        let now = Timestamp::now();
        let mut most = 0;
        let [stdout, stderr, journal] = ready;
        // What was written to standard error before standard output was written to is there by now, and is read first.
        for (stream, ready) in [
            (Stream::Stderr, stderr || stdout),
            (Stream::Stdout, stdout),
            (Stream::Journal, journal),
        ] {
            if ready {
                most = most.max(self.read(&mut running.child, stream, now));
            }
        }
        if most > 0 {
            running.last_read = Instant::now();
        }
        // Of a program that is silent, too: there may be room for what it said before.
        self.keep();
        if most > 0 {
            self.pace.rest_after(most);
        }
        running.child.look(self.rundir, self.watch.changed());
        if running.exited.is_none() && running.child.end.is_some() {
            running.exited = Some(Instant::now());
        }
        // One that has said nothing yet has our pipes.
        running.outlived = running.exited.is_some()
            && (self.recorder.is_activating() || !running.child.is_drained())
            && !proctree::of_activation().is_empty();
        self.outlived |= running.outlived;
    }

    /// Stores what was read.
    fn keep(&mut self) {
        self.recorder.flush();
        if self.recorder.gap_may_close() {
            self.close_gap();
        }
        self.standing.roll_if_full(self.rundir, &self.recorder);
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
                ending.force(self.rundir, child, self.recorder.is_activating());
            }
            return wait.min(ending.turn(self.rundir, child, activating));
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
            let activating = self.recorder.is_activating();
            let ending = Ending::begin(self.rundir, child, cause.is_forced(), activating);
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
            tracing::warn!("run not ended: an activation has started");
            let next = self.recorder.next_seq();
            let decoder = self.recorder.decoder();
            decoder.activation_begins(Timestamp::now(), next);
            self.watch.refuse();
        }
        found
    }

    /// Whether the run changes the machine, and may not be interrupted.
    fn is_activating(&self, running: &Running) -> bool {
        (running.exited.is_none() || running.outlived) && self.recorder.is_activating()
    }

    /// Waits until something is there; says for each stream whether to read it.
    fn wait(&self, child: &Child, longest: Duration) -> [bool; 3] {
        // Rounded up, so as not to wake just before the time.
        let timeout = PollTimeout::try_from(longest + Duration::from_micros(999))
            .unwrap_or(PollTimeout::from(1000u16));
        let readers = Stream::ALL.map(|stream| child.pipe(stream));
        let mut descriptors: Vec<PollFd<'_>> = readers
            .into_iter()
            .flatten()
            .map(AsFd::as_fd)
            .chain(self.watch.descriptors())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        if let Err(error) = poll(&mut descriptors, timeout) {
            if error == Errno::EINTR {
                return [false; 3];
            }
            tracing::error!(%error, "cannot poll");
            sleep(Duration::from_millis(10));
            return [true; 3];
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
                self.end_stream(child, stream, now);
                1
            }
            Taken::Nothing => 0,
        }
    }

    /// A stream was read to its end.
    pub(super) fn end_stream(&mut self, child: &mut Child, stream: Stream, now: Timestamp) {
        self.standing.capture().note_end(stream, now);
        child.close(stream);
        self.recorder.end(stream, now);
    }

    /// Starts a reader of the journal where there should be one and is none.
    fn follow_journal(&self, running: &mut Running) {
        let (has_reader, now) = (
            running.child.pipe(Stream::Journal).is_some(),
            Instant::now(),
        );
        if has_reader || running.ending.is_some() || running.follow_at > now {
            return;
        }
        let Some(entries) = self.recorder.journal() else {
            return;
        };
        running.follow_at = now + IDLE;
        match Reader::follow(entries) {
            Ok(reader) => running.child.read_journal(reader),
            Err(error) => tracing::warn!(%error, "cannot start journalctl"),
        }
    }

    /// Reads what the journal has got of an activation that is over.
    fn leave_journal(&mut self, child: &mut Child) {
        if self.recorder.journal().is_none() {
            return;
        }
        self.end_stream(child, Stream::Journal, Timestamp::now());
        journal::sync();
        match self.recorder.journal().map(Reader::rest) {
            Some(Ok(reader)) => child.read_journal(reader),
            Some(Err(error)) => {
                tracing::error!(%error, "cannot start journalctl: the last lines of the activation may be missing");
            }
            None => {}
        }
        let begin = Instant::now();
        while let Some(pipe) = child.pipe(Stream::Journal) {
            let left = JOURNAL.saturating_sub(begin.elapsed());
            if left.is_zero() {
                tracing::error!(
                    "journalctl did not end: the last lines of the activation may be missing"
                );
                self.end_stream(child, Stream::Journal, Timestamp::now());
                break;
            }
            let mut ready = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
            // A failure is met by the read.
            let _ = poll(
                &mut ready,
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
            );
            self.read(child, Stream::Journal, Timestamp::now());
            self.keep();
        }
        self.recorder.leave_journal(Timestamp::now());
    }
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
        (tree_gone && heard && !self.outlived).then_some(end)
    }

    /// How much longer those that hold the pipes of an ended program are heard. An activation is heard to its end,
    /// since it would die in the middle if nobody read it.
    fn time_to_hear(&self) -> Option<Duration> {
        let exited = self.exited.filter(|_| !self.outlived)?;
        let silence_ends = exited.max(self.last_read) + SILENCE;
        let end = silence_ends.min(exited + HEARING);
        Some(end.saturating_duration_since(Instant::now()))
    }
}
