//! What lines of plain text say, of nix and of `switch-to-configuration`.

/// The meaning of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// The system is being evaluated.
    Evaluating,
    /// So many derivations will be built, where it says how many.
    WillBuild(Option<u64>),
    /// So many paths will be fetched, where it says how many.
    WillFetch(Option<u64>),
    /// A build begins.
    Building,
    /// A path is being fetched.
    Copying,
    /// The machine is between two systems from here on.
    Activating,
    /// Units are being reloaded, restarted, started.
    Switching,
    /// The system is built, or switched to.
    Done,
}

/// What `switch-to-configuration` and the boot loaders' installers say before and while they change the
/// machine. The first that appears counts, since some are only said when there is something to do. The checks before
/// a switch are not among them: when one fails, nothing was changed.
const ACTIVATING: [&str; 8] = [
    "updating GRUB 2",
    "updating systemd-boot",
    "installing the GRUB 2",
    "Installing Lanzaboote",
    "stopping the following units:",
    "NOT restarting the following changed units",
    "activating the configuration",
    "setting up /etc",
];

/// Says what a line means; nearly all lines are turned away by their first byte.
#[inline]
pub(super) fn sign(line: &str) -> Option<Sign> {
    match line.as_bytes().first()? {
        b'b' | b't' | b'c' | b'e' | b'u' | b's' | b'i' | b'I' | b'N' | b'a' | b'r' | b'D'
        | b'J' | b'F' | b'M' | b'A' | b'S' | b'O' => look(without_prefix(line)),
        _ => None,
    }
}

fn look(line: &str) -> Option<Sign> {
    let is = |start: &str| line.starts_with(start);
    match line.as_bytes().first()? {
        b'b' if is("building '") => Some(Sign::Building),
        b'b' if is("building the system configuration") => Some(Sign::Evaluating),
        b'e' if is("evaluating derivation '") || is("evaluating file '") => Some(Sign::Evaluating),
        b'c' if is("copying path '") => Some(Sign::Copying),
        b't' if is("these ") || is("this ") => announcement(line),
        b'D' if is("Done. The new configuration is") => Some(Sign::Done),
        b'r' | b's' if is_switching(line) => Some(Sign::Switching),
        b'u' | b'i' | b'I' | b's' | b'N' | b'a' if ACTIVATING.iter().any(|start| is(start)) => {
            Some(Sign::Activating)
        }
        _ => None,
    }
}

fn is_switching(line: &str) -> bool {
    ["reloading", "restarting", "starting"]
        .iter()
        .filter_map(|verb| line.strip_prefix(verb))
        .any(|rest| rest.starts_with(" the following units:"))
}

/// Reads `these 42 derivations will be built:`, `this path will be fetched (…):` and, of very old nix,
/// `these derivations will be built:`.
fn announcement(line: &str) -> Option<Sign> {
    let (count, what) = if let Some(what) = line.strip_prefix("this ") {
        (Some(1), what)
    } else {
        let rest = line.strip_prefix("these ")?;
        match rest.split_once(' ') {
            Some((number, what)) if number.bytes().all(|b| b.is_ascii_digit()) => {
                (Some(number.parse().ok()?), what)
            }
            _ => (None, rest),
        }
    };
    if what.starts_with("derivation will be built") || what.starts_with("derivations will be built")
    {
        Some(Sign::WillBuild(count))
    } else if what.starts_with("path will be fetched") || what.starts_with("paths will be fetched")
    {
        Some(Sign::WillFetch(count))
    } else {
        None
    }
}

/// The line without what journalctl prints before a line of an activation.
pub(super) fn without_prefix(line: &str) -> &str {
    of_journal(line).unwrap_or(line)
}

/// The line without the level, `<3>`, that programs print before it where the journal reads them.
pub(super) fn without_level(line: &str) -> &str {
    match line.as_bytes() {
        [b'<', b'0'..=b'7', b'>', ..] => &line[3..],
        _ => line,
    }
}

/// What stands behind `Apr 05 11:04:28 host switch-to-configuration[123]: `, with which journalctl prints a line
/// of an activation.
pub fn of_journal(line: &str) -> Option<&str> {
    const PROGRAM: &str = " switch-to-configuration[";
    let bytes = line.as_bytes();
    if bytes.len() < 16 || bytes[3] != b' ' || bytes[9] != b':' || bytes[12] != b':' {
        return None;
    }
    let (_, rest) = line.split_once(PROGRAM)?;
    let (pid, text) = rest.split_once("]: ")?;
    pid.bytes().all(|b| b.is_ascii_digit()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_line_has_its_meaning() {
        for (line, meaning) in [
            ("building the system configuration...", Sign::Evaluating),
            (
                "these 42 derivations will be built:",
                Sign::WillBuild(Some(42)),
            ),
            ("this derivation will be built:", Sign::WillBuild(Some(1))),
            ("these derivations will be built:", Sign::WillBuild(None)),
            (
                "these 12 paths will be fetched (1 MiB download, 2 MiB unpacked):",
                Sign::WillFetch(Some(12)),
            ),
            (
                "this path will be fetched (1 MiB download, 2 MiB unpacked):",
                Sign::WillFetch(Some(1)),
            ),
            (
                "building '/nix/store/x.drv' on 'ssh://machine'...",
                Sign::Building,
            ),
            (
                "copying path '/nix/store/x' from 'https://cache.nixos.org'...",
                Sign::Copying,
            ),
            ("updating GRUB 2 menu...", Sign::Activating),
            ("stopping the following units: a, b", Sign::Activating),
            ("activating the configuration...", Sign::Activating),
            (
                "Apr 05 11:04:28 host switch-to-configuration[123]: activating the configuration...",
                Sign::Activating,
            ),
            ("reloading the following units: a", Sign::Switching),
            ("restarting the following units: a", Sign::Switching),
            ("starting the following units: a", Sign::Switching),
            ("Done. The new configuration is /nix/store/x", Sign::Done),
        ] {
            assert_eq!(sign(line), Some(meaning), "{line}");
        }
    }

    #[test]
    fn other_lines_mean_nothing() {
        for line in [
            "",
            "b",
            "Checking switch inhibitors... done",
            "Pre-switch check 'switchInhibitors' failed",
            "Pre-switch checks failed",
            "builder> building '/nix/store/x.drv'",
            "  building '/nix/store/x.drv'",
            "these are the days",
            "these 99999999999999999999999 derivations will be built:",
            "restarting sysinit-reactivation.target",
            "Nov 22 10:43:55 toy systemd[1]: stopping the following units: a",
            "Apr 05 11:04:28 ü switch-to-configuration[x]: activating the configuration...",
            "Äpr 05 11:04:28 host",
        ] {
            assert_eq!(sign(line), None, "{line}");
        }
    }
}
