//! Client: who asks: the peer of the connection, or whom a trusted proxy names.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The other end; `None` on a Unix socket. Behind the PROXY protocol the address it names.
    pub remote: Option<SocketAddr>,
    /// Our end; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// The connection itself is TLS.
    pub tls: bool,
}

/// Who made a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address; its port is 0 where a header named it.
    pub remote: Option<SocketAddr>,
    /// The client speaks TLS, to us or to a trusted proxy.
    pub https: bool,
    /// The port the client believes it speaks to.
    pub port: u16,
}

impl Client {
    /// Who it is: X-Forwarded-* count only from a peer in `trusted`, or on a Unix socket (its mode says who may).
    pub fn of(ends: &Ends, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let mut client = Self { remote: ends.remote, https: ends.tls, port: 0 };
        let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address.to_canonical()));
        if ends.remote.is_none_or(|peer| !trusted.is_empty() && is_trusted(peer.ip())) {
            if let Some(address) = forwarded_for(headers, is_trusted) {
                client.remote = Some(SocketAddr::new(address, 0));
            }
            if let Some(proto) = headers.get(FORWARDED_PROTO).and_then(last) {
                client.https = proto.eq_ignore_ascii_case("https");
            }
            client.port =
                headers.get(FORWARDED_PORT).and_then(last).and_then(|p| p.parse().ok()).unwrap_or(0);
        }
        if client.port == 0 {
            let default = if client.https { 443 } else { 80 };
            let direct = client.https == ends.tls;
            client.port = ends.local.filter(|_| direct).map_or(default, |local| local.port());
        }
        client
    }
}

/// The rightmost address that is not itself a trusted proxy: what stands left of it is the client's own claim.
fn forwarded_for(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut found = None;
    let mut lines: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok()).collect();
    lines.reverse();
    for hop in lines.into_iter().flat_map(|line| line.rsplit(',')) {
        let Some(address) = address(hop.trim()) else { break };
        found = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    found
}

fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()))
}

fn last(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()?.rsplit(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_can_say_who_the_client_is() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let proxy: SocketAddr = "10.0.0.1:999".parse().unwrap();
        let stranger: SocketAddr = "192.0.2.9:999".parse().unwrap();
        let local: SocketAddr = "10.0.0.2:8080".parse().unwrap();
        // (peer, X-Forwarded-For lines, X-Forwarded-Proto) -> (client, https, port)
        type Case<'a> = (Option<SocketAddr>, &'a [&'a str], &'a str, Option<&'a str>, bool, u16);
        let table: &[Case<'_>] = &[
            (Some(stranger), &["198.51.100.1"], "https", Some("192.0.2.9"), false, 8080),
            (Some(proxy), &[], "", Some("10.0.0.1"), false, 8080),
            (Some(proxy), &["198.51.100.1"], "https", Some("198.51.100.1"), true, 443),
            (Some(proxy), &["forged, 198.51.100.1"], "", Some("198.51.100.1"), false, 8080),
            (Some(proxy), &["1.2.3.4, 198.51.100.1, 10.0.0.7"], "", Some("198.51.100.1"), false, 8080),
            (Some(proxy), &["1.2.3.4", "198.51.100.1"], "", Some("198.51.100.1"), false, 8080),
            (Some(proxy), &["nonsense"], "", Some("10.0.0.1"), false, 8080),
            (Some(proxy), &["[2001:db8::1]:77"], "", Some("2001:db8::1"), false, 8080),
            (None, &["198.51.100.1"], "https", Some("198.51.100.1"), true, 443),
            (None, &[], "", None, false, 8080),
        ];
        for (peer, forwarded, proto, client, https, port) in table {
            let ends = Ends { remote: *peer, local: Some(local), tls: false };
            let mut headers = HeaderMap::new();
            for line in *forwarded {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            if !proto.is_empty() {
                headers.insert(FORWARDED_PROTO, proto.parse().unwrap());
            }
            let found = Client::of(&ends, &headers, &trusted);
            let ip = found.remote.map(|remote| remote.ip().to_string());
            assert_eq!((ip.as_deref(), found.https, found.port), (*client, *https, *port), "{forwarded:?}");
        }
    }
}
