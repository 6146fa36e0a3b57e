//! What an error of nix is about, in the words of nix 2.3 to 2.36 and of Lix.

use super::activities::derivation_name;
use super::block::Block;
use std::borrow::Cow;

/// What an error of nix means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NixError<'b> {
    /// This derivation could not be built.
    Derivation(&'b str),
    /// Something that this one needs failed; the error of that says why.
    Dependency,
    /// The configuration, or an input of it, cannot be evaluated.
    Evaluation,
    /// An input could not be fetched by git.
    Git,
    /// There was not enough memory.
    Memory,
    /// The disk is full.
    Disk,
    /// The place where a builder was to run could not be made.
    Sandbox,
    /// Something between nix and its daemon, caches or other machines, whatever it was doing.
    Machinery,
    /// Anything else.
    Other,
}

/// The error that a line begins, if it does, with `error:` before it. nix 2.3 prints some without that.
pub(super) fn as_error(text: &str) -> Option<Cow<'_, str>> {
    if text.starts_with("error:") {
        return Some(Cow::Borrowed(text));
    }
    let is_bare = text.starts_with("builder for '") && text.contains("' failed")
        || text.starts_with("cannot build derivation '")
        || text.starts_with("hash mismatch in fixed-output derivation '");
    is_bare.then(|| Cow::Owned(format!("error: {text}")))
}

/// Says what an error is about.
pub(super) fn meaning(block: &Block) -> NixError<'_> {
    let head = block.head();
    let has = |text: &str| head.contains(text);
    if is_dependency(block) {
        return NixError::Dependency;
    }
    if has("during evaluation because") {
        // Whether it may be built is up to the one who evaluates.
        return NixError::Evaluation;
    }
    if let Some(derivation) = failed_in(head) {
        return NixError::Derivation(derivation);
    }
    let is_memory = [
        "out of memory",
        "cannot allocate memory",
        "Cannot allocate memory",
        "std::bad_alloc",
    ];
    let is_git = [
        "program 'git' failed",
        "git-lfs",
        "ailed to fetch git repository",
        "Git repository",
        "git repository",
        "cannot find Git revision",
        "annot find Git revision",
        "resolving Git reference",
        "git ls-remote",
        "libgit2",
    ];
    if is_memory.iter().any(|text| has(text)) {
        NixError::Memory
    } else if IS_DISK.iter().any(|text| has(text)) {
        NixError::Disk
    } else if block.is_of_sandbox() {
        NixError::Sandbox
    } else if OF_MACHINERY.iter().any(|text| has(text)) {
        NixError::Machinery
    } else if is_git.iter().any(|text| has(text)) && !has("not tracked by Git") {
        NixError::Git
    } else if block.has_trace || block.place().is_some() || is_of_evaluation(head) {
        NixError::Evaluation
    } else {
        NixError::Other
    }
}

/// Says that the disk is full.
const IS_DISK: [&str; 3] = [
    "No space left on device",
    "database or disk is full",
    "Disk quota exceeded",
];

/// Errors of nix's own parts, which have nothing to do with the configuration.
const OF_MACHINERY: [&str; 19] = [
    "Read-only file system",
    "' is corrupt",
    ".narinfo'",
    "/nix-cache-info'",
    "lacks a signature by a trusted key",
    "lacks a valid signature",
    "unable to start any build",
    "unable to start build process",
    "cloning builder process",
    "interrupted by the user",
    "Nix daemon disconnected",
    "SQLite",
    "binary cache",
    "profile version",
    "SSH connection",
    "remote store '",
    "lock file '/nix/var/",
    "Too many open files",
    "Too many links",
];

/// What is in the way of a path that must be there and is neither built nor fetched.
const NO_SUBSTITUTER: &str = "no substituter that can build it";

/// The derivation, or the path in the store, that an error says could not be made.
fn failed_in(head: &str) -> Option<&str> {
    if let Some(derivation) = derivation_in(head).filter(|_| is_of_build(head)) {
        return Some(derivation);
    }
    let is_of_output = head.contains("hash mismatch in fixed-output derivation")
        || head.contains("is not allowed to refer to the following paths")
        || head.contains(NO_SUBSTITUTER);
    let mut quoted = head.split('\'').skip(1).step_by(2);
    quoted.find(|quoted| is_of_output && quoted.starts_with("/nix/store/"))
}

