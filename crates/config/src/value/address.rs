//! Address: where to connect to: a Unix socket, or a host and a port.

use std::fmt;
use std::path::PathBuf;

/// Where to connect to. Displays as it is written in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// `unix:/run/php/php8.2-fpm.sock`; the path is absolute.
    Unix(PathBuf),
    /// `127.0.0.1:9000`, `[::1]:9000` or `name:9000`.
    Tcp {
        /// Name or IP address, without brackets.
        host: String,
        /// Port, not 0.
        port: u16,
    },
}

impl Address {
    /// Parses `unix:/path` or `host:port`; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(Address::Unix);
        }
        if text.starts_with('/') {
            return Err("a socket's path is written `unix:/path`".into());
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err("it has no port".into());
        };
        let port = match port.parse::<u16>() {
            Ok(0) => return Err("port 0 is no port to connect to".into()),
            Ok(port) => port,
            Err(_) => return Err(format!("`{port}` is not a port (1 to 65535)")),
        };
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(inside) if inside.parse::<std::net::Ipv6Addr>().is_ok() => inside,
            Some(inside) => return Err(format!("`{inside}` is not an IPv6 address")),
            None if host.contains(':') => {
                return Err("an IPv6 address is written in brackets: `[::1]:9000`".into());
            }
            None => host,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(format!("`{host}` is not a host name or IP address"));
        }
        Ok(Address::Tcp { host: host.to_owned(), port })
    }
}

/// The path behind `unix:`: absolute, without NUL.
pub(crate) fn unix_path(path: &str) -> Result<PathBuf, String> {
    if !path.starts_with('/') {
        return Err("the path of a Unix socket must be absolute".into());
    }
    // sockaddr_un holds 108 bytes with the terminating NUL: unix(7).
    if path.len() > 107 {
        return Err(format!("the path of a Unix socket holds at most 107 bytes, not {}", path.len()));
    }
    if path.contains('\0') {
        return Err("the path has a NUL byte in it".into());
    }
    Ok(PathBuf::from(path))
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(out, "unix:{}", path.display()),
            Address::Tcp { host, port } if host.contains(':') => write!(out, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(out, "{host}:{port}"),
        }
    }
}
