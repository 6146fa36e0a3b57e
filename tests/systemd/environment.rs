//! What a run under systemd finds around it: programs, a home, and the key with which git reaches the repository.

use crate::common::texts;
use crate::container::{Container, HOST, free_port};
use crate::{Scene, restart_agent, units};
use serde_json::Value;

const UNIT: &str = "switchyard-agent.service";
const KEY: &str = "/etc/switchyard/deploy-key";
const KNOWN_HOSTS: &str = "/etc/switchyard/known-hosts";
const REVISION: &str = "git -C /srv/work rev-parse HEAD";

/// A command that looks around. `nobody` must not read the key.
const LOOK: &str = r#"
for program in nixos-rebuild git nix ssh sudo systemctl bash curl hostname ip; do
  command -v $program > /dev/null && echo "has $program"
done
sudo -n true && echo "sudo works"
/usr/bin/env bash -c 'echo "bash works"'
IFS=:; for folder in $PATH; do
  case $folder in */bin) [ -d "$folder" ] || echo "missing $folder" ;; esac
done; unset IFS
nix-instantiate --eval -E '"nix works"'
echo "PATH $PATH"
echo "HOME $HOME"
cd "$CREDENTIALS_DIRECTORY"
echo "ssh $GIT_SSH_COMMAND"
echo "in $CREDENTIALS_DIRECTORY"
stat -c 'key %a %U' ssh_key
cmp ssh_key /etc/switchyard/deploy-key && echo "it is the key"
runuser -u nobody -- cat "$CREDENTIALS_DIRECTORY/ssh_key" || echo "nobody reads it"
"#;

/// A git server on the host itself, reached over ssh with the agent's key.
struct Forge<'a>(&'a Container);

impl<'a> Forge<'a> {
    fn start(host: &'a Container, port: u16) -> Self {
        let forge = Self(host);
        forge.shell(&format!("ssh-keygen -q -t ed25519 -N '' -f {KEY}"));
        forge.shell("ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/another");
        forge.shell(&format!("cp {KEY}.pub /etc/ssh/deploy-keys"));
        forge.shell("git init -q --bare --initial-branch=main /srv/config.git");
        forge.shell("git clone -q /srv/config.git /srv/work");
        forge.shell("mkdir -p /run/sshd");
        forge.shell(&format!(
            "systemd-run --quiet --unit=forge --service-type=notify /usr/sbin/sshd -D -e -f /dev/null \
             -o Port={port} -o ListenAddress=127.0.0.1 -o HostKey=/etc/ssh/ssh_host_ed25519_key \
             -o AuthorizedKeysFile=/etc/ssh/deploy-keys"
        ));
        forge
    }

    fn shell(&self, script: &str) -> String {
        self.0.run(&["/bin/sh", "-c", script])
    }

    /// Publishes a commit; gives its revision.
    fn commit(&self, content: &str) -> String {
        self.0.write("/srv/work/flake.nix", content);
        self.shell(
            "cd /srv/work && git add . && git -c user.name=n -c user.email=e commit -q -m m && git push -q origin HEAD:main",
        );
        self.shell(REVISION)
    }

    /// Has the host know the server by this key.
    fn known_by(&self, key: &str, port: u16) {
        let key = self.0.read(&format!("{key}.pub"));
        let known = format!("[127.0.0.1]:{port} {key}");
        self.0.write(KNOWN_HOSTS, &known);
    }
}

/// A host whose agent pulls over ssh and offers `look`.
fn scene(name: &str, port: u16) -> Option<Scene> {
    let scene = Scene::new(name)?;
    let host = &scene.host;
    let config = host.read("/etc/switchyard/agent.toml");
    let (config, _) = config.split_once("[repo]").unwrap();
    let more = format!(
        "[repo]\nurl = \"ssh://root@127.0.0.1:{port}/srv/config.git\"\n\
         [commands.look]\nsteps = [[\"/bin/sh\", \"-c\", '''{LOOK}''']]\n"
    );
    host.write("/etc/switchyard/agent.toml", &format!("{config}{more}"));
    let unit = format!("/etc/systemd/system/{UNIT}");
    let text = host.read(&unit).replace(
        "[Service]\n",
        &format!(
            "[Service]\nEnvironment=SWITCHYARD_SSH_KEY={KEY}\n\
             Environment=SWITCHYARD_SSH_KNOWN_HOSTS={KNOWN_HOSTS}\n"
        ),
    );
    host.write(&unit, &text);
    host.write(KNOWN_HOSTS, "");
    Some(scene)
}

