//! Transfers that broke off: the network or the server is to blame for that, and the clone is as it was.

use std::ops::RangeInclusive;

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

/// What git says after that, and after other things as well.
const CONSEQUENCE: &str = "index-pack";

/// Exit codes that stand for a signal: from that of SIGINT on, as git itself ends with 129 for a wrong usage, and with
/// 255 for errors of its own.
const OF_SIGNALS: RangeInclusive<i32> = 130..=192;

/// Whether a fetch that ended with this exit code and these errors broke off. A signal breaks it off, too.
pub(super) fn broke_off(code: i32, errors: &[String]) -> bool {
    let is_broken = |line: &String| BROKEN.iter().any(|words| line.contains(words));
    let is_of_it = |line: &String| is_broken(line) || line.contains(CONSEQUENCE);
    OF_SIGNALS.contains(&code) || (errors.iter().any(is_broken) && errors.iter().all(is_of_it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_broken(errors: &[&str]) -> bool {
        let errors: Vec<_> = errors.iter().map(|line| (*line).to_owned()).collect();
        broke_off(128, &errors)
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
        assert!(broke_off(137, &[]), "it was killed");
        let errors = ["error: cannot open '.git/FETCH_HEAD': Is a directory".to_owned()];
        assert!(!broke_off(255, &errors) && !broke_off(129, &[]));
    }
}
