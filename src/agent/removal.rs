//! Notices that a switch removed the agent from its host. The switch leaves it running, so that it can finish the
//! run and tell of it; systemd then knows the service, but no longer its unit.

use super::Agent;
use super::launcher::{self, Launcher};
use std::fs;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::sleep;

/// Between two questions to systemd, as long as no run ends.
const INTERVAL: Duration = Duration::from_secs(30);

/// How long a removed agent tries to tell of what the dashboard does not have. It stays on the disk.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Since when the host's configuration has no agent any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Removal(Arc<OnceLock<Instant>>);

impl Removal {
    /// Watches where this process is a service of systemd; it is looked at whenever a run has ended, too. Needs a
    /// tokio runtime.
    pub(super) fn watch(launcher: Launcher, run_ended: Arc<Notify>) -> Self {
        let removal = Self::default();
        let unit = own_unit().filter(|_| launcher == Launcher::Systemd);
        if let Some(unit) = unit {
            tokio::spawn(watch(unit, run_ended, removal.clone()));
        }
        removal
    }

    /// Since when the agent is removed; `None` while it is not.
    pub(super) fn since(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

impl Agent {
    /// Whether the agent is removed and has nothing left to do.
    pub(super) fn may_leave(&self) -> bool {
        self.removal.since().is_some_and(|since| {
            let all_told = || self.runs.unacknowledged().is_empty();
            self.runs.busy_with().is_none() && (since.elapsed() > PATIENCE || all_told())
        })
    }
}

async fn watch(unit: String, run_ended: Arc<Notify>, removal: Removal) {
    // Where the unit was never known, nobody can have removed it.
    let mut was_known = false;
    loop {
        match load_state(&unit).await.as_deref() {
            Some("not-found") if was_known => break,
            Some("loaded") => was_known = true,
            _ => {}
        }
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = run_ended.notified() => {}
        }
    }
    tracing::info!(
        "{unit} is no longer in this host's configuration; the agent ends when the dashboard has everything"
    );
    let _ = removal.0.set(Instant::now());
}

async fn load_state(unit: &str) -> Option<String> {
    let said = launcher::systemctl(&["show", "--value", "--property=LoadState", unit]).await?;
    Some(said.trim().to_owned())
}

/// The service of systemd that this process is in.
fn own_unit() -> Option<String> {
    unit_of(&fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// The service among the lines of `/proc/PID/cgroup`.
fn unit_of(cgroups: &str) -> Option<String> {
    let paths = cgroups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2));
    let mut names = paths.filter_map(|path| path.rsplit('/').next());
    let name = names.find(|name| name.ends_with(".service"))?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_unit_is_found_in_both_layouts_of_cgroups() {
        let unit = Some("switchyard-agent.service".to_owned());
        let unified = "0::/system.slice/switchyard-agent.service\n";
        assert_eq!(unit_of(unified), unit);
        let hybrid = "3:cpu:/\n1:name=systemd:/system.slice/switchyard-agent.service\n0::/\n";
        assert_eq!(unit_of(hybrid), unit);
        assert_eq!(
            unit_of("0::/user.slice/user-0.slice/session-1.scope\n"),
            None
        );
    }
}
