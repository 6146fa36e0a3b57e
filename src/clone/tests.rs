//! Pulls of real git into clones that were damaged in all the ways we could think of.

use super::git::SILENCE_LIMIT;
use super::pull::{PullError, run};
use crate::spool::Pull;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

mod filtered;
mod held;
mod mounted;
mod silent;
mod visitors;

/// A repository and a host's clone of it.
struct Fixture {
    folder: tempfile::TempDir,
    pull: Pull,
    commits: u32,
}

fn git(dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
    command.args([
        "-c",
        "protocol.file.allow=always",
        "-c",
        "init.defaultBranch=main",
    ]);
    let done = command
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap())
        .output()
        .unwrap();
    assert!(done.status.success(), "git {arguments:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

impl Fixture {
    /// Of a clone at the agent's own place.
    fn new() -> Self {
        Self::with_branch("main")
    }

    fn with_branch(branch: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let origin = folder.path().join("origin");
        fs::create_dir(&origin).unwrap();
        git(&origin, &["init", "--quiet", "-b", branch]);
        let pull = Pull {
            url: format!("file://{}", origin.display()),
            branch: branch.to_owned(),
            dir: folder.path().join("state/repo"),
            in_state_dir: true,
            allow_plaintext: false,
        };
        let mut fixture = Self {
            folder,
            pull,
            commits: 0,
        };
        fixture.commit();
        fixture
    }

    /// The same, pulled once.
    fn pulled() -> Self {
        let fixture = Self::new();
        fixture.pull().unwrap();
        fixture
    }

    /// The same at a place that is not the agent's.
    fn elsewhere() -> Self {
        let mut fixture = Self::new();
        fixture.pull.in_state_dir = false;
        fixture.pull.dir = fixture.folder.path().join("etc/nixos");
        fixture
    }

    fn origin(&self) -> PathBuf {
        self.folder.path().join("origin")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.pull.dir.join(path)
    }

    fn pull(&self) -> Result<(), PullError> {
        run(&self.pull, SILENCE_LIMIT)
    }

    /// Commits something new on the server.
    fn commit(&mut self) -> String {
        self.commits += 1;
        let origin = self.origin();
        fs::create_dir_all(origin.join("hosts")).unwrap();
        fs::write(origin.join("flake.nix"), format!("commit {}", self.commits)).unwrap();
        fs::write(origin.join("hosts/h1"), format!("host {}", self.commits)).unwrap();
        git(&origin, &["add", "--all", "--force"]);
        git(&origin, &["commit", "--quiet", "-m", "more"]);
        git(&origin, &["rev-parse", "HEAD"])
    }

    /// A pull brings the clone to the newest commit, and leaves nothing that is damaged.
    #[track_caller]
    fn assert_mended(&mut self, what: &str) {
        let newest = self.commit();
        let pulled = self.pull();
        assert!(pulled.is_ok(), "{what}: {pulled:?}");
        let dir = &self.pull.dir;
        assert_eq!(git(dir, &["rev-parse", "HEAD"]), newest, "{what}");
        let branch = git(dir, &["symbolic-ref", "--short", "HEAD"]);
        assert_eq!(branch, self.pull.branch, "{what}");
        assert_eq!(
            git(dir, &["status", "--porcelain", "--ignore-submodules=all"]),
            "",
            "{what}"
        );
        let content = fs::read_to_string(dir.join("flake.nix")).unwrap();
        assert_eq!(content, format!("commit {}", self.commits), "{what}");
        let host = fs::read_to_string(dir.join("hosts/h1")).unwrap();
        assert_eq!(host, format!("host {}", self.commits), "{what}");
        git(dir, &["fsck", "--connectivity-only"]);
    }

    /// The names beside the clone.
    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.pull.dir.parent().unwrap()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Writes every object as a file of its own.
    fn unpack(&self) {
        let pack = self.at(".git/objects/pack");
        let aside = self.folder.path().join("packs");
        fs::create_dir_all(&aside).unwrap();
        for entry in fs::read_dir(&pack).unwrap() {
            let entry = entry.unwrap();
            fs::rename(entry.path(), aside.join(entry.file_name())).unwrap();
        }
        for entry in fs::read_dir(&aside).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "pack") {
                let mut unpack = Command::new("git");
                unpack
                    .args(["unpack-objects", "-q"])
                    .current_dir(&self.pull.dir);
                unpack.stdin(fs::File::open(path).unwrap());
                assert!(unpack.status().unwrap().success());
            }
        }
        fs::remove_dir_all(aside).unwrap();
    }

    fn pack(&self) {
        git(&self.pull.dir, &["repack", "-adq", "--write-bitmap-index"]);
        git(&self.pull.dir, &["pack-refs", "--all"]);
        git(&self.pull.dir, &["commit-graph", "write", "--reachable"]);
        git(&self.pull.dir, &["multi-pack-index", "write"]);
    }
}

