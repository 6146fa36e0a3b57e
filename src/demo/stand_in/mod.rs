//! What the demo's hosts have in place of `nixos-rebuild`: it prints what the real one prints, on the streams
//! and at the pace of the real one, and changes nothing.

mod activation;
mod dice;
mod nix;
mod plan;
mod texts;

use super::fleet::{ASSERTION, BROKEN_BUILD, BROKEN_UNIT};
use dice::Dice;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The name of the link to what the real nix built.
const RESULT: &str = "result";

/// What it is asked to do.
#[derive(Clone, Debug)]
pub struct Request {
    /// `switch`, `test`, `boot`, `build`, `rollback` or `update`.
    pub action: String,
    /// The host it does it for.
    pub host: String,
    /// A folder of the host's own, for how often it was asked and for the real nix.
    pub state: PathBuf,
    /// A nix expression to build for real.
    pub system: Option<PathBuf>,
}

/// What can go wrong with the stand-in itself.
#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    /// Its output goes nowhere.
    #[error("cannot write: {0}")]
    Write(#[source] io::Error),
    /// Its state cannot be kept.
    #[error("{}: {source}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// nix cannot be started.
    #[error("nix cannot be started: {0}")]
    Nix(#[source] io::Error),
}

/// Where a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// Something printed, so many milliseconds after the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    at: u64,
    stream: Stream,
    /// With its newline, if it has one.
    text: String,
}

impl Event {
    fn line(at: u64, stream: Stream, line: &str) -> Self {
        let text = format!("{line}\n");
        Self { at, stream, text }
    }
}

/// How a run ends that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    Assertion,
    Builder,
    Unit,
}

/// The first run of some hosts goes wrong, and every sixth one of each host.
fn mishap(host: &str, count: u64) -> Option<Mishap> {
    let turn = count + host.bytes().map(u64::from).sum::<u64>();
    if count == 0 {
        match host {
            ASSERTION => Some(Mishap::Assertion),
            BROKEN_BUILD => Some(Mishap::Builder),
            BROKEN_UNIT => Some(Mishap::Unit),
            _ => None,
        }
    } else if !turn.is_multiple_of(6) {
        None
    } else if turn.is_multiple_of(12) {
        Some(Mishap::Unit)
    } else {
        Some(Mishap::Builder)
    }
}

/// Does it, and gives the code to exit with.
pub fn rebuild(request: &Request) -> Result<u8, StandInError> {
    let count = next_count(&request.state.join("rebuilds"))?;
    let mishap = mishap(&request.host, count);
    let mut dice = Dice::new(&request.host, count);
    if request.action == "update" {
        play(&plan::update(&mut dice))?;
        return Ok(0);
    }
    let mut system = texts::system_path(&request.host, &mut dice);
    let mut code = 0;
    if request.action != "rollback" {
        if let Some(expression) = &request.system {
            play(&plan::begin())?;
            code = really_build(expression, &request.state)?;
            if let Ok(built) = fs::read_link(request.state.join(RESULT)) {
                system = built.display().to_string();
            }
        } else if mishap == Some(Mishap::Assertion) {
            play(&plan::assertion(&request.host, &mut dice))?;
            code = 1;
        } else {
            let broken = mishap == Some(Mishap::Builder);
            play(&plan::build(&request.host, &system, broken, &mut dice))?;
            code = u8::from(broken);
        }
    }
    if code == 0 {
        let failed_unit = mishap == Some(Mishap::Unit);
        let activation = activation::events(&request.action, &system, failed_unit, &mut dice);
        play(&activation.events)?;
        code = activation.code;
    }
    Ok(code)
}

/// How often this host was asked before.
fn next_count(path: &Path) -> Result<u64, StandInError> {
    let count = match fs::read_to_string(path) {
        Ok(text) => text.trim().parse().unwrap_or_default(),
        Err(_) => 0,
    };
    fs::write(path, (count + 1).to_string()).map_err(|source| StandInError::State {
        path: path.to_owned(),
        source,
    })?;
    Ok(count)
}

/// Prints each event at its time.
fn play(events: &[Event]) -> Result<(), StandInError> {
    let begin = Instant::now();
    for event in events {
        let due = Duration::from_millis(event.at);
        sleep(due.saturating_sub(begin.elapsed()));
        match event.stream {
            Stream::Out => print(io::stdout(), &event.text),
            Stream::Err => print(io::stderr(), &event.text),
        }
        .map_err(StandInError::Write)?;
    }
    Ok(())
}

fn print(mut stream: impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// Builds with the nix of this machine, in a store of its own; its output is ours.
fn really_build(expression: &Path, state: &Path) -> Result<u8, StandInError> {
    let folder = |name: &str| state.join("nix").join(name);
    let temporary = folder("tmp");
    fs::create_dir_all(&temporary).map_err(|source| StandInError::State {
        path: temporary.clone(),
        source,
    })?;
    let features = "nix-command";
    let status = Command::new("nix")
        .args(["--extra-experimental-features", features, "build"])
        .args(["--log-format", "internal-json", "--out-link"])
        .arg(state.join(RESULT))
        .args(["--option", "sandbox", "false"])
        .args(["--option", "substituters", ""])
        .args(["--option", "build-users-group", ""])
        .arg("-f")
        .arg(expression)
        .arg("toplevel")
        .env("NIX_REMOTE", "")
        .env("NIX_STORE_DIR", folder("store"))
        .env("NIX_STATE_DIR", folder("var"))
        .env("NIX_LOG_DIR", folder("log"))
        .env("NIX_CONF_DIR", folder("etc"))
        .env("TMPDIR", temporary)
        .env("HOME", folder("home"))
        .env("XDG_CACHE_HOME", folder("cache"))
        .status()
        .map_err(StandInError::Nix)?;
    Ok(status
        .code()
        .and_then(|code| code.try_into().ok())
        .unwrap_or(1))
}

#[cfg(test)]
mod tests;
