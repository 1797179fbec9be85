//! HostPattern: a host name that a site answers to: exact, or every name below one.

use std::fmt;

/// A host name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// `shop.example.com`.
    Exact(String),
    /// `*.example.com`, held as `example.com`: any name below it, at any depth, itself excluded.
    Below(String),
}

impl HostPattern {
    /// Parses `shop.example.com`, `*.example.com`, an IPv4 address or a bracketed IPv6 address.
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        let lower = text.to_ascii_lowercase();
        let lower = lower.strip_suffix('.').unwrap_or(&lower);
        if lower.contains("://") {
            return Err("a host name alone, without `https://`".into());
        }
        if let Some(inside) = lower.strip_prefix('[') {
            return match inside.strip_suffix(']').map(str::parse::<std::net::Ipv6Addr>) {
                Some(Ok(address)) => Ok(HostPattern::Exact(format!("[{address}]"))),
                Some(Err(_)) | None => Err("it is not an IPv6 address in brackets".into()),
            };
        }
        if lower.contains('/') || lower.contains(':') {
            return Err("a host name alone, without port or path".into());
        }
        match lower.strip_prefix("*.") {
            Some(parent) => name(parent).map(HostPattern::Below),
            None => name(lower).map(HostPattern::Exact),
        }
    }
}

/// One name: labels of 1 to 63 letters, digits, `-` and `_` (RFC 1035 with the underscore that is met in practice).
fn name(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err("`*` may stand only for the first label: `*.example.com`".into());
    }
    if text.is_empty() || text.len() > 253 {
        return Err("a host name has 1 to 253 characters".into());
    }
    for label in text.split('.') {
        if !label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return Err(format!(
                "`{label}` is not part of a host name (an international name is written in punycode)"
            ));
        }
        if label.is_empty() || label.len() > 63 {
            return Err("between two dots stand 1 to 63 characters".into());
        }
    }
    Ok(text.to_owned())
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => out.write_str(name),
            HostPattern::Below(parent) => write!(out, "*.{parent}"),
        }
    }
}
