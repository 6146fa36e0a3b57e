//! Decides on what the dashboard asks for.

use super::Agent;
use super::requests::Memory;
use crate::clone;
use crate::protocol::{
    CommandRejected, CommandRequest, MAX_NAME_BYTES, RunId, StatusReport, Timestamp,
};
use crate::spool::{self, Spec};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// Where nixos-rebuild activates a configuration, also one that somebody started by hand.
const ACTIVATION: &str = "nixos-rebuild-switch-to-configuration*.service";

/// How long systemd may take to say whether one is going on.
const SYSTEMD_LIMIT: Duration = Duration::from_secs(3);

/// How long git may take to say whether it reads the clone.
const GIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer to a command.
#[derive(Debug)]
pub(super) enum Answer {
    /// The run begins; `running` follows once its spool is there.
    Begun,
    /// The run is known already, and stands there.
    Known(Box<StatusReport>),
    Rejected(CommandRejected),
}

impl Agent {
    /// Takes a command, or says why not.
    pub(super) async fn take(&mut self, request: &CommandRequest) -> Answer {
        // From now on, however long the rest takes.
        let begin_by = spool::begin_by(request.not_after.map(Duration::from_millis));
        // It is kept with the run, and cannot be shortened: another nonce is another request.
        if request.nonce.len() > MAX_NAME_BYTES {
            let reason = format!("`nonce` is longer than {MAX_NAME_BYTES} bytes");
            return self.reject(request, &reason);
        }
        match self.runs.memory(&request.run_id, &request.nonce) {
            Memory::New => {}
            Memory::Same => return self.answer_again(request),
            Memory::Other => {
                return self.reject(request, "this run was requested before with another nonce");
            }
        }
        let plan = match self.catalogue.plan(&request.command) {
            Ok(plan) => plan,
            Err(refusal) => return self.reject(request, &refusal.to_string()),
        };
        if let Some(reason) = self.refusal_of_git(request).await {
            return self.reject(request, &reason);
        }
        if self.removal.since().is_some() {
            let reason = "the agent was removed from this host's configuration and is ending";
            return self.reject(request, reason);
        }
        if let Some(command) = self.runs.busy_with() {
            let reason = format!("\"{command}\" is running");
            return self.reject(request, &reason);
        }
        if is_activating().await {
            let reason = "the host is activating a configuration; try again after that";
            return self.reject(request, reason);
        }
        if begin_by.is_some_and(|begin_by| spool::is_past(begin_by, Duration::ZERO)) {
            return self.reject(request, "the command had expired when it arrived");
        }
        let rundir = self.runs.dir(&request.run_id);
        let steps = match &plan.pull {
            Some(_) => vec![clone::step(rundir.path())],
            None => plan.steps,
        };
        let spec = Spec {
            run_id: request.run_id.clone(),
            host_id: self.host_id.clone(),
            command: request.command.clone(),
            nonce: Some(request.nonce.clone()),
            requested_by: request.requested_by.clone(),
            queued: Timestamp::now(),
            begin_by,
            generation_before: self.facts.generation(),
            environment: plan.environment,
            steps,
            pull: plan.pull,
            steps_dir: plan.in_run_folder.then(|| rundir.path().to_owned()),
            checks: plan.checks,
            work_dir: self.catalogue.repo_dir().to_owned(),
            timeout: plan.timeout,
            masking: self.config.masking.clone(),
            max_unacknowledged: self.config.spool.room(self.runs.waiting_bytes()),
        };
        match self.runs.begin(&spec) {
            Ok(()) => {
                let by = spec.requested_by.as_deref();
                tracing::info!(run = %spec.run_id, command = %spec.command, by, "run started");
                Answer::Begun
            }
            Err(error) => self.reject(request, &error.to_string()),
        }
    }

    /// Why git, and with it nix, would refuse the clone that the command needs: neither says so plainly.
    async fn refusal_of_git(&self, request: &CommandRequest) -> Option<String> {
        let dir = self.catalogue.repo_dir();
        if !self.catalogue.reads_clone(&request.command) {
            return None;
        }
        let user = clone::other_owner(dir)?;
        if reads_repository(dir).await {
            return None;
        }
        Some(format!(
            "{} belongs to user {user}, and git and nix refuse the repository of another user; remove it, and the next \
             pull makes a new clone",
            dir.display()
        ))
    }

    fn answer_again(&self, request: &CommandRequest) -> Answer {
        if let Some(late) = self.runs.late(&request.run_id) {
            return self.reject(request, &late.to_string());
        }
        match self.runs.report(&request.run_id) {
            Ok(report) => Answer::Known(Box::new(self.complete(report))),
            Err(_) if self.runs.is_beginning(&request.run_id) => Answer::Begun,
            Err(_) => self.reject(
                request,
                "this run was started before, and its log is no longer on this host",
            ),
        }
    }

    /// Adds the host's generation where the run has none, and the commit of the clone to a pull. Any other run knows
    /// best of which commit it was, if of any.
    pub(super) fn complete(&self, mut report: StatusReport) -> StatusReport {
        if report.status.is_final() && (report.generation.is_none() || report.revision.is_none()) {
            let facts = self.facts.read();
            report.generation = report.generation.or(facts.generation);
            if report.command.as_str() == "pull" {
                report.revision = report.revision.or(facts.revision);
            }
        }
        report
    }

    /// Remembers of which commit a run built a system, if it did.
    pub(super) fn note_built(&mut self, run_id: &RunId) {
        if let Ok(report) = self.runs.report(run_id)
            && self.catalogue.builds_clone(&report.command)
        {
            self.facts.built(&report);
        }
    }

    fn reject(&self, request: &CommandRequest, reason: &str) -> Answer {
        tracing::warn!(run = %request.run_id, command = %request.command, "rejected: {reason}");
        Answer::Rejected(CommandRejected {
            host_id: self.host_id.clone(),
            run_id: request.run_id.clone(),
            reason: Some(reason.to_owned()),
            current_command: self.runs.busy_with().cloned(),
        })
    }
}

/// Whether git takes what is in `dir` for a repository that it may read.
async fn reads_repository(dir: &Path) -> bool {
    let asked = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["rev-parse", "--git-dir"])
        .envs(clone::environment(dir))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    match timeout(GIT_TIMEOUT, asked).await {
        Ok(Ok(status)) => status.success(),
        // Without an answer nothing is refused.
        Ok(Err(_)) | Err(_) => true,
    }
}

/// Whether an activation is going on outside of any run. Where there is no systemd there is none.
async fn is_activating() -> bool {
    let asked = Command::new("systemctl")
        .args(["--no-ask-password", "--quiet", "is-active", ACTIVATION])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    match timeout(SYSTEMD_LIMIT, asked).await {
        Ok(status) => status.is_ok_and(|status| status.success()),
        Err(_) => {
            tracing::warn!(
                "systemctl does not answer, so it is unknown whether an activation is running"
            );
            false
        }
    }
}
