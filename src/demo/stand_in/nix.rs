//! A nix that only talks: `--log-format internal-json` as nix 2.34 writes it.

use super::dice::Dice;
use super::{Event, Stream};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Something to build.
pub(super) struct Derivation {
    path: String,
    /// What its builder prints.
    pub(super) log: Vec<String>,
    /// Whether its builder fails at the end.
    pub(super) fails: bool,
}

impl Derivation {
    pub(super) fn new(name: &str, log: Vec<String>, fails: bool, dice: &mut Dice) -> Self {
        let path = format!("/nix/store/{}-{name}.drv", dice.hash());
        Self { path, log, fails }
    }
}

/// What happens to a download or a derivation, by its index.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    FetchBegins(usize),
    Fetched(usize, u64),
    FetchEnds(usize),
    BuildBegins(usize),
    /// The line of this index of its log.
    Log(usize, usize),
    BuildEnds(usize),
    BuildFails(usize),
}

/// `[done, expected, running, failed]` of an activity.
#[derive(Clone, Copy, Default)]
struct Counts {
    done: usize,
    expected: usize,
    running: usize,
    failed: usize,
}

/// Writes the messages.
pub(super) struct Nix<'d> {
    dice: &'d mut Dice,
    next_id: u64,
    now: u64,
    events: Vec<Event>,
    /// The ids of the activities 104 and 103.
    totals: (u64, u64),
    builds: Counts,
    copies: Counts,
}

const CACHE: &str = "https://cache.nixos.org";

impl<'d> Nix<'d> {
    pub(super) fn new(dice: &'d mut Dice) -> Self {
        // As nix has it: the process's number above, a counter below.
        let next_id = dice.between(10_000, 4_000_000) << 32;
        Self {
            dice,
            next_id,
            now: 150,
            events: Vec::new(),
            totals: (0, 0),
            builds: Counts::default(),
            copies: Counts::default(),
        }
    }

    pub(super) fn into_events(self) -> Vec<Event> {
        self.events
    }

    fn say(&mut self, message: &Value) {
        let line = format!("@nix {message}");
        self.events.push(Event::line(self.now, Stream::Err, &line));
    }

    fn start(&mut self, level: u64, kind: u64, text: &str, fields: &Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        self.say(&json!({
            "action": "start", "fields": fields, "id": id, "level": level, "parent": 0, "text": text, "type": kind
        }));
        id
    }

    fn stop(&mut self, id: u64) {
        self.say(&json!({"action": "stop", "id": id}));
    }

    fn result(&mut self, id: u64, kind: u64, fields: &Value) {
        self.say(&json!({"action": "result", "fields": fields, "id": id, "type": kind}));
    }

    fn msg(&mut self, level: u64, text: &str) {
        self.say(&json!({"action": "msg", "level": level, "msg": text}));
    }

    fn totals(&mut self) {
        let (builds, copies) = self.totals;
        for (id, c) in [(builds, self.builds), (copies, self.copies)] {
            self.result(id, 105, &json!([c.done, c.expected, c.running, c.failed]));
        }
    }

    /// Evaluates until `end`.
    pub(super) fn evaluate(&mut self, host: &str, end: u64) {
        let what = format!(".#nixosConfigurations.\"{host}\".config.system.build.toplevel");
        let text = format!("evaluating derivation '{what}'");
        let id = self.start(4, 0, &text, &json!([]));
        self.now = end / 2;
        if self.dice.between(0, 3) == 0 {
            let text = "The option `services.backup.target' has been renamed to `services.backup.repository'.";
            self.msg(1, &format!("\x1b[35;1mevaluation warning:\x1b[0m {text}"));
        }
        self.now = end;
        self.stop(id);
    }

    /// Says why the evaluation ends here.
    pub(super) fn error(&mut self, text: &str) {
        self.msg(0, &format!("\x1b[31;1merror:\x1b[0m\n{text}"));
    }

