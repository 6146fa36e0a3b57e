//! Commands that run a real nix.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, Gate, SOON, git, has, skip, texts};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A store in `folder`, in which anyone may build.
fn store(folder: &Path) -> Vec<(&'static str, String)> {
    let at = |name: &str| folder.join(name).display().to_string();
    fs::create_dir(folder.join("home")).unwrap();
    let config = "sandbox = false\nbuild-users-group =\nsubstituters =\n";
    vec![
        ("HOME", at("home")),
        ("NIX_REMOTE", String::new()),
        ("NIX_STORE_DIR", at("store")),
        ("NIX_STATE_DIR", at("var")),
        ("NIX_LOG_DIR", at("log")),
        ("NIX_CONF_DIR", at("etc")),
        ("NIX_CONFIG", config.to_owned()),
    ]
}

/// Whether this machine has nix and git.
#[track_caller]
fn can_run() -> bool {
    let missing = ["nix", "git"].into_iter().find(|program| !has(program));
    if let Some(program) = missing {
        skip(&format!("{program} is not installed"));
    }
    missing.is_none()
}

/// An agent on such a store, with more configuration.
fn agent(dashboard: &Dashboard, folder: &Path, config: &Value) -> Agent {
    let mut agent = Agent::launch_in(store(folder), dashboard.port, "h1", config);
    agent.wait_for_reconnection(0);
    agent
}

/// Commits `content` in `file`, in a repository that is made where there is none; gives the revision.
fn commit(dir: &Path, file: &str, content: &str) -> String {
    fs::create_dir_all(dir).unwrap();
    git(dir, &["init", "--quiet", "--initial-branch=main"]);
    fs::write(dir.join(file), content).unwrap();
    git(dir, &["add", "."]);
    git(dir, &["commit", "--quiet", "--message", "new"]);
    git(dir, &["rev-parse", "HEAD"])
}

#[test]
fn update_brings_the_inputs_of_the_flake_up_to_date() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [input, config] = ["input", "config"].map(|name| folder.path().join(name));
    let first = commit(&input, "file", "one");
    let flake = format!(
        "{{ inputs.one = {{ url = \"git+file://{}?ref=main\"; flake = false; }}; outputs = _: {{ }}; }}",
        input.display()
    );
    commit(&config, "flake.nix", &flake);
    let dashboard = Dashboard::start(&["h1"]);
    let _agent = agent(&dashboard, folder.path(), &json!({"repo": {"dir": config}}));
    let update = || {
        let run = dashboard.command("h1", "update");
        let done = dashboard.wait_done("h1", &run);
        assert_eq!(done["status"], "ok", "{done}");
        let lines = dashboard.lines("h1", &run);
        let lines = texts(&lines).join("\n");
        assert!(
            lines.contains("lock file") && !lines.contains("@nix"),
            "{lines}"
        );
        fs::read_to_string(config.join("flake.lock")).unwrap()
    };
    assert!(update().contains(&first));
    let second = commit(&input, "file", "two");
    assert!(update().contains(&second));
}

#[test]
fn a_build_counts_and_its_builders_are_heard() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::closed(folder.path(), "gate");
    let file = folder.path().join("default.nix");
    // The last one waits until the counts of the two before were seen.
    let text = format!(
        r#"let
          make = name: needs: script: derivation {{
            inherit name needs;
            system = builtins.currentSystem;
            builder = "/bin/sh";
            args = [ "-c" "echo hello of ${{name}}; ${{script}}; echo done >$out" ];
            PATH = builtins.getEnv "PATH";
          }};
        in make "top" [ (make "left" [ ] ":") (make "right" [ ] ":") ] "{}""#,
        gate.wait()
    );
    fs::write(&file, text).unwrap();
    let features = ["nix", "--extra-experimental-features", "nix-command"];
    let build = [
        "build",
        "--no-link",
        "--log-format",
        "internal-json",
        "--file",
    ];
    let step = [&features[..], &build, &[file.to_str().unwrap()]].concat();
    let dashboard = Dashboard::start(&["h1"]);
    let config = json!({"commands": {"build": {"steps": [step]}}});
    let _agent = agent(&dashboard, folder.path(), &config);
    let run = dashboard.command("h1", "build");
    let counts =
        |run: &Value| ["done", "expected", "running", "failed"].map(|key| run[key].as_u64());
    dashboard.wait_for_run("h1", &run, SOON, |run| {
        assert!(run["completed"].is_null(), "it ended too soon: {run}");
        run["phase"] == "building" && counts(run) == [Some(2), Some(3), Some(1), Some(0)]
    });
    gate.open();
    let done = dashboard.wait_done("h1", &run);
    assert_eq!(done["status"], "ok", "{done}");
    assert_eq!(counts(&done)[..2], [Some(3), Some(3)]);
    let lines = dashboard.lines("h1", &run);
    for name in ["left", "right", "top"] {
        let heard = format!("{name}> hello of {name}");
        assert!(texts(&lines).contains(&heard.as_str()), "{lines:?}");
    }
    let log = dashboard.download("h1", &run, "txt");
    assert!(!String::from_utf8_lossy(&log).contains("@nix"));
}

#[test]
fn a_dashboard_with_a_public_url_trusts_the_reverse_proxy_of_its_machine_and_no_other_does() {
    if !has("nix-instantiate") {
        return skip("nix-instantiate is not installed");
    }
    let options = Path::new(env!("CARGO_MANIFEST_DIR")).join("nixos-modules/dashboard-options.nix");
    // What nixpkgs would give; only what the default needs is ever looked at.
    let trusted = |settings: &str| {
        let expression = format!(
            "let lib = {{ mkOption = o: o; types.submodule = m: m; types.listOf = t: t; literalMD = t: t;
                          optionals = c: l: if c then l else [ ]; }};
                 config.services.switchyard.dashboard.settings = {settings};
                 module = import {} {{ inherit config lib; pkgs = {{ }}; }};
             in module.options.services.switchyard.dashboard.settings.type.options.proxy.trusted.default",
            options.display()
        );
        let arguments = ["--eval", "--strict", "--json", "--expr", &expression];
        let output = Command::new("nix-instantiate")
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let url = "public_url = \"https://fleet.example.org\";";
    assert_eq!(
        trusted(&format!("{{ {url} proxy = {{ }}; }}")),
        json!(["127.0.0.1", "::1"])
    );
    assert_eq!(trusted("{ public_url = null; proxy = { }; }"), json!([]));
    // Of a proxy that names users, an address that is trusted without being named would let anybody be anybody.
    assert_eq!(
        trusted(&format!("{{ {url} proxy.user_header = \"X-User\"; }}")),
        json!([])
    );
}
