//! What to tell the user of a program that failed.
//!
//! The codes are those of NixOS' `switch-to-configuration`; the old bash nixos-rebuild gives 1 for all of them,
//! so what the activation said comes first.

use crate::proctree::ACTIVATION_UNIT;
use nix::sys::signal::Signal;

/// How the activation names units that failed.
const FAILED_UNITS: &str = "warning: the following units failed: ";

/// `said` is the first error, or the last lines on standard error; `activating` whether the machine was being
/// changed when the program ended.
pub(super) fn of_failure(
    program: &str,
    code: i32,
    activating: bool,
    said: Option<String>,
) -> String {
    let meaning = match &said {
        _ if activating => of_activation(code, said.as_deref().unwrap_or_default()),
        Some(said) if said.contains(ACTIVATION_UNIT) && said.contains("already") => Some(
            "Another activation is going on. The new system is built and is the next one to boot, but it is not \
             activated: switch again when the other is done."
                .to_owned(),
        ),
        _ => None,
    };
    let signal = code.checked_sub(128).map(Signal::try_from);
    match (meaning, signal, said) {
        (Some(meaning), _, Some(said)) => format!("{meaning}\n{said}"),
        (Some(meaning), _, None) => meaning,
        (None, Some(Ok(signal)), said) => {
            let said = said.map_or_else(String::new, |text| format!("\n{text}"));
            format!("{program} ended with exit code {code} ({signal}){said}")
        }
        (None, _, Some(said)) => said,
        (None, _, None) => {
            format!("{program} ended with exit code {code} and said nothing on standard error")
        }
    }
}

/// What the exit code of an activation means for the machine.
fn of_activation(code: i32, said: &str) -> Option<String> {
    let units = said
        .lines()
        .find_map(|line| line.strip_prefix(FAILED_UNITS));
    let meaning = match (code, units) {
        (_, Some(units)) => {
            return Some(format!(
                "The system is switched, but these units failed: {units}"
            ));
        }
        (4, None) => "The system is switched, but a unit failed.",
        (2, _) => {
            "An activation script failed: the host may be left between two systems. Mend it and switch again."
        }
        (100, _) => {
            "The system is not switched: its init does not fit the one that runs. Use boot, and restart the host."
        }
        (101, _) => "The activation died half way, and units may be left stopped. Switch again.",
        (143 | 241, _) => {
            "The activation was ended by SIGTERM: the host may be left between two systems. Switch again."
        }
        (1, _) => {
            "The activation failed: a check before it, the boot loader, or, with an old nixos-rebuild, any part of it."
        }
        _ => return None,
    };
    Some(meaning.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: i32, activating: bool, said: &str) -> String {
        let said = (!said.is_empty()).then(|| said.to_owned());
        of_failure("nixos-rebuild", code, activating, said)
    }

    #[test]
    fn a_failed_unit_means_that_the_system_is_switched() {
        let said = "warning: the following units failed: a.service, b.service";
        for code in [4, 1] {
            let told = told(code, true, said);
            let begin = "The system is switched, but these units failed: a.service, b.service\n";
            assert!(told.starts_with(begin), "{told}");
        }
        assert!(told(4, true, "").starts_with("The system is switched"));
    }

    #[test]
    fn each_code_of_an_activation_says_what_became_of_the_machine() {
        for (code, words) in [
            (1, "The activation failed"),
            (2, "between two systems"),
            (100, "not switched"),
            (101, "died half way"),
            (241, "ended by SIGTERM"),
        ] {
            let told = told(code, true, "x");
            assert!(told.contains(words) && told.ends_with("\nx"), "{told}");
        }
    }

    #[test]
    fn outside_of_an_activation_the_codes_mean_nothing_more() {
        assert_eq!(told(4, false, "error: no"), "error: no");
        assert_eq!(
            told(3, false, ""),
            "nixos-rebuild ended with exit code 3 and said nothing on standard error"
        );
        let told = told(137, false, "dying");
        assert_eq!(
            told,
            "nixos-rebuild ended with exit code 137 (SIGKILL)\ndying"
        );
    }

    #[test]
    fn another_activation_that_goes_on_is_named() {
        let said = "Failed to start transient service unit: Unit \
                    nixos-rebuild-switch-to-configuration.service was already loaded or has a fragment file.";
        let told = told(1, false, said);
        assert!(
            told.starts_with("Another activation is going on."),
            "{told}"
        );
    }
}
