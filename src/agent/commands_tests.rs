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
    let catalogue = catalogue("[repo]\ndir = \"/usr\"\n", folder.path());
    let switch = catalogue.plan(&name("switch")).unwrap();
    assert_eq!(
        switch.steps,
        [[
            "nixos-rebuild",
            "switch",
            "--flake",
            "/usr#web.1",
            "--log-format",
            "internal-json"
        ]]
    );
    assert_eq!(switch.checks, None);
    let test = catalogue.plan(&name("test")).unwrap();
    assert_eq!(test.checks.unwrap(), Path::new("/usr/hosts/web.1/tests"));
}

#[test]
fn each_key_of_the_configuration_replaces_that_of_the_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(
        "[repo]\ndir = \"/usr\"\n[commands.test]\ntimeout = 9\n[commands.boot]\nsteps = [[\"x\", \"{host}\"]]\nchecks = \"{repo}/c\"\n",
        folder.path(),
    );
    let test = catalogue.plan(&name("test")).unwrap();
    assert_eq!((test.timeout, test.steps[0][1].as_str()), (Some(9), "test"));
    let replaced = self::catalogue(
        "[repo]\ndir = \"/usr\"\n[commands.test]\nsteps = [[\"x\"]]\n",
        folder.path(),
    );
    assert_eq!(replaced.plan(&name("test")).unwrap().checks, None);
    let boot = catalogue.plan(&name("boot")).unwrap();
    assert_eq!(boot.steps, [["x", "web.1"]]);
    assert_eq!(boot.checks.unwrap(), Path::new("/usr/c"));
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

#[test]
fn pull_is_built_in_unless_it_has_steps_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let url = "[repo]\nurl = \"https://git.example.org/a\"\nbranch = \"b\"\n";
    let plan = |more: &str| {
        let catalogue = catalogue(&format!("{url}{more}"), folder.path());
        catalogue.plan(&name("pull")).unwrap()
    };
    let built_in = plan("");
    let pull = built_in.pull.unwrap();
    assert_eq!((pull.branch.as_str(), pull.in_state_dir), ("b", true));
    assert!(built_in.environment.len() > 1);
    let elsewhere = plan("dir = \"/srv/repo\"\n").pull.unwrap();
    assert!(!elsewhere.in_state_dir);
    let own = plan("[commands.pull]\nsteps = [[\"sync\", \"{repo}\"]]\n");
    assert_eq!(own.pull, None);
    assert_eq!(own.steps[0][0], "sync");
    let asks_nobody = ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned());
    assert_eq!(own.environment, [asks_nobody]);
}