/// Writes `text` over a file, also one that is read-only.
fn overwrite(path: &Path, text: &[u8]) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, text).unwrap();
}

/// Damages the files of `.git` that end so.
fn damage_packs(fixture: &Fixture, end: &str, text: &[u8]) {
    let mut damaged = 0;
    for entry in fs::read_dir(fixture.at(".git/objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(end) {
            overwrite(&path, text);
            damaged += 1;
        }
    }
    assert!(damaged > 0, "no {end}");
}

#[test]
fn files_of_the_clone_that_a_loss_of_power_emptied_or_filled_are_mended() {
    let mut fixture = Fixture::pulled();
    git(&fixture.pull.dir, &["fetch", "--quiet"]);
    let files = [
        ".git/HEAD",
        ".git/index",
        ".git/config",
        ".git/FETCH_HEAD",
        ".git/refs/heads/main",
        ".git/refs/remotes/origin/main",
    ];
    for file in files {
        for text in [&b""[..], b"\0\0\0 not what should be here\n"] {
            overwrite(&fixture.at(file), text);
            fixture.assert_mended(&format!("{file} is {text:?}"));
        }
        fs::remove_file(fixture.at(file)).unwrap();
        fixture.assert_mended(&format!("{file} is gone"));
        git(&fixture.pull.dir, &["fetch", "--quiet", "origin"]);
    }
    for file in [
        ".git/ORIG_HEAD",
        ".git/packed-refs",
        ".git/shallow",
        ".git/MERGE_HEAD",
    ] {
        for text in [&b""[..], b"\0nonsense\n"] {
            fs::write(fixture.at(file), text).unwrap();
            fixture.assert_mended(&format!("{file} is {text:?}"));
        }
    }
    assert_eq!(fixture.beside(), ["repo"], "nothing is left over");
}

#[test]
fn objects_that_are_empty_or_gone_are_fetched_again() {
    for what in [
        "HEAD",
        "HEAD^{tree}",
        "HEAD:flake.nix",
        "HEAD:hosts",
        "HEAD:hosts/h1",
    ] {
        for text in [Some(&b""[..]), None] {
            let mut fixture = Fixture::pulled();
            fixture.unpack();
            let id = git(&fixture.pull.dir, &["rev-parse", what]);
            let object = fixture.at(&format!(".git/objects/{}/{}", &id[..2], &id[2..]));
            match text {
                Some(text) => overwrite(&object, text),
                None => fs::remove_file(object).unwrap(),
            }
            fixture.assert_mended(&format!("{what} is {text:?}"));
        }
    }
}

