//! Pass: whom `fastcgi_pass` hands requests to, through upstreams.

use std::net::IpAddr;
use std::path::PathBuf;

use super::Nginx;
use super::level::Id;
use super::value;

/// Whom requests are handed to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// A Unix socket.
    Unix(PathBuf),
    /// An address.
    Address(IpAddr, Option<u16>),
    /// A host by name.
    Host(String),
    /// A variable.
    Unknown(String),
}

impl Nginx {
    /// Whom a level's own `fastcgi_pass` names: one, or those of an upstream.
    pub fn passes(&self, id: Id) -> Vec<Pass> {
        let Some(pass) = self.levels.get(id).last("fastcgi_pass") else { return Vec::new() };
        let to = pass.arg(0);
        match self.upstreams.get(to) {
            Some(upstream) => upstream
                .inner()
                .iter()
                .filter(|entry| entry.is("server"))
                .map(|server| Pass::parse(server.arg(0)))
                .collect(),
            None => vec![Pass::parse(to)],
        }
    }
}

impl Pass {
    /// As nginx reads addresses.
    pub fn parse(text: &str) -> Pass {
        if value::variables(text).next().is_some() {
            return Pass::Unknown(text.to_owned());
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return Pass::Unix(path.trim_end_matches(':').into());
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().ok()),
            Some(_) | None => (text, None),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse() {
            Ok(address) => Pass::Address(address, port),
            Err(_) => Pass::Host(bare.to_owned()),
        }
    }

    /// Whether it is this machine, for certain.
    pub fn is_here(&self) -> bool {
        match self {
            Pass::Unix(_) => true,
            Pass::Address(address, _) => address.is_loopback(),
            Pass::Host(name) => name == "localhost",
            Pass::Unknown(_) => false,
        }
    }
}

impl std::fmt::Display for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pass::Unix(path) => write!(f, "unix:{}", path.display()),
            Pass::Address(address, None) => write!(f, "{address}"),
            Pass::Address(IpAddr::V6(address), Some(port)) => write!(f, "[{address}]:{port}"),
            Pass::Address(IpAddr::V4(address), Some(port)) => write!(f, "{address}:{port}"),
            Pass::Host(name) | Pass::Unknown(name) => f.write_str(name),
        }
    }
}
