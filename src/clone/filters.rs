//! The programs that git runs over files while it checks them out, such as git-lfs.

use super::git::Git;
use std::env;
use std::path::Path;
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A filter that a commit asks for and whose program is not on this host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) filter: String,
    pub(super) program: String,
}

/// Finds a filter that git is told to use, that `commit` asks for, and that cannot be run.
pub(super) fn missing(git: &Git, commit: &str) -> Option<Missing> {
    let key = r"^filter\..*\.(process|smudge)$";
    let settings = git.ask(&["config", "-z", "--get-regexp", key], ANSWER_TIMEOUT)?;
    let settings = String::from_utf8_lossy(&settings).into_owned();
    settings.split('\0').filter_map(of_setting).find(|missing| {
        let pattern = format!("filter={}", missing.filter);
        let asks = [
            "grep",
            "-q",
            "-F",
            "-e",
            &pattern,
            commit,
            "--",
            "*.gitattributes",
        ];
        git.ask(&asks, ANSWER_TIMEOUT).is_some()
    })
}

/// From `filter.NAME.process\nCOMMAND`, where the command's program cannot be found.
fn of_setting(setting: &str) -> Option<Missing> {
    let (key, command) = setting.split_once('\n')?;
    let (filter, _) = key.strip_prefix("filter.")?.rsplit_once('.')?;
    let program = command.split_whitespace().next()?;
    (!is_found(program)).then(|| Missing {
        filter: filter.to_owned(),
        program: program.to_owned(),
    })
}

fn is_found(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).exists();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_without_its_program_is_found_by_its_setting() {
        let missing = of_setting("filter.big.files.process\nno-such-program filter-process");
        let missing = missing.unwrap();
        assert_eq!(missing.filter, "big.files");
        assert_eq!(missing.program, "no-such-program");
        assert_eq!(of_setting("filter.x.smudge\n/bin/sh -c cat"), None);
        assert_eq!(of_setting("filter.x.smudge\n"), None);
    }
}
