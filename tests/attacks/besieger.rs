//! Somebody who attacks in a thread of their own.

use crate::crowd::is_slow;
use crate::frames::Frames;
use crate::tally::{CLOSED, HEARD, HELD_UP, Tally, WRITTEN};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a read or write may take before it is looked whether the attack is over.
const PATIENCE: Duration = Duration::from_millis(200);
/// How many requests are sent over a connection before their answers are taken.
const VOLLEY: usize = 25;
/// How many connections whose answers nobody takes each besieger keeps.
const MAX_KEPT: usize = 80;
/// Fewer connections than that find room for strangers.
const FEW: usize = 150;

/// Somebody who attacks.
pub(crate) struct Besieger {
    pub(crate) port: u16,
    /// What each request has, besides where it comes from.
    pub(crate) headers: String,
    /// Where the proxy says that they are.
    pub(crate) address: String,
    pub(crate) over: Arc<AtomicBool>,
    pub(crate) tally: Tally,
    pub(crate) kept: Vec<TcpStream>,
}

impl Besieger {
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Waits a little where there is nothing to do.
    pub(crate) fn rest(&self) {
        std::thread::sleep(Duration::from_millis(50));
    }

    /// A request that comes from a page of the dashboard's own.
    fn request(&self, method: &str, path: &str, more: &str, body: &[u8]) -> Vec<u8> {
        let (port, headers, address, length) =
            (self.port, &self.headers, &self.address, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n\
             X-Forwarded-For: {address}\r\nContent-Type: application/json\r\n{headers}{more}Content-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    }

    /// Sends bytes over a connection of its own, and leaves the answer in it.
    fn send(&self, bytes: &[u8]) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        self.write(&mut stream, bytes, || {}).then_some(stream)
    }

    /// Writes all of it, however slowly it is taken, and calls `held_up` each time that nothing was taken for a while;
    /// `false` when the connection or the attack is over.
    fn write(&self, stream: &mut TcpStream, mut bytes: &[u8], mut held_up: impl FnMut()) -> bool {
        while !bytes.is_empty() && !self.is_over() {
            match stream.write(bytes) {
                Ok(0) => return false,
                Ok(written) => bytes = &bytes[written..],
                Err(error) if is_slow(&error) => held_up(),
                Err(_) => return false,
            }
        }
        !self.is_over()
    }

    /// Reads the answers until there are `count`, or the connection or the attack is over.
    fn answers(&self, name: &'static str, stream: &mut TcpStream, count: usize) -> bool {
        let (mut answers, mut bytes) = (Answers::default(), [0; 65_536]);
        while answers.seen < count {
            if self.is_over() {
                return false;
            }
            match stream.read(&mut bytes) {
                Ok(0) => {
                    self.tally.add(name, CLOSED, 1);
                    return false;
                }
                Ok(read) => {
                    answers.read(&bytes[..read], |status| self.tally.add(name, status, 1));
                }
                Err(error) if is_slow(&error) => {}
                Err(_) => {
                    self.tally.add(name, CLOSED, 1);
                    return false;
                }
            }
        }
        true
    }

    /// Sends a request and takes its answer.
    pub(crate) fn ask(&self, name: &'static str, method: &str, path: &str, body: &[u8]) {
        self.salvo(name, method, path, std::iter::once(body));
    }

