//! Target: where the site under judgement listens.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// A socket that speaks plain HTTP/1.1, and the host name to ask it for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub socket: Socket,
    /// What to say in `Host`.
    pub host: String,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// Why a text is no target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Neither of the two forms.
    #[error("cannot flood {0:?}: give http://HOST:PORT or unix:/path/to/socket")]
    Form(String),
    /// The name has no address.
    #[error("cannot find the address of {authority}")]
    Lookup {
        /// Host and port that were asked for.
        authority: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// The name resolves, to nothing.
    #[error("{0} has no address")]
    NoAddress(String),
}

impl Target {
    /// Reads `http://HOST[:PORT][/]` (a name is looked up once, here) or `unix:/path`.
    ///
    /// # Errors
    /// When the text has neither form, or the name has no address.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Self::unix(path));
        }
        let authority = text
            .strip_prefix("http://")
            .map(|rest| rest.strip_suffix('/').unwrap_or(rest))
            .filter(|authority| !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' ']))
            .ok_or_else(|| TargetError::Form(text.to_owned()))?;
        let named_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let full = if named_port { authority.to_owned() } else { format!("{authority}:80") };
        let found = full
            .to_socket_addrs()
            .map_err(|source| TargetError::Lookup { authority: full.clone(), source })?
            .next()
            .ok_or_else(|| TargetError::NoAddress(full.clone()))?;
        Ok(Self { socket: Socket::Tcp(found), host: authority.to_owned() })
    }

    /// A TCP address; its text is the host.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self { socket: Socket::Tcp(address), host: address.to_string() }
    }

    /// A Unix socket; the host is `localhost`.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { socket: Socket::Unix(path.into()), host: "localhost".to_owned() }
    }

    /// The same socket, asked for another host name.
    #[must_use]
    pub fn named(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Whether only this machine can be meant.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.socket {
            Socket::Tcp(address) => address.ip().is_loopback(),
            Socket::Unix(_) => true,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Tcp(address) => write!(out, "http://{address}"),
            Socket::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_address_or_a_socket() {
        let tcp = Target::parse("http://127.0.0.1:8080/").unwrap();
        assert_eq!(tcp, Target::tcp("127.0.0.1:8080".parse().unwrap()));
        assert_eq!(Target::parse("http://[::1]:81").unwrap().to_string(), "http://[::1]:81");
        assert_eq!(Target::parse("http://127.0.0.1").unwrap().to_string(), "http://127.0.0.1:80");
        assert_eq!(Target::parse("unix:/run/x.sock").unwrap(), Target::unix("/run/x.sock"));
        assert!(tcp.is_local());
        for wrong in ["https://a", "ftp://a", "http://", "http://a/path", "unix:relative", ""] {
            assert!(matches!(Target::parse(wrong), Err(TargetError::Form(_))), "{wrong}");
        }
    }
}
