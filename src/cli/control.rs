//! `switchyard admin`: asks the running dashboard over the socket in its data folder.

use super::Failure;
use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use switchyard::dashboard::serve::SOCKET;

/// How long the dashboard may take to answer.
const WITHIN: Duration = Duration::from_secs(30);

/// What is asked.
#[derive(Subcommand)]
pub(super) enum Wish {
    /// List all tokens with their ids, revoked ones too
    Tokens,
    /// Create another token for a host; the one it has stays valid
    NewToken {
        /// Host name
        host: String,
    },
    /// Create an enrolment secret: one host gets its own token with it, once
    NewEnrolment {
        /// Hosts that may use it, such as "web-*,db1"
        hosts: String,
        /// How long it is valid
        #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
        expires: u32,
    },
    /// Revoke tokens; connections with them are closed at once
    Revoke {
        /// Token ids, or host names to revoke all tokens of a host
        #[arg(required = true)]
        tokens: Vec<String>,
    },
    /// List the sessions of signed-in browsers
    Sessions,
    /// End all sessions, or all sessions of one user
    EndSessions {
        /// User name
        user: Option<String>,
    },
    /// Show the newest records of the audit log
    Audit {
        /// Number of records
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Check the files of the audit log instead: that no record was changed, removed or added
        #[arg(long, conflicts_with = "limit")]
        verify: bool,
    },
}

/// Asks, and prints what is answered.
pub(super) fn ask(data_dir: &Path, wish: &Wish) -> Result<(), Failure> {
    let socket = data_dir.join(SOCKET);
    let request = |method: &str, path: &str, body: &Value| send(&socket, method, path, body);
    let get = |path: &str| request("GET", path, &Value::Null);
    match wish {
        Wish::Tokens => each(&get("/api/tokens")?["tokens"]),
        Wish::Sessions => each(&get("/api/sessions")?["sessions"]),
        Wish::Audit { verify: true, .. } => verify(data_dir),
        Wish::Audit { limit, .. } => each(&get(&format!("/api/audit?limit={limit}"))?["records"]),
        Wish::NewToken { host } => {
            let wish = json!({"kind": "agent", "host_id": host});
            told(&request("POST", "/api/tokens", &wish)?, host)
        }
        Wish::NewEnrolment { hosts, expires } => {
            let expires =
                switchyard::protocol::Timestamp::now().millis() + i64::from(*expires) * 1000;
            let expires = switchyard::protocol::Timestamp::from_millis(expires);
            let wish = json!({"kind": "enrolment", "hosts": hosts, "expires": expires});
            told(&request("POST", "/api/tokens", &wish)?, hosts)
        }
        Wish::Revoke { tokens } => {
            let all = get("/api/tokens")?;
            for id in named(&all, tokens)? {
                request("DELETE", &format!("/api/tokens/{id}"), &Value::Null)?;
                writeln!(io::stdout(), "{id} is revoked")?;
            }
            Ok(())
        }
        Wish::EndSessions { user } => {
            let of = user.as_ref().map(|user| format!("?user={user}"));
            let path = format!("/api/sessions{}", of.unwrap_or_default());
            let ended = request("DELETE", &path, &Value::Null)?;
            writeln!(io::stdout(), "sessions ended: {}", ended["ended"])?;
            Ok(())
        }
    }
}

/// Checks the files of the audit log, with the dashboard or without it.
fn verify(data_dir: &Path) -> Result<(), Failure> {
    let found = switchyard::dashboard::verify_audit_log(data_dir)?;
    let mut out = io::stdout();
    writeln!(
        out,
        "no change found in the audit log: {} records, {} of them checked against the record before, {} unreadable",
        found.records, found.chained, found.unreadable
    )?;
    if let Some(last) = found.last {
        writeln!(out, "last hash: {last}")?;
    }
    Ok(())
}

/// The ids of the tokens that are meant, which must be there.
fn named(all: &Value, meant: &[String]) -> anyhow::Result<Vec<String>> {
    let tokens = all["tokens"].as_array().cloned().unwrap_or_default();
    let live = tokens.iter().filter(|token| token["revoked"].is_null());
    let live: Vec<&Value> = live.collect();
    let mut ids = Vec::new();
    for name in meant {
        let of = live
            .iter()
            .filter(|token| token["id"] == **name || token["host_id"] == **name);
        let found: Vec<_> = of.filter_map(|token| token["id"].as_str()).collect();
        if found.is_empty() {
            bail!(
                "{name} is neither the id of a valid token nor a host that has one; list them with `switchyard admin tokens`"
            );
        }
        ids.extend(found.into_iter().map(str::to_owned));
    }
    Ok(ids)
}

/// One JSON object a line.
fn each(values: &Value) -> Result<(), Failure> {
    for value in values.as_array().into_iter().flatten() {
        writeln!(io::stdout(), "{value}")?;
    }
    Ok(())
}

/// The secret on standard output, what names it beside it.
fn told(made: &Value, name: &str) -> Result<(), Failure> {
    let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
    writeln!(io::stdout(), "{name} {}", text("token"))?;
    writeln!(io::stderr(), "token id: {}", text("id"))?;
    Ok(())
}

fn send(socket: &Path, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    if path.bytes().any(|b| b.is_ascii_control() || b == b' ') {
        bail!("names and ids must not contain spaces or control characters");
    }
    let mut stream = UnixStream::connect(socket).with_context(|| {
        let socket = socket.display();
        format!("no dashboard answers at {socket}; check that it is running, and run this as its user or as root")
    })?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let length = body.len();
    // To a client of HTTP/1.0 no answer comes in chunks: its end is that of the connection.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the dashboard closed the connection without an answer; its log may say why")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('2') {
        return match body {
            "" => Ok(Value::Null),
            body => serde_json::from_str(body).context("the dashboard's answer cannot be read"),
        };
    }
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    Err(anyhow!(
        "the dashboard answered {status}: {}",
        value["detail"].as_str().unwrap_or_default()
    ))
}
