//! Peer: a web server that is set up in one known way. Its template, `bench/peers/NAME.conf.in`, serves the benchmarks too.

use std::path::Path;

/// A way to serve the probe application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// What most tutorials show.
    NginxDocumentRoot,
    /// The recommended fix.
    NginxRealpathRoot,
    /// What stock nginx can do right.
    NginxPinned,
    /// mod_php.
    ApachePrefork,
    /// proxy_fcgi.
    ApacheEvent,
    /// `php_fastcgi` with `resolve_root_symlink`.
    Caddy,
    /// mod_fastcgi.
    Lighttpd,
}

/// What is filled into a template.
pub struct Place<'a> {
    pub dir: &'a Path,
    pub link: &'a Path,
    pub port: u16,
}

impl Peer {
    /// `cutover serve` is none of them here: its binary is another crate's, and so is the test that acquits it.
    pub const ALL: [Self; 7] = [
        Self::NginxDocumentRoot,
        Self::NginxRealpathRoot,
        Self::NginxPinned,
        Self::ApachePrefork,
        Self::ApacheEvent,
        Self::Caddy,
        Self::Lighttpd,
    ];

    pub fn template(self) -> Template {
        Template(match self {
            Self::NginxDocumentRoot => include_str!("../../../../bench/peers/nginx-document-root.conf.in"),
            Self::NginxRealpathRoot => include_str!("../../../../bench/peers/nginx-realpath-root.conf.in"),
            Self::NginxPinned => include_str!("../../../../bench/peers/nginx-pinned.conf.in"),
            Self::ApachePrefork => include_str!("../../../../bench/peers/apache-prefork.conf.in"),
            Self::ApacheEvent => include_str!("../../../../bench/peers/apache-event.conf.in"),
            Self::Caddy => include_str!("../../../../bench/peers/caddy.conf.in"),
            Self::Lighttpd => include_str!("../../../../bench/peers/lighttpd.conf.in"),
        })
    }
}

/// A configuration with `@NAMES@` in it; `# run:` says how it is started, `# package:` who brings the program.
#[derive(Clone, Copy)]
pub struct Template(&'static str);

impl Template {
    pub const PHP_FPM: Self = Self(include_str!("../../../../bench/peers/php-fpm.conf.in"));

    pub fn conf(self, place: &Place) -> String {
        fill(self.0, place)
    }

    /// The program and its arguments.
    pub fn run(self, place: &Place, conf: &Path) -> Vec<String> {
        let line = fill(self.comment("run: "), place).replace("@CONF@", conf.to_str().unwrap());
        line.split(' ').map(str::to_owned).collect()
    }

    pub fn package(self) -> &'static str {
        self.comment("package: ")
    }

    /// Whether it can listen on a Unix socket, which nobody else can take meanwhile.
    pub fn takes_unix_socket(self) -> bool {
        self.0.contains("@LISTEN@")
    }

    fn comment(self, label: &str) -> &'static str {
        // A comment begins with `#`, in php-fpm's format with `;`.
        let comments = self.0.lines().filter_map(|line| line.strip_prefix(['#', ';']));
        let found = comments.map(str::trim).find_map(|line| line.strip_prefix(label));
        found.unwrap_or_else(|| panic!("a template says {label:?}"))
    }
}

fn fill(text: &str, place: &Place) -> String {
    let dir = place.dir.to_str().unwrap();
    text.replace("@DIR@", dir)
        .replace("@LINK@", place.link.to_str().unwrap())
        .replace("@FPM@", &format!("{dir}/fpm.sock"))
        .replace("@LISTEN@", &format!("unix:{dir}/peer.sock"))
        .replace("@PORT@", &place.port.to_string())
        .replace("@USER@", &user())
        .replace("@WORKERS@", "2")
        .replace("@KEPT@", "3")
}

/// Root gives its rights up to www-data; anybody else stays who they are.
fn user() -> String {
    use std::os::unix::fs::MetadataExt;
    let own = std::fs::metadata("/proc/self").unwrap().uid();
    if own == 0 { "www-data".to_owned() } else { std::env::var("USER").unwrap_or_else(|_| own.to_string()) }
}
