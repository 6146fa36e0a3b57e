//! By what a machine is known.

use crate::protocol::Register;
use serde::{Deserialize, Serialize};

/// What no two living machines have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MachineKey {
    /// Of the installation; hashed by the agent, as it is confidential.
    machine_id: Option<String>,
    /// Of the boot.
    boot_id: String,
}

impl MachineKey {
    /// The key of a machine; none of agents that do not say their boot id.
    pub(crate) fn of(register: &Register) -> Option<Self> {
        Some(Self {
            machine_id: register.machine_id.clone(),
            boot_id: register.facts.boot_id.clone()?,
        })
    }

    /// Whether this is the boot with that id.
    pub(super) fn is_boot(&self, boot_id: &str) -> bool {
        self.boot_id == boot_id
    }

    /// Whether both are boots of one installation, or of two of which one was copied from the other.
    pub(super) fn is_installation_of(&self, other: &Self) -> bool {
        self.machine_id == other.machine_id
    }
}
