//! A dashboard that is attacked, while somebody else's run goes on and somebody else signs in.

use crate::besieger::Besieger;
use crate::common::{Client, Dashboard, SOON, Socket, measured, sha256_hex, wait_for};
use crate::starvation::Starvation;
use crate::support::{RUN, begin, end, output};
use crate::tally::Tally;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long it is measured without the attack, and with it at least.
const QUIET: Duration = Duration::from_secs(1);
const ATTACK: Duration = Duration::from_secs(4);
/// Before the attack may end, so often somebody else has signed in.
const MIN_SIGN_INS: usize = 2;
/// What nobody may take more of.
const MAX_RESIDENT_KIB: u64 = 200 * 1024;
const MAX_OPEN_FILES: usize = 1_000;
const MAX_JOURNAL_LINES: usize = 5_000;
const MAX_AUDIT_BYTES: u64 = 8_000_000;
const MAX_DISK_BYTES: u64 = 64_000_000;
/// How late a line of somebody else may come, beyond what the machine itself makes it. Without optimisation the program
/// takes many times as long for everything.
const LATE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_500 } else { 300 });
/// How many strangers may be connected, so that few files are enough to reach the limit.
const STRANGERS: usize = 200;
/// A run of h2 that is over: its log is too long for the buffers of a connection that nobody reads, and so long that two
/// threads search it.
pub(crate) const OLD: &str = "2025-12-14T09-00-00-switch";
const OLD_LINES: u64 = 50_000;
/// How many hosts there are.
pub(crate) const HOSTS: usize = 12;

/// A dashboard behind a proxy, so that a peer may come from any address, and who attacks it.
///
/// What is measured of a line: the time from where its agent sends it to where its browser has it. Of that is taken off
/// what other processes than the dashboard took of the processors and of the disk in that time, see [`Starvation`];
/// those who attack are among them, as they would sit elsewhere. The rest of the slowest line has to be below [`LATE`].
/// A tenth of a second of it is the pace at which a browser is sent frames. Where the kernel does not count what others
/// take, nine of ten lines have to come in that time beyond what they took before the attack.
pub(crate) struct World {
    pub(crate) dashboard: Dashboard,
    pub(crate) tally: Tally,
    over: Arc<AtomicBool>,
    attackers: Vec<JoinHandle<()>>,
    before: Before,
    _alone: MutexGuard<'static, ()>,
}

/// What there was before the attack.
struct Before {
    journal: usize,
    audit: u64,
    disk: u64,
    password_checks: u64,
}

/// How long a line took from its agent to its browser.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Delay {
    whole: Duration,
    /// Without what the machine took, where it says so.
    ours: Option<Duration>,
}

/// What came of somebody who signs in again and again.
#[derive(Default)]
struct SignIns {
    /// By the status of the answer.
    answers: BTreeMap<u16, usize>,
    slowest: Duration,
}

/// What the dashboard used up, as it is after an attack.
pub(crate) struct Used {
    pub(crate) journal: usize,
    pub(crate) audit: u64,
    pub(crate) password_checks: u64,
}