#[test]
fn an_object_that_a_pull_does_not_need_and_nix_does_is_missed_all_the_same() {
    let fixture = Fixture::pulled();
    fixture.unpack();
    let id = git(&fixture.pull.dir, &["rev-parse", "HEAD:hosts/h1"]);
    let object = format!(".git/objects/{}/{}", &id[..2], &id[2..]);
    overwrite(&fixture.at(&object), b"");
    // There is nothing new to fetch, and the file in the folder is as it should be.
    fixture.pull().unwrap();
    git(&fixture.pull.dir, &["cat-file", "-e", &id]);
    assert_eq!(git(&fixture.pull.dir, &["cat-file", "-p", &id]), "host 1");
}

#[test]
fn packs_and_what_speeds_git_up_are_mended() {
    for end in [".pack", ".idx", "multi-pack-index"] {
        for text in [&b""[..], b"nonsense nonsense nonsense"] {
            let mut fixture = Fixture::pulled();
            fixture.pack();
            damage_packs(&fixture, end, text);
            fixture.assert_mended(&format!("{end} is {text:?}"));
        }
    }
    for text in [&b""[..], b"nonsense nonsense nonsense"] {
        let mut fixture = Fixture::pulled();
        fixture.pack();
        overwrite(&fixture.at(".git/objects/info/commit-graph"), text);
        fixture.assert_mended(&format!("the commit graph is {text:?}"));
    }
}

#[test]
fn locks_of_a_git_that_was_killed_are_removed_at_any_depth() {
    let mut fixture = Fixture::with_branch("deploy/web/1");
    fixture.pull().unwrap();
    for lock in [
        "index.lock",
        "HEAD.lock",
        "config.lock",
        "packed-refs.lock",
        "shallow.lock",
        "refs/heads/deploy/web/1.lock",
        "refs/remotes/origin/deploy/web/1.lock",
    ] {
        fs::write(fixture.at(".git").join(lock), "").unwrap();
        fixture.assert_mended(lock);
        assert!(!fixture.at(".git").join(lock).exists(), "{lock}");
    }
    fs::create_dir_all(fixture.at(".git/objects/pack")).unwrap();
    fs::write(fixture.at(".git/objects/pack/tmp_pack_abc"), "PACK").unwrap();
    fixture.assert_mended("a pack that was being written");
    assert!(!fixture.at(".git/objects/pack/tmp_pack_abc").exists());
}

#[test]
fn a_branch_may_become_a_folder_of_branches_and_a_folder_a_branch() {
    for is_packed in [false, true] {
        let mut fixture = Fixture::with_branch("deploy");
        fixture.pull().unwrap();
        for (from, to) in [
            ("deploy", "deploy/web1"),
            ("deploy/web1", "deploy/web1/eu"),
            ("deploy/web1/eu", "deploy"),
        ] {
            if is_packed {
                git(&fixture.pull.dir, &["pack-refs", "--all"]);
            }
            git(&fixture.origin(), &["branch", "--move", from, "aside"]);
            git(&fixture.origin(), &["branch", "--move", "aside", to]);
            fixture.pull.branch = to.to_owned();
            fixture.assert_mended(&format!("{from} became {to}, packed: {is_packed}"));
        }
        assert_eq!(fixture.beside(), ["repo"]);
    }
}

