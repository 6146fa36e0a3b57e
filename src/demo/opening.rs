//! What the demo's fleet does by itself at first: runs that fail as runs of real fleets do, so that a newcomer sees
//! what a failure looks like, and one host whose failed deployment is followed by a good pull.

use super::fleet::{ASSERTION, BROKEN_BUILD, BROKEN_UNIT, MISSING_BRANCH};
use crate::lifecycle::Shutdown;
use crate::protocol::Status;
use serde::Deserialize;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is asked for at once. The dashboard keeps it until the host is there.
const AT_ONCE: [(&str, &str); 4] = [
    (BROKEN_BUILD, "switch"),
    (ASSERTION, "switch"),
    (BROKEN_UNIT, "switch"),
    (MISSING_BRANCH, "pull"),
];

/// What is asked for as soon as the host has ended what it does.
const BEHIND: [(&str, &str); 1] = [(BROKEN_UNIT, "pull")];

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Most of an answer of the dashboard that is read.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;
/// After this the host is left alone: somebody else may be busy with it.
const PATIENCE: Duration = Duration::from_secs(180);

/// Asks the dashboard at `address` for the runs of those hosts that are there.
pub(super) async fn play(address: SocketAddr, hosts: Vec<String>, shutdown: Shutdown) {
    let play = async {
        for commands in [&AT_ONCE[..], &BEHIND] {
            for (host, command) in commands {
                if hosts.iter().any(|name| name == host) {
                    ask_until_taken(address, host, command).await;
                }
            }
        }
    };
    tokio::select! {
        () = play => {}
        () = shutdown.wait() => {}
    }
}

/// Waits until the host does nothing, and asks then: each request that is refused is written into the audit log.
async fn ask_until_taken(address: SocketAddr, host: &str, command: &str) {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, ask_if_free(address, host, command));
        match answer
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        {
            Ok(Some(202)) => return,
            Ok(Some(status)) => tracing::debug!(host, command, status, "command not accepted yet"),
            Ok(None) => {}
            Err(error) => tracing::debug!(host, command, %error, "command not sent yet"),
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    tracing::warn!(
        host,
        command,
        "run of the demo not requested: the dashboard did not accept it"
    );
}

/// Asks for a run as the page does, and gives the status of the answer; none where the host is busy.
async fn ask_if_free(address: SocketAddr, host: &str, command: &str) -> io::Result<Option<u16>> {
    let (status, shown) = exchange(address, "GET", &format!("/api/hosts/{host}"), "").await?;
    if status != 200 {
        return Ok(Some(status));
    }
    if is_busy(&shown)? {
        return Ok(None);
    }
    let body = format!("{{\"command\":\"{command}\"}}");
    let path = format!("/api/hosts/{host}/command");
    let (status, _) = exchange(address, "POST", &path, &body).await?;
    Ok(Some(status))
}

/// Whether a host, as the dashboard shows it, has a run that is not over.
fn is_busy(shown: &[u8]) -> io::Result<bool> {
    #[derive(Deserialize)]
    struct Shown {
        run: Option<ShownRun>,
    }
    #[derive(Deserialize)]
    struct ShownRun {
        status: Status,
    }
    let host: Shown = serde_json::from_slice(shown)?;
    Ok(host.run.is_some_and(|run| !run.status.is_final()))
}

/// Sends a request to the dashboard, and gives the status and the body of its answer.
async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<(u16, Vec<u8>)> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_end(&mut answer)
        .await?;
    let end = memchr::memmem::find(&answer, b"\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    // `HTTP/1.1 202`
    let status = answer
        .get(9..12)
        .and_then(|code| std::str::from_utf8(code).ok());
    let status = status.and_then(|code| code.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, answer.split_off(end + 4)))
}