/// Evidence that an attack arrives where it is meant to: so many of what the [`Tally`] counts.
pub(crate) type Arrival = (&'static str, u16, u64);

/// Keeps those who measure and those who take all they can from each other.
static ALONE: Mutex<()> = Mutex::new(());

/// Waits until no other test of this program measures or takes all it can, until the guard is dropped.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The id of one of the hosts.
pub(crate) fn host(n: usize) -> String {
    format!("h{n}")
}

impl World {
    pub(crate) fn start() -> Self {
        let alone = alone();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(soft.max(8_192)), hard).unwrap();
        let token = |name: &str| format!("sha256:{}", sha256_hex(name));
        let password = || Dashboard::password_hash("secret");
        let users = [
            ("ada", "operator", password()),
            ("vera", "viewer", token("vera")),
            ("vesna", "viewer", token("vesna")),
            ("walter", "viewer", token("walter")),
            ("victor", "viewer", password()),
            ("vlad", "viewer", token("vlad")),
            ("otto", "operator", token("otto")),
            ("oona", "operator", token("oona")),
            ("orla", "operator", token("orla")),
            ("oscar", "operator", token("oscar")),
            ("olga", "operator", password()),
            ("olaf", "operator", token("olaf")),
        ];
        let extra =
            format!("[proxy]\ntrusted = [\"127.0.0.1\"]\n[limits]\nstrangers = {STRANGERS}\n");
        let hosts: Vec<String> = (1..=HOSTS).map(host).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let mut dashboard = Dashboard::start_with(&hosts, &extra, &users);
        dashboard.log_in("ada", "secret");
        store_old_run(&dashboard);
        let before = Before {
            journal: dashboard.process.said(),
            audit: audit_bytes(&dashboard),
            disk: bytes_below(&dashboard.data_dir()),
            password_checks: password_checks(&dashboard),
        };
        Self {
            dashboard,
            tally: Tally::default(),
            over: Arc::default(),
            attackers: Vec::new(),
            before,
            _alone: alone,
        }
    }

    /// Lets somebody loose who sends these headers and comes from this address, until the attack is over.
    pub(crate) fn attack(
        &mut self,
        headers: &str,
        address: &str,
        mut step: impl FnMut(&mut Besieger) + Send + 'static,
    ) {
        let mut besieger = Besieger {
            port: self.dashboard.port,
            headers: headers.to_owned(),
            address: address.to_owned(),
            over: Arc::clone(&self.over),
            tally: self.tally.clone(),
            kept: Vec::new(),
        };
        self.attackers.push(std::thread::spawn(move || {
            while !besieger.is_over() {
                step(&mut besieger);
            }
        }));
    }

    /// Streams a run of h2 without and with the attack, and holds the two against each other. The attack goes on until
    /// all of it has arrived.
    #[track_caller]
    pub(crate) fn nobody_else_notices(
        mut self,
        who: &str,
        arrivals: &[Arrival],
        attack: impl FnOnce(&mut Self),
    ) -> Used {
        let mut run = Run::begin(&self.dashboard);
        let quiet = run.delays(|time| time < QUIET);
        self.dashboard.process.forget_peak();
        attack(&mut self);
        let signed_in = Arc::new(AtomicUsize::new(0));
        let signing_in = self.somebody_signs_in(Arc::clone(&signed_in));
        let tally = self.tally.clone();
        let missing = || {
            let is_missing = |arrival: &&Arrival| tally.of(arrival.0, arrival.1) < arrival.2;
            arrivals.iter().find(is_missing)
        };
        let busy = run.delays(|time| {
            let ends = missing().is_none() && signed_in.load(Ordering::Relaxed) >= MIN_SIGN_INS;
            time < ATTACK || (!ends && time < 2 * SOON)
        });
        let files = self.dashboard.process.open_files();
        self.over.store(true, Ordering::Relaxed);
        let signed_in = signing_in.join().unwrap();
        for attacker in self.attackers.drain(..) {
            attacker.join().unwrap();
        }
        run.end(&self.dashboard);
        measured(&format!("{who}:{}", self.tally));
        assert!(missing().is_none(), "never came: {:?}", missing());
        self.check(who, &quiet, &busy, &signed_in, files)
    }

    /// Ada, each time from an address and a browser where she never was before.
    fn somebody_signs_in(&self, done: Arc<AtomicUsize>) -> JoinHandle<SignIns> {
        let (client, over) = (Client::of(self.dashboard.port), Arc::clone(&self.over));
        std::thread::spawn(move || {
            let (origin, mut all) = (client.origin(), SignIns::default());
            for n in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let address = format!("198.51.{}.{}", 100 + n / 250 % 100, 1 + n % 250);
                let headers = [
                    ("Origin", origin.as_str()),
                    ("Content-Type", "application/json"),
                    ("X-Forwarded-For", &address),
                ];
                let body = br#"{"user":"ada","password":"secret"}"#;
                let asked = Instant::now();
                let answer = client.request("POST", "/api/login", &headers, body);
                all.slowest = all.slowest.max(asked.elapsed());
                *all.answers.entry(answer.status).or_default() += 1;
                done.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(100));
            }
            all
        })
    }

    #[track_caller]
    fn check(
        &self,
        who: &str,
        quiet: &[Delay],
        busy: &[Delay],
        signed_in: &SignIns,
        files: usize,
    ) -> Used {
        let late = |delays: &[Delay]| delays[delays.len() * 9 / 10].whole;
        let (lines, most) = (busy.len(), busy[busy.len() - 1].whole);
        let ours = busy.iter().filter_map(|delay| delay.ours).max();
        let (quiet, busy) = (late(quiet), late(busy));
        let memory = self.dashboard.process.peak_kib();
        let disk = bytes_below(&self.dashboard.data_dir()).saturating_sub(self.before.disk);
        let used = Used {
            journal: self.dashboard.process.said() - self.before.journal,
            audit: audit_bytes(&self.dashboard) - self.before.audit,
            password_checks: password_checks(&self.dashboard)
                - self.before.password_checks
                - signed_in.answers.get(&204).map_or(0, |count| *count as u64),
        };
        let Used {
            journal,
            audit,
            password_checks,
        } = used;
        let SignIns { answers, slowest } = signed_in;
        measured(&format!(
            "{who}: nine of ten of {lines} lines within {busy:?} ({quiet:?} before), the slowest after {most:?}, {ours:?} of it ours; {memory} KiB, {files} files, {journal} lines in the journal, {audit} bytes of audit, {disk} bytes on disk; {password_checks} passwords checked; somebody else signs in {answers:?}, the slowest after {slowest:?}"
        ));
        assert!(busy < LATE + 10 * quiet, "{busy:?}, {quiet:?} before");
        assert!(ours.is_none_or(|ours| ours < LATE), "{ours:?} of {most:?}");
        assert!(memory < MAX_RESIDENT_KIB, "{memory} KiB");
        assert!(files < MAX_OPEN_FILES, "{files} files");
        assert!(journal < MAX_JOURNAL_LINES, "{journal} lines");
        assert!(audit < MAX_AUDIT_BYTES, "{audit} bytes");
        assert!(disk < MAX_DISK_BYTES, "{disk} bytes");
        assert!(
            answers.keys().eq(&[204]),
            "somebody else is refused: {answers:?}"
        );
        used
    }
}

