//! Which line of some output says most about a failure.

use super::words::{
    CONSEQUENCES, CONSEQUENCES_INSIDE, FAILURES, INFORMING, NO_FAILURES, NOISE, REASONS,
};

/// How much a line says about a failure; more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// It says what is being done, or points at something.
    Noise,
    /// Anything else.
    Plain,
    /// It says that something failed because something else had.
    Consequence,
    /// It speaks of a failure.
    Failure,
    /// It says what is wrong, where.
    Reason,
    /// It is the last line of a trace, which says what was wrong; of several the last one counts.
    Exception,
}

/// Says how much a line without escapes says.
pub(super) fn weigh(line: &str) -> Weight {
    let text = line.trim();
    let begins = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    let holds = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if !text.chars().any(char::is_alphanumeric) || text == "remote:" || begins(&NOISE) {
        Weight::Noise
    } else if is_exception(text) && !holds(&CONSEQUENCES_INSIDE) {
        Weight::Exception
    } else if begins(&CONSEQUENCES) || holds(&CONSEQUENCES_INSIDE) {
        Weight::Consequence
    } else if is_harmless(text) {
        Weight::Plain
    } else if holds(&REASONS) || has_go_place(text) {
        Weight::Reason
    } else if holds(&FAILURES) {
        Weight::Failure
    } else if text.ends_with("...") || text.ends_with('…') {
        Weight::Noise
    } else {
        Weight::Plain
    }
}

/// Lines that hold a word of a failure and are none: warnings, counts of zero, tests that pass, options of compilers.
fn is_harmless(text: &str) -> bool {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let squeezed = words.join(" ");
    text.starts_with("warning:")
        || text.contains(": warning: ")
        || NO_FAILURES
            .iter()
            .any(|count| squeezed.contains(count) || squeezed.starts_with(count.trim_start()))
        || text.contains("-Werror") && !text.contains("error: ")
        || text.contains("... ok")
        || text.starts_with("checking ")
        // A heading of pytest.
        || text.starts_with("===")
        || INFORMING.iter().any(|level| text.contains(level))
        || is_of_test_machine(text)
}

/// `machine # [   12.3] …`: what the machine of a NixOS test prints, in which much may fail.
fn is_of_test_machine(text: &str) -> bool {
    let name = text.split_once(" # ").map(|(name, _)| name);
    name.is_some_and(|name| !name.is_empty() && !name.contains(' '))
}

/// `ValueError: x`, `java.lang.IllegalStateException: x`, `subprocess.CalledProcessError: x`: a path of names that
/// ends so, at the beginning of a line.
fn is_exception(text: &str) -> bool {
    let name = text.split([':', ' ']).next().unwrap_or_default();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    let is_class = name.ends_with("Error") || name.ends_with("Exception");
    // `Error` alone is the beginning of any text.
    is_class
        && name.len() > "Error".len()
        && name.chars().all(is_name)
        && !name.starts_with("CMake")
}

/// `./main.go:12:3: undefined: x`.
fn has_go_place(text: &str) -> bool {
    let Some((_, behind)) = text.split_once(".go:") else {
        return false;
    };
    behind.starts_with(|c: char| c.is_ascii_digit()) && behind.contains(": ")
}

/// The index of the line that says most. Of equal ones it is the first where they say what is wrong, because the
/// others mostly follow from it, and else the last. Only noise gives none.
pub(super) fn most_telling<'l>(lines: impl Iterator<Item = &'l str>) -> Option<usize> {
    best(lines).map(|(_, index)| index)
}

/// The index of the line that says most, where it speaks of a failure.
pub(super) fn reason<'l>(lines: impl Iterator<Item = &'l str>) -> Option<usize> {
    let (weight, index) = best(lines)?;
    (weight >= Weight::Failure).then_some(index)
}

