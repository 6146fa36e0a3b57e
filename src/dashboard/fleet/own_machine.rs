//! Whether a host is the machine of the dashboard: then it has the same clock, which confirms nothing.

use crate::protocol::Register;
use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::sync::LazyLock;

/// The kernel's id of this boot. Containers on this machine have it, too.
static BOOT_ID: LazyLock<Option<String>> = LazyLock::new(|| {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
});

/// Whether a host that comes from this address has our clock. One whose address is not known may have it.
pub(super) fn has_our_clock(register: &Register, address: Option<IpAddr>) -> bool {
    let boot_id = &register.facts.boot_id;
    (boot_id.is_some() && *boot_id == *BOOT_ID) || address.is_none_or(is_ours)
}

/// Whether an address is one of this machine: only those can be bound to.
fn is_ours(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_host_of_our_boot_or_one_of_our_addresses_has_our_clock() {
        let register = |boot: Option<&str>| -> Register {
            let register = json!({"protocol": 1, "host_id": "h1", "boot_id": boot});
            serde_json::from_value(register).unwrap()
        };
        let address = |text: &str| Some(text.parse().unwrap());
        // For documentation alone: RFC 5737.
        let elsewhere = address("203.0.113.1");
        assert!(has_our_clock(&register(BOOT_ID.as_deref()), elsewhere));
        assert!(!has_our_clock(&register(Some("other")), elsewhere));
        assert!(!has_our_clock(&register(None), elsewhere));
        for ours in ["127.0.0.1", "::1", "::ffff:127.0.0.2"] {
            assert!(
                has_our_clock(&register(Some("other")), address(ours)),
                "{ours}"
            );
        }
        assert!(has_our_clock(&register(None), None));
    }
}
