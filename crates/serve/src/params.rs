//! Params: what an application is told about its request, for FastCGI and CGI alike (RFC 3875, section 4.1).
//!
//! Nothing is collected: each variable goes straight into the caller's sink, because this runs once per PHP request.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, Method, Version, header};

/// What `SERVER_SOFTWARE` says.
pub const SOFTWARE: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"));

/// The request as the client made it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The method, as sent.
    pub method: &'a Method,
    /// Path and query as sent, not decoded: `REQUEST_URI`.
    pub target: &'a str,
    /// The protocol the client spoke.
    pub version: Version,
    /// All headers; which of them become `HTTP_*` is decided here.
    pub headers: &'a HeaderMap,
    /// The host the client asked for, where no `Host` header says it (HTTP/2's `:authority`).
    pub authority: Option<&'a str>,
    /// The client, behind trusted proxies the one they name; `None` for a client on a Unix socket.
    pub remote: Option<SocketAddr>,
    /// The address the request came in at; `None` for a Unix socket.
    pub local: Option<SocketAddr>,
    /// The port the client believes it speaks to: `SERVER_PORT`.
    pub port: u16,
    /// The client speaks TLS, to us or to a trusted proxy.
    pub https: bool,
    /// The host name the site answers to, without a port.
    pub server_name: &'a str,
    /// Who logged in by our own basic auth.
    pub user: Option<&'a str>,
    /// The number of body bytes that will be given; `None` without a body.
    pub content_length: Option<u64>,
}

/// The script the request leads to, by the pin.
#[derive(Debug, Clone, Copy)]
pub struct ScriptFacts<'a> {
    /// The script's absolute, canonical path in the pinned release.
    pub file: &'a Path,
    /// The absolute, canonical docroot in the pinned release.
    pub docroot: &'a Path,
    /// The URL path of the script, decoded, with its leading slash.
    pub name: &'a [u8],
    /// What follows the script in the URL path, decoded; empty or with its leading slash.
    pub path_info: &'a [u8],
    /// The release's id.
    pub release: &'a str,
    /// The release's absolute, canonical path.
    pub release_root: &'a Path,
    /// How the application sees our paths.
    pub paths: &'a PathMap,
}

/// Prefixes of our paths, and what the application has in their place (another container, another chroot).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathMap {
    /// Longest first, so that the most exact prefix wins.
    pairs: Vec<(PathBuf, PathBuf)>,
}

impl PathMap {
    /// A map from pairs of (here, there).
    pub fn new(pairs: impl IntoIterator<Item = (PathBuf, PathBuf)>) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by_key(|(here, _)| std::cmp::Reverse(here.as_os_str().len()));
        Self { pairs }
    }

    /// A path that the application named, as it is here.
    pub fn here(&self, path: &[u8]) -> Vec<u8> {
        let there = Path::new(OsStr::from_bytes(path));
        let all =
            self.pairs.iter().filter_map(|(here, to)| Some((to, here.join(there.strip_prefix(to).ok()?))));
        let mapped = all.max_by_key(|(to, _)| to.as_os_str().len()).map(|(_, mapped)| mapped);
        mapped.map_or_else(|| path.to_vec(), |mapped| mapped.into_os_string().into_vec())
    }

    /// Appends `path` as the application sees it.
    pub(crate) fn put(&self, path: &Path, out: &mut Vec<u8>) {
        for (here, there) in &self.pairs {
            if let Ok(rest) = path.strip_prefix(here) {
                out.extend_from_slice(there.as_os_str().as_encoded_bytes());
                if !rest.as_os_str().is_empty() {
                    if !out.ends_with(b"/") {
                        out.push(b'/');
                    }
                    out.extend_from_slice(rest.as_os_str().as_encoded_bytes());
                }
                return;
            }
        }
        out.extend_from_slice(path.as_os_str().as_encoded_bytes());
    }
}

/// Tells `sink` every variable of the request, name and value, each name once.
///
/// Dropped: `Proxy` (it would become `HTTP_PROXY`), header names that are not letters, digits and hyphens
/// (`_` and `-` would both become `_`, so a client could forge what a proxy sets), `PHP-VALUE` and its kin.
pub fn cgi_variables(request: &Facts<'_>, script: &ScriptFacts<'_>, mut sink: impl FnMut(&[u8], &[u8])) {
    let mut scratch = Vec::with_capacity(256);
    tell_script(script, &mut scratch, &mut sink);
    tell_request(request, &mut sink);
    tell_ends(request, &mut scratch, &mut sink);
    tell_headers(request, &mut scratch, &mut sink);
}

