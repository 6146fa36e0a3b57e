//! Clones in which somebody works while they are pulled.

use super::*;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A shell under the name of another program, which works in a folder until it is dropped.
struct Program(Child);

impl Program {
    /// Runs `script` in `dir`, and waits until it has written `begun` there.
    fn start(fixture: &Fixture, name: &str, dir: &Path, script: &str) -> Self {
        Self::run(fixture, name, dir, &[script])
    }

    /// The same in another folder with one argument.
    fn told(fixture: &Fixture, name: &str, argument: &str) -> Self {
        Self::run(fixture, name, fixture.folder.path(), &[":", name, argument])
    }

    fn run(fixture: &Fixture, name: &str, dir: &Path, words: &[&str]) -> Self {
        let programs = fixture.folder.path().join("programs");
        fs::create_dir_all(&programs).unwrap();
        let program = programs.join(name);
        symlink("/bin/sh", &program).unwrap();
        let begun = programs.join("begun");
        let script = format!("{}; : > '{}'; read end", words[0], begun.display());
        let mut command = Command::new(program);
        command
            .args(["-c", &script])
            .args(&words[1..])
            .current_dir(dir)
            .stdin(Stdio::piped());
        let program = Self(command.spawn().unwrap());
        wait_for(&begun);
        fs::remove_file(begun).unwrap();
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn wait_for(path: &Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{path:?}");
        sleep(Duration::from_millis(5));
    }
}

/// A pull fails with these words, and changes nothing.
#[track_caller]
fn assert_held(fixture: &mut Fixture, words: &[&str]) {
    fixture.commit();
    let before = fs::read_to_string(fixture.at("flake.nix")).unwrap();
    let beside = fixture.beside();
    let index = fs::read(fixture.at(".git/index")).unwrap();
    let failed = fixture.pull().unwrap_err();
    assert!(matches!(failed, PullError::Held(_)), "{failed:?}");
    for word in words {
        assert!(failed.to_string().contains(word), "{word}: {failed}");
    }
    assert_eq!(fs::read(fixture.at(".git/index")).unwrap(), index);
    assert!(fixture.at(".git/logs/HEAD").exists(), "the reflog stays");
    let after = fs::read_to_string(fixture.at("flake.nix")).unwrap();
    assert_eq!((after, fixture.beside()), (before, beside));
}

#[test]
fn a_clone_in_which_a_commit_is_being_written_is_left_as_it_is_and_pulled_after_that() {
    for mut fixture in [Fixture::new(), Fixture::elsewhere()] {
        fixture.pull().unwrap();
        let dir = fixture.pull.dir.clone();
        fs::write(dir.join("flake.nix"), "mine").unwrap();
        let (begun, end) = (dir.join(".git/begun"), dir.join(".git/end"));
        let editor = "sh -c ': > .git/begun; until [ -e .git/end ]; do sleep 0.1; done'";
        let mut commit = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@b"])
            .args(["commit", "--quiet", "--all"])
            .env("GIT_EDITOR", editor)
            .current_dir(&dir)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(&begun);
        let process = format!("process {} (git) of user ", commit.id());
        assert_held(&mut fixture, &[&process, "(index.lock)", "pull again"]);
        fs::write(end, "").unwrap();
        let _ = commit.wait();
        fixture.assert_mended("the commit came to its end");
    }
}

#[test]
fn each_lock_of_a_git_at_work_is_left_alone_wherever_that_was_started() {
    let mut fixture = Fixture::pulled();
    let dir = fixture.pull.dir.clone();
    for lock in ["HEAD.lock", "packed-refs.lock", "refs/heads/main.lock"] {
        fs::write(fixture.at(".git").join(lock), "").unwrap();
        let _git = Program::start(&fixture, &format!("git-{}", lock.len()), &dir, ":");
        assert_held(&mut fixture, &["(git-", lock]);
        fs::remove_file(fixture.at(".git").join(lock)).unwrap();
    }
    let elsewhere = fixture.folder.path().to_owned();
    let git_dir = fixture.at(".git").display().to_string();
    fs::write(fixture.at(".git/config.lock"), "").unwrap();
    let git = Program::told(&fixture, ".git-wrapped", &format!("--git-dir={git_dir}"));
    assert_held(&mut fixture, &["(.git-wrapped)", "config.lock"]);
    drop(git);
    let open = format!("exec 9>>'{git_dir}/shallow.lock'");
    let _jj = Program::start(&fixture, "jj", &elsewhere, &open);
    assert_held(&mut fixture, &["(jj) of user ", "shallow.lock"]);
}

#[test]
fn a_stale_lock_is_removed_beside_programs_that_hold_none() {
    let mut fixture = Fixture::pulled();
    let dir = fixture.pull.dir.clone();
    let _gitui = Program::start(&fixture, "gitui", &dir, "exec 9<flake.nix");
    for lock in ["index.lock", "refs/remotes/origin/main.lock"] {
        fs::write(fixture.at(".git").join(lock), "").unwrap();
        fixture.assert_mended(lock);
    }
}
