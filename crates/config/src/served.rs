//! Served: several apps joined: which sockets are open, and which app answers for which host name on them.

use crate::complaint::ConfigError;
use crate::config::Config;
use crate::value::ListenAt;

/// All apps of one server process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The apps, in the order in which their files were given.
    pub sites: Vec<Site>,
    /// The sockets, each once.
    pub sockets: Vec<Socket>,
}

/// One app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its file.
    pub config: Config,
}

/// One listening socket and the sites behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Where.
    pub at: ListenAt,
    /// Web servers speak FastCGI to it.
    pub fastcgi: bool,
    /// Speaks TLS.
    pub tls: bool,
    /// Expects PROXY headers.
    pub proxy_protocol: bool,
    /// Indices into [`Served::sites`].
    pub sites: Vec<usize>,
}

/// Joins the files of one server.
///
/// Errors: a socket that speaks TLS, the PROXY protocol or FastCGI in one file and not in the other; two apps that claim the
/// same host name, or every host name, on one socket; two apps of one name.
pub fn join(configs: Vec<Config>) -> Result<Served, ConfigError> {
    let mut sockets: Vec<Socket> = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        for earlier in &configs[..index] {
            refuse_same_app(earlier, config)?;
        }
        for listen in &config.host.serve.listen {
            // Port 0 is another free port each time it is named.
            let fresh = matches!(listen.at, ListenAt::Tcp(at) if at.port() == 0);
            let shared = sockets.iter_mut().find(|socket| socket.at == listen.at && !fresh);
            let Some(socket) = shared else {
                let (tls, proxy_protocol, fastcgi) = (listen.tls, listen.proxy_protocol, listen.fastcgi);
                let at = listen.at.clone();
                sockets.push(Socket { at, fastcgi, tls, proxy_protocol, sites: vec![index] });
                continue;
            };
            let here = |site: &usize| &configs[*site];
            if let Some(other) = socket.sites.first().map(here)
                && (socket.tls, socket.proxy_protocol, socket.fastcgi)
                    != (listen.tls, listen.proxy_protocol, listen.fastcgi)
            {
                let what = format!("the socket {} is described differently", listen.at);
                return Err(clash(
                    what,
                    other,
                    config,
                    "give both the same tls and proxy_protocol, or fcgi: in front",
                ));
            }
            for other in socket.sites.iter().map(here) {
                refuse_same_host(&listen.at, other, config)?;
            }
            socket.sites.push(index);
        }
    }
    Ok(Served { sites: configs.into_iter().map(|config| Site { config }).collect(), sockets })
}

fn refuse_same_app(first: &Config, second: &Config) -> Result<(), ConfigError> {
    let (one, two) = (&first.host.app, &second.host.app);
    if one.name == two.name {
        let what = format!("two apps are called `{}`", one.name);
        return Err(clash(
            what,
            first,
            second,
            "give each its own app.name: logs and metrics tell them by it",
        ));
    }
    Ok(())
}

fn refuse_same_host(at: &ListenAt, first: &Config, second: &Config) -> Result<(), ConfigError> {
    let (one, two) = (&first.host.serve.hosts, &second.host.serve.hosts);
    if one.is_empty() && two.is_empty() {
        let what = format!("two apps answer for every host name on {at}");
        return Err(clash(
            what,
            first,
            second,
            "write serve.hosts in one of them at least, or another serve.listen",
        ));
    }
    match one.iter().find(|host| two.contains(host)) {
        Some(host) => {
            let what = format!("the host name `{host}` is claimed twice on {at}");
            Err(clash(what, first, second, "take it out of serve.hosts in one of them"))
        }
        None => Ok(()),
    }
}

fn clash(what: String, first: &Config, second: &Config, fix: &str) -> ConfigError {
    let file = |config: &Config| config.host.file.display().to_string();
    ConfigError::Clash { what, first: file(first), second: file(second), fix: fix.into() }
}