/// The derivation that could not be built, where the error is about one.
pub(super) fn failed_derivation(block: &Block) -> Option<&str> {
    match meaning(block) {
        NixError::Derivation(derivation) => Some(derivation),
        _ => None,
    }
}

/// `1 dependencies of derivation '…' failed to build`, `Cannot build '…'. Reason: 1 dependency failed.`,
/// `build of '…' failed`, and the like.
fn is_dependency(block: &Block) -> bool {
    let head = block.head();
    let reason = block.line_behind("Reason:").unwrap_or_default();
    let is_count = |text: &str| {
        let text = text.strip_prefix("error:").unwrap_or(text).trim_start();
        text.starts_with(|c: char| c.is_ascii_digit()) && text.contains("dependenc")
    };
    is_count(head)
        || is_count(reason)
        || head.contains("dependencies couldn't be built")
        || head.contains("uild failed due to failed dependency")
        || head.ends_with("' failed") && head.starts_with("error: build of '")
        || head.starts_with("error: build of resolved derivation")
        || head.starts_with("error: some outputs of ")
}

/// Whether an error that names a derivation says that it could not be built.
fn is_of_build(head: &str) -> bool {
    [
        "builder for '",
        "annot build '",
        "hash mismatch",
        "build of '",
        "building of '",
        "building '",
        "output of '",
        "output path",
        "output '",
        "is required to build",
        "substitutes for the outputs",
        "timed out",
        "while setting up the build environment",
        "may not be deterministic",
        "derivation '",
    ]
    .iter()
    .any(|text| head.contains(text))
}

/// Errors of the evaluation that come without a place.
fn is_of_evaluation(head: &str) -> bool {
    [
        "attribute '",
        "cached failure",
        "undefined variable",
        "syntax error",
        "infinite recursion",
        "not tracked by Git",
        "does not provide attribute",
        "Failed assertion",
        "evaluation aborted",
        "assertion ",
        "stack overflow",
        "while evaluating",
        "flake '",
        "cannot coerce",
        "value is ",
        "expected a ",
        "is not allowed to refer to",
        "forbidden in pure",
        "does not exist",
        "Refusing to evaluate",
        "The option `",
        "A definition for option",
    ]
    .iter()
    .any(|text| head.contains(text))
}

/// The path of the derivation that a text names first.
fn derivation_in(text: &str) -> Option<&str> {
    text.split('\'')
        .skip(1)
        .step_by(2)
        .find(|quoted| quoted.contains(".drv"))
        .map(|quoted| {
            // `….drv!out`, `….drv^out`.
            let end = quoted
                .find(".drv")
                .map_or(quoted.len(), |at| at + ".drv".len());
            &quoted[..end]
        })
}

/// What happened to a derivation that could not be built, as a part of a sentence that begins with its name.
pub(super) fn what_happened(block: &Block) -> String {
    let head = block.head();
    if head.contains(NO_SUBSTITUTER) {
        return "is required, but no configured cache has it".to_owned();
    }
    if head.contains("is not allowed to refer to") {
        let first = block.lines().nth(1).unwrap_or_default().trim();
        return format!("refers to a path that is not allowed: {first}");
    }
    if head.contains("hash mismatch") {
        let part = |start| block.line_behind(start);
        return match (part("specified:").or_else(|| part("wanted:")), part("got:")) {
            (Some(wanted), Some(got)) => format!("hash mismatch: specified {wanted}, got {got}"),
            _ => "hash mismatch".to_owned(),
        };
    }
    if head.contains(" is required to build ") {
        let need = head.trim_start_matches("error: ");
        return format!("cannot be built here: {need}");
    }
    let reason = block
        .line_behind("Reason:")
        .map(|reason| reason.trim_end_matches('.'));
    let reason = reason.unwrap_or_else(|| behind_quotes(head));
    let reason = reason.trim_start_matches("builder ");
    if reason.starts_with("on '")
        && let Some((machine, why)) = reason.split_once(" failed: ")
    {
        let why = why.trim_start_matches("error: ");
        return format!("failed to build ({machine}: {why})");
    }
    match reason.strip_prefix("failed ") {
        Some(how) if how.starts_with("to ") => format!("failed {how}"),
        Some(how) => format!("failed to build ({})", how.trim_start_matches("with ")),
        None if reason.is_empty() => "failed to build".to_owned(),
        None => format!("failed to build ({reason})"),
    }
}