/// The line that says most, and how much it counts. One that has no word of a failure is a failure where git says
/// directly behind it what followed from it.
fn best<'l>(lines: impl Iterator<Item = &'l str>) -> Option<(Weight, usize)> {
    let mut best: Option<(Weight, usize)> = None;
    // A line that ends with a colon, and is followed by what it announces.
    let mut announces = false;
    // The last line before the trace of a program of Python, which another program wrote that it had called.
    let mut before_trace: Option<usize> = None;
    let mut last_plain: Option<usize> = None;
    let mut before_git = BeforeGit::default();
    for (index, line) in lines.enumerate() {
        let weight = weigh(line);
        let is_better = best.is_none_or(|(most, _)| match weight {
            Weight::Reason if announces => true,
            Weight::Reason | Weight::Failure => weight > most,
            _ => weight >= most,
        });
        let text = line.trim();
        if text.starts_with("Traceback (most recent call last)") {
            before_trace = before_trace.or(last_plain);
        } else if weight == Weight::Plain {
            last_plain = Some(index);
        }
        before_git.see(text, weight, index);
        announces = false;
        if weight > Weight::Noise && is_better {
            best = Some((weight, index));
            announces = weight == Weight::Reason && text.ends_with(':');
        }
        if weight == Weight::Consequence && text.contains("CalledProcessError: ") {
            let (most, at) = best?;
            best = Some((most, before_trace.filter(|_| most == weight).unwrap_or(at)));
        }
    }
    match (best, before_git.reason) {
        (Some((Weight::Consequence, _)), Some(index)) => Some((Weight::Failure, index)),
        (best, _) => best,
    }
}

/// Looks for the line directly before the first one with which git says only that something else had failed: the last
/// words of ssh, of a helper, or of the server.
#[derive(Default)]
struct BeforeGit {
    last: Option<usize>,
    reason: Option<usize>,
    is_found: bool,
}

impl BeforeGit {
    fn see(&mut self, text: &str, weight: Weight, index: usize) {
        match weight {
            Weight::Noise => {}
            Weight::Plain if is_warning(text) => {}
            Weight::Plain => self.last = Some(index),
            Weight::Consequence if text.starts_with("fatal: ") && !self.is_found => {
                self.is_found = true;
                self.reason = self.last;
            }
            _ => self.last = None,
        }
    }
}

