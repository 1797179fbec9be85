//! Address: where a FastCGI responder listens.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Where a responder listens: `unix:/run/php/php8.2-fpm.sock`, `127.0.0.1:9000`, `[::1]:9000`, `php:9000`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A Unix socket by its absolute path.
    Unix(PathBuf),
    /// A host (name, IPv4, or IPv6 without brackets) and a port.
    Tcp {
        /// The host.
        host: String,
        /// The port, not 0.
        port: u16,
    },
}

/// Why a text names no responder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// `unix:` without an absolute path behind it.
    #[error("`{0}`: a Unix socket needs an absolute path, like unix:/run/php/php8.2-fpm.sock")]
    NotAbsolute(String),
    /// The path is longer than the kernel takes (107 bytes, unix(7)).
    #[error("`{0}`: the path of a Unix socket may have 107 bytes at most")]
    TooLong(String),
    /// Neither `unix:/path` nor `host:port`.
    #[error("`{0}`: say unix:/path or host:port, like 127.0.0.1:9000")]
    NotHostAndPort(String),
}

/// What `sun_path` holds without its final NUL.
const MAX_UNIX_PATH: usize = 107;

impl Address {
    /// Reads an address; a bare absolute path is a Unix socket too.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        if let Some(path) = text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text)) {
            return match path.len() {
                _ if !path.starts_with('/') || path.contains('\0') => {
                    Err(AddressError::NotAbsolute(text.into()))
                }
                len if len > MAX_UNIX_PATH => Err(AddressError::TooLong(text.into())),
                _ => Ok(Address::Unix(PathBuf::from(path))),
            };
        }
        let bad = || AddressError::NotHostAndPort(text.into());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(bad)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?.to_string(),
            None => host.to_owned(),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if host.is_empty() || (bracketed.is_none() && !host.bytes().all(plain)) {
            return Err(bad());
        }
        Ok(Address::Tcp { host, port })
    }

    /// The path, if it is a Unix socket.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Address::Unix(path) => Some(path),
            Address::Tcp { .. } => None,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        Address::parse(text)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_people_write_are_read_and_shown() {
        for (text, shown) in [
            ("unix:/run/php.sock", "unix:/run/php.sock"),
            ("/run/php.sock", "unix:/run/php.sock"),
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("php:9000", "php:9000"),
            ("[::1]:9000", "[::1]:9000"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(Address::parse(shown), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_says_what_to_write() {
        for text in [
            "",
            "unix:",
            "unix:run/x",
            "9000",
            ":9000",
            "php:",
            "php:0",
            "php:70000",
            "[x]:1",
            "::1:9",
            "a b:1",
        ] {
            let said = Address::parse(text).unwrap_err().to_string();
            assert!(said.contains("like "), "{text}: {said}");
        }
        assert!(matches!(Address::parse(&format!("/{}", "x".repeat(107))), Err(AddressError::TooLong(_))));
    }
}
