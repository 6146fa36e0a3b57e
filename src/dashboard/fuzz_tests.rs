//! Everything of the dashboard's own that parses what a peer sends: no input makes it panic or grow.

#[path = "../../tests/common/mutation.rs"]
mod mutation;

use super::api;
use super::auth;
use super::live;
use super::search::{Expression, Syntax};
use mutation::{cases, fuzz};

#[test]
fn any_query_and_body_is_read_or_refused() {
    let examples: &[&[u8]] = &[
        b"q=error%3A&regex=1&case=0&from=18446744073709551615&limit=10",
        b"from=0&limit=10000",
        b"limit=50&before=2025-12-14T10-30-00-switch",
        b"format=json&run=2025-12-14T10-30-00-switch",
        br#"{"command":"switch","expires":3600,"force":true}"#,
        br#"{"hosts":["h1","h2"],"command":"switch"}"#,
        br#"{"user":"a","password":"b","code":"000000"}"#,
        br#"{"kind":"api","name":"ci","role":"viewer","hosts":"web-*","expires":"2027-01-31T00:00:00Z"}"#,
        br#"{"type":"subscribe","sub":"x","host_id":"h1","run_id":"2025-12-14T10-30-00-switch","from":-100}"#,
    ];
    fuzz(
        "queries and bodies",
        cases(30_000, 10_000_000),
        examples,
        |bytes| {
            api::try_parsing(bytes);
            live::try_parsing(bytes);
        },
    );
}

#[test]
fn any_expression_is_compiled_or_refused_within_its_memory() {
    let examples: &[&[u8]] = &[
        b"(a+)+$",
        b"\\p{L}{1,50}",
        b"(?i)[^x]*|y{3}",
        b"((a{0,9}){0,9}){0,9}",
    ];
    fuzz("expressions", cases(2_000, 10_000_000), examples, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for syntax in [Syntax::Regex, Syntax::Literal] {
            if let Ok(expression) = Expression::compile(&text, syntax, false) {
                let lines = b"[10:30:00] aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\n";
                let _ = expression.first_line(lines, 11, &mut expression.caches());
            }
        }
    });
}

#[test]
fn any_header_and_credentials_file_is_read_or_refused() {
    let users = format!(
        "alice admin {} totp=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ hosts=a*,b expires=2027-01-31T00:00:00Z\nbob viewer proxy\n",
        auth::DUMMY
    );
    let agents = format!(
        "h1 {}\nh2 {}\n",
        auth::SecretHash::of("a"),
        auth::SecretHash::of("b")
    );
    let examples: &[&[u8]] = &[
        users.as_bytes(),
        agents.as_bytes(),
        b"fleet.example.org:8443",
        b"[::1]:8000",
        b"http://127.0.0.1:8000",
        b"a=1; switchyard=abc; __Host-switchyard=def",
        b"Bearer 0123456789abcdef",
        b"198.51.100.7, ::ffff:10.0.0.1, 2001:db8::1",
    ];
    fuzz(
        "headers and credentials",
        cases(20_000, 10_000_000),
        examples,
        |bytes| {
            auth::try_parsing(bytes);
        },
    );
}
