//! One log that a browser watches, and the place up to which it has it.

use super::frame::{Frame, Source};
use super::messages::Subscribe;
use super::shares::{CountedSubscription, MAX_SUBSCRIPTIONS, Share};
use crate::dashboard::core::Core;
use crate::dashboard::fleet::{Followed, Tail};
use crate::dashboard::log_access::LogAccessError;
use crate::protocol::{CommandName, HostId, RunId, Seq};
use crate::runlog::{Batch, LogError, LogReader};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// So many lines must wait before the dashboard may jump ahead of a slow browser,
const SKIP_BEYOND: Seq = 10_000;
/// and so many of the newest it then still gets.
const KEEP: Seq = 1_000;
/// How much of a log is read at a time, in bytes.
const PIECE_BYTES: usize = 128 * 1024;

/// What a browser watches: one run, or the present and every later run of a host.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) sub: String,
    pub(super) host_id: HostId,
    only: Option<RunId>,
    current: Option<Current>,
    /// The runs of the host after which the next one is looked for.
    after: u64,
    _counted: CountedSubscription,
}

/// The run that is shown. Of all that is known of it only so much is kept: one page may have a thousand of these.
#[derive(Debug)]
struct Current {
    run_id: RunId,
    command: CommandName,
    /// How many lines there were when the subscription came to this run.
    total: Seq,
    /// How far the log goes, unless the run was over long ago.
    tail: Option<Arc<Tail>>,
    order: u64,
    next: Seq,
    skipped: Seq,
    reader: Option<LogReader>,
}

impl Subscription {
    /// Finds the place to begin. The error is for the browser.
    pub(super) async fn new(
        core: &Arc<Core>,
        share: &Arc<Share>,
        wish: Subscribe,
    ) -> Result<Self, String> {
        let Subscribe {
            sub,
            host_id,
            run_id,
            from,
        } = wish;
        if !core.fleet.has(&host_id) {
            return Err(format!("unknown host \"{host_id}\""));
        }
        let counted = share.subscription().ok_or_else(|| {
            format!("at most {MAX_SUBSCRIPTIONS} subscriptions of all your pages together")
        })?;
        let sub = sub.unwrap_or_else(|| host_id.to_string());
        let mut this = Self {
            sub,
            host_id,
            only: run_id,
            current: None,
            after: 0,
            _counted: counted,
        };
        match &this.only {
            None => match core.fleet.follow(&this.host_id) {
                Ok(followed) => this.follow(followed, from),
                Err(after) => this.after = after,
            },
            Some(run_id) => {
                let followed = core.fleet.follow_run(&this.host_id, run_id);
                let (current, is_final) = match followed {
                    Some(followed) => {
                        let is_final = followed.is_final;
                        (Current::of(followed, 0, from), is_final)
                    }
                    None => match core.state.run(&this.host_id, run_id).await {
                        Ok(Some(record)) => {
                            let run = record.run;
                            let is_final = run.status.is_final();
                            let current =
                                Current::at(run.run_id, run.command, run.lines, None, 0, from);
                            (current, is_final)
                        }
                        Ok(None) => return Err(format!("{} has no run {run_id}", this.host_id)),
                        Err(error) => return Err(core.without_paths(&error.to_string())),
                    },
                };
                if is_final {
                    // Says why where it cannot be read, and makes a lost index anew.
                    let opened = core.open_log(&this.host_id, run_id).await;
                    opened.map_err(|error| said(&error))?;
                }
                this.current = Some(current);
            }
        }
        Ok(this)
    }

    fn follow(&mut self, followed: Followed, from: Option<i64>) {
        self.after = followed.order;
        let order = followed.order;
        self.current = Some(Current::of(followed, order, from));
    }

    /// Run, place and length, for `subscribed`.
    pub(super) fn place(&self) -> (Option<&RunId>, Seq, Seq) {
        match &self.current {
            Some(current) => (Some(&current.run_id), current.next, current.total),
            None => (None, 0, 0),
        }
    }

