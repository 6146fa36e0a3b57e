//! What a host says of itself is kept in memory and sent to every browser, so it has bounds.

use crate::protocol::{Cause, FEATURES, Facts, MAX_CAUSES, Register, Systems};

/// The longest fact, in bytes; a store path has about 100.
const LONGEST: usize = 1_024;
/// Most reasons for a reboot, and the longest, in bytes.
const MAX_REASONS: usize = 32;
const MAX_REASON_BYTES: usize = 64;
/// The most commands.
const MOST_COMMANDS: usize = 200;

/// Cuts a text that is too long.
pub(super) fn shorten(fact: &mut Option<String>) {
    if let Some(text) = fact {
        text.truncate(text.floor_char_boundary(LONGEST));
    }
}

/// Cuts causes that are too many or too long.
pub(super) fn shorten_causes(causes: &mut Vec<Cause>) {
    causes.truncate(MAX_CAUSES);
    for cause in causes {
        shorten(&mut cause.name);
        let end = cause.summary.floor_char_boundary(LONGEST);
        cause.summary.truncate(end);
    }
}

/// Cuts what is too long of a host's systems.
pub(super) fn shorten_systems(systems: &mut Systems) {
    let Systems {
        running,
        booted,
        profile,
        boot_default,
        running_generation: _,
        reboot_reasons,
    } = systems;
    for fact in [running, booted, profile, boot_default] {
        shorten(fact);
    }
    if let Some(reasons) = reboot_reasons {
        reasons.truncate(MAX_REASONS);
        for reason in reasons {
            reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        }
    }
}

/// Cuts what is too long.
pub(super) fn shorten_register(register: &mut Register) {
    shorten(&mut register.machine_id);
    shorten(&mut register.installation_id);
    // None is known yet.
    register
        .features
        .retain(|feature| FEATURES.contains(&feature.as_str()));
    let Facts {
        hostname,
        host_type,
        agent_version,
        os_version,
        nixpkgs_version,
        kernel,
        generation: _,
        system,
        revision,
        behind: _,
        reboot_required: _,
        systems,
        boot_id,
        heartbeat_interval: _,
        commands,
    } = &mut register.facts;
    for fact in [
        hostname,
        host_type,
        agent_version,
        os_version,
        nixpkgs_version,
        kernel,
        system,
        revision,
        boot_id,
    ] {
        shorten(fact);
    }
    shorten_systems(systems);
    if let Some(commands) = commands {
        commands.truncate(MOST_COMMANDS);
    }
}