#[test]
fn what_somebody_was_doing_in_the_clone_does_not_keep_it_from_being_pulled() {
    let mut fixture = Fixture::pulled();
    let dir = fixture.pull.dir.clone();
    git(&dir, &["checkout", "--quiet", "--detach"]);
    fixture.assert_mended("a detached HEAD");
    git(&dir, &["checkout", "--quiet", "-b", "mine"]);
    fs::write(dir.join("flake.nix"), "mine").unwrap();
    git(&dir, &["commit", "--quiet", "--all", "-m", "mine"]);
    let merge = ["merge", "--quiet", "origin/main"];
    fixture.commit();
    git(&dir, &["fetch", "--quiet"]);
    let conflict = Command::new("git")
        .args(merge)
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(!conflict.status.success() && dir.join(".git/MERGE_HEAD").exists());
    fixture.assert_mended("a merge with a conflict");
    fs::write(dir.join("flake.nix"), "mine").unwrap();
    git(&dir, &["commit", "--quiet", "--all", "-m", "mine"]);
    fixture.commit();
    git(&dir, &["fetch", "--quiet"]);
    let rebase = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "rebase",
        "origin/main",
    ];
    let conflict = Command::new("git")
        .args(rebase)
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(!conflict.status.success(), "{conflict:?}");
    fixture.assert_mended("a rebase with a conflict");
    git(&dir, &["sparse-checkout", "set", "nothing"]);
    fixture.assert_mended("a sparse checkout");
    git(&dir, &["config", "core.bare", "true"]);
    fixture.assert_mended("a clone that says it is bare");
    git(&dir, &["config", "core.worktree", "/nowhere"]);
    fixture.assert_mended("a clone whose files are said to be elsewhere");
    fs::create_dir_all(dir.join(".git/objects/info")).unwrap();
    fs::write(dir.join(".git/objects/info/alternates"), "/nowhere\n").unwrap();
    fixture.assert_mended("objects that are said to be elsewhere");
}

#[test]
fn files_in_the_way_are_replaced() {
    let mut fixture = Fixture::pulled();
    let dir = fixture.pull.dir.clone();
    fs::write(dir.join("flake.nix"), "dirty").unwrap();
    fs::create_dir_all(dir.join("left/over")).unwrap();
    fixture.assert_mended("a dirty tree");
    assert!(!dir.join("left").exists());
    fs::remove_file(dir.join("flake.nix")).unwrap();
    fs::create_dir(dir.join("flake.nix")).unwrap();
    fs::write(dir.join("flake.nix/x"), "").unwrap();
    fixture.assert_mended("a folder in the place of a file");
    fs::remove_dir_all(dir.join("hosts")).unwrap();
    symlink("/tmp", dir.join("hosts")).unwrap();
    fixture.assert_mended("a link in the place of a folder");
    assert!(!dir.join("hosts").is_symlink());
    fs::create_dir(dir.join("nested")).unwrap();
    git(&dir.join("nested"), &["init", "--quiet"]);
    fixture.assert_mended("a repository within");
    assert!(!dir.join("nested").exists());
    for folder in ["hosts", ".", ".git", ".git/refs/heads"] {
        fs::set_permissions(dir.join(folder), fs::Permissions::from_mode(0o555)).unwrap();
    }
    fixture.assert_mended("a tree that is read-only");
}

#[test]
fn a_clone_that_was_interrupted_and_one_without_git_are_made_anew() {
    let mut fixture = Fixture::new();
    let dir = fixture.pull.dir.clone();
    fs::create_dir_all(&dir).unwrap();
    fixture.assert_mended("an empty folder");
    fs::remove_dir_all(&dir).unwrap();
    fs::create_dir_all(&dir).unwrap();
    git(&dir, &["init", "--quiet"]);
    fixture.assert_mended("a clone that had only begun");
    fs::remove_dir_all(dir.join(".git")).unwrap();
    fs::create_dir(dir.join(".git")).unwrap();
    fixture.assert_mended("an empty .git");
    fs::remove_dir_all(dir.join(".git/objects")).unwrap();
    fixture.assert_mended("a clone without objects");
    fs::remove_dir_all(dir.join(".git/refs")).unwrap();
    fixture.assert_mended("a clone without refs");
    assert_eq!(fixture.beside(), ["repo"]);
    fs::create_dir(dir.with_file_name(".repo.switchyard-new")).unwrap();
    fs::remove_dir_all(dir.join(".git")).unwrap();
    fixture.assert_mended("no .git, and half a fresh clone beside it");
    fs::remove_dir_all(dir.join(".git")).unwrap();
    fs::write(dir.join(".git"), "gitdir: /nowhere").unwrap();
    fixture.assert_mended(".git is a file");
    assert_eq!(
        fixture.beside(),
        [".repo.switchyard-old-1", ".repo.switchyard-old-2", "repo"],
        "what was no clone is kept"
    );
}

