//! Text: what both virtual hosts have: names, certificates, and the modules that they need. Pure.

use std::path::Path;

use config::Config;

use super::quote::{path, quoted};
use crate::webserver::lines::{indented, put};

/// What is written.
pub struct Apache<'a> {
    /// The app's configuration.
    pub config: &'a Config,
    /// The app's link, absolute.
    pub link: &'a Path,
    /// The file that says whether visitors get the maintenance page.
    pub maintenance: &'a Path,
    /// Addresses of virtual hosts; none: the usual ones.
    pub listen: &'a [String],
}

/// The parts of a configuration.
pub struct Written {
    /// Who pins, in a sentence.
    pub by: String,
    /// Modules of Apache that it takes: what `a2enmod` calls them.
    pub modules: Vec<&'static str>,
    /// What stands before the virtual hosts.
    pub before: String,
    /// Each virtual host: its address, and what stands in it.
    pub hosts: Vec<(String, String)>,
    /// Keys that Apache cannot follow, each with what to do about it.
    pub left_out: Vec<String>,
}

impl Apache<'_> {
    /// Each virtual host's address, with its names and its certificate; and whether it speaks TLS.
    pub(super) fn hosts(&self, left_out: &mut Vec<String>) -> Result<Vec<(String, String, bool)>, String> {
        let serve = &self.config.host.serve;
        if serve.tls.len() > 1 {
            left_out.push(
                "serve.tls: only the first certificate; further ones want virtual hosts of their own".into(),
            );
        }
        let tls = |address: &str| serve.tls.first().filter(|_| !address.ends_with(":80"));
        let usual: &[String] = match (self.listen.is_empty(), serve.tls.is_empty()) {
            (false, _) => self.listen,
            (true, true) => &["*:80".to_owned()],
            (true, false) => &["*:80".to_owned(), "*:443".to_owned()],
        };
        let mut hosts = Vec::new();
        for address in usual {
            if address.is_empty()
                || !address.chars().all(|c| c.is_ascii_alphanumeric() || "*.:[]_-".contains(c))
            {
                return Err(format!("{address:?} is no address of a virtual host: write \"*:80\""));
            }
            let mut out = String::new();
            let names: Vec<String> = serve.hosts.iter().map(ToString::to_string).collect();
            if let Some((first, others)) = names.split_first() {
                // A name with a star can only be an alias.
                let plain = names.iter().find(|name| !name.starts_with('*')).unwrap_or(first);
                put(&mut out, &format!("ServerName {}", plain.trim_start_matches("*.")));
                for name in std::iter::once(first).chain(others).filter(|name| *name != plain) {
                    put(&mut out, &format!("ServerAlias {name}"));
                }
                if plain.starts_with('*') {
                    put(&mut out, &format!("ServerAlias {plain}"));
                }
            }
            if let Some(pair) = tls(address) {
                put(&mut out, "SSLEngine on");
                put(&mut out, &format!("SSLCertificateFile {}", path(&pair.cert)?));
                put(&mut out, &format!("SSLCertificateKeyFile {}", path(&pair.key)?));
            }
            hosts.push((address.clone(), out, tls(address).is_some()));
        }
        Ok(hosts)
    }

    /// What goes to another server, as `ProxyPass` takes it: a path of ours, and the address.
    pub(super) fn target(&self, to: &config::value::Address, scheme: &str) -> Result<String, String> {
        use config::value::Address;
        Ok(match to {
            Address::Unix(socket) => {
                let socket = path(socket)?;
                format!("unix:{}|{scheme}://localhost", socket.trim_matches('"'))
            }
            Address::Tcp { host, port } if host.contains(':') => format!("{scheme}://[{host}]:{port}"),
            Address::Tcp { host, port } => format!("{scheme}://{host}:{port}"),
        })
    }
}

impl Written {
    /// A file for `sites-available`: all of it.
    pub fn whole(&self, name: &str) -> String {
        let mut out = String::new();
        put(
            &mut out,
            &format!("# {name}: every request sees exactly one release, whoever flips. {}", self.by),
        );
        put(
            &mut out,
            "# Written by `cutover apache`. Addresses but those of ports.conf want a `Listen` of their own.",
        );
        for left in &self.left_out {
            put(&mut out, &format!("# Not carried over: {left}"));
        }
        for module in &self.modules {
            put(&mut out, &format!("<IfModule !{module}_module>"));
            let what = match *module {
                "cutover" => "mod_cutover is not loaded".to_owned(),
                module => format!("a2enmod {module}"),
            };
            put(&mut out, &format!("    Error {}", quoted(&what).unwrap_or_default()));
            put(&mut out, "</IfModule>");
        }
        out += &self.before;
        for (address, inner) in &self.hosts {
            put(&mut out, &format!("\n<VirtualHost {address}>"));
            out += &indented(inner);
            put(&mut out, "</VirtualHost>");
        }
        out
    }
}
