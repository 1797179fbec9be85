//! Wire: a web server made of a socket, which says exactly what it is told to.

use std::io::{Read, Write};
use std::net::TcpStream;

use fastcgi::Params;
use fastcgi::record::{HEADER_LEN, Header, ProtocolStatus, Role};
use fastcgi::request::{write_begin, write_stdin, write_stdin_end};

pub struct Wire {
    stream: TcpStream,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: u8,
    pub id: u16,
    pub content: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
    pub stderr: String,
    pub protocol: ProtocolStatus,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn status(&self) -> u16 {
        let status = self.header("Status").unwrap_or_else(|| panic!("no status in {self:?}"));
        status[..3].parse().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// What a script that prints `$_SERVER` says of this name.
    pub fn told(&self, name: &str) -> Option<String> {
        self.text().lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    }
}

pub fn params(pairs: &[(&str, &str)]) -> Params {
    let mut params = Params::new();
    for (name, value) in pairs {
        params.push(name.as_bytes(), value.as_bytes());
    }
    params
}

impl Wire {
    pub fn to(port: u16) -> Wire {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(crate::serve::server::LONG)).unwrap();
        Wire { stream }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends something that the other end may not wait for.
    pub fn try_send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).ok();
    }

    /// A request with its body, on a connection that is kept.
    pub fn ask(&mut self, pairs: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut out = Vec::new();
        write_begin(&mut out, 1, Role::Responder, true, &params(pairs));
        write_stdin(&mut out, 1, body);
        write_stdin_end(&mut out, 1);
        self.send(&out);
        self.answer()
    }

    /// The next record; `None`: the connection is closed.
    pub fn record(&mut self) -> Option<Record> {
        let mut header = [0; HEADER_LEN];
        match self.stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(why) if why.kind() == std::io::ErrorKind::UnexpectedEof => return None,
            Err(why) if why.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(why) => panic!("{why}"),
        }
        let header = Header::parse(&header).unwrap();
        let mut content = vec![0; usize::from(header.content) + usize::from(header.padding)];
        self.stream.read_exact(&mut content).unwrap();
        content.truncate(header.content.into());
        Some(Record { kind: header.kind, id: header.id, content })
    }

    /// The answer to request 1, to its end.
    pub fn answer(&mut self) -> Answer {
        let (mut out, mut stderr) = (Vec::new(), Vec::new());
        let protocol = loop {
            let record =
                self.record().unwrap_or_else(|| panic!("closed behind {}", String::from_utf8_lossy(&out)));
            assert_eq!(record.id, 1, "{record:?}");
            match record.kind {
                6 => out.extend(record.content),
                7 => stderr.extend(record.content),
                3 => break ProtocolStatus::from_byte(record.content[4]).unwrap(),
                kind => panic!("record of kind {kind}"),
            }
        };
        let end = out.windows(4).position(|four| four == b"\r\n\r\n").map_or(out.len(), |at| at + 4);
        Answer {
            head: String::from_utf8_lossy(&out[..end]).into_owned(),
            body: out[end..].to_vec(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            protocol,
        }
    }

    /// Whether the other end closes it, and says nothing more.
    pub fn is_closed(&mut self) -> bool {
        self.record().is_none()
    }
}
