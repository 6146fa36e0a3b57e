//! Whether a host is the machine of the dashboard: then it has the same clock, which confirms nothing.

use crate::protocol::Register;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
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

/// Whether an address is one of this machine: what goes there would come from the same address.
///
/// Whether it can be bound to says nothing where `net.ipv4.ip_nonlocal_bind` is set, and a list of the interfaces takes
/// a netlink socket, which the service may not have. Connecting a UDP socket sends nothing: see udp(7).
fn is_ours(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    if address.is_loopback() {
        return true;
    }
    let Ok(socket) = UdpSocket::bind((any, 0)) else {
        // Without a socket nothing is known of it: it may be ours.
        return true;
    };
    // Any port will do.
    let source = socket
        .connect((address, 9))
        .and_then(|()| socket.local_addr());
    source.is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sched::{CloneFlags, unshare};
    use serde_json::json;
    use std::process::Command;

    /// Does this in a network of its own, in which every address can be bound to, and these are this machine's.
    fn in_a_network<T: Send>(ours: &[&str], work: impl FnOnce() -> T + Send) -> Option<T> {
        let ip = |arguments: &[&str]| {
            let done = Command::new("ip").args(arguments).output();
            done.is_ok_and(|done| done.status.success())
        };
        std::thread::scope(|scope| {
            // The network is that of this thread, and of what it starts.
            let thread = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).ok()?;
                fs::write("/proc/sys/net/ipv4/ip_nonlocal_bind", "1").ok()?;
                let is_there = ip(&["link", "set", "lo", "up"])
                    && (ours.iter()).all(|address| ip(&["addr", "add", address, "dev", "lo"]));
                is_there.then(work)
            });
            thread.join().unwrap()
        })
    }

    #[test]
    fn an_address_that_can_be_bound_to_is_not_ours_for_that() {
        let parsed = |address: &str| address.parse::<IpAddr>().unwrap();
        let can_be_bound = |address: IpAddr| UdpSocket::bind((address, 0)).is_ok();
        // A group, which has no machine.
        let group = parsed("224.0.0.1");
        assert!(can_be_bound(group) && !is_ours(group));
        let addresses = ["203.0.113.7", "203.0.113.8", "198.51.100.1"].map(parsed);
        let found = in_a_network(&["203.0.113.7/24"], || {
            assert_eq!(addresses.map(can_be_bound), [true; 3]);
            addresses.map(is_ours)
        });
        // Where this user may make no network, the group has to do.
        assert_eq!(found.unwrap_or([true, false, false]), [true, false, false]);
    }

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
