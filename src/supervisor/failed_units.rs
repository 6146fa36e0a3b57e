//! Which units have failed on this host, as systemd says.

use super::command;
use std::process::Command;
use std::time::Duration;

/// How long systemd may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// Most names kept.
const MAX_UNITS: usize = 1000;

/// The units that have failed, and those that are started again because they do; `None` where systemd does not say.
/// `switch-to-configuration` takes both for failures of the activation.
pub(super) fn now() -> Option<Vec<String>> {
    let mut systemctl = Command::new("systemctl");
    systemctl.args([
        "--no-ask-password",
        "--no-pager",
        "--plain",
        "--no-legend",
        "--full",
        "--state=failed,auto-restart",
        "list-units",
    ]);
    let answer = command::ask(&mut systemctl, ANSWER)?;
    answer.is_success.then(|| names(&answer.text))
}

/// The first word of each line.
fn names(list: &str) -> Vec<String> {
    let words = list
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().next());
    words.take(MAX_UNITS).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_stand_first() {
        let list = "backup.service loaded failed failed Backup to the other site\n\
                    crash.service  loaded activating auto-restart Crashes\n";
        assert_eq!(names(list), ["backup.service", "crash.service"]);
    }
}
