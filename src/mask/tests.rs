use super::*;
use proptest::prelude::*;

fn masker() -> Masker {
    Masker::new(&Masking::default()).unwrap()
}

fn masked(line: &str) -> String {
    masker().line(&mut State::default(), line).into_owned()
}

const KEY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";

#[test]
fn what_is_assigned_to_a_secrets_name_is_masked() {
    for (line, want) in [
        ("password=hunter2", "password=***"),
        ("DB_PASSWORD=hunter2 next", "DB_PASSWORD=*** next"),
        ("--token=abc --x=y", "--token=*** --x=y"),
        ("token = \"a b\" rest", "token = \"***\" rest"),
        ("password='a b'", "password='***'"),
        ("GET /x?token=abc&page=2", "GET /x?token=***&page=2"),
        ("{\\\"token=\\\"abc\\\"", "{\\\"token=\\\"***\\\""),
        ("API_KEY=1 api-key=2", "API_KEY=*** api-key=***"),
        ("password=a,b;c\\d rest", "password=*** rest"),
        ("password=a&b rest", "password=*** rest"),
        ("token=\"a\\\"b\" rest", "token=\"***\" rest"),
        ("x?a=1&token=b&c=d", "x?a=1&token=***&c=d"),
        ("AWS_SECRET_ACCESS_KEY=a/b+c", "AWS_SECRET_ACCESS_KEY=***"),
        ("wg_private_key = a=", "wg_private_key = ***"),
        ("a password is asked for", "a password is asked for"),
        ("x=1 y=2", "x=1 y=2"),
        ("token=", "token="),
    ] {
        assert_eq!(masked(line), want);
    }
}

#[test]
fn tokens_of_nix_and_in_addresses_are_masked() {
    let token = format!("ghp_{}", "a1".repeat(18));
    for (line, want) in [
        (
            format!("access-tokens = github.com={token} gitlab.com=OAuth2:x"),
            "access-tokens = ***".to_owned(),
        ),
        (
            format!("nix --option access-tokens github.com={token}"),
            "nix --option access-tokens ***".to_owned(),
        ),
        (format!("using {token} now"), "using *** now".to_owned()),
        (
            "fatal: https://bob:hunter2@git.example.org/x: no".to_owned(),
            "fatal: https://bob:***@git.example.org/x: no".to_owned(),
        ),
        (
            "> Authorization: Bearer 0123456789abcdef.x".to_owned(),
            "> Authorization: Bearer ***".to_owned(),
        ),
        (
            "> authorization: Basic dXNlcjpwYXNz".to_owned(),
            "> authorization: Basic ***".to_owned(),
        ),
        (
            "fatal: https://bob:hunter@2@git.example.org/x: no".to_owned(),
            "fatal: https://bob:***@git.example.org/x: no".to_owned(),
        ),
        (
            "copying path '/nix/store/x' from 'https://cache.nixos.org'".to_owned(),
            "copying path '/nix/store/x' from 'https://cache.nixos.org'".to_owned(),
        ),
    ] {
        assert_eq!(masked(&line), want);
    }
}

#[test]
fn a_private_key_is_masked_over_all_its_lines_and_other_lines_are_not() {
    let lines = [
        ("foo> -----BEGIN RSA PRIVATE KEY-----", "foo> ***"),
        ("foo> Proc-Type: 4,ENCRYPTED", "foo> Proc-Type: 4,ENCRYPTED"),
        (&format!("foo> {KEY}"), "foo> ***"),
        ("bar> checking for gcc", "bar> checking for gcc"),
        (KEY, "***"),
        ("foo> kQ==", "foo> ***"),
        ("foo> -----END RSA PRIVATE KEY-----", "***"),
        (&format!("sha256 {KEY}"), &format!("sha256 {KEY}")),
        ("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"),
        (KEY, KEY),
    ];
    let (masker, mut state) = (masker(), State::default());
    for (line, want) in lines {
        assert_eq!(masker.line(&mut state, line), want);
    }
    let inline =
        format!("key: -----BEGIN PRIVATE KEY-----\\n{KEY}\\n-----END PRIVATE KEY----- done");
    assert_eq!(masked(&inline), "key: *** done");
    assert_eq!(
        masker.text(&format!("a\n-----BEGIN PRIVATE KEY-----\n{KEY}")),
        "a\n***\n***"
    );
}

