//! Target: where the site under judgement listens.

use crate::tls::{Tls, TlsError, Trust};
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// A socket that speaks HTTP, perhaps below TLS, and the host name to ask it for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub socket: Socket,
    /// What to say in `Host`.
    pub host: String,
    /// How to speak TLS; `None`: plain.
    pub tls: Option<Tls>,
    /// A name that leads to other machines too (any of them may be asked tomorrow).
    elsewhere: bool,
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
    /// Neither of the forms.
    #[error("cannot flood {0:?}: give http://HOST:PORT, https://HOST:PORT or unix:/path/to/socket")]
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
    /// TLS cannot be spoken.
    #[error("cannot speak TLS to {host}")]
    Tls {
        /// To whom.
        host: String,
        /// Why not.
        source: TlsError,
    },
}

impl Target {
    /// Reads `http://HOST[:PORT][/]`, the same with `https` (certificates as the system trusts them), or `unix:/path`.
    /// A name is looked up once, here.
    ///
    /// # Errors
    /// When the text has none of these forms, the name has no address, or the system's certificates cannot be read.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        Self::parse_trusting(text, &Trust::System)
    }

    /// The same, with another idea of whose certificates are good.
    ///
    /// # Errors
    /// As [`Target::parse`].
    pub fn parse_trusting(text: &str, trust: &Trust) -> Result<Self, TargetError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Self::unix(path));
        }
        let (rest, port, secure) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (rest, 80, false),
            (None, Some(rest)) => (rest, 443, true),
            (None, None) => return Err(TargetError::Form(text.to_owned())),
        };
        let authority = Some(rest.strip_suffix('/').unwrap_or(rest))
            .filter(|authority| !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' ']))
            .ok_or_else(|| TargetError::Form(text.to_owned()))?;
        let named = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let full = if named.is_some() { authority.to_owned() } else { format!("{authority}:{port}") };
        let found: Vec<SocketAddr> = full
            .to_socket_addrs()
            .map_err(|source| TargetError::Lookup { authority: full.clone(), source })?
            .collect();
        let first = *found.first().ok_or_else(|| TargetError::NoAddress(full.clone()))?;
        let name = named.map_or(authority, |(name, _)| name).trim_matches(['[', ']']);
        let tls = secure.then(|| Tls::to(name, trust)).transpose();
        Ok(Self {
            socket: Socket::Tcp(first),
            host: authority.to_owned(),
            tls: tls.map_err(|source| TargetError::Tls { host: name.to_owned(), source })?,
            elsewhere: found.iter().any(|address| !address.ip().is_loopback()),
        })
    }

    /// A TCP address; its text is the host.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        let elsewhere = !address.ip().is_loopback();
        Self { socket: Socket::Tcp(address), host: address.to_string(), tls: None, elsewhere }
    }

    /// A Unix socket; the host is `localhost`.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        let host = "localhost".to_owned();
        Self { socket: Socket::Unix(path.into()), host, tls: None, elsewhere: false }
    }

    /// The same socket, asked for another host name.
    #[must_use]
    pub fn named(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Whether only this machine can be meant: every address of the name is a loopback one.
    #[must_use]
    pub fn is_local(&self) -> bool {
        !self.elsewhere
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match &self.socket {
            Socket::Tcp(address) => write!(out, "{scheme}://{address}"),
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
        let tls = Target::parse_trusting("https://127.0.0.1", &Trust::Anyone).unwrap();
        assert_eq!(tls.to_string(), "https://127.0.0.1:443");
        for wrong in ["https://", "ftp://a", "http://", "http://a/path", "unix:relative", ""] {
            assert!(matches!(Target::parse(wrong), Err(TargetError::Form(_))), "{wrong}");
        }
    }

    #[test]
    fn only_loopback_is_this_machine() {
        for (text, local) in [
            ("http://127.0.0.1:8080", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:81", true),
            ("unix:/run/x.sock", true),
            ("http://192.0.2.1", false),
            ("http://0.0.0.0:80", false),
        ] {
            assert_eq!(Target::parse(text).unwrap().is_local(), local, "{text}");
        }
    }
}
