//! Where the run stands, in memory and on disk.

use super::Error;
use super::capture::{self, Capture, Event};
use super::checkpoint::{Before, Checkpoint, Clock};
use super::memory::Kills;
use super::program::Finished;
use super::recorder::{Decoding, Recorder};
use super::streams::Stream;
use super::waiter;
use crate::protocol::Seq;
use crate::spool::RunDir;
use std::io;
use std::time::{Duration, Instant};

/// Between two attempts to store where the run stands.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the [`Checkpoint`] and the [`Capture`] behind it.
pub(super) struct Standing {
    checkpoint: Checkpoint,
    capture: Capture,
    /// How many of the finished programs were asked for again.
    asked: usize,
    /// What an earlier supervisor had read of the program that it started.
    read: Option<Vec<capture::Entry>>,
    /// When it could last not be stored, if it could not.
    failed: Option<Instant>,
}

impl Standing {
    /// Finds how far an earlier supervisor came, and what the output had said by then.
    pub(super) fn find(rundir: &RunDir) -> Result<(Self, Decoding), Error> {
        let at = |source| Error::File {
            path: rundir.checkpoint(),
            source,
        };
        let Some(checkpoint) = Checkpoint::load(rundir).map_err(at)? else {
            return Self::fresh(rundir).map_err(at);
        };
        let is_started =
            waiter::forestall(rundir, checkpoint.launch).is_ok_and(|forestalled| !forestalled);
        let (capture, entries) = Capture::open(rundir.path(), checkpoint.capture).map_err(at)?;
        let decoding = checkpoint.decoding.clone();
        let standing = Self {
            checkpoint,
            capture,
            asked: 0,
            read: is_started.then_some(entries),
            failed: None,
        };
        Ok((standing, decoding))
    }

    fn fresh(rundir: &RunDir) -> io::Result<(Self, Decoding)> {
        let checkpoint = Checkpoint {
            began: Clock::now(),
            finished: Vec::new(),
            launch: 0,
            from: 0,
            capture: 0,
            before: Before::default(),
            decoding: Decoding::default(),
        };
        let standing = Self {
            checkpoint,
            capture: Capture::create(rundir.path(), 0)?,
            asked: 0,
            read: None,
            failed: None,
        };
        Ok((standing, Decoding::default()))
    }

    /// When the run began.
    pub(super) fn began(&self) -> Clock {
        self.checkpoint.began
    }

    /// How long the run has taken.
    pub(super) fn elapsed(&self) -> Duration {
        self.checkpoint.began.elapsed()
    }

    /// How the program ended that is asked for next, if an earlier supervisor saw its end.
    pub(super) fn next_finished(&mut self) -> Option<Finished> {
        let finished = self.checkpoint.finished.get(self.asked)?.clone();
        self.asked += 1;
        Some(finished)
    }

    /// The launch of the program that an earlier supervisor started and did not see end.
    pub(super) fn take_started(&self) -> Option<u32> {
        self.read.as_ref().map(|_| self.checkpoint.launch)
    }

    /// Decodes what the earlier supervisor had read; gives the streams that had ended.
    pub(super) fn replay(&mut self, recorder: &mut Recorder) -> Vec<Stream> {
        let mut ended = Vec::new();
        let mut buffer = Vec::new();
        for entry in self.read.take().unwrap_or_default() {
            match entry.event {
                Event::End => {
                    recorder.end(entry.stream, entry.at);
                    ended.push(entry.stream);
                }
                Event::Bytes { from, to } => {
                    buffer.resize(usize::try_from(to - from).unwrap_or_default(), 0);
                    if let Err(error) = self.capture.read(from, &mut buffer) {
                        tracing::error!(%error, "output that was read before cannot be read again");
                        continue;
                    }
                    recorder.take(entry.stream, &buffer, entry.at);
                }
            }
            recorder.flush();
        }
        ended
    }

    /// A program begins: whatever dies from here on, it is not started twice. Gives the number of its launch.
    pub(super) fn launch(&mut self, rundir: &RunDir, recorder: &Recorder) -> u32 {
        self.checkpoint.launch += 1;
        self.checkpoint.from = recorder.next_seq();
        self.store(rundir, recorder);
        self.checkpoint.launch
    }

    /// The number of the present program's first line.
    pub(super) fn from(&self) -> Seq {
        self.checkpoint.from
    }

    /// Takes note of the units that had failed before the first program that may activate.
    pub(super) fn note_failed_before(&mut self, units: Option<Vec<String>>) {
        self.checkpoint.before.failed_units = units;
    }

    /// Takes note of how many processes of the run's control group had been killed before the program that begins.
    pub(super) fn note_kills(&mut self, kills: Option<Kills>) {
        self.checkpoint.before.memory_kills = kills;
    }

    /// Takes note of whether the repository differs from its commit while the program begins.
    pub(super) fn note_local_changes(&mut self, changes: Option<bool>) {
        self.checkpoint.before.local_changes = changes;
    }

    /// Whether the repository differed from its commit when the latest step began, where that is known.
    pub(super) fn local_changes(&self) -> Option<bool> {
        self.checkpoint.before.local_changes
    }

    /// The units that had failed before, where that is known.
    pub(super) fn failed_before(&self) -> Option<&[String]> {
        self.checkpoint.before.failed_units.as_deref()
    }

    /// How many processes of the run's control group had been killed before the present program, where that is known.
    pub(super) fn kills_before(&self) -> Option<Kills> {
        self.checkpoint.before.memory_kills
    }

    /// The present program is over.
    pub(super) fn finish(&mut self, finished: Finished) {
        self.checkpoint.finished.push(finished);
        self.asked += 1;
    }

    pub(super) fn capture(&mut self) -> &mut Capture {
        &mut self.capture
    }

    /// Begins the next capture when this one is long enough; what is in it must be in the spool. On a full disk it
    /// is tried again later.
    pub(super) fn roll_if_full(&mut self, rundir: &RunDir, recorder: &Recorder) {
        let is_again = self.failed.is_none_or(|at| at.elapsed() >= PAUSE);
        if self.capture.is_full() && is_again {
            self.store(rundir, recorder);
        }
    }

    /// Stores where the run stands, with an empty capture behind it. Where that cannot be done, the run goes on
    /// as long as this process lives.
    pub(super) fn store(&mut self, rundir: &RunDir, recorder: &Recorder) {
        let before = self.checkpoint.capture;
        self.checkpoint.decoding = recorder.decoding().clone();
        let stored = Capture::create(rundir.path(), before + 1).and_then(|capture| {
            self.checkpoint.capture = before + 1;
            self.checkpoint.store(rundir)?;
            Ok(capture)
        });
        match stored {
            Ok(capture) => {
                self.capture = capture;
                self.failed = None;
                capture::remove(rundir.path(), before);
            }
            Err(error) => {
                tracing::warn!(%error, "the progress of the run cannot be stored: it is lost if this supervisor dies now");
                self.checkpoint.capture = before;
                self.failed = Some(Instant::now());
            }
        }
    }
}
