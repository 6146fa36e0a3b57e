//! Servers of git on loopback that are slow, or that fall silent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, sleep};
use std::time::Duration;

/// How a server sends.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// So many bytes, and then nothing more.
    Until(usize),
    /// So many bytes, and a pause.
    Slow(usize, Duration),
}

/// A server on loopback that tells of each connection on which it fell silent, once the other side has hung up.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) silenced: Receiver<()>,
}

impl Server {
    fn start(serve: impl Fn(TcpStream, &SyncSender<()>) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, silenced) = sync_channel(16);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (serve, tell) = (serve.clone(), tell.clone());
                thread::spawn(move || serve(connection.unwrap(), &tell));
            }
        });
        Self { address, silenced }
    }

    /// Says this and no more.
    pub(crate) fn that_says(words: &'static str) -> Self {
        Self::start(|mut connection, tell| {
            connection.write_all(words.as_bytes()).unwrap();
            fall_silent(&connection, tell);
        })
    }

    /// Of the repository, for `git://`.
    pub(crate) fn of_git(origin: PathBuf, pace: Pace) -> Self {
        Self::start(move |mut connection, tell| {
            let mut length = [0; 4];
            connection.read_exact(&mut length).unwrap();
            let length = std::str::from_utf8(&length).unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            connection.read_exact(&mut vec![0; length - 4]).unwrap();
            let input = OwnedFd::from(connection.try_clone().unwrap());
            let mut pack = upload_pack(&origin, &[]);
            let mut pack = pack.stdin(input).spawn().unwrap();
            send(pack.stdout.take().unwrap(), &connection, pace, tell);
            pack.wait().unwrap();
        })
    }

    /// The same for `http://`.
    pub(crate) fn of_http(origin: PathBuf, pace: Pace) -> Self {
        Self::start(move |connection, tell| answer(&connection, &origin, pace, tell))
    }
}

fn upload_pack(origin: &Path, options: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("upload-pack").args(options).arg(origin);
    command.env("GIT_PROTOCOL", "version=2");
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Waits until the other side hangs up.
fn fall_silent(mut connection: &TcpStream, tell: &SyncSender<()>) {
    while connection.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
    // The test may be over.
    let _ = tell.try_send(());
}

/// Passes on what `from` says, at this pace.
fn send(mut from: ChildStdout, mut to: &TcpStream, pace: Pace, tell: &SyncSender<()>) {
    let (size, pause) = match pace {
        Pace::Until(_) => (1024, Duration::ZERO),
        Pace::Slow(size, pause) => (size, pause),
    };
    let (mut bytes, mut sent) = (vec![0; size], 0);
    loop {
        let read = from.read(&mut bytes).unwrap();
        if read == 0 || to.write_all(&bytes[..read]).is_err() {
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
        sent += read;
        if matches!(pace, Pace::Until(limit) if sent >= limit) {
            return fall_silent(to, tell);
        }
        sleep(pause);
    }
}

/// Answers one request of git's smart protocol, and hangs up.
fn answer(mut connection: &TcpStream, origin: &Path, pace: Pace, tell: &SyncSender<()>) {
    let mut reader = BufReader::new(connection);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim_end().is_empty() {
            break;
        }
        head.push(line.trim_end().to_ascii_lowercase());
    }
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let (options, kind): (&[&str], _) = if head[0].starts_with("get ") {
        (&["--stateless-rpc", "--advertise-refs"], "advertisement")
    } else {
        (&["--stateless-rpc"], "result")
    };
    let mut pack = upload_pack(origin, options);
    let mut pack = pack.stdin(Stdio::piped()).spawn().unwrap();
    pack.stdin.take().unwrap().write_all(&body).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).unwrap();
    send(pack.stdout.take().unwrap(), connection, pace, tell);
    pack.wait().unwrap();
}
