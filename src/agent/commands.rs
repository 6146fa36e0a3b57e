//! What each command runs: the built-in commands, and what the configuration puts in their place or adds.
//!
//! All of them are always offered. One that cannot work, for want of a repository, is refused with what to do.

use super::config::{Config, Custom, Repo};
use crate::clone::ENVIRONMENT;
use crate::protocol::{CommandName, HostId};
use crate::spool::Pull;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const BUILT_IN: [&str; 7] = [
    "pull", "switch", "test", "update", "boot", "build", "rollback",
];

/// Whether a command of that name is built in.
pub(super) fn is_built_in(command: &CommandName) -> bool {
    BUILT_IN.contains(&command.as_str())
}

/// What one run of a command is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Each an argv.
    pub(super) steps: Vec<Vec<String>>,
    /// They leave files where they run, which are not to be in the repository.
    pub(super) in_run_folder: bool,
    /// What the built-in `pull` does in place of steps.
    pub(super) pull: Option<Pull>,
    /// Added to the environment of the steps.
    pub(super) environment: Vec<(String, String)>,
    pub(super) checks: Option<PathBuf>,
    /// Seconds.
    pub(super) timeout: Option<u64>,
}

/// Why a command cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("this host does not offer \"{0}\"")]
    Unknown(CommandName),
    #[error(
        "there is no repository to pull from: set `url` in `[repo]` of the agent's configuration"
    )]
    NoUrl,
    #[error("there is no configuration in {}: pull first, or set `dir` in `[repo]` of the agent's configuration", .0.display())]
    NoRepository(PathBuf),
}

/// The commands this agent offers.
#[derive(Debug)]
pub(super) struct Catalogue {
    repo: Option<Repo>,
    /// The repository's folder, also where no `[repo]` says so.
    dir: PathBuf,
    state_dir: PathBuf,
    host_id: HostId,
    custom: BTreeMap<CommandName, Custom>,
}

impl Catalogue {
    pub(super) fn new(config: &Config, host_id: &HostId) -> Self {
        let default_dir = || config.state_dir.join("repo");
        Self {
            dir: config
                .repo
                .as_ref()
                .map_or_else(default_dir, |repo| repo.dir.clone()),
            repo: config.repo.clone(),
            state_dir: config.state_dir.clone(),
            host_id: host_id.clone(),
            custom: config.commands.clone(),
        }
    }

    /// The folder of the repository.
    pub(super) fn repo_dir(&self) -> &Path {
        &self.dir
    }

    /// The names of the commands, the built-in ones first.
    pub(super) fn names(&self) -> Vec<CommandName> {
        let built_in = BUILT_IN
            .iter()
            .filter_map(|name| CommandName::new(name).ok());
        let added = self
            .custom
            .keys()
            .filter(|name| !is_built_in(name))
            .cloned();
        built_in.chain(added).collect()
    }

    /// Whether `command` builds a generation of what is in the clone, in the built-in way.
    pub(super) fn builds_clone(&self, command: &CommandName) -> bool {
        let custom = self.custom.get(command);
        matches!(command.as_str(), "switch" | "boot")
            && custom.is_none_or(|custom| custom.steps.is_none())
    }

    /// Whether the built-in steps of `command` have git or nix read the clone.
    pub(super) fn reads_clone(&self, command: &CommandName) -> bool {
        let custom = self.custom.get(command);
        matches!(
            command.as_str(),
            "switch" | "test" | "update" | "boot" | "build"
        ) && custom.is_none_or(|custom| custom.steps.is_none())
    }

    /// What a run of `command` does if it begins now.
    pub(super) fn plan(&self, command: &CommandName) -> Result<Plan, Refusal> {
        let custom = self.custom.get(command);
        if !is_built_in(command) && custom.is_none() {
            return Err(Refusal::Unknown(command.clone()));
        }
        if custom.is_none_or(|custom| custom.steps.is_none()) {
            self.check_repo(command)?;
        }
        let mut plan = self.built_in(command.as_str());
        if let Some(custom) = custom {
            if let Some(steps) = &custom.steps {
                plan.steps.clone_from(steps);
                plan.pull = None;
                plan.in_run_folder = false;
                // Nobody is there to answer. The rest is up to the steps.
                plan.environment.truncate(1);
                // The built-in checks belong to the built-in steps.
                plan.checks = None;
            }
            if let Some(checks) = &custom.checks {
                plan.checks = Some(checks.into());
                plan.in_run_folder = false;
            }
            plan.timeout = custom.timeout;
        }
        for word in plan.steps.iter_mut().flatten() {
            *word = self.fill_in(word);
        }
        plan.checks = plan.checks.map(|checks| match checks.to_str() {
            Some(text) => self.fill_in(text).into(),
            None => checks,
        });
        Ok(plan)
    }

    /// Whether the built-in steps of `command` find what they need.
    fn check_repo(&self, command: &CommandName) -> Result<(), Refusal> {
        let has_url = self.repo.as_ref().is_some_and(|repo| repo.url.is_some());
        match command.as_str() {
            "rollback" => Ok(()),
            "pull" if has_url => Ok(()),
            "pull" => Err(Refusal::NoUrl),
            _ if self.dir.exists() => Ok(()),
            _ => Err(Refusal::NoRepository(self.dir.clone())),
        }
    }

    /// `{repo}` and `{host}` replaced, without looking into what replaces them.
    fn fill_in(&self, word: &str) -> String {
        let mut pieces = word
            .split("{repo}")
            .map(|piece| piece.replace("{host}", self.host_id.as_str()));
        let mut filled = pieces.next().unwrap_or_default();
        for piece in pieces {
            filled += &self.dir.to_string_lossy();
            filled += &piece;
        }
        filled
    }

    fn built_in(&self, command: &str) -> Plan {
        // nixos-rebuild quotes the name of the configuration itself, and refuses one that is quoted.
        let rebuild = |verb: &str| {
            vec![argv(&[
                "nixos-rebuild",
                verb,
                "--flake",
                "{repo}#{host}",
                "--log-format",
                "internal-json",
            ])]
        };
        const PROFILE: &str = "/nix/var/nix/profiles/system";
        let mut checks = None;
        let steps = match command {
            "pull" => Vec::new(),
            // It updates the flake of the folder it runs in, in every version of nix; the option that
            // names another folder is not in all of them.
            "update" => vec![argv(&[
                "nix",
                "--extra-experimental-features",
                "nix-command flakes",
                "flake",
                "update",
                "--log-format",
                "internal-json",
            ])],
            "rollback" => vec![
                argv(&["nix-env", "--rollback", "-p", PROFILE]),
                argv(&[&format!("{PROFILE}/bin/switch-to-configuration"), "switch"]),
            ],
            "test" => {
                checks = Some(PathBuf::from("{repo}/hosts/{host}/tests"));
                rebuild("test")
            }
            "switch" | "boot" | "build" => rebuild(command),
            _ => Vec::new(),
        };
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Plan {
            steps,
            // It leaves a link `result`.
            in_run_folder: command == "build",
            pull: (command == "pull").then(|| self.pull()).flatten(),
            environment: ENVIRONMENT.map(owned).into(),
            checks,
            timeout: None,
        }
    }

    /// Brings the clone to the branch, whatever state it is in.
    fn pull(&self) -> Option<Pull> {
        let repo = self.repo.as_ref()?;
        Some(Pull {
            url: repo.url.clone()?,
            branch: repo.branch.clone(),
            dir: repo.dir.clone(),
            in_state_dir: repo.dir.starts_with(&self.state_dir),
            allow_plaintext: repo.allow_plaintext,
        })
    }
}

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