    /// Sends requests with these bodies all at once, each over a connection of its own, and then takes their answers.
    pub(crate) fn salvo<B: AsRef<[u8]>>(
        &self,
        name: &'static str,
        method: &str,
        path: &str,
        bodies: impl Iterator<Item = B>,
    ) {
        let close = "Connection: close\r\n";
        let sent = bodies.map(|body| self.send(&self.request(method, path, close, body.as_ref())));
        let mut sent: Vec<(TcpStream, bool)> = sent.flatten().map(|sent| (sent, false)).collect();
        for (stream, _) in &sent {
            let _ = stream.set_nonblocking(true);
        }
        // In whatever order they come.
        while !sent.is_empty() && !self.is_over() {
            sent.retain_mut(|(stream, answered)| self.goes_on(name, stream, answered));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes what there is of one answer; `false` at its end.
    fn goes_on(&self, name: &'static str, stream: &mut TcpStream, answered: &mut bool) -> bool {
        let mut bytes = [0; 65_536];
        loop {
            match stream.read(&mut bytes) {
                Ok(read @ 1..) if !*answered => {
                    *answered = true;
                    let status = status_at(&bytes[..read]).unwrap_or(CLOSED);
                    self.tally.add(name, status, 1);
                }
                Ok(1..) => {}
                Err(error) if is_slow(&error) => return true,
                _ => {
                    self.tally.add(name, CLOSED, u64::from(!*answered));
                    return false;
                }
            }
        }
    }

    /// Signs in; gives the cookies of the session.
    pub(crate) fn sign_in(&self, name: &'static str, body: &str) -> Option<String> {
        let close = "Connection: close\r\n";
        let request = self.request("POST", "/api/login", close, body.as_bytes());
        let (mut stream, mut answer, mut bytes) = (self.send(&request)?, Vec::new(), [0; 4_096]);
        while !self.is_over() {
            match stream.read(&mut bytes) {
                Ok(read @ 1..) => answer.extend(&bytes[..read]),
                Err(error) if is_slow(&error) => {}
                _ => break,
            }
        }
        self.tally.add(name, status_at(&answer)?, 1);
        let answer = String::from_utf8_lossy(&answer);
        let set = answer
            .lines()
            .filter_map(|line| line.strip_prefix("set-cookie: "));
        let cookies: Vec<&str> = set.filter_map(|cookie| cookie.split(';').next()).collect();
        (!cookies.is_empty()).then(|| cookies.join("; "))
    }

    /// Sends so many requests over one connection, a few at a time.
    pub(crate) fn volley(
        &self,
        name: &'static str,
        method: &str,
        path: &str,
        body: &[u8],
        count: usize,
    ) {
        let request = self.request(method, path, "", body).repeat(VOLLEY);
        let Some(mut stream) = self.send(&request) else {
            return;
        };
        for _ in 0..count / VOLLEY {
            if !self.answers(name, &mut stream, VOLLEY) || !self.write(&mut stream, &request, || {})
            {
                return;
            }
        }
        self.answers(name, &mut stream, VOLLEY);
    }

    /// Sends a request, takes the beginning of its answer and never the rest.
    pub(crate) fn leave(&mut self, name: &'static str, path: &str) {
        if self.kept.len() >= MAX_KEPT {
            return self.rest();
        }
        if let Some(mut stream) = self.send(&self.request("GET", path, "", b"")) {
            if let Some(status) = self.status(&mut stream) {
                self.tally.add(name, status, 1);
            }
            self.kept.push(stream);
        }
    }

    /// The status of the answer, of which nothing behind it is taken.
    fn status(&self, stream: &mut TcpStream) -> Option<u16> {
        let (mut head, mut filled) = ([0; 12], 0);
        while filled < head.len() && !self.is_over() {
            match stream.read(&mut head[filled..]) {
                Ok(0) => return None,
                Ok(read) => filled += read,
                Err(error) if is_slow(&error) => {}
                Err(_) => return None,
            }
        }
        status_at(&head)
    }

    /// Sends the head of a request and some of its body, and never the rest.
    pub(crate) fn begin(&mut self, name: &'static str, path: &str) {
        if self.kept.len() >= MAX_KEPT {
            return self.rest();
        }
        let whole = self.request("POST", path, "", &[b' '; 1_000]);
        if let Some(mut stream) = self.send(&whole[..whole.len() - 500]) {
            let mut head = [0; 12];
            match stream.read(&mut head) {
                Ok(_) => self.tally.add(name, status_at(&head).unwrap_or(CLOSED), 1),
                // It waits for the rest.
                Err(error) if is_slow(&error) => self.tally.add(name, HELD_UP, 1),
                Err(_) => self.tally.add(name, CLOSED, 1),
            }
            self.kept.push(stream);
        }
    }

    /// Connects from an address that is no proxy's, and says nothing.
    pub(crate) fn linger(&mut self, name: &'static str, from: [u8; 4]) {
        let has_room = self.kept.len() < FEW;
        match connect_from(from, self.port) {
            Ok(stream) => self.kept.push(stream),
            Err(_) => return self.rest(),
        }
        let last = self.kept.last_mut().unwrap();
        // More than there is room for are refused, and each of those has to be seen to be.
        let patience = if has_room {
            Duration::from_millis(2)
        } else {
            PATIENCE
        };
        let _ = last.set_read_timeout(Some(patience));
        match last.read(&mut [0]) {
            Err(error) if is_slow(&error) => self.tally.add(name, HEARD, 1),
            _ => {
                self.tally.add(name, CLOSED, 1);
                self.kept.pop();
                self.rest();
            }
        }
    }

    /// Opens a WebSocket.
    pub(crate) fn websocket(&self, name: &'static str, path: &str) -> Option<Frames> {
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let mut stream = self.send(&self.request("GET", path, upgrade, b""))?;
        let status = self.status(&mut stream)?;
        self.tally.add(name, status, 1);
        (status == 101).then(|| Frames::after_head(name, stream))
    }

    /// Sends a frame over a WebSocket and takes what has come; `false` when that or the attack is over.
    pub(crate) fn tell(&self, socket: &mut Frames, frame: &[u8]) -> bool {
        let mut stream = socket.stream.try_clone().unwrap();
        let mut goes_on = true;
        let (tally, name) = (&self.tally, socket.name);
        let written = self.write(&mut stream, frame, || {
            tally.add(name, HELD_UP, 1);
            goes_on &= socket.take(tally, Duration::from_millis(1));
        });
        written && goes_on && socket.take(&self.tally, Duration::from_millis(1))
    }

    /// Sends as much of a frame as is taken at once, and of the one begun before, and takes what has come; `false` when
    /// that is over.
    pub(crate) fn push(&self, socket: &mut Frames, frame: &[u8]) -> bool {
        let _ = socket.stream.set_nonblocking(true);
        loop {
            match socket.stream.write(&frame[socket.written..]) {
                Ok(written @ 1..) => {
                    socket.written += written;
                    if socket.written == frame.len() {
                        self.tally.add(socket.name, WRITTEN, 1);
                        socket.written = 0;
                        break;
                    }
                }
                Err(error) if is_slow(&error) => break,
                _ => {
                    self.tally.add(socket.name, CLOSED, 1);
                    return false;
                }
            }
        }
        socket.take(&self.tally, Duration::ZERO)
    }

    /// Takes what comes over a WebSocket for so long; `false` when that or the attack is over.
    pub(crate) fn listen(&self, socket: &mut Frames, time: Duration) -> bool {
        socket.take(&self.tally, time) && !self.is_over()
    }
}

/// Finds the statuses in a stream of answers.
#[derive(Default)]
struct Answers {
    seen: usize,
    /// The end of what was read, in which an answer may begin.
    rest: Vec<u8>,
}

/// What each answer begins with.
const BEGINNING: &[u8] = b"HTTP/1.1 ";

impl Answers {
    fn read(&mut self, bytes: &[u8], mut answer: impl FnMut(u16)) {
        self.rest.extend(bytes);
        let mut read = 0;
        for at in 0..self.rest.len() {
            let piece = &self.rest[at..];
            if piece.starts_with(BEGINNING) && piece.len() >= BEGINNING.len() + 3 {
                status_at(piece).into_iter().for_each(&mut answer);
                self.seen += 1;
                read = at + BEGINNING.len();
            }
        }
        let last = self.rest.len().saturating_sub(BEGINNING.len() + 2);
        self.rest.drain(..last.max(read));
    }
}

fn status_at(answer: &[u8]) -> Option<u16> {
    let status = answer.get(BEGINNING.len()..BEGINNING.len() + 3)?;
    std::str::from_utf8(status).ok()?.parse().ok()
}

/// A connection that comes from this address of loopback.
fn connect_from(from: [u8; 4], port: u16) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_io().build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = socket.connect(to).await?.into_std()?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    })
}
