//! Front: a stock Apache that hands everything to `cutover serve`, which pins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use config::value::{Address, Listen, ListenAt};

use super::quote::{path, quoted};
use super::text::{Apache, Written};
use crate::webserver::lines::put;

impl Apache<'_> {
    /// The virtual hosts.
    pub fn front(&self) -> Result<Written, String> {
        let mut left_out = Vec::new();
        let serve = &self.config.host.serve;
        let found = serve.listen.iter().filter(|listen| !listen.tls && !listen.proxy_protocol);
        let mut found: Vec<(&Listen, Address)> =
            found.filter_map(|listen| Some((listen, address(&listen.at)?))).collect();
        // FastCGI first: Apache then tells the visitor's address, login and TLS by itself.
        found.sort_by_key(|(listen, _)| !listen.fastcgi);
        let (listen, at) = found.into_iter().next().ok_or(
            "serve.listen has no address that Apache can hand requests to: neither \"fcgi:unix:/path\", nor one of plain HTTP",
        )?;
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        if !listen.fastcgi && !serve.trusted_proxies.iter().any(|net| net.contains(&local)) {
            left_out.push(
                "the visitor's address: name Apache in serve.trusted_proxies (\"127.0.0.1\"), so that cutover serve believes it"
                    .into(),
            );
        }
        let (hosts, mut modules) = (self.hosts(&mut left_out)?, vec!["proxy"]);
        modules.extend(if listen.fastcgi { &["proxy_fcgi"][..] } else { &["proxy_http", "headers"][..] });
        if hosts.iter().any(|(_, _, tls)| *tls) {
            modules.push("ssl");
        }
        let hosts = hosts.into_iter().map(|(host, mut out, tls)| {
            put(&mut out, "# Apache looks for no file and decides nothing: it would look in a release that need not be live any");
            put(&mut out, "# more when the answer is made.");
            put(&mut out, "AllowEncodedSlashes NoDecode");
            match listen.fastcgi {
                true => self.by_fastcgi(&mut out, &at)?,
                false => self.by_http(&mut out, &at, tls)?,
            }
            Ok((host, out))
        });
        Ok(Written {
            by: "`cutover serve` pins, behind Apache.".into(),
            modules,
            before: String::new(),
            hosts: hosts.collect::<Result<_, String>>()?,
            left_out,
        })
    }

    fn by_fastcgi(&self, out: &mut String, at: &Address) -> Result<(), String> {
        put(out, &format!("DocumentRoot {}", path(&self.link.join(&self.config.says.docroot))?));
        put(out, "DirectoryIndex disabled");
        put(out, "DirectorySlash Off");
        put(out, "<Location \"/\">");
        put(out, "    Require all granted");
        put(out, &format!("    SetHandler {}", quoted(&format!("proxy:{}/", self.target(at, "fcgi")?))?));
        put(out, "</Location>");
        Ok(())
    }

    fn by_http(&self, out: &mut String, at: &Address, tls: bool) -> Result<(), String> {
        put(out, "ProxyRequests Off");
        put(out, "ProxyPreserveHost On");
        put(out, &format!("RequestHeader set X-Forwarded-Proto {}", if tls { "https" } else { "http" }));
        put(out, "RequestHeader unset Proxy early");
        // Sooner than the other end closes it, else a request could meet the closing.
        let idle = self.config.host.serve.limits.idle.as_secs();
        put(
            out,
            &format!("# Idle connections are not used for as long as cutover serve keeps them: {idle} s."),
        );
        let kept = (idle / 2).max(1);
        let to = quoted(&format!("{}/", self.target(at, "http")?))?;
        put(out, &format!("ProxyPass \"/\" {to} nocanon upgrade=websocket retry=0 ttl={kept}"));
        Ok(())
    }
}

/// An address as others reach it; `None`: it is known only when the server runs.
fn address(at: &ListenAt) -> Option<Address> {
    match at {
        ListenAt::Unix(path) => Some(Address::Unix(path.clone())),
        ListenAt::Tcp(at) if at.port() != 0 => {
            let anywhere = at.ip().is_unspecified();
            let host = match at {
                SocketAddr::V4(_) if anywhere => Ipv4Addr::LOCALHOST.to_string(),
                SocketAddr::V6(_) if anywhere => Ipv6Addr::LOCALHOST.to_string(),
                SocketAddr::V4(_) | SocketAddr::V6(_) => at.ip().to_string(),
            };
            Some(Address::Tcp { host, port: at.port() })
        }
        ListenAt::Tcp(_) | ListenAt::Systemd(_) | ListenAt::Fd(_) => None,
    }
}
