//! Door: one listening socket, and which site answers for which host name behind it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use config::value::HostPattern;
use config::value::ListenAt;
use ipnet::IpNet;

use crate::site::Site;
use crate::tls::{Certificates, TlsError};
use crate::wire::activity::Patience;
use crate::wire::head::HeadLimits;

/// Header fields one request may have.
const FIELDS: usize = 100;

/// Why a socket cannot be served as it is described.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It is to speak TLS, and nobody has a certificate for it.
    #[error("{0} is to speak TLS, and no site behind it names a certificate (serve.tls)")]
    NoCertificate(String),
}

/// A listening socket; what is behind it is replaced by a reload.
pub struct Door {
    /// Its address, as configured.
    pub at: ListenAt,
    /// What is behind it now.
    pub behind: ArcSwap<Behind>,
}

/// What is behind a door under one configuration.
pub struct Behind {
    /// Which site answers.
    pub routes: Routes,
    /// Web servers speak FastCGI to it.
    pub fastcgi: bool,
    /// TLS, if the socket speaks it.
    pub tls: Option<Tls>,
    /// Connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Whose word on clients counts.
    pub trusted_proxies: Vec<IpNet>,
    /// How long connections may wait.
    pub patience: Patience,
    /// How long heads may be.
    pub heads: HeadLimits,
}

/// The TLS side of a door.
pub struct Tls {
    /// The certificates, for being looked at again.
    pub certificates: Arc<Certificates>,
    /// The settings for handshakes.
    pub config: Arc<rustls::ServerConfig>,
}

/// The sites behind a door, by host name.
#[derive(Default)]
pub struct Routes {
    exact: HashMap<Box<str>, Arc<Site>>,
    below: Vec<(Box<str>, Arc<Site>)>,
    any: Option<Arc<Site>>,
}

impl Behind {
    /// What is behind `socket`, which names its sites by their places in `sites`.
    pub fn of(socket: &config::Socket, sites: &[Arc<Site>]) -> Result<Self, DoorError> {
        let mut routes = Routes::default();
        let here: Vec<&Arc<Site>> = socket.sites.iter().filter_map(|index| sites.get(*index)).collect();
        here.iter().for_each(|site| routes.add(site));
        let serve = here.first().map(|site| site.config.host.serve.clone()).unwrap_or_default();
        let tls = match socket.tls {
            false => None,
            true => {
                let pairs = here.iter().flat_map(|site| &site.config.host.serve.tls);
                let certificates =
                    Certificates::read(pairs.map(|pair| (pair.cert.as_path(), pair.key.as_path())))?;
                if certificates.is_empty() {
                    return Err(DoorError::NoCertificate(socket.at.to_string()));
                }
                let certificates = Arc::new(certificates);
                let config = certificates.server_config()?;
                Some(Tls { certificates, config })
            }
        };
        let limits = &serve.limits;
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        Ok(Self {
            routes,
            fastcgi: socket.fastcgi,
            tls,
            proxy_protocol: socket.proxy_protocol,
            trusted_proxies: here
                .iter()
                .flat_map(|site| site.config.host.serve.trusted_proxies.clone())
                .collect(),
            patience: Patience {
                head: limits.header_timeout,
                body: limits.body_timeout,
                send: limits.send_timeout,
                idle: limits.idle,
            },
            heads: HeadLimits {
                head_bytes: bytes(limits.header_bytes),
                target_bytes: bytes(limits.uri_bytes),
                fields: FIELDS,
            },
        })
    }
}

impl Routes {
    /// Adds a site under its host names; without any it answers for every other name.
    pub fn add(&mut self, site: &Arc<Site>) {
        let hosts = &site.config.host.serve.hosts;
        if hosts.is_empty() {
            self.any = Some(Arc::clone(site));
        }
        for pattern in hosts {
            match pattern {
                HostPattern::Exact(name) => {
                    self.exact.insert(name.as_str().into(), Arc::clone(site));
                }
                HostPattern::Below(parent) => self.below.push((parent.as_str().into(), Arc::clone(site))),
            }
        }
        // The longest parent is the most exact.
        self.below.sort_by_key(|(parent, _)| std::cmp::Reverse(parent.len()));
    }

    /// The site for a `Host` or authority as sent: with a port or without, in any case.
    pub fn site(&self, host: &str) -> Option<&Arc<Site>> {
        if self.exact.is_empty() && self.below.is_empty() {
            return self.any.as_ref();
        }
        let name = bare(host);
        if let Some(site) = self.exact.get(name) {
            return Some(site);
        }
        let lower = name.to_ascii_lowercase();
        let below = |parent: &str| {
            lower.strip_suffix(parent).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
        };
        self.exact
            .get(lower.as_str())
            .or_else(|| self.below.iter().find(|(parent, _)| below(parent)).map(|(_, site)| site))
            .or(self.any.as_ref())
    }

    /// The site for one of these hosts; if there is only one site, that: a web server in front has chosen already.
    pub fn chosen<'h>(&self, mut hosts: impl Iterator<Item = &'h str>) -> Option<Arc<Site>> {
        if let Some(site) = hosts.find_map(|host| self.site(host)) {
            return Some(Arc::clone(site));
        }
        let mut sites = self.sites();
        sites.pop().filter(|_| sites.is_empty())
    }

    /// All of them, each once.
    pub fn sites(&self) -> Vec<Arc<Site>> {
        let mut sites: Vec<Arc<Site>> = Vec::new();
        let all = self.exact.values().chain(self.below.iter().map(|(_, site)| site)).chain(&self.any);
        for site in all {
            if !sites.iter().any(|known| Arc::ptr_eq(known, site)) {
                sites.push(Arc::clone(site));
            }
        }
        sites
    }
}

/// A host without its port and its trailing dot.
pub fn bare(host: &str) -> &str {
    let name = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        Some(_) | None => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn a_host_is_compared_without_port_and_trailing_dot() {
        let table = [
            ("a.example", "a.example"),
            ("a.example:80", "a.example"),
            ("a.example.", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ];
        for (host, expected) in table {
            assert_eq!(bare(host), expected, "{host}");
        }
    }
}
