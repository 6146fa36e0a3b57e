//! By what a machine is known.

use crate::protocol::Register;
use serde::{Deserialize, Serialize};

/// What no two living agents have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MachineKey {
    /// Of the installation; hashed by the agent, as it is confidential.
    machine_id: Option<String>,
    /// Of the boot.
    boot_id: String,
    /// Of the agent's state folder; not known of an agent that does not say it.
    #[serde(default)]
    installation_id: Option<String>,
}

impl MachineKey {
    /// The key of a machine; none of agents that do not say their boot id.
    pub(crate) fn of(register: &Register) -> Option<Self> {
        Some(Self {
            machine_id: register.machine_id.clone(),
            boot_id: register.facts.boot_id.clone()?,
            installation_id: register.installation_id.clone(),
        })
    }

    /// Whether this is the boot with that id, and that agent on it where one is named.
    pub(super) fn is_named(&self, boot_id: &str, installation_id: Option<&str>) -> bool {
        let is_agent = |id: &str| self.installation_id.as_deref() == Some(id);
        self.boot_id == boot_id && installation_id.is_none_or(is_agent)
    }

    /// Whether both are one agent. One that does not say its installation was upgraded since, or will be.
    pub(super) fn is(&self, other: &Self) -> bool {
        let installations = self
            .installation_id
            .as_ref()
            .zip(other.installation_id.as_ref());
        self.boot_id == other.boot_id
            && self.machine_id == other.machine_id
            && installations.is_none_or(|(one, another)| one == another)
    }

    /// Whether both are boots of one installation, or of two of which one was copied from the other.
    pub(super) fn is_installation_of(&self, other: &Self) -> bool {
        self.machine_id == other.machine_id
    }
}
