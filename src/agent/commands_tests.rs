use super::*;

fn catalogue(text: &str, dir: &Path) -> Catalogue {
    let path = dir.join("agent.toml");
    let state = dir.join("state");
    let whole = format!(
        "dashboard = \"ws://localhost\"\ntoken_file = \"/t\"\nstate_dir = \"{}\"\n{text}",
        state.display()
    );
    std::fs::write(&path, whole).unwrap();
    Catalogue::new(
        &Config::load(&path).unwrap(),
        &HostId::new("web.1").unwrap(),
    )
}

fn name(text: &str) -> CommandName {
    CommandName::new(text).unwrap()
}

fn names(catalogue: &Catalogue) -> Vec<String> {
    catalogue.names().into_iter().map(String::from).collect()
}

#[test]
fn the_built_in_commands_are_always_offered_and_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let none = catalogue(
        "[commands.own]\nsteps = [[\"a\"]]\n[commands.switch]\nsteps = [[\"b\"]]\n",
        folder.path(),
    );
    assert_eq!(names(&none), [&BUILT_IN[..], &["own"]].concat());
    assert_eq!(none.plan(&name("pull")), Err(Refusal::NoUrl));
    let test = none.plan(&name("test")).unwrap_err();
    assert!(test.to_string().contains("pull first"), "{test}");
    let other = none.plan(&name("other")).unwrap_err();
    assert!(other.to_string().contains("does not offer"), "{other}");
    assert!(none.plan(&name("switch")).is_ok());
    assert!(none.plan(&name("rollback")).is_ok());
}

#[test]
fn repo_and_host_are_filled_in() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue("[repo]\ndir = \"/tmp\"\n", folder.path());
    let switch = catalogue.plan(&name("switch")).unwrap();
    assert_eq!(
        switch.steps,
        [[
            "nixos-rebuild",
            "switch",
            "--flake",
            "/tmp#web.1",
            "--log-format",
            "internal-json"
        ]]
    );
    assert_eq!(switch.checks, None);
    let test = catalogue.plan(&name("test")).unwrap();
    assert_eq!(test.checks.unwrap(), Path::new("/tmp/hosts/web.1/tests"));
}

#[test]
fn each_key_of_the_configuration_replaces_that_of_the_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(
        "[repo]\ndir = \"/tmp\"\n[commands.test]\ntimeout = 9\n[commands.boot]\nsteps = [[\"x\", \"{host}\"]]\nchecks = \"{repo}/c\"\n",
        folder.path(),
    );
    let test = catalogue.plan(&name("test")).unwrap();
    assert_eq!((test.timeout, test.steps[0][1].as_str()), (Some(9), "test"));
    let replaced = self::catalogue(
        "[repo]\ndir = \"/tmp\"\n[commands.test]\nsteps = [[\"x\"]]\n",
        folder.path(),
    );
    assert_eq!(replaced.plan(&name("test")).unwrap().checks, None);
    let boot = catalogue.plan(&name("boot")).unwrap();
    assert_eq!(boot.steps, [["x", "web.1"]]);
    assert_eq!(boot.checks.unwrap(), Path::new("/tmp/c"));
}

#[test]
fn rollback_evaluates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let steps = catalogue("", folder.path())
        .plan(&name("rollback"))
        .unwrap()
        .steps;
    assert_eq!(steps[0][0], "nix-env");
    assert_eq!(steps[1][1], "switch");
    assert!(steps[1][0].ends_with("/bin/switch-to-configuration"));
}

fn run(steps: &[Vec<String>]) {
    for argv in steps {
        let output = std::process::Command::new(&argv[0])
            .args(&argv[1..])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{argv:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn commit(work: &Path, content: &str) {
    std::fs::write(work.join("file"), content).unwrap();
    let git = [
        "git",
        "-C",
        work.to_str().unwrap(),
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
    ];
    let with = |rest: &[&str]| argv(&[&git[..], rest].concat());
    run(&[
        with(&["add", "."]),
        with(&["commit", "--quiet", "-m", content]),
    ]);
}

#[test]
fn pull_brings_the_clone_to_the_branch_whatever_state_it_is_in() {
    let folder = tempfile::tempdir().unwrap();
    let origin = |name: &str, content: &str| {
        let work = folder.path().join(name);
        run(&[argv(&[
            "git",
            "init",
            "--quiet",
            "--initial-branch=main",
            work.to_str().unwrap(),
        ])]);
        commit(&work, content);
        work
    };
    let (first, second) = (origin("first", "one"), origin("second", "other"));
    let from = |url: &Path| {
        catalogue(
            &format!("[repo]\nurl = \"{}\"\n", url.display()),
            folder.path(),
        )
    };
    let dir = from(&first).repo_dir().to_owned();
    let pull = |url: &Path| run(&from(url).plan(&name("pull")).unwrap().steps);
    let content = || std::fs::read_to_string(dir.join("file")).unwrap();

    // A clone that was killed while it began.
    run(&[argv(&["git", "init", "--quiet", dir.to_str().unwrap()])]);
    pull(&first);
    assert_eq!(content(), "one");

    std::fs::remove_dir_all(&dir).unwrap();
    pull(&first);
    assert_eq!(content(), "one");

    commit(&first, "two");
    std::fs::write(dir.join("file"), "changed by hand").unwrap();
    std::fs::create_dir(dir.join("left")).unwrap();
    std::fs::write(dir.join("left/over"), "").unwrap();
    pull(&first);
    assert_eq!(content(), "two");
    assert!(!dir.join("left").exists());

    pull(&second);
    assert_eq!(content(), "other");
}
