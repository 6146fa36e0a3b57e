//! What the recordings do not hold.

use super::recordings::Replay;
use crate::protocol::{MAX_LINE_BYTES, Phase};
use Phase::{Activation, Building, Download, Evaluation};

#[test]
fn counts_are_those_nix_said_last_even_if_they_never_meet() {
    let mut replay = Replay::lines(&[
        r#"@nix {"action":"start","id":9007199254740993,"level":0,"parent":0,"text":"","type":104}"#,
        r#"@nix {"action":"result","fields":[0,16,1,0],"id":9007199254740993,"type":105}"#,
    ]);
    assert_eq!(replay.phases(), [Building]);
    replay.line(
        r#"@nix {"action":"result","fields":[15,16,0,0],"id":9007199254740993,"type":105}"#,
        true,
    );
    replay.line(
        r#"@nix {"action":"result","fields":[99,99,0,0],"id":9007199254740992,"type":105}"#,
        true,
    );
    replay.line("activating the configuration...", true);
    assert_eq!(replay.counts(), [Some(15), Some(16), Some(0), Some(0)]);
    replay.decoder.step_begins();
    assert_eq!(replay.counts(), [Some(15), Some(16), Some(0), Some(0)]);
}

#[test]
fn a_download_counts_paths_until_something_is_built() {
    let mut replay = Replay::lines(&[
        r#"@nix {"action":"start","id":1,"level":0,"text":"","type":104}"#,
        r#"@nix {"action":"start","id":2,"level":0,"text":"","type":103}"#,
        r#"@nix {"action":"result","fields":[0,4,0,0],"id":1,"type":105}"#,
        r#"@nix {"action":"result","fields":[1,5,2,0],"id":2,"type":105}"#,
    ]);
    assert_eq!(replay.phases(), [Download]);
    assert_eq!(replay.counts(), [Some(1), Some(5), Some(2), Some(0)]);
    replay.line(
        r#"@nix {"action":"start","id":3,"level":3,"text":"building '/nix/store/00000000000000000000000000000000-a.drv'","type":105,"fields":["/nix/store/00000000000000000000000000000000-a.drv","",1,1]}"#,
        true,
    );
    assert_eq!(replay.phases(), [Download, Building]);
    assert_eq!(replay.counts(), [Some(0), Some(4), Some(0), Some(0)]);
}

