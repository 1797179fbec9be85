//! Http: one request of its own to a server on this machine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Status and body of a path, asked for by this host's name, with further header lines.
pub fn get(port: u16, host: &str, path: &str, lines: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // In one piece: PHP's own web server gives up on a head that comes in several.
    let head = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