#[test]
fn what_is_not_the_agents_is_neither_changed_nor_removed() {
    let fixture = Fixture::elsewhere();
    let dir = &fixture.pull.dir;
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("configuration.nix"), "mine").unwrap();
    let refused = fixture.pull().unwrap_err();
    assert!(matches!(refused, PullError::Place(_)), "{refused}");
    assert!(refused.to_string().contains("move it away"), "{refused}");
    let content = || fs::read_to_string(dir.join("configuration.nix")).unwrap();
    assert_eq!(content(), "mine");
    fs::write(dir.join(".git"), "gitdir: ../other/.git/worktrees/x").unwrap();
    assert!(matches!(fixture.pull(), Err(PullError::Place(_))));
    assert_eq!(content(), "mine");
    fs::remove_dir_all(dir).unwrap();
    fs::write(dir, "a file").unwrap();
    assert!(matches!(fixture.pull(), Err(PullError::Place(_))));
    assert_eq!(fs::read_to_string(dir).unwrap(), "a file");
}

#[test]
fn a_clone_of_somebody_else_that_cannot_be_mended_is_put_aside() {
    let mut fixture = Fixture::elsewhere();
    let dir = fixture.pull.dir.clone();
    fs::create_dir_all(dir.parent().unwrap()).unwrap();
    let (origin, target) = (fixture.pull.url.clone(), dir.to_string_lossy().into_owned());
    git(
        fixture.folder.path(),
        &["clone", "--quiet", &origin, &target],
    );
    fixture.assert_mended("a clone of somebody else");
    fs::write(
        dir.join(".git/refs/heads/notes"),
        git(&dir, &["rev-parse", "HEAD"]),
    )
    .unwrap();
    fs::remove_dir_all(dir.join(".git/objects")).unwrap();
    fixture.assert_mended("a clone of somebody else without objects");
    let aside = dir.with_file_name(".nixos.switchyard-old-1");
    assert!(aside.join(".git/refs/heads/notes").exists());
    // The one that took its place is the agent's own.
    fs::remove_dir_all(dir.join(".git/objects")).unwrap();
    fixture.assert_mended("a clone of the agent's own");
    assert_eq!(fixture.beside(), [".nixos.switchyard-old-1", "nixos"]);
}

#[test]
fn a_server_that_does_not_answer_costs_the_clone_nothing() {
    let mut fixture = Fixture::pulled();
    let head = git(&fixture.pull.dir, &["rev-parse", "HEAD"]);
    let url = fixture.pull.url.clone();
    fixture.pull.url = "file:///nowhere/at/all".to_owned();
    let failed = fixture.pull().unwrap_err();
    assert!(failed.to_string().contains("/nowhere/at/all"), "{failed}");
    overwrite(&fixture.at(".git/index"), b"");
    assert!(fixture.pull().is_err());
    fs::remove_dir_all(fixture.at(".git/objects")).unwrap();
    assert!(fixture.pull().is_err());
    assert!(fixture.at("flake.nix").exists(), "what is there stays");
    fixture.pull.url = url;
    fixture.pull.branch = "no-such-branch".to_owned();
    let failed = fixture.pull().unwrap_err();
    assert!(failed.to_string().contains("no-such-branch"), "{failed}");
    fixture.pull.branch = "main".to_owned();
    fixture.assert_mended("a server that is back");
    assert_ne!(git(&fixture.pull.dir, &["rev-parse", "HEAD"]), head);
}

