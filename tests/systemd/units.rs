//! The units of both services, as NixOS makes them from the file that its modules read: what these tests measure
//! is what runs there.

use serde_json::Value;

const UNITS: &str = include_str!("../../nixos-modules/units.json");

/// What NixOS adds to the PATH of every service.
const OF_EVERY_SERVICE: [&str; 5] = ["coreutils", "findutils", "gnugrep", "gnused", "systemd"];

/// The agent's, on a test host.
pub(crate) fn agent() -> String {
    agent_with(&["LoadCredential=token:/etc/switchyard/token"])
}

/// That of an agent that enrols.
pub(crate) fn enrolling_agent() -> String {
    agent_with(&[
        "LoadCredential=enrolment:/etc/switchyard/enrolment",
        "SetCredential=enrolment:\\n",
    ])
}

/// The PATH that the module gives the agent, with the folders of a test host in the place of packages.
pub(crate) fn agent_path() -> String {
    let units: Value = serde_json::from_str(UNITS).unwrap();
    let of =
        |key: &str| -> Vec<String> { serde_json::from_value(units["agent"][key].clone()).unwrap() };
    let packages = [
        of("path"),
        OF_EVERY_SERVICE.map(str::to_owned).to_vec(),
        of("lastPath"),
    ]
    .concat();
    let folders = packages.iter().map(|name| match name.starts_with('/') {
        true => name.clone(),
        false => format!("/opt/packages/{name}"),
    });
    let folders: Vec<_> = folders.collect();
    let of_kind = |kind: &str| {
        folders
            .iter()
            .map(|folder| format!("{folder}/{kind}"))
            .collect::<Vec<_>>()
    };
    [of_kind("bin"), of_kind("sbin")].concat().join(":")
}

fn agent_with(credentials: &[&str]) -> String {
    let path = format!("Environment=PATH={}", agent_path());
    let of_host = [
        "ExecStart=/usr/local/bin/switchyard agent --config /etc/switchyard/agent.toml",
        "Environment=HOME=/root",
        path.as_str(),
        "StateDirectory=switchyard-agent",
    ];
    unit("agent", &[&of_host, credentials].concat())
}

/// The dashboard's.
pub(crate) fn dashboard() -> String {
    unit(
        "dashboard",
        &[
            "ExecStart=/usr/local/bin/switchyard dashboard --config /etc/switchyard/dashboard.toml",
            "StateDirectory=switchyard",
        ],
    )
}

/// A unit with what the modules add for each host.
fn unit(service: &str, of_host: &[&str]) -> String {
    let units: Value = serde_json::from_str(UNITS).unwrap();
    let unit = &units[service];
    let words = |key: &str| -> Vec<String> { serde_json::from_value(unit[key].clone()).unwrap() };
    format!(
        "[Unit]\nDescription={}\nAfter={}\n{}\n[Service]\n{}{}\n\n[Install]\nWantedBy={}\n",
        unit["description"].as_str().unwrap(),
        words("after").join(" "),
        section(&unit["unitConfig"]),
        section(&unit["serviceConfig"]),
        of_host.join("\n"),
        words("wantedBy").join(" ")
    )
}

/// As NixOS writes it: a list is its key several times.
fn section(settings: &Value) -> String {
    let settings = settings.as_object().unwrap();
    let lines = settings.iter().flat_map(|(key, value)| {
        let values = value
            .as_array()
            .map_or(std::slice::from_ref(value), Vec::as_slice);
        values
            .iter()
            .map(move |value| format!("{key}={}\n", plain(value)))
    });
    lines.collect()
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
