//! The link between a host in a network of its own and the dashboard.

use std::process::Command;

/// The host's network namespace.
const NAMESPACE: &str = "switchyard-cable";
/// Our end of the link.
const LINK: &str = "sy-cable";
/// Our address on it.
pub(crate) const ADDRESS: &str = "10.78.0.1";

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

/// A plugged cable, gone when dropped. There is one at a time.
pub(crate) struct Cable;

impl Cable {
    /// `None` where there can be no namespaces. What an interrupted test left goes first.
    pub(crate) fn plugged() -> Option<Self> {
        remove();
        if !ip(&format!("netns add {NAMESPACE}")) {
            crate::common::skip("network namespaces need root and iproute2");
            return None;
        }
        for arguments in [
            format!("link add {LINK} type veth peer name wire netns {NAMESPACE}"),
            format!("address add {ADDRESS}/24 dev {LINK}"),
            format!("link set {LINK} up"),
            format!("-n {NAMESPACE} address add 10.78.0.2/24 dev wire"),
            format!("-n {NAMESPACE} link set wire up"),
            format!("-n {NAMESPACE} link set lo up"),
        ] {
            assert!(ip(&arguments), "{arguments}");
        }
        Some(Self)
    }

    /// Where the host's network is.
    pub(crate) fn namespace() -> String {
        format!("/run/netns/{NAMESPACE}")
    }

    pub(crate) fn pull(&self) {
        assert!(ip(&format!("link set {LINK} down")));
    }

    pub(crate) fn plug_in(&self) {
        assert!(ip(&format!("link set {LINK} up")));
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        remove();
    }
}

fn remove() {
    ip(&format!("link delete {LINK}"));
    ip(&format!("netns delete {NAMESPACE}"));
}