fn is_warning(text: &str) -> bool {
    let text = text.strip_prefix("remote: ").unwrap_or(text);
    text.starts_with("warning:") || text.starts_with("Warning:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_programs_print_the_line_that_says_why_is_found() {
        for (lines, telling) in [
            // gcc and make
            (
                "cc -c main.c\nmain.c: In function 'main':\nmain.c:3:1: error: expected ';'\nmain.c:4:1: error: x\nmake: *** [Makefile:2: main.o] Error 1",
                "main.c:3:1: error: expected ';'",
            ),
            (
                "ld: a.o: in function `f':\na.c:(.text+0x9): undefined reference to `g'\ncollect2: error: ld returned 1 exit status\nmake[1]: *** [app] Error 1",
                "a.c:(.text+0x9): undefined reference to `g'",
            ),
            (
                "/nix/store/x-binutils/bin/ld: cannot find -lfoo: No such file or directory\ncollect2: error: ld returned 1 exit status",
                "/nix/store/x-binutils/bin/ld: cannot find -lfoo: No such file or directory",
            ),
            (
                "make: *** No rule to make target 'install'.  Stop.",
                "make: *** No rule to make target 'install'.  Stop.",
            ),
            // cmake
            (
                "-- Looking for zlib\nCMake Error at CMakeLists.txt:9 (find_package):\n  Could not find a package\n-- Configuring incomplete, errors occurred!",
                "CMake Error at CMakeLists.txt:9 (find_package):",
            ),
            // go
            (
                "# example.org/app\n./main.go:12:3: undefined: startServer\nnote: module requires Go 1.30",
                "./main.go:12:3: undefined: startServer",
            ),
            // rust
            (
                "   Compiling app v1.0\nerror[E0425]: cannot find value `x`\n --> src/main.rs:2:5\nerror: aborting due to 1 previous error\nerror: could not compile `app` (bin \"app\")",
                "error[E0425]: cannot find value `x`",
            ),
            // npm
            (
                "npm error code ERESOLVE\nnpm error ERESOLVE could not resolve\nnpm error A complete log of this run can be found in: /build/x",
                "npm error ERESOLVE could not resolve",
            ),
            // python
            (
                "Traceback (most recent call last):\n  File \"/build/setup.py\", line 3, in <module>\n    import foo\nModuleNotFoundError: No module named 'foo'",
                "ModuleNotFoundError: No module named 'foo'",
            ),
            (
                "Traceback (most recent call last):\nKeyError: 'a'\nDuring handling of the above exception, another exception occurred:\nTraceback (most recent call last):\nRuntimeError: b",
                "RuntimeError: b",
            ),
            // ghc
            (
                "src/Main.hs:3:8: error: [GHC-87110]\n    Could not find module 'Data.Foo'\nsetup: failed",
                "src/Main.hs:3:8: error: [GHC-87110]",
            ),
            // patch
            (
                "applying patch /nix/store/x-fix.patch\npatching file src/a.c\nHunk #1 FAILED at 12.\n1 out of 1 hunk FAILED -- saving rejects to file src/a.c.rej",
                "Hunk #1 FAILED at 12.",
            ),
            // nginx, systemd
            (
                "nginx[1]: nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\nsystemd[1]: nginx.service: Main process exited, code=exited, status=1/FAILURE\nsystemd[1]: nginx.service: Failed with result 'exit-code'.\nsystemd[1]: Failed to start Nginx Web Server.",
                "nginx[1]: nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)",
            ),
            // git
            (
                "Cloning into 'repo'...\nssh: connect to host git.example.org port 22: Connection refused\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.",
                "ssh: connect to host git.example.org port 22: Connection refused",
            ),
            (
                "kex_exchange_identification: Connection closed by remote host\nConnection closed by 192.0.2.7 port 22\nfatal: Could not read from remote repository.",
                "kex_exchange_identification: Connection closed by remote host",
            ),
            (
                "Bad owner or permissions on /root/.ssh/config\nfatal: Could not read from remote repository.",
                "Bad owner or permissions on /root/.ssh/config",
            ),
            (
                "Cloning into 'repo'...\nWarning: Permanently added 'git.example.org' (ED25519) to the list of known hosts.\nForgejo: Unauthorized\n\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.",
                "Forgejo: Unauthorized",
            ),
            (
                "Warning: Permanently added 'git.example.org' (ED25519) to the list of known hosts.\nfatal: Could not read from remote repository.",
                "fatal: Could not read from remote repository.",
            ),
            (
                "remote: Enumerating objects: 9, done.\nclient_loop: send disconnect: Broken pipe\nfetch-pack: unexpected disconnect while reading sideband packet\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output",
                "client_loop: send disconnect: Broken pipe",
            ),
            (
                "remote: aborting due to possible repository corruption on the remote side.\nfatal: protocol error: bad pack header",
                "remote: aborting due to possible repository corruption on the remote side.",
            ),
            (
                "There is no tracking information for the current branch.\nPlease specify which branch you want to merge with.\nSee git-pull(1) for details.\n\n    git pull <remote> <branch>\n",
                "There is no tracking information for the current branch.",
            ),
            // home-manager
            (
                "Existing file '/home/a/.zshrc' is in the way of '/nix/store/x-home-manager-files/.zshrc'\nPlease do one of the following:\n- Move or remove the above files and try again.\n- In standalone mode, use 'home-manager switch -b backup' to back up\n  files automatically.",
                "Existing file '/home/a/.zshrc' is in the way of '/nix/store/x-home-manager-files/.zshrc'",
            ),
            (
                "git-lfs filter-process: git-lfs: command not found\nfatal: the remote end hung up unexpectedly",
                "git-lfs filter-process: git-lfs: command not found",
            ),
            (
                "Cloning into 'repo'...\nremote: Invalid username or token.\nfatal: Authentication failed for 'https://git.example.org/x.git/'",
                "fatal: Authentication failed for 'https://git.example.org/x.git/'",
            ),
            // nixos-rebuild-ng
            (
                "usage: nixos-rebuild [-h] [--help]\nnixos-rebuild: error: argument action: invalid choice: 'swich'",
                "nixos-rebuild: error: argument action: invalid choice: 'swich'",
            ),
            // Nothing but words
            ("warning: 0 errors\nit went wrong", "it went wrong"),
        ] {
            let found = most_telling(lines.lines()).and_then(|index| lines.lines().nth(index));
            assert_eq!(found, Some(telling));
        }
    }

    #[test]
    fn what_is_being_done_is_no_reason() {
        for noise in [
            "building the system configuration...",
            "Cloning into '/var/lib/repo'...",
            "usage: nixos-rebuild [-h]",
            "    ~~~~^^^~~~~",
            "Receiving objects: 100% (3/3), done.",
            "Command 'nix build' returned non-zero exit status 1.",
            "",
        ] {
            assert_eq!(most_telling([noise].into_iter()), None, "{noise}");
        }
    }
}