    /// Writes the lines that the browser lacks into the frame, as long as it has room; `true` if there are more.
    pub(super) fn fill(
        &mut self,
        core: &Core,
        frame: &mut Frame,
        batch: &mut Batch,
    ) -> Result<bool, LogError> {
        loop {
            if self.current.is_none() {
                let Some(next) = core.fleet.follow_next(&self.host_id, self.after) else {
                    return Ok(false);
                };
                self.follow(next, None);
            }
            let Some(current) = &mut self.current else {
                return Ok(false);
            };
            let over = current.look(core, &self.host_id);
            let lines = current.lines();
            if current.next >= lines {
                if over {
                    current.reader = None;
                }
                if over
                    && self.only.is_none()
                    && core
                        .fleet
                        .follow_next(&self.host_id, current.order)
                        .is_some()
                {
                    self.current = None;
                    continue;
                }
                return Ok(false);
            }
            if !frame.has_room_for_lines() {
                return Ok(true);
            }
            let reader = match &mut current.reader {
                Some(reader) => reader,
                None => {
                    let dir = core.log_dir(&self.host_id);
                    match LogReader::open(&dir, &current.run_id) {
                        // Who writes it makes it anew, and has the host send the lines again.
                        Err(error) if error.is_gone() && !over => return Ok(false),
                        opened => current.reader.insert(opened?),
                    }
                }
            };
            let most = usize::try_from(lines - current.next).unwrap_or(usize::MAX);
            reader.read(current.next, most, PIECE_BYTES, batch)?;
            if batch.is_empty() {
                // The log may be another file by now.
                current.reader = None;
                return Ok(false);
            }
            let source = Source {
                sub: &self.sub,
                host_id: &self.host_id,
                run_id: &current.run_id,
                command: &current.command,
            };
            let written = frame.push_lines(source, batch, current.skipped);
            if written > 0 {
                current.skipped = 0;
            }
            current.next += written as Seq;
            if written < batch.len() {
                return Ok(true);
            }
        }
    }

    /// Whether its log is open; that takes two files.
    pub(super) fn is_open(&self) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|current| current.reader.is_some())
    }

    /// Closes its log, until there is more to read in it.
    pub(super) fn close(&mut self) {
        if let Some(current) = &mut self.current {
            current.reader = None;
        }
    }

    /// Jumps ahead of a browser that is too slow, if very much waits for it.
    pub(super) fn jump(&mut self, core: &Core) {
        let Some(current) = &mut self.current else {
            return;
        };
        let Some(followed) = core.fleet.follow_run(&self.host_id, &current.run_id) else {
            return;
        };
        let lines = followed.tail.lines();
        if lines.saturating_sub(current.next) > SKIP_BEYOND {
            let skipped = lines - KEEP - current.next;
            current.next += skipped;
            current.skipped += skipped;
            core.counters
                .lines_skipped
                .fetch_add(skipped, Ordering::Relaxed);
        }
    }
}

/// What a browser is told where a log cannot be read: nothing of the dashboard's paths.
fn said(error: &LogAccessError) -> String {
    match error {
        LogAccessError::Log(error) => unreadable(error),
        LogAccessError::State(_) => "the database cannot be read".to_owned(),
        other => other.to_string(),
    }
}

/// The same where it was read before.
pub(super) fn unreadable(error: &LogError) -> String {
    if error.is_gone() {
        "the log is gone: its file was deleted, moved or emptied in the dashboard's data folder"
            .into()
    } else {
        "the log cannot be read: the reason is in the dashboard's journal".into()
    }
}

impl Current {
    /// Looks how the run is; `true` if it is over.
    fn look(&mut self, core: &Core, host_id: &HostId) -> bool {
        match core.fleet.follow_run(host_id, &self.run_id) {
            Some(followed) => {
                self.tail = Some(followed.tail);
                followed.is_final
            }
            // Only what is over goes out of sight, and its tail still tells how far it goes.
            None => true,
        }
    }

    fn lines(&self) -> Seq {
        let tail = self.tail.as_ref();
        tail.map_or(self.total, |tail| tail.lines())
    }

    fn of(followed: Followed, order: u64, from: Option<i64>) -> Self {
        let total = followed.tail.lines();
        let (run_id, command) = (followed.run_id, followed.command);
        Self::at(run_id, command, total, Some(followed.tail), order, from)
    }

    /// `from` counts from the beginning, or if negative from the end.
    fn at(
        run_id: RunId,
        command: CommandName,
        total: Seq,
        tail: Option<Arc<Tail>>,
        order: u64,
        from: Option<i64>,
    ) -> Self {
        let from = from.unwrap_or(0);
        let next = if from < 0 {
            total.saturating_sub(from.unsigned_abs())
        } else {
            from.unsigned_abs()
        };
        Self {
            run_id,
            command,
            total,
            tail,
            order,
            next,
            skipped: 0,
            reader: None,
        }
    }
}
