//! Text: the configuration that makes stock nginx pin each request to one release. Pure.
//!
//! What holds it up (source: ngx_http_map_module.c, ngx_http_core_module.c): the variable of a `map` is worked out once
//! per request and kept for its internal redirects and subrequests, so `$realpath_root` behind one is one realpath(3) per
//! request. `set $x $realpath_root` would be two, the first only to measure the length.

use std::path::PathBuf;

use config::Config;
use config::host::Layout;
use config::value::Address;

use super::quote::{plain, quoted};
use crate::webserver::lines::{indented, put};

/// What is written.
pub struct Nginx<'a> {
    /// The app's configuration.
    pub config: &'a Config,
    /// The app's link, absolute, as nginx sees it.
    pub link: PathBuf,
    /// Where releases stand, as nginx sees it: canonical.
    pub releases: PathBuf,
    /// The same here.
    pub here: PathBuf,
    /// The file that says whether visitors get the maintenance page, as nginx sees it.
    pub maintenance: PathBuf,
    /// Where the releases are linked that a visitor's cookie may name, as nginx sees it.
    pub pinnable: PathBuf,
    /// In reload mode: the file that each flip rewrites, as nginx sees it.
    pub included: Option<PathBuf>,
    /// Values of `listen`.
    pub listen: &'a [String],
}

/// The parts of a configuration.
pub struct Written {
    /// What stands in `http { }`, before the server.
    pub http: String,
    /// What stands in `server { }`, without `listen` and `server_name`.
    pub server: String,
    /// Those two and the certificates.
    pub names: String,
    /// Of whose flips it is true that every request sees one release.
    pub whose: String,
    /// The variable that holds the release's id.
    pub release: String,
    /// Keys that nginx cannot follow, each with what to do about it.
    pub left_out: Vec<String>,
}

impl Nginx<'_> {
    /// Writes it. The error is a path or a value that no configuration of nginx can hold.
    pub fn write(&self) -> Result<Written, String> {
        let mut left_out = Vec::new();
        let says = &self.config.says;
        let host = &self.config.host;
        if host.app.layout == Layout::Slots {
            return Err(
                "app.layout is \"slots\": nginx holds no lease, so a slot could be rewritten under a request"
                    .into(),
            );
        }
        if !says.auth.is_empty() {
            left_out.push("[[site.auth]]: write auth_basic and auth_basic_user_file into a location".into());
        }
        if host.serve.cgi.is_some() {
            left_out.push("[serve.cgi]: nginx runs no CGI programs; fcgiwrap does".into());
        }
        if host.serve.tls.len() > 1 {
            left_out
                .push("serve.tls: only the first certificate; further ones want servers of their own".into());
        }
        Ok(Written {
            http: self.http(says)?,
            server: self.server(says)?,
            names: self.names()?,
            whose: match &self.included {
                None => format!(", whoever flips {}", self.link.display()),
                Some(file) => format!("; each flip by cutover rewrites {}", file.display()),
            },
            release: self.var("release"),
            left_out,
        })
    }

    /// A name of ours for a variable: variables are shared by all servers of one nginx.
    pub(super) fn var(&self, name: &str) -> String {
        let app = &self.config.host.app.name;
        let app: String = app.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        format!("$cutover_{app}_{name}")
    }

    fn names(&self) -> Result<String, String> {
        let mut out = String::new();
        for listen in self.listen {
            put(&mut out, &format!("listen {listen};"));
        }
        let serve = &self.config.host.serve;
        let hosts: Vec<String> = serve.hosts.iter().map(ToString::to_string).collect();
        let hosts = if hosts.is_empty() { "_".to_owned() } else { hosts.join(" ") };
        put(&mut out, &format!("server_name {hosts};"));
        if let Some(pair) = serve.tls.first() {
            put(&mut out, &format!("ssl_certificate {};", quoted(&plain(&pair.cert)?)?));
            put(&mut out, &format!("ssl_certificate_key {};", quoted(&plain(&pair.key)?)?));
        }
        Ok(out)
    }

    /// The group of pools, where there are several.
    pub(super) fn upstream(&self) -> String {
        self.var("php").replace('$', "")
    }
}

impl Written {
    /// A file for `conf.d` or `sites-enabled`: all of it.
    pub fn whole(&self) -> String {
        let inner = format!("{}\n{}", self.names, self.server);
        format!("{}\nserver {{\n{}}}\n", self.http, indented(&inner))
    }
}

/// An address as nginx takes it.
pub(super) fn address(address: &Address) -> String {
    match address {
        Address::Unix(path) => format!("unix:{}", path.display()),
        Address::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
        Address::Tcp { host, port } => format!("{host}:{port}"),
    }
}