#[test]
fn a_run_finds_its_programs_its_home_and_a_key_that_only_root_can_read() {
    let port = free_port();
    let Some(scene) = scene("environment", port) else {
        return;
    };
    Forge::start(&scene.host, port);
    restart_agent(&scene, "look");
    let run = scene.dashboard.command(HOST, "look");
    let ended = scene.dashboard.wait_done(HOST, &run);
    assert_eq!(ended["status"], "ok", "{ended}");
    let lines = scene.dashboard.lines(HOST, &run);
    let lines = texts(&lines);
    let credentials = format!("/run/credentials/{}", Scene::unit(&run));
    for line in [
        "has nixos-rebuild",
        "has git",
        "has nix",
        "has ssh",
        "has sudo",
        "has systemctl",
        "has bash",
        "has curl",
        "has hostname",
        "has ip",
        "sudo works",
        "bash works",
        "\"nix works\"",
        &format!("PATH {}", units::agent_path()),
        "HOME /root",
        &format!("in {credentials}"),
        &format!(
            "ssh ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=4 \
             -o IdentitiesOnly=yes -i {credentials}/ssh_key \
             -o UserKnownHostsFile={credentials}/ssh_known_hosts"
        ),
        "key 400 root",
        "it is the key",
        "nobody reads it",
    ] {
        assert!(lines.contains(&line), "{line:?} is not in {lines:#?}");
    }
    let missing = lines.iter().find(|line| line.starts_with("missing "));
    assert_eq!(missing, None, "the host's packages are those of its PATH");
}

#[test]
fn pull_fetches_over_ssh_with_the_hosts_key_and_only_from_a_server_it_knows() {
    let port = free_port();
    let Some(scene) = scene("ssh", port) else {
        return;
    };
    let forge = Forge::start(&scene.host, port);
    let first = forge.commit("one");
    restart_agent(&scene, "look");
    let pull = || {
        let run = scene.dashboard.command(HOST, "pull");
        scene.dashboard.wait_done(HOST, &run)
    };
    let refused = |run: &Value| {
        assert_eq!(run["status"], "error", "{run}");
        let message = run["message"].as_str().unwrap();
        assert!(
            message.contains("Host key verification failed"),
            "{message}"
        );
    };
    // Nobody is there to be asked.
    refused(&pull());

    forge.known_by("/etc/ssh/ssh_host_ed25519_key", port);
    let run = pull();
    assert_eq!(run["status"], "ok", "{run}");
    scene
        .dashboard
        .wait_for_host(HOST, "the first revision", |host| {
            host["revision"] == *first
        });

    let second = forge.commit("two");
    forge.known_by("/etc/ssh/another", port);
    refused(&pull());
    forge.known_by("/etc/ssh/ssh_host_ed25519_key", port);
    let run = pull();
    assert_eq!(run["status"], "ok", "{run}");
    scene
        .dashboard
        .wait_for_host(HOST, "the second revision", |host| {
            host["revision"] == *second
        });
    let repo = "/var/lib/switchyard-agent/repo/flake.nix";
    assert_eq!(scene.host.read(repo), "two");
}

#[test]
fn a_key_that_is_missing_or_cannot_be_given_is_named_and_hinders_only_what_needs_it() {
    let Some(scene) = scene("key", free_port()) else {
        return;
    };
    restart_agent(&scene, "look");
    let ended = |command: &str| {
        let run = scene.dashboard.command(HOST, command);
        let ended = scene.dashboard.wait_done(HOST, &run);
        let message = ended["message"].as_str().unwrap_or_default().to_owned();
        (ended, message)
    };
    let (run, _) = ended("look");
    assert_eq!(run["status"], "ok", "{run}");
    let run_id = run["run_id"].as_str().unwrap();
    let lines = scene.dashboard.lines(HOST, run_id);
    let ssh = texts(&lines)
        .into_iter()
        .find(|line| line.starts_with("ssh "));
    assert!(!ssh.unwrap().contains("-i "), "{lines:?}");
    let (run, message) = ended("pull");
    assert_eq!(run["status"], "error", "{run}");
    assert!(message.contains(KEY), "{message}");

    // systemd takes no credential of more than 1 MiB, and starts no unit without what it was told to give it.
    scene.host.write(KEY, &"x".repeat(2 << 20));
    let (run, message) = ended("look");
    assert_eq!(run["status"], "error", "{run}");
    let words = "its supervisor did not start. systemd says: ";
    let (_, said) = message.split_once(words).expect(&message);
    assert!(
        said.contains("credentials") || said.contains("CREDENTIALS"),
        "{message}"
    );
}
