//! Which packages a run fetches and builds, and when.

use super::dice::Dice;
use super::nix::{Change, Derivation, Nix};
use super::{Event, Stream, texts};

/// How many builders work at a time.
const BUILDERS: usize = 2;

/// The first line of every run.
pub(super) fn begin() -> Vec<Event> {
    vec![Event::line(
        0,
        Stream::Err,
        "building the system configuration...",
    )]
}

/// The events of evaluation, downloads and builds. `broken`: a builder fails.
pub(super) fn build(host: &str, system: &str, broken: bool, dice: &mut Dice) -> Vec<Event> {
    let downloads = dice.some(&texts::CACHED);
    let mut compiled = dice.some(&texts::COMPILED[..2]);
    compiled.extend(dice.some(&texts::COMPILED[2..]).first());
    let mut names = dice.some(&texts::CONFIGURATION[..12]);
    names.extend(&texts::CONFIGURATION[12..]);
    let last = compiled.len() - 1;
    let mut derivations: Vec<Derivation> = Vec::new();
    for (i, name) in compiled.iter().enumerate() {
        let mut log = texts::compilation(name, dice);
        let fails = broken && i == last;
        if fails {
            log.truncate(40);
            log.extend(texts::BROKEN.map(str::to_owned));
        }
        derivations.push(Derivation::new(name, log, fails, dice));
    }
    for name in names {
        derivations.push(Derivation::new(name, texts::assembly(name), false, dice));
    }
    let top = system.split_once('-').map_or(system, |(_, name)| name);
    derivations.push(Derivation::new(top, Vec::new(), false, dice));

    let evaluated = dice.between(1_800, 3_200);
    let mut changes = fetch(&downloads, evaluated + 200, dice);
    let fetched = changes.last().map_or(evaluated, |change| change.0);
    changes.extend(schedule(&derivations, fetched + 150, dice));
    changes.sort_by_key(|change| change.0);

    let mut nix = Nix::new(dice);
    nix.evaluate(host, evaluated);
    nix.announce(evaluated, &derivations, &downloads);
    let end = nix.run(evaluated, &changes, &derivations, &downloads);
    let mut events = begin();
    events.extend(nix.into_events());
    if broken {
        events.push(build_failed(end + 50, host));
    }
    events
}

/// The last line of a `nixos-rebuild` whose build failed.
fn build_failed(at: u64, host: &str) -> Event {
    let call = format!(
        "Command 'nix --extra-experimental-features 'nix-command flakes' build --print-out-paths \
         '.#nixosConfigurations.\"{host}\".config.system.build.toplevel' --no-link --log-format internal-json' \
         returned non-zero exit status 1."
    );
    Event::line(at, Stream::Err, &call)
}

/// The events of an evaluation that ends with a failed assertion.
pub(super) fn assertion(host: &str, dice: &mut Dice) -> Vec<Event> {
    let evaluated = dice.between(1_800, 3_200);
    let mut nix = Nix::new(dice);
    nix.evaluate(host, evaluated);
    nix.error(texts::ASSERTION);
    let mut events = begin();
    events.extend(nix.into_events());
    events.push(build_failed(evaluated + 50, host));
    events
}

/// Fetches three paths at a time.
fn fetch(downloads: &[(&str, u64)], begin: u64, dice: &mut Dice) -> Vec<(u64, Change)> {
    let mut changes = Vec::new();
    let mut free = [begin; 3];
    for (i, (_, kib)) in downloads.iter().enumerate() {
        free.sort_unstable();
        let start = free[0];
        let duration = dice.between(150, 400) + (kib / 400).min(1_600);
        changes.push((start, Change::FetchBegins(i)));
        for quarter in 1..=3 {
            let at = start + duration * quarter / 4;
            changes.push((at, Change::Fetched(i, kib * 256 * quarter)));
        }
        free[0] = start + duration;
        changes.push((free[0], Change::FetchEnds(i)));
    }
    changes.sort_by_key(|change| change.0);
    changes
}

/// Gives the derivations to the builders, the last one when all others are done. A failure ends what comes
/// after it.
fn schedule(derivations: &[Derivation], begin: u64, dice: &mut Dice) -> Vec<(u64, Change)> {
    let mut changes = Vec::new();
    let mut free = [begin; BUILDERS];
    let mut failure = u64::MAX;
    for (i, derivation) in derivations.iter().enumerate() {
        free.sort_unstable();
        let is_last = i + 1 == derivations.len();
        let start = if is_last { free[BUILDERS - 1] } else { free[0] } + 20;
        if start > failure {
            break;
        }
        changes.push((start, Change::BuildBegins(i)));
        let mut now = start + dice.between(20, 120);
        for line in 0..derivation.log.len() {
            now += dice.between(5, 70);
            changes.push((now, Change::Log(i, line)));
        }
        now += dice.between(80, 350);
        if derivation.fails {
            failure = now;
            changes.push((now, Change::BuildFails(i)));
        } else {
            changes.push((now, Change::BuildEnds(i)));
        }
        free[0] = now;
    }
    // nix waits for no builder that still works when another has failed.
    changes.retain(|(at, _)| *at <= failure);
    changes
}

/// The events of `nix flake update`.
pub(super) fn update(dice: &mut Dice) -> Vec<Event> {
    let (before, after) = (dice.revision(), dice.revision());
    let fetched = dice.between(1_500, 3_000);
    let input = |arrow: &str, revision: &str, date: &str| {
        format!("  {arrow} 'github:NixOS/nixpkgs/{revision}' ({date})")
    };
    let line = |at, line: &str| Event::line(at, Stream::Err, line);
    vec![
        line(
            200,
            &format!("unpacking 'github:NixOS/nixpkgs/{after}' into the Git cache..."),
        ),
        line(fetched, "warning: updating lock file \"flake.lock\":"),
        line(fetched, "• Updated input 'nixpkgs':"),
        line(fetched, &input(" ", &before, "2026-11-09")),
        line(fetched, &input("→", &after, "2026-11-20")),
    ]
}
