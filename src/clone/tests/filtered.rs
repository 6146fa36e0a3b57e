//! Commits with files that are of no use without a filter such as git-lfs.

use super::*;

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 6\n";

/// A clone whose host is not set up for git-lfs, and that lacks a commit with files kept in that.
fn behind() -> Fixture {
    let mut fixture = Fixture::pulled();
    set(&fixture, "filter.lfs.process", "");
    set(&fixture, "filter.lfs.smudge", "");
    set(&fixture, "filter.lfs.required", "false");
    fixture.keep("*.bin filter=lfs\n", "image.bin");
    fixture
}

impl Fixture {
    /// Commits a file with these attributes, or others.
    fn keep(&mut self, attributes: &str, name: &str) {
        fs::write(self.origin().join(".gitattributes"), attributes).unwrap();
        fs::write(self.origin().join(name), POINTER).unwrap();
        self.commit();
    }
}

fn set(fixture: &Fixture, key: &str, value: &str) {
    git(&fixture.pull.dir, &["config", key, value]);
}

/// The pull is refused for the filter and changes nothing. Gives what it says.
#[track_caller]
fn assert_refused(fixture: &Fixture) -> String {
    let head = || git(&fixture.pull.dir, &["rev-parse", "HEAD"]);
    let before = head();
    let error = fixture.pull().unwrap_err();
    assert!(matches!(error, PullError::Unfiltered(_)), "{error}");
    assert_eq!(head(), before);
    assert_eq!(git(&fixture.pull.dir, &["status", "--porcelain"]), "");
    assert!(!fixture.at("image.bin").exists());
    assert_eq!(fixture.beside(), ["repo"], "no fresh clone is made for it");
    error.to_string()
}

#[test]
fn files_of_git_lfs_are_not_checked_out_without_it() {
    let mut fixture = behind();
    let words = assert_refused(&fixture);
    for part in ["the file image.bin", "\"lfs\"", "programs.git.lfs.enable"] {
        assert!(words.contains(part), "{words}");
    }
    fixture.keep("", "image.bin");
    fixture.assert_mended("the filter is gone");
}

#[test]
fn files_of_git_lfs_are_not_checked_out_when_its_program_is_not_there() {
    let fixture = behind();
    set(
        &fixture,
        "filter.lfs.process",
        "no-such-git-lfs filter-process",
    );
    let words = assert_refused(&fixture);
    assert!(words.contains("no program no-such-git-lfs"), "{words}");
}

#[test]
fn files_of_git_lfs_are_whole_where_it_is_set_up_also_those_that_were_not_before() {
    let mut fixture = Fixture::pulled();
    // Nobody has set up this one on the machine of the test.
    fixture.keep("*.bin filter=git-crypt-of-a-test\n", "image.bin");
    let smudge = "filter.git-crypt-of-a-test.smudge";
    set(&fixture, smudge, "cat >/dev/null; echo whole");
    fixture.pull().unwrap();
    let content = |fixture: &Fixture| fs::read_to_string(fixture.at("image.bin")).unwrap();
    assert_eq!(content(&fixture), "whole\n");
    // As a git checked it out that was not set up for it.
    fs::remove_file(fixture.at("image.bin")).unwrap();
    let without = format!("{smudge}=");
    let checkout = ["-c", &without, "checkout", "HEAD", "--", "image.bin"];
    git(&fixture.pull.dir, &checkout);
    assert_eq!(content(&fixture), POINTER);
    fixture.commit();
    fixture.pull().unwrap();
    assert_eq!(content(&fixture), "whole\n");
}

/// A clone with a locked file, of a host that never unlocked one.
fn locked() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.keep("*.bin filter=git-crypt-of-a-test\n", "image.bin");
    // It is unlocked in a clone, if ever, so there has to be one.
    fixture.pull().unwrap();
    assert_eq!(
        fs::read_to_string(fixture.at("image.bin")).unwrap(),
        POINTER
    );
    fixture
}

#[test]
fn a_host_that_never_unlocked_its_files_is_not_kept_from_pulling() {
    let mut fixture = locked();
    fixture.commit();
    fixture.assert_mended("files that were locked before");
    fs::remove_dir_all(fixture.pull.dir.join(".git/objects")).unwrap();
    fixture.assert_mended("a damaged clone of files that were locked before");
}

#[test]
fn no_locked_file_takes_the_place_of_one_that_was_unlocked() {
    let mut fixture = locked();
    let smudge = "filter.git-crypt-of-a-test.smudge";
    set(&fixture, smudge, "cat >/dev/null; echo whole");
    fixture.commit();
    fs::remove_dir_all(fixture.pull.dir.join(".git/objects")).unwrap();
    // A fresh clone is not unlocked.
    let error = fixture.pull().unwrap_err();
    assert!(matches!(error, PullError::Unfiltered(_)), "{error}");
    assert_eq!(fixture.beside(), ["repo"]);
    let config = fs::read_to_string(fixture.at(".git/config")).unwrap();
    assert!(config.contains("smudge"), "the old one stays: {config}");
}

#[test]
fn filters_without_which_files_are_whole_and_those_of_no_file_refuse_nothing() {
    let mut fixture = Fixture::pulled();
    fixture.keep("*.ipynb filter=strip\n*.psd filter=lfs\n", "notes.ipynb");
    fixture.assert_mended("a filter that nobody set up");
    let content = fs::read_to_string(fixture.at("notes.ipynb")).unwrap();
    assert_eq!(content, POINTER);
    set(&fixture, "filter.strip.clean", "cat");
    fixture.assert_mended("a filter for commits alone");
}
