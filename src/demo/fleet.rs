//! The hosts of the demo: their names, tokens and configurations.

use super::{Error, repository};
use crate::dashboard::auth::{SecretHash, new_token};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The host that builds with a real nix.
pub(super) const REAL_NIX: &str = "real-nix";

/// The host whose first build fails.
pub(super) const BROKEN_BUILD: &str = "build01";
/// The host whose first configuration fails an assertion.
pub(super) const ASSERTION: &str = "office";
/// The host on which a unit fails to start at first.
pub(super) const BROKEN_UNIT: &str = "backup";
/// The host that is to follow a branch that the repository does not have.
pub(super) const MISSING_BRANCH: &str = "web01";

/// What a home and a small company have.
const NAMES: [&str; 12] = [
    "gateway",
    "nas",
    "media",
    BROKEN_BUILD,
    ASSERTION,
    BROKEN_UNIT,
    MISSING_BRANCH,
    "web02",
    "db01",
    "mail",
    "monitor",
    "printer",
];

/// The commands that the stand-in takes the place of.
const ACTIONS: [&str; 6] = ["switch", "test", "update", "boot", "build", "rollback"];

/// Where everything is.
pub(super) struct Fleet {
    /// Of the dashboard.
    pub(super) agents_file: PathBuf,
    /// Of the dashboard.
    pub(super) data_dir: PathBuf,
    /// The configuration of each agent.
    pub(super) agents: Vec<PathBuf>,
}

/// Names for `count` hosts; with nix the last one is the one that really builds.
pub(super) fn names(count: usize, with_nix: bool) -> Vec<String> {
    let desks = (1..).map(|n| format!("desk{n:02}"));
    let all = NAMES.into_iter().map(str::to_owned).chain(desks);
    let mut names: Vec<String> = all.take(count).collect();
    if with_nix && let Some(last) = names.last_mut() {
        REAL_NIX.clone_into(last);
    }
    names
}

/// Whether there is a nix to build with.
pub(super) fn nix_is_there() -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| {
            fs::metadata(folder.join("nix"))
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        })
    })
}

/// Writes everything that a fleet needs into `folder`: the repository, and for each of `names` a token, a
/// configuration whose dashboard is at `dashboard`, and a clone.
pub(super) fn set_up(folder: &Path, names: &[String], dashboard: &str) -> Result<Fleet, Error> {
    // What runs a step is this very program too, even where its file was replaced since it began.
    let program = Path::new("/proc/self/exe");
    let origin = folder.join("config");
    make_folder(&origin)?;
    repository::create(&origin, names)?;
    let mut hashes = String::new();
    let mut agents = Vec::new();
    for name in names {
        let own = folder.join("hosts").join(name);
        make_folder(&own)?;
        let token = new_token().map_err(Error::Random)?;
        // Writing to a text cannot fail.
        let _ = writeln!(hashes, "{name} {}", SecretHash::of(&token));
        write(&own.join("token"), &token)?;
        repository::clone(&origin, &own.join("repo"))?;
        let config = own.join("agent.toml");
        write(
            &config,
            &configuration(name, &own, &origin, program, dashboard),
        )?;
        agents.push(config);
    }
    let agents_file = folder.join("agents");
    write(&agents_file, &hashes)?;
    Ok(Fleet {
        agents_file,
        data_dir: folder.join("data"),
        agents,
    })
}

/// The configuration of an agent: as in production, but for the stand-in in place of `nixos-rebuild`.
fn configuration(name: &str, own: &Path, origin: &Path, program: &Path, dashboard: &str) -> String {
    let text = |path: &Path| toml::Value::from(path.to_string_lossy().into_owned()).to_string();
    let mut config = format!(
        "dashboard = \"{dashboard}\"\nhost_id = \"{name}\"\ntoken_file = {}\nstate_dir = {}\n\
         heartbeat_interval = 2\nsupervisor = \"process\"\n\n\
         [repo]\nurl = {}\nbranch = \"{}\"\ndir = {}\n",
        text(&own.join("token")),
        text(&own.join("state")),
        text(origin),
        if name == MISSING_BRANCH {
            "production"
        } else {
            "main"
        },
        text(&own.join("repo")),
    );
    for action in ACTIONS {
        let mut step = format!(
            "{}, \"demo-rebuild\", \"{action}\", \"--host\", \"{{host}}\", \"--state\", {}",
            text(program),
            text(own),
        );
        if name == REAL_NIX {
            step.push_str(", \"--system\", \"{repo}/hosts/{host}/system.nix\"");
        }
        // Writing to a text cannot fail.
        let _ = write!(config, "\n[commands.{action}]\nsteps = [[{step}]]\n");
        if action == "test" {
            config.push_str("checks = \"{repo}/hosts/{host}/tests\"\n");
        }
    }
    config
}

fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::file(path))
}

/// Writes a file that is nobody else's business.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::file(path))?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::HostId;
    use std::collections::HashSet;

    #[test]
    fn every_host_has_a_name_of_its_own_and_one_builds_for_real() {
        let names = names(50, true);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 50);
        assert!(names.iter().all(|name| HostId::new(name).is_ok()));
        assert_eq!(names.last().map(String::as_str), Some(REAL_NIX));
        assert!(!super::names(6, false).iter().any(|name| name == REAL_NIX));
    }

    #[test]
    fn an_agent_gets_a_configuration_in_toml() {
        let own = Path::new("/tmp/a \"b\"");
        let text = configuration(REAL_NIX, own, own, own, "ws://127.0.0.1:1");
        let config: toml::Table = text.parse().unwrap();
        let steps = config["commands"]["switch"]["steps"][0].as_array().unwrap();
        assert_eq!(steps[0].as_str(), own.to_str());
        assert_eq!(steps[2].as_str(), Some("switch"));
    }
}
