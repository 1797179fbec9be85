//! Listen: one listening socket, and how it speaks.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::address::unix_path;

/// One entry of `serve.listen`, with the defaults settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub at: ListenAt,
    /// True: web servers speak FastCGI to it; written `fcgi:` in front of the address.
    pub fastcgi: bool,
    /// True: connections speak TLS from their first byte.
    pub tls: bool,
    /// True: each connection begins with a PROXY protocol header (v1 or v2), and only from a trusted proxy.
    pub proxy_protocol: bool,
}

impl Listen {
    /// Splits `fcgi:` off one `listen` address; says whether it was there.
    pub fn parse(text: &str) -> Result<(ListenAt, bool), String> {
        match text.strip_prefix("fcgi:") {
            Some(at) => ListenAt::parse(at).map(|at| (at, true)),
            None => ListenAt::parse(text).map(|at| (at, false)),
        }
    }
}

/// Where to listen. Displays as it is written in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenAt {
    /// `127.0.0.1:8080`, `[::]:80`; port 0 takes any free one.
    Tcp(SocketAddr),
    /// `unix:/run/shop.sock`; absolute.
    Unix(PathBuf),
    /// `systemd:NAME`: sockets that systemd passes under that `FileDescriptorName=`.
    Systemd(String),
    /// `fd:3`: a listening socket inherited under that number.
    Fd(i32),
}

impl ListenAt {
    /// Parses one `listen` address; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<ListenAt, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(ListenAt::Unix);
        }
        if text.starts_with('/') {
            return Err("a socket's path is written `unix:/path`".into());
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            let plain = |c: char| c.is_ascii_graphic() && c != ':';
            return match !name.is_empty() && name.len() < 256 && name.chars().all(plain) {
                true => Ok(ListenAt::Systemd(name.to_owned())),
                false => Err("systemd: needs the socket unit's FileDescriptorName behind it".into()),
            };
        }
        if let Some(number) = text.strip_prefix("fd:") {
            return match number.parse::<i32>() {
                Ok(number) if number > 2 => Ok(ListenAt::Fd(number)),
                Ok(_) | Err(_) => Err("fd: needs the number of an inherited socket, 3 or more".into()),
            };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(ListenAt::Tcp(address));
        }
        if text.parse::<u16>().is_ok()
            || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
        {
            let port = text.trim_start_matches(':');
            return Err(format!(
                "a port alone does not say who may connect: `127.0.0.1:{port}` or `[::]:{port}`"
            ));
        }
        if let Some(port) = text.strip_prefix("*:") {
            return Err(format!("write `[::]:{port}` for every address"));
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            return Err(format!("names are not looked up here: `127.0.0.1:{port}`"));
        }
        Err("it is not an IP address with a port".into())
    }
}

impl fmt::Display for ListenAt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAt::Tcp(address) => write!(out, "{address}"),
            ListenAt::Unix(path) => write!(out, "unix:{}", path.display()),
            ListenAt::Systemd(name) => write!(out, "systemd:{name}"),
            ListenAt::Fd(number) => write!(out, "fd:{number}"),
        }
    }
}
