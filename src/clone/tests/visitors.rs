//! Clones in which somebody worked or whose files are not those of their commit, and repositories that changed.

#[path = "../../../tests/common/skip.rs"]
pub(super) mod skip;

use super::*;
use crate::clone::address::Address;
use crate::clone::git::Git;
use std::time::{Duration, SystemTime};

/// A clone with a file that no later commit changes.
fn pulled_with_lines() -> Fixture {
    let mut fixture = Fixture::new();
    fs::create_dir(fixture.origin().join("lib")).unwrap();
    fs::write(fixture.origin().join("lib/lines"), "one\ntwo\n").unwrap();
    fixture.commit();
    fixture.pull().unwrap();
    fixture
}

#[track_caller]
fn assert_whole(fixture: &mut Fixture, what: &str) {
    fixture.assert_mended(what);
    let content = fs::read_to_string(fixture.at("lib/lines")).unwrap();
    assert_eq!(content, "one\ntwo\n", "{what}");
}

fn set_modified(path: &Path, time: SystemTime) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn files_that_git_was_told_not_to_look_at_are_those_of_the_commit() {
    for flag in ["--skip-worktree", "--assume-unchanged"] {
        let mut fixture = pulled_with_lines();
        git(&fixture.pull.dir, &["update-index", flag, "lib/lines"]);
        fs::write(fixture.at("lib/lines"), "mine").unwrap();
        assert_whole(&mut fixture, flag);
    }
    let mut fixture = pulled_with_lines();
    git(&fixture.pull.dir, &["sparse-checkout", "set", "hosts"]);
    assert!(!fixture.at("lib/lines").exists());
    assert_whole(&mut fixture, "a sparse checkout");
}

#[test]
fn a_file_full_of_zeros_whose_size_and_time_are_right_is_written_anew() {
    let mut fixture = pulled_with_lines();
    let dir = fixture.pull.dir.clone();
    // As after a loss of power: what the index knows of the file is so, and its content never reached the disk.
    git(&dir, &["config", "core.trustctime", "false"]);
    git(&dir, &["config", "core.checkStat", "minimal"]);
    let before = SystemTime::now() - Duration::from_secs(3600);
    set_modified(&fixture.at("lib/lines"), before);
    git(&dir, &["update-index", "--refresh"]);
    fs::write(fixture.at("lib/lines"), [0; 8]).unwrap();
    set_modified(&fixture.at("lib/lines"), before);
    assert_eq!(
        git(&dir, &["status", "--porcelain"]),
        "",
        "git takes it for unchanged"
    );
    assert_whole(&mut fixture, "a file full of zeros");
}

#[test]
fn what_a_clones_configuration_asks_for_changes_no_file() {
    for (key, value) in [
        ("core.autocrlf", "true"),
        ("core.splitIndex", "true"),
        ("index.sparse", "true"),
        ("feature.manyFiles", "true"),
        ("include.path", "/nowhere/at/all"),
        ("extensions.unknown", "true"),
        ("core.repositoryformatversion", "99"),
    ] {
        let mut fixture = pulled_with_lines();
        git(&fixture.pull.dir, &["config", key, value]);
        fs::remove_file(fixture.at("lib/lines")).unwrap();
        assert_whole(&mut fixture, key);
    }
}

#[test]
fn a_commit_that_another_was_put_in_the_place_of_is_pulled_as_it_is() {
    let mut fixture = pulled_with_lines();
    let next = fixture.commit();
    git(&fixture.pull.dir, &["fetch", "--quiet"]);
    git(&fixture.pull.dir, &["replace", &next, "HEAD"]);
    fixture.pull().unwrap();
    let content = fs::read_to_string(fixture.at("flake.nix")).unwrap();
    assert_eq!(content, format!("commit {}", fixture.commits));
}

#[test]
fn clones_of_other_shapes_are_pulled_and_a_repository_may_change_its_hash() {
    for options in [["--depth=1"], ["--filter=blob:none"], ["--mirror"]] {
        let mut fixture = Fixture::new();
        fixture.commit();
        git(
            &fixture.origin(),
            &["config", "uploadpack.allowFilter", "true"],
        );
        fs::create_dir_all(fixture.pull.dir.parent().unwrap()).unwrap();
        let (url, target) = (
            fixture.pull.url.clone(),
            fixture.pull.dir.display().to_string(),
        );
        let arguments = [&["clone", "--quiet"], &options[..], &[&url, &target]].concat();
        git(fixture.folder.path(), &arguments);
        fixture.assert_mended(options[0]);
    }
    let mut fixture = pulled_with_lines();
    fs::remove_dir_all(fixture.origin().join(".git")).unwrap();
    let init = ["init", "--quiet", "-b", "main", "--object-format=sha256"];
    git(&fixture.origin(), &init);
    assert_whole(&mut fixture, "a repository with another hash");
    assert_whole(&mut fixture, "the same again");
}