#[test]
fn the_clone_follows_another_address_and_a_link() {
    let mut fixture = Fixture::pulled();
    let other = Fixture::new();
    let url = std::mem::replace(&mut fixture.pull.url, other.pull.url.clone());
    fixture.pull().unwrap();
    let remote = git(&fixture.pull.dir, &["config", "remote.origin.url"]);
    assert_eq!(remote, other.pull.url);
    fixture.pull.url = url;
    let link = fixture.folder.path().join("link");
    symlink(&fixture.pull.dir, &link).unwrap();
    fixture.pull.dir = link.clone();
    fixture.assert_mended("a link to the clone");
    fs::remove_dir_all(link.join(".git/objects")).unwrap();
    fixture.assert_mended("a link to a clone without objects");
    assert!(link.is_symlink());
}

#[test]
fn what_a_commit_holds_does_not_keep_the_next_from_being_pulled() {
    let mut fixture = Fixture::pulled();
    let origin = fixture.origin();
    let bad: [(&str, &[u8]); 5] = [
        (
            ".gitmodules",
            b"[submodule \"x\"\n\tpath = ../../etc\n\turl = --upload-pack=touch\n",
        ),
        (
            ".gitmodules",
            b"[submodule \"../x\"]\n\tpath = x\n\turl = ext::sh -c false\n",
        ),
        (".gitattributes", b"* filter=lfs diff=lfs merge=lfs -text\n"),
        (
            ".gitattributes",
            b"* ident eol=crlf text export-ignore export-subst\n",
        ),
        (".gitignore", b"*\n"),
    ];
    for (file, text) in bad {
        fs::write(origin.join(file), text).unwrap();
        fixture.commit();
        // Whether this one can be had is up to git.
        let _ = fixture.pull();
        git(&origin, &["rm", "--quiet", "--force", file]);
        fixture.assert_mended(file);
    }
    // A submodule that leads nowhere, a link to outside, the longest name, and names that differ by case alone.
    let id = git(&origin, &["rev-parse", "HEAD"]);
    let link = format!("160000,{id},module");
    git(&origin, &["update-index", "--add", "--cacheinfo", &link]);
    git(
        &origin,
        &["commit", "--quiet", "-m", "a submodule without .gitmodules"],
    );
    fixture.pull().unwrap();
    git(&origin, &["rm", "--quiet", "--cached", "module"]);
    symlink("/etc/passwd", origin.join("link")).unwrap();
    let long = "n".repeat(255);
    for name in [long.as_str(), "Case", "case", "a\nb", " ", "ü"] {
        fs::write(origin.join(name), "").unwrap();
    }
    fixture.assert_mended("odd names");
    assert!(fixture.at("link").is_symlink());
}

#[test]
fn submodules_are_not_fetched() {
    let mut fixture = Fixture::pulled();
    let (origin, other) = (fixture.origin(), Fixture::new());
    git(
        &origin,
        &["submodule", "--quiet", "add", &other.pull.url, "module"],
    );
    fixture.assert_mended("a submodule");
    let dir = fixture.pull.dir.clone();
    git(&dir, &["submodule", "--quiet", "update", "--init"]);
    // As from a server that does not have it any more.
    drop(other);
    git(
        &origin.join("module"),
        &["commit", "--quiet", "--allow-empty", "-m", "more"],
    );
    git(&dir, &["config", "submodule.recurse", "true"]);
    git(&dir, &["config", "fetch.recurseSubmodules", "true"]);
    fixture.assert_mended("a submodule whose server is gone");
}

#[test]
fn nothing_in_the_clone_runs_a_program() {
    let mut fixture = Fixture::pulled();
    let ran = fixture.folder.path().join("ran");
    let program = fixture.folder.path().join("program");
    fs::write(&program, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(fixture.at(".git/hooks")).unwrap();
    for hook in [
        "post-checkout",
        "reference-transaction",
        "post-index-change",
        "post-merge",
    ] {
        fs::copy(&program, fixture.at(".git/hooks").join(hook)).unwrap();
    }
    let name = program.to_str().unwrap();
    git(&fixture.pull.dir, &["config", "core.fsmonitor", name]);
    fixture.commit();
    let _ = fs::remove_file(&ran);
    fixture.pull().unwrap();
    assert!(!ran.exists());
}
