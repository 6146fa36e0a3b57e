//! A host that gets its token by itself, as the module has it do.

use crate::Scene;
use crate::common::{SOON, wait_for};
use crate::container::HOST;
use crate::units;
use std::process::Command;

const UNIT: &str = "switchyard-agent.service";
const SECRET: &str = "/etc/switchyard/enrolment";
const TOKEN: &str = "/var/lib/switchyard-agent/token";

impl Scene {
    fn admin(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_switchyard"))
            .args(["admin", "--data-dir"])
            .arg(self.dashboard.data_dir())
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn systemctl(&self, arguments: &[&str]) {
        self.host.run(&[&["systemctl"], arguments].concat());
    }
}

#[test]
fn a_host_enrols_and_keeps_its_token_through_a_restart_and_without_the_secret() {
    let Some(mut scene) = Scene::new("enrolment") else {
        return;
    };
    scene.systemctl(&["stop", UNIT]);
    scene.admin(&["revoke", HOST]);
    let config = scene.host.read("/etc/switchyard/agent.toml");
    let config = config.replace("token_file", "enrolment_file");
    let config = config.replace("service/token", "service/enrolment");
    scene.host.write("/etc/switchyard/agent.toml", &config);
    let unit = format!("/etc/systemd/system/{UNIT}");
    scene.host.write(&unit, &units::enrolling_agent());
    std::fs::remove_file(scene.host.path("/etc/switchyard/token")).unwrap();
    scene.systemctl(&["daemon-reload"]);
    // With neither a secret nor a token it starts, and says what it lacks.
    scene.systemctl(&["start", UNIT]);
    wait_for("its word", SOON, || {
        let said = scene.host.show(UNIT, "StatusText");
        said.contains("switchyard admin new-enrolment")
            .then_some(())
    });
    let secret = scene.admin(&["new-enrolment", HOST]);
    let secret = secret.trim().rsplit(' ').next().unwrap();
    scene.host.write(SECRET, secret);
    scene.systemctl(&["restart", UNIT]);
    scene.await_online();
    let token = scene.host.read(TOKEN);
    assert!(token.len() == 64 && token != secret, "{token}");
    let modes = scene
        .host
        .run(&["stat", "-c", "%a %U", TOKEN, "/var/lib/switchyard-agent"]);
    assert_eq!(modes, "600 root\n700 root");
    std::fs::remove_file(scene.host.path(SECRET)).unwrap();
    scene.host.reboot();
    scene.await_online();
    assert_eq!(scene.host.read(TOKEN), token);
    // It has all that a run needs.
    let run = scene.switch();
    scene.ends_well(&run);
}