#[test]
fn a_branch_that_is_not_there_is_named_by_the_first_pull_as_by_any_other() {
    let mut fixture = Fixture::new();
    git(&fixture.origin(), &["tag", "v1"]);
    for branch in ["mian", "v1"] {
        fixture.pull.branch = branch.to_owned();
        let failed = fixture.pull().unwrap_err();
        assert!(
            matches!(failed, PullError::NoBranch { .. }),
            "{branch}: {failed}"
        );
    }
    fixture.pull.branch = "main".to_owned();
    fixture.pull().unwrap();
    git(&fixture.origin(), &["branch", "--move", "main", "other"]);
    let failed = fixture.pull().unwrap_err();
    assert!(matches!(failed, PullError::NoBranch { .. }), "{failed}");
    assert!(fixture.at("flake.nix").exists(), "what is there stays");
    // A repository that is empty has no branch either.
    fs::remove_dir_all(fixture.origin().join(".git")).unwrap();
    git(&fixture.origin(), &["init", "--quiet", "-b", "main"]);
    let failed = fixture.pull().unwrap_err();
    assert!(
        failed.to_string().contains("nothing was pushed"),
        "{failed}"
    );
}

#[test]
fn parts_of_the_repository_that_are_files_where_folders_should_be_are_made_anew() {
    for part in [
        "objects/info",
        "objects/pack",
        "refs/remotes",
        "logs",
        "info",
        "hooks",
    ] {
        let mut fixture = pulled_with_lines();
        let path = fixture.at(".git").join(part);
        let _ = fs::remove_dir_all(&path);
        fs::write(&path, "garbage").unwrap();
        assert_whole(&mut fixture, part);
    }
    let mut fixture = pulled_with_lines();
    for part in ["index.lock", "FETCH_HEAD", "packed-refs"] {
        let path = fixture.at(".git").join(part);
        let _ = fs::remove_file(&path);
        fs::create_dir_all(path.join("x")).unwrap();
        assert_whole(&mut fixture, part);
    }
}

/// A file system of its own over a folder, if this user may mount one.
pub(super) struct SmallDisk(pub(super) PathBuf);

impl SmallDisk {
    pub(super) fn over(folder: PathBuf) -> Option<Self> {
        fs::create_dir_all(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=4096k", "tmpfs"])
            .arg(&folder);
        let is_mounted = mount.output().is_ok_and(|done| done.status.success());
        is_mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_named_and_costs_the_clone_nothing() {
    let mut fixture = Fixture::new();
    let state = fixture.folder.path().join("state");
    let Some(disk) = SmallDisk::over(state) else {
        return skip::skip("a file system of its own takes the right to mount");
    };
    fixture.pull().unwrap();
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![1; 3_700_000]).unwrap();
    // Nothing that can be made smaller.
    let mut state = 1_u32;
    let random: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(800_000)
    .collect();
    fs::write(fixture.origin().join("big"), random).unwrap();
    fixture.commit();
    let failed = fixture.pull().unwrap_err();
    assert!(matches!(failed, PullError::FullDisk { .. }), "{failed:?}");
    assert!(failed.to_string().contains("make room"), "{failed}");
    assert!(fixture.at("flake.nix").exists());
    fs::remove_file(ballast).unwrap();
    fixture.assert_mended("a disk with room again");
}

#[test]
fn git_speaks_english_to_us_whatever_the_hosts_language_is() {
    let fixture = Fixture::new();
    let address = Address::parse(&fixture.pull.url).unwrap();
    let git = Git::new(None, &fixture.pull, &address, SILENCE_LIMIT).command(&["fetch"]);
    let value = |name: &str| git.get_envs().find(|(known, _)| *known == name).unwrap().1;
    assert_eq!(value("LC_ALL").unwrap(), "C.UTF-8");
    assert_eq!(value("LANGUAGE").unwrap(), "", "it comes before that");
    let asks = crate::clone::environment(&fixture.pull.dir);
    for (name, value) in crate::clone::ENGLISH {
        assert!(asks.contains(&(name, value.into())), "{name}");
    }
}
