//! What a host says of itself.

use super::CommandName;
use serde::{Deserialize, Serialize};

/// The facts of a host; null where it could not find them out, never invented.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Its host name.
    pub hostname: Option<String>,
    /// `nixos`.
    pub host_type: Option<String>,
    /// The version of its agent.
    pub agent_version: Option<String>,
    /// The release of NixOS.
    pub os_version: Option<String>,
    /// The version of nixpkgs the system was built from.
    pub nixpkgs_version: Option<String>,
    /// The running kernel's release.
    pub kernel: Option<String>,
    /// The number of the system profile's generation.
    pub generation: Option<u64>,
    /// The store path of the current system.
    pub system: Option<String>,
    /// The revision of the configuration.
    pub revision: Option<String>,
    /// How many commits the host's clone has that its current system lacks.
    pub behind: Option<u64>,
    /// Whether the next boot starts something else than what was booted.
    pub reboot_required: Option<bool>,
    /// Which system is where.
    #[serde(flatten)]
    pub systems: Systems,
    /// The kernel's id of this boot.
    pub boot_id: Option<String>,
    /// Seconds between two heartbeats.
    pub heartbeat_interval: Option<u64>,
    /// The commands it offers.
    pub commands: Option<Vec<CommandName>>,
}

/// The four systems of a host by their store paths; they may all differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Systems {
    /// `/run/current-system`.
    #[serde(default)]
    pub running: Option<String>,
    /// `/run/booted-system`.
    #[serde(default)]
    pub booted: Option<String>,
    /// That of the system profile.
    #[serde(default)]
    pub profile: Option<String>,
    /// That of the boot loader's default entry.
    #[serde(default)]
    pub boot_default: Option<String>,
    /// The number of the generation that runs.
    #[serde(default)]
    pub running_generation: Option<u64>,
    /// What differs between the system that was booted and the next one, such as `kernel`.
    #[serde(default)]
    pub reboot_reasons: Option<Vec<String>>,
}

/// How busy a host is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Use of the processors, 0 to 100 percent over all of them.
    pub cpu: Option<f64>,
    /// Memory in use, percent.
    pub ram: Option<f64>,
    /// Swap in use, percent; 0 without any.
    pub swap: Option<f64>,
    /// The load average of the last minute.
    pub load: Option<f64>,
}