#[test]
fn a_second_nix_begins_anew() {
    let set = |first: u64| {
        [
            format!(
                r#"@nix {{"action":"start","id":{first},"level":4,"text":"evaluating derivation 'x'","type":0}}"#
            ),
            format!(r#"@nix {{"action":"stop","id":{first}}}"#),
            format!(
                r#"@nix {{"action":"start","id":{},"level":0,"text":"","type":104}}"#,
                first + 1
            ),
            format!(
                r#"@nix {{"action":"result","id":{},"type":105,"fields":[1,1,0,0]}}"#,
                first + 1
            ),
            format!(r#"@nix {{"action":"stop","id":{}}}"#, first + 1),
        ]
    };
    let mut replay = Replay::default();
    for line in set(10) {
        replay.line(&line, true);
    }
    replay.line("building the system configuration...", true);
    for line in &set(20)[..1] {
        replay.line(line, true);
    }
    assert_eq!(replay.phases(), [Evaluation, Building, Evaluation]);
    assert_eq!(replay.counts(), [None; 4]);
    for line in &set(20)[1..] {
        replay.line(line, true);
    }
    assert_eq!(replay.counts(), [Some(1), Some(1), Some(0), Some(0)]);
}

#[test]
fn an_evaluation_that_builds_goes_on_after_its_builds() {
    let replay = Replay::lines(&[
        r#"@nix {"action":"start","id":1,"level":4,"text":"evaluating derivation 'x'","type":0}"#,
        r#"@nix {"action":"start","id":2,"level":0,"text":"","type":104}"#,
        r#"@nix {"action":"result","id":2,"type":105,"fields":[0,1,1,0]}"#,
        r#"@nix {"action":"stop","id":2}"#,
    ]);
    assert_eq!(replay.phases(), [Evaluation, Building, Evaluation]);
    assert_eq!(replay.counts(), [None; 4]);
}

#[test]
fn a_message_of_many_lines_is_many_lines_with_their_colours() {
    let replay = Replay::lines(&[
        r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m Cannot build 'x.drv'.\n       Reason: failed.\r\n\tend"}"#,
        r#"@nix {"action":"msg","level":4,"msg":"only with -v"}"#,
        r#"@nix {"action":"start","id":1,"level":3,"text":"copying things","type":0}"#,
        r#"@nix {"action":"start","id":2,"level":4,"text":"only with -v","type":0}"#,
        r#"@nix {"action":"result","id":7,"type":101,"fields":["of a builder nobody knows"]}"#,
    ]);
    assert_eq!(
        replay.log,
        [
            "\x1b[31;1merror:\x1b[0m Cannot build 'x.drv'.",
            "       Reason: failed.",
            "\tend",
            "only with -v",
            "copying things...",
            "only with -v...",
            "of a builder nobody knows",
        ]
    );
    let message = replay.failure(1).message;
    assert!(
        message.contains("error: Cannot build 'x.drv'.\n       Reason: failed."),
        "{message}"
    );
}

#[test]
fn a_post_build_hook_says_that_it_is_one() {
    let replay = Replay::lines(&[
        r#"@nix {"action":"start","id":1,"level":4,"text":"hook","type":110,"fields":["/nix/store/00000000000000000000000000000000-a.drv"]}"#,
        r#"@nix {"action":"result","id":1,"type":107,"fields":["uploaded"]}"#,
    ]);
    assert_eq!(replay.log, ["a (post)> uploaded"]);
}

#[test]
fn what_cannot_be_decoded_is_kept_as_it_came() {
    let odd = [
        "@nix",
        "@nix ",
        "@nix {",
        "@nix {}",
        r#"@nix {"action":"start"}"#,
        "@nixos rebuild",
    ];
    assert_eq!(Replay::lines(&odd).log, odd);
}

#[test]
fn what_an_activation_prints_never_looks_like_a_build() {
    let replay = Replay::lines(&[
        "Apr 05 11:04:28 host switch-to-configuration[123]: stopping the following units: a",
        "building '/nix/store/x-home-manager-path.drv'...",
        "building the system configuration...",
        r#"@nix {"action":"start","id":1,"level":3,"text":"building 'x.drv'","type":105}"#,
        "copying path '/nix/store/x' from 'https://cache'...",
    ]);
    assert_eq!(replay.phases(), [Activation]);
}

#[test]
fn an_error_that_the_run_survived_is_not_its_error() {
    let mut replay = Replay::lines(&[
        "error: flake does not provide attribute 'nixos-rebuild'",
        "building the system configuration...",
    ]);
    assert!(!replay.failure(1).message.contains("does not provide"));
    replay.line("error: attribute 'x' missing", true);
    replay.line("activating the configuration...", true);
    replay.line("Failed to start a.service", true);
    let words = "The system is switched, but these units failed: a.service (could not be started)";
    assert_eq!(replay.failure(4).causes[0].summary, words);
}

#[test]
fn plain_text_counts_what_is_over() {
    let mut replay = Replay::lines(&[
        "these 3 derivations will be built:",
        "building '/nix/store/a.drv'...",
        "building '/nix/store/b.drv'...",
    ]);
    assert_eq!(replay.counts(), [Some(1), Some(3), None, None]);
    replay.line("building '/nix/store/c.drv'...", true);
    replay.line("updating GRUB 2 menu...", true);
    assert_eq!(replay.counts(), [Some(3), Some(3), None, None]);
}

#[test]
fn a_flood_of_activities_is_not_remembered() {
    let mut replay = Replay::default();
    for id in 0..30_000 {
        replay.line(
            &format!(
                r#"@nix {{"action":"start","id":{id},"level":9,"text":"","type":105,"fields":["/nix/store/00000000000000000000000000000000-n{id}.drv"]}}"#
            ),
            true,
        );
    }
    for id in [0, 29_999] {
        replay.line(
            &format!(r#"@nix {{"action":"result","id":{id},"type":101,"fields":["x"]}}"#),
            true,
        );
    }
    assert_eq!(replay.log, ["n0> x", "x"]);
}

#[test]
fn a_decoded_line_over_64_kib_is_split_between_characters() {
    let long = "ü".repeat(50_000);
    let replay = Replay::lines(&[
        &format!(r#"@nix {{"action":"msg","level":1,"msg":"x{long}"}}"#),
        &long,
    ]);
    assert!(replay.log.iter().all(|line| line.len() <= MAX_LINE_BYTES));
    assert_eq!(replay.log.concat(), format!("x{long}{long}"));
}

#[test]
fn the_builds_of_another_machines_nix_do_not_take_the_place_of_our_own() {
    let mut replay = Replay::lines(&[
        r#"@nix {"action":"start","id":2,"level":0,"parent":0,"text":"","type":102}"#,
        r#"@nix {"action":"start","id":3,"level":0,"parent":0,"text":"","type":104}"#,
        r#"@nix {"action":"result","fields":[3,9,1,0],"id":3,"type":105}"#,
        r#"@nix {"action":"start","id":4,"level":0,"parent":2,"text":"","type":104}"#,
        r#"@nix {"action":"result","fields":[0,1,1,0],"id":4,"type":105}"#,
        r#"@nix {"action":"stop","id":4}"#,
    ]);
    assert_eq!(replay.counts(), [Some(3), Some(9), Some(1), Some(0)]);
    replay.line(
        r#"@nix {"action":"result","fields":[4,9,1,0],"id":3,"type":105}"#,
        true,
    );
    assert_eq!(replay.counts(), [Some(4), Some(9), Some(1), Some(0)]);
    // That of a re-execution has no parent.
    replay.line(
        r#"@nix {"action":"start","id":5,"level":0,"parent":0,"text":"","type":104}"#,
        true,
    );
    replay.line(
        r#"@nix {"action":"result","fields":[1,9223372036854775808,0,0],"id":5,"type":105}"#,
        true,
    );
    assert_eq!(replay.counts(), [Some(1), None, Some(0), Some(0)]);
}
