//! `kill -9` of agent and dashboard, at random moments.

use crate::child::{Child, Pace};
use crate::common::chance::{Chance, kills};
use crate::common::{Agent, Dashboard};
use nix::sys::signal::Signal;
use std::time::Duration;

/// The longest time between two deaths, both ends alive and connected.
const LIFE: Duration = Duration::from_millis(400);
/// About as long as either takes to start.
const START: Duration = Duration::from_millis(60);
const DEATHS_OF_A_RUN: usize = 5;
const EXIT_CODE: i32 = 3;

/// A dashboard and two hosts, whose children write fast and slow.
struct Scene {
    dashboard: Dashboard,
    hosts: Vec<(&'static str, Agent, Child)>,
    chance: Chance,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new(test: &str) -> Self {
        let dashboard = Dashboard::start(&["fast", "slow"]);
        let dir = tempfile::tempdir().unwrap();
        let host = |(name, pace)| {
            let child = Child::new(dir.path(), name, pace, EXIT_CODE);
            (name, Agent::start(&dashboard, name, &child.script), child)
        };
        let hosts = [("fast", Pace::Fast), ("slow", Pace::Slow)]
            .map(host)
            .into();
        Self {
            dashboard,
            hosts,
            chance: Chance::of(test),
            _dir: dir,
        }
    }

    /// Runs, and in each of them some deaths, until there were enough.
    fn die(&mut self, mut once: impl FnMut(&mut Self) -> usize) {
        let mut deaths = 0;
        while deaths < kills() {
            let command = |(name, _, child): &(&'static str, _, Child)| {
                child.gate.close();
                self.dashboard.command(name, "switch")
            };
            let runs: Vec<String> = self.hosts.iter().map(command).collect();
            let enough = deaths + DEATHS_OF_A_RUN;
            while deaths < enough {
                self.chance.pause(LIFE);
                deaths += once(self);
            }
            self.hosts
                .iter()
                .for_each(|(_, _, child)| child.gate.open());
            for ((name, _, child), run) in self.hosts.iter().zip(&runs) {
                child.assert_whole(&self.dashboard, name, run, EXIT_CODE);
            }
        }
    }

    /// Kills an agent, sometimes also while it starts; gives how often.
    fn kill_agent(&mut self, host: usize) -> usize {
        let (chance, agent) = (&mut self.chance, &mut self.hosts[host].1);
        agent.process.end(Signal::SIGKILL);
        let again = chance.once_in(3);
        if again {
            agent.launch_again();
            chance.pause(START);
            agent.process.end(Signal::SIGKILL);
        }
        1 + usize::from(again)
    }

    /// Kills the dashboard, sometimes also while it starts, and starts it anew; gives how often.
    fn kill_dashboard(&mut self) -> usize {
        let again = self.chance.once_in(4).then(|| self.chance.below(START));
        self.dashboard.process.end(Signal::SIGKILL);
        if let Some(after) = again {
            self.dashboard.launch_and_kill(after);
        }
        self.dashboard.start_again();
        1 + usize::from(again.is_some())
    }

    /// Without this the agents would wait longer and longer before they try again.
    fn wait_for_hosts(&self) {
        for (name, ..) in &self.hosts {
            self.dashboard
                .wait_for_host(name, "it to be back", |host| host["online"] == true);
        }
    }
}

#[test]
fn every_line_and_the_result_arrive_however_often_the_agent_is_killed() {
    let mut turn = 0;
    Scene::new("agent").die(|scene| {
        turn += 1;
        let host = turn % scene.hosts.len();
        let deaths = scene.kill_agent(host);
        scene.hosts[host].1.start_again();
        deaths
    });
}

#[test]
fn every_line_and_the_result_arrive_however_often_the_dashboard_is_killed() {
    Scene::new("dashboard").die(|scene| {
        let deaths = scene.kill_dashboard();
        scene.wait_for_hosts();
        deaths
    });
}

#[test]
fn every_line_and_the_result_arrive_however_often_both_ends_are_killed() {
    Scene::new("both").die(|scene| {
        for host in 0..scene.hosts.len() {
            scene.kill_agent(host);
        }
        scene.kill_dashboard();
        for (_, agent, _) in &mut scene.hosts {
            agent.start_again();
        }
        1
    });
}
