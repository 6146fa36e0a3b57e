//! How often browsers are told of a host or a run: whatever changes at the pleasure of an agent has a pace, by how much
//! it takes to tell. What was not told at once is told, as it is by then, when its time comes.

use super::Inner;
use super::changes::Subject;
use crate::protocol::{HostId, RunId};
use serde::Serialize;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Between two messages that tell of one host, over some time.
const HOST_PAUSE: Duration = Duration::from_secs(1);
/// How much is told of one host or run in a second, over some time, in bytes.
const BYTES_A_SECOND: f64 = 8.0 * 1024.0;

impl Inner {
    /// Tells that something of a host changed but its run. Gives whether it is told now.
    pub(super) fn show_host(&mut self, host_id: &HostId) -> bool {
        self.show(&Subject::Host(host_id.clone()), Instant::now())
    }

    /// Tells that a host has another run, or its run another status.
    pub(super) fn show_run_of_host(&mut self, host_id: &HostId) {
        if let Some(host) = self.hosts.get_mut(host_id) {
            host.run_changed = true;
        }
        self.show_host(host_id);
    }

    /// Tells at once that a run changed.
    pub(super) fn show_run(&mut self, host_id: &HostId, run_id: &RunId) {
        self.changes
            .mark(Subject::Run(host_id.clone(), run_id.clone()));
    }

    /// Tells how far a run is.
    pub(super) fn show_progress(&mut self, host_id: &HostId, run_id: &RunId) {
        let subject = Subject::Run(host_id.clone(), run_id.clone());
        self.show(&subject, Instant::now());
    }

    /// Tells what had to wait until now.
    pub(super) fn show_waiting(&mut self, now: Instant) {
        for subject in self.changes.due(now) {
            self.show(&subject, now);
        }
    }

    fn show(&mut self, subject: &Subject, now: Instant) -> bool {
        if !self.changes.may_tell(subject, now) {
            return false;
        }
        let pause = self.pause(subject);
        self.changes.tell(subject, now, pause);
        if let Subject::Host(id) = subject
            && let Some(host) = self.hosts.get_mut(id)
        {
            if std::mem::take(&mut host.run_changed) {
                host.run_version = self.changes.version();
            }
            self.metrics_version += 1;
            host.metrics_told.is_news_at(self.metrics_version);
        }
        true
    }

    /// How long a subject is not told again, over some time.
    fn pause(&self, subject: &Subject) -> Duration {
        let (Subject::Host(id) | Subject::Run(id, _)) = subject;
        let Some(host) = self.hosts.get(id) else {
            return HOST_PAUSE;
        };
        let (bytes, pause) = match subject {
            Subject::Host(id) => (bytes_of(&host.view_with(id, None)), HOST_PAUSE),
            Subject::Run(_, run_id) => {
                let run = host.entry(run_id).map(|entry| bytes_of(&entry.record.run));
                (run.unwrap_or(0), Duration::ZERO)
            }
        };
        pause + Duration::from_secs_f64(bytes as f64 / BYTES_A_SECOND)
    }
}

/// How long something is as JSON, in bytes.
fn bytes_of(value: &impl Serialize) -> usize {
    let mut length = Length(0);
    // Counting cannot fail, and our types have string keys alone.
    let _ = serde_json::to_writer(&mut length, value);
    length.0
}

struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