fn tell_script(script: &ScriptFacts<'_>, scratch: &mut Vec<u8>, sink: &mut impl FnMut(&[u8], &[u8])) {
    let mut path = |name: &[u8], path: &Path, rest: &[u8]| {
        scratch.clear();
        script.paths.put(path, scratch);
        scratch.extend_from_slice(rest);
        sink(name, scratch);
    };
    path(b"SCRIPT_FILENAME", script.file, b"");
    path(b"DOCUMENT_ROOT", script.docroot, b"");
    path(b"CUTOVER_RELEASE_ROOT", script.release_root, b"");
    if !script.path_info.is_empty() {
        path(b"PATH_TRANSLATED", script.docroot, script.path_info);
        sink(b"PATH_INFO", script.path_info);
        scratch.clear();
        scratch.extend_from_slice(script.name);
        scratch.extend_from_slice(script.path_info);
        sink(b"DOCUMENT_URI", scratch);
    } else {
        sink(b"DOCUMENT_URI", script.name);
    }
    sink(b"SCRIPT_NAME", script.name);
    sink(b"CUTOVER_RELEASE", script.release.as_bytes());
}

fn tell_request(request: &Facts<'_>, sink: &mut impl FnMut(&[u8], &[u8])) {
    sink(b"GATEWAY_INTERFACE", b"CGI/1.1");
    sink(b"SERVER_SOFTWARE", SOFTWARE.as_bytes());
    // PHP built with --enable-force-cgi-redirect runs nothing without it.
    sink(b"REDIRECT_STATUS", b"200");
    sink(b"REQUEST_METHOD", request.method.as_str().as_bytes());
    sink(b"REQUEST_URI", request.target.as_bytes());
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    sink(b"QUERY_STRING", query.as_bytes());
    sink(b"SERVER_PROTOCOL", protocol(request.version));
    sink(b"SERVER_NAME", request.server_name.as_bytes());
    if request.https {
        sink(b"REQUEST_SCHEME", b"https");
        sink(b"HTTPS", b"on");
    } else {
        sink(b"REQUEST_SCHEME", b"http");
    }
    if let Some(user) = request.user {
        sink(b"AUTH_TYPE", b"Basic");
        sink(b"REMOTE_USER", user.as_bytes());
    }
    if let Some(kind) = request.headers.get(header::CONTENT_TYPE) {
        sink(b"CONTENT_TYPE", kind.as_bytes());
    }
}

fn tell_ends(request: &Facts<'_>, scratch: &mut Vec<u8>, sink: &mut impl FnMut(&[u8], &[u8])) {
    let mut address = |name: &[u8], address: IpAddr| {
        scratch.clear();
        put_address(address, scratch);
        sink(name, scratch);
    };
    // A client of a dual-stack socket is `::ffff:192.0.2.1`: applications compare with the plain form.
    if let Some(remote) = request.remote {
        address(b"REMOTE_ADDR", remote.ip().to_canonical());
    }
    if let Some(local) = request.local {
        address(b"SERVER_ADDR", local.ip().to_canonical());
    }
    let mut digits = itoa::Buffer::new();
    match request.remote {
        Some(remote) => sink(b"REMOTE_PORT", digits.format(remote.port()).as_bytes()),
        // As nginx says it; an empty or loopback address might be taken for a trusted one.
        None => sink(b"REMOTE_ADDR", b"unix:"),
    }
    sink(b"SERVER_PORT", digits.format(request.port).as_bytes());
    if let Some(length) = request.content_length {
        sink(b"CONTENT_LENGTH", digits.format(length).as_bytes());
    }
}

/// Appends an address. The usual kind goes without the formatting machinery, which costs a tenth of a request's parameters.
fn put_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let mut digits = itoa::Buffer::new();
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(digits.format(octet).as_bytes());
            }
        }
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

fn tell_headers(request: &Facts<'_>, scratch: &mut Vec<u8>, sink: &mut impl FnMut(&[u8], &[u8])) {
    if let (Some(authority), None) = (request.authority, request.headers.get(header::HOST)) {
        sink(b"HTTP_HOST", authority.as_bytes());
    }
    // The values of one name come one behind the other, so each name is told once.
    let mut headers = request.headers.iter().peekable();
    while let Some((name, value)) = headers.next() {
        let mut joined = None::<Vec<u8>>;
        while let Some((_, more)) = headers.next_if(|(next, _)| *next == name) {
            let joined = joined.get_or_insert_with(|| value.as_bytes().to_vec());
            joined.extend_from_slice(if name == header::COOKIE { b"; " } else { b", " });
            joined.extend_from_slice(more.as_bytes());
        }
        if is_told(name) {
            scratch.clear();
            scratch.extend_from_slice(b"HTTP_");
            let dashed = name.as_str().bytes();
            scratch.extend(dashed.map(|byte| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }));
            sink(scratch, joined.as_deref().unwrap_or(value.as_bytes()));
        }
    }
}