/// ` failed with exit code 1` of `error: builder for '…' failed with exit code 1`.
fn behind_quotes(head: &str) -> &str {
    // `build of '…' on 'ssh://…' failed: builder for '…' failed …`
    let behind = match derivation_in(head).and_then(|drv| head.rsplit_once(drv)) {
        Some((_, behind)) => behind.split_once('\'').map_or("", |(_, behind)| behind),
        None => head,
    };
    behind.trim().trim_end_matches([';', ':', '.'])
}

/// The name of a derivation, for people.
pub(super) fn name(derivation: &str) -> &str {
    derivation_name(derivation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-x-1.0.drv";

    fn block(lines: &str) -> Block {
        let mut lines = lines.lines();
        let mut block = Block::new(lines.next().unwrap_or_default(), 0);
        for line in lines {
            block.push(line, 1);
        }
        block
    }

    #[test]
    fn a_failed_derivation_is_known_in_every_version_of_the_words() {
        for (words, happened) in [
            (
                "builder for 'X' failed with exit code 2;\n       last 1 log lines:\n       > x",
                "failed to build (exit code 2)",
            ),
            (
                "Cannot build 'X'.\n       Reason: builder failed with exit code 1.",
                "failed to build (exit code 1)",
            ),
            (
                "builder for 'X' failed due to signal 9 (Killed)",
                "failed to build (due to signal 9 (Killed))",
            ),
            (
                "build of 'X' on 'ssh://b' failed: builder for 'X' failed with exit code 1",
                "failed to build (exit code 1)",
            ),
            (
                "builder for 'X' failed to produce output path for output 'man' at '/nix/store/y'",
                "failed to produce output path for output 'man' at '/nix/store/y'",
            ),
            (
                "hash mismatch in fixed-output derivation 'X':\n         specified: sha256-A=\n            got:    sha256-B=",
                "hash mismatch: specified sha256-A=, got sha256-B=",
            ),
            (
                "building of 'X!out' timed out after 7200 seconds of silence",
                "failed to build (timed out after 7200 seconds of silence)",
            ),
            (
                "Cannot build 'X'.\n       Reason: required system or feature not available",
                "failed to build (required system or feature not available)",
            ),
        ] {
            let block = block(&format!("error: {}", words.replace('X', X)));
            assert_eq!(meaning(&block), NixError::Derivation(X), "{words}");
            assert_eq!(what_happened(&block), happened);
        }
    }

    #[test]
    fn what_only_waited_for_a_failed_derivation_is_no_cause() {
        for words in [
            "1 dependencies of derivation 'X' failed to build",
            "Cannot build 'X'.\n       Reason: 1 dependency failed.",
            "build of 'X' failed",
            "cannot build derivation 'X': 1 dependencies couldn't be built",
        ] {
            let block = block(&format!("error: {}", words.replace('X', X)));
            assert_eq!(meaning(&block), NixError::Dependency, "{words}");
        }
    }

    #[test]
    fn other_errors_have_their_kinds() {
        for (words, kind) in [
            (
                "attribute 'nginx' missing\n       at /etc/nixos/a.nix:1:1:",
                NixError::Evaluation,
            ),
            ("cached failure of attribute 'x'", NixError::Evaluation),
            (
                "Failed to fetch git repository 'ssh://git@git.example.org/x'",
                NixError::Git,
            ),
            ("program 'git' failed with exit code 128", NixError::Git),
            (
                "Path 'a.nix' in the repository \"/etc/nixos\" is not tracked by Git.",
                NixError::Evaluation,
            ),
            ("out of memory", NixError::Memory),
            ("profile version 99 does not exist", NixError::Machinery),
            (
                "opening lock file '/nix/var/nix/profiles/system.lock': Permission denied",
                NixError::Machinery,
            ),
            (
                "cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused",
                NixError::Other,
            ),
        ] {
            assert_eq!(meaning(&block(&format!("error: {words}"))), kind, "{words}");
        }
    }
}
