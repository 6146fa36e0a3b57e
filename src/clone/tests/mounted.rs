//! Clones in a file system of their own, with something mounted in them, and pulls that were interrupted there.

use super::visitors::{SmallDisk, skip};
use super::*;
use crate::clone::fresh;

/// Why a test cannot run.
const NO_MOUNT: &str = "a file system of its own takes the right to mount";

/// Mounts one folder over another one.
fn bind(from: &Path, to: PathBuf) -> Option<SmallDisk> {
    fs::create_dir_all(from).unwrap();
    fs::create_dir_all(&to).unwrap();
    let mut mount = Command::new("mount");
    mount.arg("--bind").arg(from).arg(&to);
    let is_mounted = mount.output().is_ok_and(|done| done.status.success());
    is_mounted.then_some(SmallDisk(to))
}

/// Makes somebody's own clone at the place of the fixture's, with a branch and an ignored file of theirs.
fn clone_by_hand(fixture: &Fixture) {
    let dir = &fixture.pull.dir;
    git(dir, &["clone", "--quiet", &fixture.pull.url, "."]);
    git(dir, &["branch", "mine"]);
    fs::write(dir.join(".git/info/exclude"), "secret.age\n").unwrap();
    fs::write(dir.join("secret.age"), "secret").unwrap();
}

#[test]
fn what_is_not_the_agents_is_left_alone_where_it_cannot_be_put_aside() {
    for mount in [SmallDisk::over, |dir: PathBuf| {
        bind(&dir.with_file_name("persisted"), dir)
    }] {
        let fixture = Fixture::elsewhere();
        let dir = fixture.pull.dir.clone();
        let Some(_disk) = mount(dir.clone()) else {
            return skip::skip(NO_MOUNT);
        };
        clone_by_hand(&fixture);
        fixture.pull().unwrap();
        fs::rename(dir.join(".git/objects"), dir.join(".git/lost")).unwrap();
        let failed = fixture.pull().unwrap_err();
        assert!(matches!(failed, PullError::Mounted(_)), "{failed:?}");
        assert!(failed.to_string().contains("move its content"), "{failed}");
        assert_eq!(
            fs::read_to_string(dir.join("secret.age")).unwrap(),
            "secret"
        );
        assert!(dir.join(".git/refs/heads/mine").exists());
        assert!(dir.join(".git/lost").exists());
    }
}

#[test]
fn what_is_no_clone_and_cannot_be_put_aside_is_left_alone_in_the_state_folder_too() {
    let mut fixture = Fixture::new();
    let dir = fixture.pull.dir.clone();
    let Some(_disk) = SmallDisk::over(dir.clone()) else {
        return skip::skip(NO_MOUNT);
    };
    fs::write(dir.join("notes"), "mine").unwrap();
    let failed = fixture.pull().unwrap_err();
    assert!(matches!(failed, PullError::Mounted(_)), "{failed:?}");
    assert_eq!(fs::read_to_string(dir.join("notes")).unwrap(), "mine");
    fs::remove_file(dir.join("notes")).unwrap();
    fixture.assert_mended("a file system that is empty again");
}

#[test]
fn the_agents_own_clone_is_mended_where_it_cannot_be_renamed() {
    for mount in [SmallDisk::over, |dir: PathBuf| {
        bind(&dir.with_file_name("persisted"), dir)
    }] {
        let mut fixture = Fixture::elsewhere();
        let dir = fixture.pull.dir.clone();
        let Some(_disk) = mount(dir.clone()) else {
            return skip::skip(NO_MOUNT);
        };
        // As `mkfs.ext4` leaves it.
        fs::create_dir(dir.join("lost+found")).unwrap();
        fixture.assert_mended("a file system that is new");
        fs::remove_dir_all(dir.join(".git/objects")).unwrap();
        fixture.assert_mended("a clone without objects");
        assert!(!dir.join(".switchyard-new").exists());
    }
}

#[test]
fn a_new_file_system_in_the_state_folder_is_empty() {
    let mut fixture = Fixture::new();
    fs::create_dir_all(fixture.at("lost+found")).unwrap();
    fixture.assert_mended("a folder with nothing but an empty lost+found");
    assert_eq!(fixture.beside(), ["repo"], "nothing was put aside");
}

#[test]
fn a_pull_that_was_interrupted_while_it_moved_the_clone_is_finished_even_without_the_server() {
    let mut fixture = Fixture::elsewhere();
    fixture.pull().unwrap();
    let dir = fixture.pull.dir.clone();
    // As it is when half of the new files are in their place, and the repository is not.
    let new = dir.join(".switchyard-new");
    fs::create_dir_all(new.join(".switchyard-old/objects")).unwrap();
    fs::rename(dir.join("hosts"), new.join("hosts")).unwrap();
    fs::rename(dir.join(".git"), new.join(".git")).unwrap();
    fs::write(new.join(".git/switchyard-moving"), "").unwrap();
    let url = std::mem::replace(&mut fixture.pull.url, "file:///nowhere/at/all".to_owned());
    let failed = fixture.pull().unwrap_err();
    assert!(failed.to_string().contains("/nowhere/at/all"), "{failed}");
    assert_eq!(fs::read_to_string(dir.join("hosts/h1")).unwrap(), "host 1");
    assert!(!new.exists());
    fixture.pull.url = url;
    fixture.assert_mended("a clone that was moved to the end");
    assert_eq!(fixture.beside(), ["nixos"]);
}

#[test]
fn a_whole_new_clone_beside_files_of_somebody_else_does_not_take_their_place() {
    let fixture = Fixture::elsewhere();
    let dir = fixture.pull.dir.clone();
    fixture.pull().unwrap();
    // The pull was interrupted before it moved anything, and somebody put a file there.
    let new = dir.join(".switchyard-new");
    fs::create_dir(&new).unwrap();
    fs::rename(dir.join(".git"), new.join(".git")).unwrap();
    fs::write(dir.join("configuration.nix"), "mine").unwrap();
    assert!(!fresh::finish_refill(&dir).unwrap());
    assert!(matches!(fixture.pull(), Err(PullError::Place(_))));
    assert_eq!(
        fs::read_to_string(dir.join("configuration.nix")).unwrap(),
        "mine"
    );
}

#[test]
fn what_is_mounted_within_the_clone_is_neither_cleaned_away_nor_removed_with_it() {
    let mut fixture = Fixture::elsewhere();
    fixture.pull().unwrap();
    let dir = fixture.pull.dir.clone();
    let folder = dir.join("local/my [secrets]");
    let disk = SmallDisk::over(folder.clone());
    if disk.is_none() {
        return skip::skip(NO_MOUNT);
    }
    fs::write(folder.join("key"), "secret").unwrap();
    fs::write(dir.join("local/other"), "").unwrap();
    let newest = fixture.commit();
    fixture.pull().unwrap();
    assert_eq!(git(&dir, &["rev-parse", "HEAD"]), newest);
    assert!(!dir.join("local/other").exists(), "the rest is cleaned");
    fs::remove_dir_all(dir.join(".git/objects")).unwrap();
    let failed = fixture.pull().unwrap_err();
    assert!(
        matches!(failed, PullError::MountedWithin { .. }),
        "{failed:?}"
    );
    assert!(failed.to_string().contains("my [secrets]"), "{failed}");
    assert_eq!(fs::read_to_string(folder.join("key")).unwrap(), "secret");
    drop(disk);
    fixture.assert_mended("nothing is mounted there any more");
}