/// Whether a header becomes an `HTTP_*` variable.
fn is_told(name: &HeaderName) -> bool {
    match name.as_str() {
        // Told without the prefix.
        "content-type" | "content-length" => false,
        // The body is given whole, with its length: nothing of its transfer is left.
        "transfer-encoding" | "trailer" => false,
        "proxy" | "php-value" | "php-admin-value" => false,
        name => name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
    }
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_09 => b"HTTP/0.9",
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        Version::HTTP_3 => b"HTTP/3.0",
        _ => b"HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::collections::BTreeMap;

    struct Asked {
        method: Method,
        headers: HeaderMap,
        paths: PathMap,
    }

    impl Asked {
        fn with(headers: &[(&str, &str)]) -> Self {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                map.append(name, HeaderValue::from_str(value).unwrap());
            }
            Self { method: Method::GET, headers: map, paths: PathMap::default() }
        }

        fn facts(&self) -> Facts<'_> {
            Facts {
                method: &self.method,
                target: "/index.php/a%20b?x=1&y=?2",
                version: Version::HTTP_11,
                headers: &self.headers,
                authority: None,
                remote: Some("192.0.2.7:5123".parse().unwrap()),
                local: Some("198.51.100.1:443".parse().unwrap()),
                port: 443,
                https: true,
                server_name: "shop.example.com",
                user: None,
                content_length: None,
            }
        }

        fn script(&self) -> ScriptFacts<'_> {
            ScriptFacts {
                file: Path::new("/srv/shop/releases/r1/public/index.php"),
                docroot: Path::new("/srv/shop/releases/r1/public"),
                name: b"/index.php",
                path_info: b"/a b",
                release: "r1",
                release_root: Path::new("/srv/shop/releases/r1"),
                paths: &self.paths,
            }
        }
    }

    fn told(facts: &Facts<'_>, script: &ScriptFacts<'_>) -> BTreeMap<String, String> {
        let mut told = BTreeMap::new();
        cgi_variables(facts, script, |name, value| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let before = told.insert(text(name), text(value));
            assert_eq!(before, None, "{} is told twice", text(name));
        });
        told
    }

    #[test]
    fn an_application_is_told_its_request_and_its_release() {
        let asked = Asked::with(&[("host", "shop.example.com"), ("accept", "*/*")]);
        let told = told(&asked.facts(), &asked.script());
        let expected = [
            ("CUTOVER_RELEASE", "r1"),
            ("CUTOVER_RELEASE_ROOT", "/srv/shop/releases/r1"),
            ("DOCUMENT_ROOT", "/srv/shop/releases/r1/public"),
            ("DOCUMENT_URI", "/index.php/a b"),
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("HTTPS", "on"),
            ("HTTP_ACCEPT", "*/*"),
            ("HTTP_HOST", "shop.example.com"),
            ("PATH_INFO", "/a b"),
            ("PATH_TRANSLATED", "/srv/shop/releases/r1/public/a b"),
            ("QUERY_STRING", "x=1&y=?2"),
            ("REDIRECT_STATUS", "200"),
            ("REMOTE_ADDR", "192.0.2.7"),
            ("REMOTE_PORT", "5123"),
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_SCHEME", "https"),
            ("REQUEST_URI", "/index.php/a%20b?x=1&y=?2"),
            ("SCRIPT_FILENAME", "/srv/shop/releases/r1/public/index.php"),
            ("SCRIPT_NAME", "/index.php"),
            ("SERVER_ADDR", "198.51.100.1"),
            ("SERVER_NAME", "shop.example.com"),
            ("SERVER_PORT", "443"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_SOFTWARE", SOFTWARE),
        ];
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn without_path_info_there_is_none_and_nothing_is_translated() {
        let asked = Asked::with(&[]);
        let told = told(&asked.facts(), &ScriptFacts { path_info: b"", ..asked.script() });
        assert_eq!(told.get("PATH_INFO"), None);
        assert_eq!(told.get("PATH_TRANSLATED"), None);
        assert_eq!(told["DOCUMENT_URI"], "/index.php");
    }

    #[test]
    fn a_body_is_told_by_length_and_type_and_not_by_its_transfer() {
        let asked = Asked::with(&[
            ("content-type", "text/plain"),
            ("content-length", "7"),
            ("transfer-encoding", "chunked"),
        ]);
        let told = told(&Facts { content_length: Some(5), ..asked.facts() }, &asked.script());
        assert_eq!(told["CONTENT_TYPE"], "text/plain");
        assert_eq!(told["CONTENT_LENGTH"], "5");
        for name in ["HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"] {
            assert_eq!(told.get(name), None, "{name}");
        }
    }

    #[test]
    fn headers_that_forge_a_variable_are_dropped() {
        let asked = Asked::with(&[
            ("proxy", "http://evil"),
            ("x_forwarded_for", "127.0.0.1"),
            ("php-value", "auto_prepend_file=/etc/passwd"),
            ("php-admin-value", "open_basedir=/"),
            ("php_value", "a=b"),
            ("x.dot", "1"),
            ("x-kept", "yes"),
        ]);
        let told = told(&asked.facts(), &asked.script());
        let http: Vec<_> = told.keys().filter(|name| name.starts_with("HTTP_")).collect();
        assert_eq!(http, ["HTTP_X_KEPT"]);
    }

    #[test]
    fn values_of_one_name_are_joined_cookies_by_semicolon() {
        let asked = Asked::with(&[
            ("cookie", "a=1"),
            ("x-forwarded-for", "192.0.2.1"),
            ("cookie", "b=2"),
            ("x-forwarded-for", "192.0.2.2"),
            ("cookie", "c=3"),
        ]);
        let told = told(&asked.facts(), &asked.script());
        assert_eq!(told["HTTP_COOKIE"], "a=1; b=2; c=3");
        assert_eq!(told["HTTP_X_FORWARDED_FOR"], "192.0.2.1, 192.0.2.2");
    }

    #[test]
    fn the_host_of_http_2_is_told_as_a_header() {
        let asked = Asked::with(&[]);
        let facts =
            Facts { version: Version::HTTP_2, authority: Some("shop.example.com:8443"), ..asked.facts() };
        let told = told(&facts, &asked.script());
        assert_eq!(told["HTTP_HOST"], "shop.example.com:8443");
        assert_eq!(told["SERVER_PROTOCOL"], "HTTP/2.0");
    }

    #[test]
    fn a_client_of_a_dual_stack_socket_is_told_by_its_plain_address() {
        let asked = Asked::with(&[]);
        let remote = Some("[::ffff:192.0.2.9]:80".parse().unwrap());
        let told = told(&Facts { remote, ..asked.facts() }, &asked.script());
        assert_eq!(told["REMOTE_ADDR"], "192.0.2.9");
    }

    #[test]
    fn who_logged_in_is_told() {
        let asked = Asked::with(&[]);
        let told = told(&Facts { user: Some("ann"), ..asked.facts() }, &asked.script());
        assert_eq!((&*told["AUTH_TYPE"], &*told["REMOTE_USER"]), ("Basic", "ann"));
    }

    #[test]
    fn a_path_as_the_pool_sees_it_is_found_by_the_most_exact_of_its_prefixes() {
        let pairs = [("/srv/cage/shop", "/"), ("/srv/up", "/uploads")].map(|(h, t)| (h.into(), t.into()));
        let paths = PathMap::new(pairs);
        for (there, here) in
            [("/releases/r1/a.php", "/srv/cage/shop/releases/r1/a.php"), ("/uploads/x", "/srv/up/x")]
        {
            assert_eq!(paths.here(there.as_bytes()), here.as_bytes());
            let mut back = Vec::new();
            paths.put(std::path::Path::new(here), &mut back);
            assert_eq!(back, there.as_bytes());
        }
    }

    #[test]
    fn paths_are_told_as_the_pool_sees_them() {
        let mut asked = Asked::with(&[]);
        asked.paths = PathMap::new([
            ("/srv".into(), "/other".into()),
            ("/srv/shop".into(), "/var/www/".into()),
            ("/srv/sho".into(), "/wrong".into()),
        ]);
        let told = told(&asked.facts(), &asked.script());
        assert_eq!(told["SCRIPT_FILENAME"], "/var/www/releases/r1/public/index.php");
        assert_eq!(told["DOCUMENT_ROOT"], "/var/www/releases/r1/public");
        assert_eq!(told["PATH_TRANSLATED"], "/var/www/releases/r1/public/a b");
        assert_eq!(told["CUTOVER_RELEASE_ROOT"], "/var/www/releases/r1");
        assert_eq!(told["REQUEST_URI"], "/index.php/a%20b?x=1&y=?2");
    }
}
