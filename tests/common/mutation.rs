//! Bytes that are nearly right: examples, changed at random. For tests of everything that parses what a peer sends.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::explicit_write,
    reason = "a helper that fails is a test that fails; libtest does not capture what is written so"
)]

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

/// Texts that parsers stumble over.
const WORDS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"9223372036854775807",
    b"-9223372036854775809",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xf0\x9f\x98\x80",
    b"\r",
    b"\n",
    b"\t",
    b"%",
    b"%00",
    b"%2e",
    b"..",
    b"/",
    b"=",
    b"#",
    b"'",
    b"\x1b[",
    b"m",
    b"2025-12-14T10:30:00Z",
    b"9999-99-99T99:99:99Z",
    b"+00:00",
    b"type",
    b"host_id",
    b"run_id",
    b"seq",
    b"lines",
];

/// So much of the memory of the process may grow, in KiB: parsers keep nothing.
const MOST_GROWTH_KIB: u64 = 64 * 1024;

/// How many cases: in the normal run few, in `tests/run --long` many.
pub(crate) fn cases(normal: u64, long: u64) -> u64 {
    if std::env::var_os("SWITCHYARD_LONG").is_some() {
        long
    } else {
        normal
    }
}

/// Gives `target` so many inputs made of `examples`; shows the one that made it panic.
pub(crate) fn fuzz(name: &str, cases: u64, examples: &[&[u8]], mut target: impl FnMut(&[u8])) {
    // One at a time: the memory of the process is what is looked at.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed =
        std::env::var("SWITCHYARD_SEED").map_or(now % 1_000_000_000, |seed| seed.parse().unwrap());
    let mut mutation = Mutation {
        state: seed,
        examples,
        input: Vec::new(),
    };
    let began = Instant::now();
    forget_peak();
    let before = kib("VmRSS:");
    for _ in 0..cases {
        mutation.next_input();
        let run = catch_unwind(AssertUnwindSafe(|| target(&mutation.input)));
        if run.is_err() {
            panic!(
                "{name}: SWITCHYARD_SEED={seed}: {:?}",
                String::from_utf8_lossy(&mutation.input)
            );
        }
    }
    let grown = kib("VmRSS:").saturating_sub(before);
    let peak = kib("VmHWM:") / 1024;
    let seconds = began.elapsed().as_secs_f64();
    writeln!(
        std::io::stderr(),
        "{name}: {cases} cases in {seconds:.1} s, {grown} KiB more, at most {peak} MiB; SWITCHYARD_SEED={seed}"
    )
    .unwrap();
    assert!(grown < MOST_GROWTH_KIB, "{name}: {grown} KiB more");
}

/// So that the peak is that of these cases, and not of what ran before; where that may not be, of both.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn kib(of: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(of)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

struct Mutation<'a> {
    state: u64,
    examples: &'a [&'a [u8]],
    input: Vec<u8>,
}

impl Mutation<'_> {
    /// After splitmix64.
    fn number(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % below.max(1) as u64) as usize
    }

    fn next_input(&mut self) {
        let example = self.examples[self.number(self.examples.len())];
        self.input.clear();
        self.input.extend_from_slice(example);
        for _ in 0..=self.number(4) {
            self.change();
        }
    }

    fn change(&mut self) {
        let length = self.input.len();
        let at = self.number(length + 1);
        let to = (at + self.number(16)).min(length);
        match self.number(8) {
            0 => self.input.truncate(at),
            1 => drop(self.input.drain(at..to)),
            2 if at < length => self.input[at] ^= 1 << self.number(8),
            3 if at < length => self.input[at] = self.number(256) as u8,
            4 => {
                let again = self.input[at..to].to_vec();
                drop(self.input.splice(at..at, again));
            }
            5 => {
                let other = self.examples[self.number(self.examples.len())];
                let from = self.number(other.len() + 1);
                self.input.truncate(at);
                self.input.extend_from_slice(&other[from..]);
            }
            _ => {
                let word = WORDS[self.number(WORDS.len())];
                drop(self.input.splice(at..at, word.iter().copied()));
            }
        }
    }
}
