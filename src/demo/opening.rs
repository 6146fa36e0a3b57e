//! What the demo's fleet does by itself at first: runs that fail as runs of real fleets do, so that a newcomer sees
//! what a failure looks like, and one host whose failed deployment is followed by a good pull.

use super::fleet::{ASSERTION, BROKEN_BUILD, BROKEN_UNIT, MISSING_BRANCH};
use crate::lifecycle::Shutdown;
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

/// Asks again while the host is busy.
async fn ask_until_taken(address: SocketAddr, host: &str, command: &str) {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, ask(address, host, command)).await;
        match answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(202) => return,
            Ok(status) => tracing::debug!(host, command, status, "command not taken yet"),
            Err(error) => tracing::debug!(host, command, %error, "command not sent yet"),
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    tracing::warn!(host, command, "the demo gave up asking for a run");
}

/// Asks for a run as the page does, and gives the status of the answer.
async fn ask(address: SocketAddr, host: &str, command: &str) -> io::Result<u16> {
    let body = format!("{{\"command\":\"{command}\"}}");
    let request = format!(
        "POST /api/hosts/{host}/command HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    // `HTTP/1.1 202`
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    let status = std::str::from_utf8(&head[9..])
        .ok()
        .and_then(|code| code.parse().ok());
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