    /// Says what there is to do.
    pub(super) fn announce(
        &mut self,
        at: u64,
        derivations: &[Derivation],
        downloads: &[(&str, u64)],
    ) {
        self.now = at;
        let text = format!("these {} derivations will be built:", derivations.len());
        self.msg(3, &text);
        for derivation in derivations {
            self.msg(3, &format!("  {}", derivation.path));
        }
        let mib = downloads.iter().map(|(_, kib)| kib).sum::<u64>() as f64 / 1024.0;
        let text = format!(
            "these {} paths will be fetched ({mib:.2} MiB download, {:.2} MiB unpacked):",
            downloads.len(),
            mib * 3.4
        );
        self.msg(3, &text);
        for (name, _) in downloads {
            let path = format!("  /nix/store/{}-{name}", self.dice.hash());
            self.msg(3, &path);
        }
        self.start(0, 102, "", &json!([]));
        let builds = self.start(0, 104, "", &json!([]));
        let copies = self.start(0, 103, "", &json!([]));
        self.totals = (builds, copies);
        self.builds.expected = derivations.len();
        self.copies.expected = downloads.len();
    }

    /// Fetches and builds; gives the moment when all is over.
    pub(super) fn run(
        &mut self,
        begin: u64,
        changes: &[(u64, Change)],
        derivations: &[Derivation],
        downloads: &[(&str, u64)],
    ) -> u64 {
        self.now = begin;
        self.totals();
        let (mut fetching, mut building) = (BTreeMap::new(), BTreeMap::new());
        for (at, change) in changes {
            self.now = *at;
            match *change {
                Change::FetchBegins(i) => {
                    let path = format!("/nix/store/{}-{}", self.dice.hash(), downloads[i].0);
                    let text = format!("copying path '{path}' from '{CACHE}'");
                    let id = self.start(3, 100, &text, &json!([path, CACHE, "local"]));
                    fetching.insert(i, id);
                    self.copies.running += 1;
                    self.totals();
                }
                Change::Fetched(i, bytes) => {
                    let size = downloads[i].1 * 1024;
                    self.result(fetching[&i], 105, &json!([bytes, size, 0, 0]));
                }
                Change::FetchEnds(i) => {
                    self.stop(fetching[&i]);
                    self.copies.running -= 1;
                    self.copies.done += 1;
                    self.totals();
                }
                Change::BuildBegins(i) => {
                    let path = &derivations[i].path;
                    let text = format!("building '{path}'");
                    let id = self.start(3, 105, &text, &json!([path, "", 1, 1]));
                    building.insert(i, id);
                    self.builds.running += 1;
                    self.totals();
                }
                Change::Log(i, line) => {
                    let line = &derivations[i].log[line];
                    if let Some(phase) = line.strip_prefix("Running phase: ") {
                        self.result(building[&i], 104, &json!([phase]));
                    }
                    self.result(building[&i], 101, &json!([line]));
                }
                Change::BuildEnds(i) => {
                    self.stop(building[&i]);
                    self.builds.running -= 1;
                    self.builds.done += 1;
                    self.totals();
                }
                Change::BuildFails(i) => self.fail(i, building[&i], derivations),
            }
        }
        for id in [self.totals.1, self.totals.0] {
            self.stop(id);
        }
        self.now
    }

    fn fail(&mut self, i: usize, id: u64, derivations: &[Derivation]) {
        let error = |path: &str, reason: &str| {
            format!(
                "\x1b[31;1merror:\x1b[0m Cannot build '\x1b[35;1m{path}\x1b[0m'.\n       Reason: {reason}"
            )
        };
        let text = error(
            &derivations[i].path,
            "\x1b[31;1mbuilder failed with exit code 1\x1b[0m.",
        );
        self.msg(0, &text);
        self.builds.running = 0;
        self.builds.failed += 1;
        self.builds.expected = self.builds.done;
        self.totals();
        self.stop(id);
        if let Some(top) = derivations.last() {
            let text = error(&top.path, "\x1b[31;1m1 dependency failed\x1b[0m.");
            self.msg(0, &text);
        }
    }
}
