//! What a fetch that failed is put down to, as far as git's words tell. They only save work: where they say nothing,
//! it is tried out before anything of the clone is touched.

use std::ops::RangeInclusive;

/// What made a fetch fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The network or the server; the clone is as it was.
    Transfer,
    /// The clone, which is damaged.
    Clone,
    /// Either of them: git said nothing that is known.
    Unknown,
}

/// What git says where a transfer broke off. It speaks English to us.
const BROKEN: [&str; 12] = [
    "RPC failed",
    "early EOF",
    "hung up",
    "unable to access 'http",
    "of body are still expected",
    "unexpected disconnect",
    "onnection reset",
    "onnection closed",
    "onnection timed out",
    "Could not read from remote repository",
    "bad pack header",
    "transfer closed",
];

/// What git says of its own repository alone, never of that of the server.
const DAMAGED: [&str; 7] = [
    "bad config",
    "cannot lock ref",
    "cannot open '",
    "does not point to a valid object",
    "mismatched algorithms",
    "refs/remotes/origin/",
    "unable to create '",
];

/// What git says after that, and after other things as well.
const CONSEQUENCE: &str = "index-pack";

/// Exit codes that stand for a signal: from that of SIGINT on, as git itself ends with 129 for a wrong usage, and with
/// 255 for errors of its own.
const OF_SIGNALS: RangeInclusive<i32> = 130..=192;

/// What a fetch into the repository `git_dir` that ended with this exit code and these errors is put down to. A signal
/// breaks it off.
pub(super) fn blame(code: i32, errors: &[String], git_dir: Option<&str>) -> Blame {
    let is_of_clone = |line: &String| {
        git_dir.is_some_and(|git_dir| line.contains(git_dir))
            || DAMAGED.iter().any(|words| line.contains(words))
    };
    let is_broken = |line: &String| BROKEN.iter().any(|words| line.contains(words));
    let is_of_it = |line: &String| is_broken(line) || line.contains(CONSEQUENCE);
    if OF_SIGNALS.contains(&code) || (errors.iter().any(is_broken) && errors.iter().all(is_of_it)) {
        Blame::Transfer
    } else if errors.iter().any(is_of_clone) {
        Blame::Clone
    } else {
        Blame::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errors: &[&str]) -> Blame {
        let errors: Vec<_> = errors.iter().map(|line| (*line).to_owned()).collect();
        blame(128, &errors, Some("/repo/.git/"))
    }

    fn is_broken(errors: &[&str]) -> bool {
        of(errors) == Blame::Transfer
    }

    #[test]
    fn words_that_nobody_knows_are_no_damage() {
        let unknown: [&[&str]; 6] = [
            &[],
            &["fatal: das Verzeichnis gibt es nicht"],
            &["fatal: fetch-pack: invalid index-pack output"],
            &["fatal: unable to access '/root/.config/git/config': Permission denied"],
            &[
                "fatal: protocol error: expected something new",
                "fatal: early EOF",
            ],
            &["error: Server does not allow request for unadvertised object"],
        ];
        for errors in unknown {
            assert_eq!(of(errors), Blame::Unknown, "{errors:?}");
        }
        assert_eq!(
            of(&["fatal: bad object refs/remotes/origin/main"]),
            Blame::Clone
        );
        let object = "error: object file /repo/.git/objects/ab/cd is empty";
        assert_eq!(of(&[object]), Blame::Clone);
        let lock = "error: cannot lock ref 'refs/remotes/origin/main': unable to resolve reference";
        assert_eq!(of(&[lock]), Blame::Clone);
    }

    #[test]
    fn a_transfer_that_broke_off_is_told_from_a_clone_that_is_damaged() {
        assert!(is_broken(&[
            "error: RPC failed; curl 56 Recv failure: Connection reset by peer",
            "error: 3417 bytes of body are still expected",
            "fatal: early EOF",
            "fatal: fetch-pack: invalid index-pack output",
        ]));
        assert!(is_broken(&[
            "fatal: unable to access 'https://git.example.org/a/': The requested URL returned error: 503"
        ]));
        assert!(is_broken(&[
            "fatal: the remote end hung up unexpectedly",
            "fatal: Could not read from remote repository."
        ]));
        assert!(!is_broken(&[
            "fatal: bad object refs/remotes/origin/main",
            "fatal: the remote end hung up unexpectedly"
        ]));
        assert!(!is_broken(&[
            "fatal: fetch-pack: invalid index-pack output"
        ]));
        assert!(!is_broken(&[
            "fatal: unable to access '/root/.config/git/config': Permission denied"
        ]));
        assert!(!is_broken(&[]));
        assert_eq!(blame(137, &[], None), Blame::Transfer, "it was killed");
        let errors = ["error: cannot open '.git/FETCH_HEAD': Is a directory".to_owned()];
        assert_eq!(blame(255, &errors, None), Blame::Clone);
        assert_eq!(blame(129, &[], None), Blame::Unknown);
    }
}