/// A run of h2 that goes on, its agent, and a browser that watches it.
struct Run {
    agent: Socket,
    browser: Socket,
    pid: u32,
    next: u64,
}

impl Run {
    fn begin(dashboard: &Dashboard) -> Self {
        let mut agent = Socket::agent(dashboard, "h2");
        let mut browser = Socket::browser(dashboard);
        agent.send(&of_h2(begin(RUN)));
        wait_for("the run", SOON, || {
            let answer = dashboard.get(&format!("/api/hosts/h2/runs/{RUN}"));
            (answer.status == 200).then_some(())
        });
        browser.send(&json!({"type": "subscribe", "host_id": "h2", "run_id": RUN}));
        browser.wait_for("subscribed", |message| message["type"] == "subscribed");
        let pid = dashboard.process.id();
        Self {
            agent,
            browser,
            pid,
            next: 0,
        }
    }

    /// Sends one line after the other while `goes_on`, which is told for how long that is so; gives how long each took,
    /// the fastest first.
    #[track_caller]
    fn delays(&mut self, goes_on: impl Fn(Duration) -> bool) -> Vec<Delay> {
        let (mut delays, began) = (Vec::new(), Instant::now());
        while goes_on(began.elapsed()) {
            let before = Starvation::of(&[self.pid]);
            let (sent, next) = (Instant::now(), self.next);
            self.agent.send(&of_h2(output(RUN, next, &["goes on"])));
            self.browser.wait_for("the line", |message| {
                message["type"] == "command_output" && message["seq"] == next
            });
            self.next += 1;
            let whole = sent.elapsed();
            let after = Starvation::of(&[self.pid]);
            let lost = after
                .zip(before)
                .map(|(after, before)| after.since(&before));
            let ours = lost.map(|lost| whole.saturating_sub(lost));
            delays.push(Delay { whole, ours });
        }
        delays.sort_unstable();
        delays
    }

    /// Ends it; each line is stored.
    #[track_caller]
    fn end(mut self, dashboard: &Dashboard) {
        self.agent.send(&of_h2(end(RUN, self.next)));
        self.agent
            .wait_for("the final ack", |message| message["final"] == true);
        assert_eq!(dashboard.lines("h2", RUN).len() as u64, self.next);
    }
}

fn of_h2(mut message: Value) -> Value {
    message["host_id"] = "h2".into();
    message
}

fn store_old_run(dashboard: &Dashboard) {
    let mut agent = Socket::agent(dashboard, "h2");
    agent.send(&of_h2(begin(OLD)));
    let line = "x".repeat(200);
    for first in (0..OLD_LINES).step_by(1_000) {
        agent.send(&of_h2(output(OLD, first, &[line.as_str(); 1_000])));
    }
    agent.send(&of_h2(end(OLD, OLD_LINES)));
    agent.wait_for("the final ack", |message| message["final"] == true);
}

fn audit_bytes(dashboard: &Dashboard) -> u64 {
    let file = std::fs::metadata(dashboard.data_dir().join("audit.log"));
    file.map_or(0, |file| file.len())
}

/// How many passwords were checked.
fn password_checks(dashboard: &Dashboard) -> u64 {
    let answer = dashboard.get("/metrics");
    let text = String::from_utf8(answer.body).unwrap();
    let name = "switchyard_password_checks_total ";
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

/// The length of all files in a folder and below it; those that go meanwhile count for nothing.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let length = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(length).sum()
}
