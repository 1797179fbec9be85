//! A client that sends exactly the bytes it is told to, and reads one response.

use std::io::{Read, Write};
use std::net::TcpStream;

/// A response.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// The head, in lower case, with its line ends.
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn release(&self) -> &str {
        self.header("x-cutover-release").unwrap_or("none")
    }
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(super::server::LONG)).unwrap();
    stream
}

/// Sends `bytes` on a connection of their own, and reads one response.
pub fn request(port: u16, bytes: impl AsRef<[u8]>) -> Reply {
    let mut stream = connect(port);
    stream.write_all(bytes.as_ref()).unwrap();
    read_reply(&mut stream).expect("a response")
}

/// Reads one response; `None` where the connection ends before there is one.
pub fn read_reply(stream: &mut impl Read) -> Option<Reply> {
    let mut bytes = Vec::new();
    let mut chunk = [0u8; 16 * 1024];
    let end = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            break end + 4;
        }
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
    };
    // Values keep their case; only names are lowered.
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let head: String = head
        .lines()
        .map(|line| match line.split_once(':') {
            Some((name, value)) => format!("{}:{value}\n", name.to_lowercase()),
            None => format!("{line}\n"),
        })
        .collect();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut reply = Reply { status, head, body: bytes[end..].to_vec() };
    let length: Option<usize> = reply.header("content-length").and_then(|length| length.parse().ok());
    loop {
        let done = match length {
            Some(length) => reply.body.len() >= length,
            None => status == 304 || status == 204 || reply.body.ends_with(b"0\r\n\r\n"),
        };
        if done {
            break;
        }
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => reply.body.extend_from_slice(&chunk[..n]),
            Err(why) => panic!("{why} after {} bytes of the body of {:?}", reply.body.len(), reply.head),
        }
    }
    if let Some(length) = length {
        assert!(reply.body.len() <= length, "more than content-length: {:?}", reply.head);
    }
    Some(reply)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