#[test]
fn colours_in_the_midst_of_a_secret_do_not_help_it_through() {
    for line in [
        "\x1b[1mpassword\x1b[0m=\x1b[1;32mhunter2\x1b[0m",
        "pass\x1b[0mword=hunter2",
        "password=hun\x1b[31mter2",
        "password\x1b[0m=\"hun\x1b[31mter2\"",
        "\x1b]0;password=hunter2",
        "\x1b]0;password=hunter2\x07rest",
    ] {
        let got = masked(line);
        assert!(got.contains(MASK) && !got.contains("ter2"), "{got:?}");
    }
    let colours = "\x1b[31;1merror:\x1b[0m nothing to hide, x=1";
    assert_eq!(masked(colours), colours);
    let (masker, mut state) = (masker(), State::default());
    for line in [
        "\x1b[35mfoo> \x1b[0m-----BEGIN \x1b[1mPRIVATE KEY-----".to_owned(),
        format!("\x1b[35mfoo> \x1b[0m{KEY}"),
        format!("\x1b[2m{KEY}\x1b[0m"),
    ] {
        let got = masker.line(&mut state, &line);
        assert!(got.ends_with(MASK), "{got:?}");
    }
}

#[test]
fn a_private_key_that_is_shown_as_a_list_of_its_lines_is_masked() {
    let (masker, mut state) = (masker(), State::default());
    masker.line(&mut state, "\"-----BEGIN PRIVATE KEY-----\\n\" +");
    for line in [
        format!("  \"{KEY}\\n\" +"),
        format!("  '{KEY}',"),
        format!("\"{KEY}\\r\\n\""),
    ] {
        let got = masker.line(&mut state, &line);
        assert!(got.ends_with(MASK) && !got.contains("MII"), "{got:?}");
    }
}

#[test]
fn a_key_without_end_is_given_up() {
    let (masker, mut state) = (masker(), State::default());
    masker.line(&mut state, "-----BEGIN PRIVATE KEY-----");
    for _ in 0..400 {
        assert_eq!(masker.line(&mut state, KEY), "***");
    }
    assert_eq!(masker.line(&mut state, KEY), KEY);
}

#[test]
fn patterns_of_ones_own_mask_their_group_or_all_that_matches() {
    let patterns = vec!["pin (\\d+)".to_owned(), "geheim".to_owned()];
    let masking = Masking {
        defaults: false,
        patterns,
    };
    let masker = Masker::new(&masking).unwrap();
    let line = masker.line(&mut State::default(), "pin 123 geheim token=x");
    assert_eq!(line, "pin *** *** token=x");
    let bad = Masking {
        defaults: true,
        patterns: vec!["(".to_owned()],
    };
    assert!(Masker::new(&bad).is_err());
}

#[test]
fn a_line_never_grows_over_what_a_line_may_be() {
    let line = "token=a ".repeat(MAX_LINE_BYTES / 8);
    assert!(masked(&line).len() <= MAX_LINE_BYTES);
}

proptest! {
    #[test]
    fn no_value_of_a_secret_gets_through(
        before in "[ -~]{0,30}",
        name in "(?i)(token|password)",
        value in "[A-Za-z0-9!$%*+.:?@_~-]{12,40}",
    ) {
        let line = format!("{before} {name}={value} end");
        let got = masked(&line);
        prop_assert!(!got.contains(&value), "{got}");
    }

    #[test]
    fn any_lines_are_masked_without_a_panic(lines in proptest::collection::vec(".{0,80}", 0..20)) {
        let (masker, mut state) = (masker(), State::default());
        for line in &lines {
            prop_assert!(masker.line(&mut state, line).len() <= MAX_LINE_BYTES);
        }
    }
}
