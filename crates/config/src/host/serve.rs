//! Serve: what the server listens on, for whom, and how far it lets anybody go.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::php::scalar;
use crate::complaint::ConfigError;
use crate::read::{self, At, Beneath, Section, Size};
use crate::value::{Address, HostPattern, Listen, ListenAt, Prefix};

/// `[serve]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// `listen`; `127.0.0.1:8080` unless said otherwise. Never empty.
    pub listen: Vec<Listen>,
    /// `hosts`; empty: any.
    pub hosts: Vec<HostPattern>,
    /// `tls`: certificates; the one whose name fits is shown, else the first.
    pub tls: Vec<TlsPair>,
    /// `metrics`: where `/metrics` is; `None`: nowhere.
    pub metrics: Option<ListenAt>,
    /// `trusted_proxies`: whose X-Forwarded-* and PROXY headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `workers`: threads; `None`: one per CPU.
    pub workers: Option<usize>,
    /// `user` to become after binding.
    pub user: Option<String>,
    /// `group` to become after binding, and that may use `.cutover/run`.
    pub group: Option<String>,
    /// `release_header`: answers carry `x-cutover-release`.
    pub release_header: bool,
    /// `fastcgi_stderr`: what PHP writes for the log goes to the web server in front, too.
    pub fastcgi_stderr: bool,
    /// `memory`: cap in bytes of the file cache, shared by all releases of the process; 256 MiB unless said otherwise.
    pub memory: u64,
    /// `file_max`: largest file kept in memory, in bytes; 1 MiB unless said otherwise.
    pub file_max: u64,
    /// `[serve.log]`.
    pub log: Log,
    /// `[serve.limits]`.
    pub limits: Limits,
    /// `[[serve.forward]]`, the longest prefix that covers the path wins.
    pub forward: Vec<Forward>,
    /// `[serve.cgi]`; `None`: no CGI.
    pub cgi: Option<Cgi>,
}

/// A certificate chain and its key, PEM files, joined to the file's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPair {
    /// `cert`: the chain, the leaf first.
    pub cert: PathBuf,
    /// `key`.
    pub key: PathBuf,
}

/// `[serve.log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `access`; off unless said otherwise.
    pub access: AccessLog,
    /// `format` of the access log.
    pub format: LogFormat,
    /// `error`.
    pub error: ErrorLog,
    /// `level`: the least important line that is still written.
    pub level: Level,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// `off`.
    Off,
    /// `stdout`.
    Stdout,
    /// A file, reopened on SIGUSR1; joined to the file's directory.
    File(PathBuf),
}

/// How an access log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `text`: the combined format, with the release at the end.
    Text,
    /// `json`: one object a line.
    Json,
}

/// Where the error log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorLog {
    /// `stderr`.
    Stderr,
    /// A file, reopened on SIGUSR1; joined to the file's directory.
    File(PathBuf),
}

/// How important a line of the error log is; later is chattier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// Something happened that one may want to know.
    Info,
    /// For the hunt of a fault.
    Debug,
}

/// `[serve.limits]`. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `header_bytes`: a request's head; more: 431.
    pub header_bytes: u64,
    /// `uri_bytes`: a request's target; more: 414.
    pub uri_bytes: u64,
    /// `body`: a request's body; more: 413.
    pub body: u64,
    /// `header_timeout`: the whole head must be here by then; else 408.
    pub header_timeout: Duration,
    /// `body_timeout`: the longest silence within a body; else 408.
    pub body_timeout: Duration,
    /// `idle`: how long a kept connection may be silent between requests.
    pub idle: Duration,
    /// `send_timeout`: the longest time a client may take nothing.
    pub send_timeout: Duration,
    /// `connections`: open at once; more wait in the listen queue.
    pub connections: usize,
    /// `drain`: what is still running so long after SIGTERM is cut.
    pub drain: Duration,
}

/// `[[serve.forward]]`: a path for the application's side servers, WebSocket included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// `path`: this and everything below it.
    pub path: Prefix,
    /// `to`: as it is written; see [`at`](Forward::at).
    pub to: Address,
}

impl Forward {
    /// Where requests on this release go: `{release}` in the path of a Unix socket stands for its id, so that each
    /// release may have a server of its own.
    pub fn at(&self, release: &str) -> Cow<'_, Address> {
        match &self.to {
            Address::Unix(path) if path.to_string_lossy().contains(RELEASE) => {
                Cow::Owned(Address::Unix(path.to_string_lossy().replace(RELEASE, release).into()))
            }
            Address::Unix(_) | Address::Tcp { .. } => Cow::Borrowed(&self.to),
        }
    }
}

const RELEASE: &str = "{release}";

/// `[serve.cgi]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgi {
    /// `path`: executable files below it run; `/cgi-bin` unless said otherwise.
    pub path: Prefix,
    /// `dir`: where they lie, relative to the docroot; the path itself unless said otherwise.
    pub dir: PathBuf,
    /// `timeout` of one run, 60 s unless said otherwise.
    pub timeout: Duration,
    /// `env`: variables added to those of RFC 3875.
    pub env: BTreeMap<String, String>,
    /// `processes`: at once; 16 unless said otherwise.
    pub processes: usize,
}

impl Default for Serve {
    fn default() -> Serve {
        Serve {
            listen: vec![Listen {
                at: ListenAt::Tcp((std::net::Ipv4Addr::LOCALHOST, 8080).into()),
                fastcgi: false,
                tls: false,
                proxy_protocol: false,
            }],
            hosts: Vec::new(),
            tls: Vec::new(),
            metrics: None,
            trusted_proxies: Vec::new(),
            workers: None,
            user: None,
            group: None,
            release_header: true,
            fastcgi_stderr: false,
            memory: 256 << 20,
            file_max: 1 << 20,
            log: Log {
                access: AccessLog::Off,
                format: LogFormat::Text,
                error: ErrorLog::Stderr,
                level: Level::Info,
            },
            limits: Limits::default(),
            forward: Vec::new(),
            cgi: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_bytes: 16 << 10,
            uri_bytes: 8 << 10,
            body: 1 << 30,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            send_timeout: Duration::from_secs(60),
            connections: 4096,
            drain: Duration::from_secs(30),
        }
    }
}

impl Serve {
    pub(crate) fn read(section: &Section<'_>, base: &Path) -> Result<Serve, ConfigError> {
        let default = Serve::default();
        let tls = section.each("serve.tls")?;
        let tls: Vec<TlsPair> = tls.iter().map(|pair| TlsPair::read(pair, base)).collect::<Result<_, _>>()?;
        let metrics =
            section.at("metrics").map(|at| at.read_as(LISTEN_SHAPE, ListenAt::parse)).transpose()?;
        Ok(Serve {
            listen: read_listen(section, !tls.is_empty())?.unwrap_or(default.listen),
            hosts: section.list("hosts")?,
            metrics,
            trusted_proxies: section.list("trusted_proxies")?,
            workers: section.get::<NonZeroU32>("workers")?.map(|n| n.get() as usize),
            user: section.get("user")?,
            group: section.get("group")?,
            release_header: section.or("release_header", default.release_header)?,
            fastcgi_stderr: section.or("fastcgi_stderr", default.fastcgi_stderr)?,
            memory: section.or("memory", Size(default.memory))?.0,
            file_max: section.or("file_max", Size(default.file_max))?.0,
            log: Log::read(&section.section("serve.log")?, base, default.log)?,
            limits: Limits::read(&section.section("serve.limits")?)?,
            forward: section.each("serve.forward")?.iter().map(Forward::read).collect::<Result<_, _>>()?,
            cgi: section.maybe_section("serve.cgi")?.map(|cgi| Cgi::read(&cgi)).transpose()?,
            tls,
        })
    }
}

const LISTEN_SHAPE: &str = "\"127.0.0.1:8080\", \"[::]:80\", \"unix:/path\", \"systemd:NAME\" or \"fd:3\"";

/// The same, for sockets that web servers may speak FastCGI to.
const SERVE_SHAPE: &str = "\"127.0.0.1:8080\", \"[::]:80\", \"unix:/path\", \"systemd:NAME\", \"fd:3\", or one of them with fcgi: in front";

/// With certificates a TCP entry speaks TLS unless it says otherwise or is port 80; other sockets only if they say so.
fn read_listen(section: &Section<'_>, certificates: bool) -> Result<Option<Vec<Listen>>, ConfigError> {
    let Some(at) = section.at("listen") else {
        return Ok(None);
    };
    let items = at.items(SERVE_SHAPE)?;
    if items.is_empty() {
        return Err(at.wrong("the list is empty", SERVE_SHAPE));
    }
    let mut listen: Vec<Listen> = Vec::with_capacity(items.len());
    for item in &items {
        let entry = read_entry(item, certificates)?;
        if listen
            .iter()
            .any(|other| other.at == entry.at && !matches!(entry.at, ListenAt::Tcp(at) if at.port() == 0))
        {
            return Err(item.complain(format!("`serve.listen` names {} twice", entry.at), "take one out"));
        }
        listen.push(entry);
    }
    if certificates && !listen.iter().any(|entry| entry.tls) {
        let fix = "write { addr = \"…\", tls = true } for the socket that shall speak TLS";
        return Err(at.complain("there are certificates but no socket speaks TLS", fix));
    }
    Ok(Some(listen))
}

fn read_entry(item: &At<'_>, certificates: bool) -> Result<Listen, ConfigError> {
    let implied = |at: &ListenAt, fastcgi: bool| {
        certificates && !fastcgi && matches!(at, ListenAt::Tcp(at) if at.port() != 80)
    };
    if !item.value().is_table() {
        let (at, fastcgi) = item.read_as(SERVE_SHAPE, Listen::parse)?;
        return Ok(Listen { tls: implied(&at, fastcgi), proxy_protocol: false, at, fastcgi });
    }
    let entry = item.section("serve.listen")?;
    let Some(addr) = entry.at("addr") else {
        return Err(item.complain("`serve.listen`: it has no `addr`", format!("write addr = {SERVE_SHAPE}")));
    };
    let (at, fastcgi) = addr.read_as(SERVE_SHAPE, Listen::parse)?;
    let tls = entry.or("tls", implied(&at, fastcgi))?;
    let proxy_protocol = entry.or("proxy_protocol", false)?;
    let other = [("tls", tls), ("proxy_protocol", proxy_protocol)].into_iter().find(|(_, on)| fastcgi && *on);
    if let Some((key, _)) = other {
        let place = entry.at(key).unwrap_or(addr);
        return Err(place.complain(
            format!("a socket for FastCGI cannot have `{key}`"),
            "take it out: the web server in front speaks TLS and the PROXY protocol",
        ));
    }
    if let Some(place) = entry.at("tls").filter(|_| tls && !certificates) {
        let fix = "write tls = [{ cert = \"…\", key = \"…\" }] in [serve]";
        return Err(place.complain("a socket shall speak TLS but there is no certificate", fix));
    }
    Ok(Listen { tls, proxy_protocol, at, fastcgi })
}

impl TlsPair {
    fn read(section: &Section<'_>, base: &Path) -> Result<TlsPair, ConfigError> {
        let file = |key| section.need::<PathBuf>(key).map(|path| base.join(path));
        Ok(TlsPair { cert: file("cert")?, key: file("key")? })
    }
}

impl Log {
    fn read(section: &Section<'_>, base: &Path, default: Log) -> Result<Log, ConfigError> {
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let levels =
            [("error", Level::Error), ("warn", Level::Warn), ("info", Level::Info), ("debug", Level::Debug)];
        let access = match section.get::<PathBuf>("access")? {
            None => default.access,
            Some(word) if word == Path::new("off") => AccessLog::Off,
            Some(word) if word == Path::new("stdout") => AccessLog::Stdout,
            Some(path) => AccessLog::File(base.join(path)),
        };
        let error = match section.get::<PathBuf>("error")? {
            None => default.error,
            Some(word) if word == Path::new("stderr") => ErrorLog::Stderr,
            Some(path) => ErrorLog::File(base.join(path)),
        };
        Ok(Log {
            access,
            format: section.at("format").map(|at| at.choice(&formats)).transpose()?.unwrap_or(default.format),
            error,
            level: section.at("level").map(|at| at.choice(&levels)).transpose()?.unwrap_or(default.level),
        })
    }
}

impl Limits {
    fn read(section: &Section<'_>) -> Result<Limits, ConfigError> {
        let default = Limits::default();
        let size = |key, default| section.or(key, Size(default)).map(|size| size.0);
        let span = |key, default| section.or(key, read::Duration(default)).map(|span| span.0);
        let header_bytes = size("header_bytes", default.header_bytes)?;
        // hyper cannot read with less, and more would let one client hold much memory.
        if let Some(at) = section.at("header_bytes").filter(|_| !(8 << 10..=1 << 20).contains(&header_bytes))
        {
            return Err(at.wrong("it is out of range", "a size from \"8K\" to \"1M\""));
        }
        Ok(Limits {
            header_bytes,
            uri_bytes: size("uri_bytes", default.uri_bytes)?,
            body: size("body", default.body)?,
            header_timeout: span("header_timeout", default.header_timeout)?,
            body_timeout: span("body_timeout", default.body_timeout)?,
            idle: span("idle", default.idle)?,
            send_timeout: span("send_timeout", default.send_timeout)?,
            connections: section
                .get::<NonZeroU32>("connections")?
                .map_or(default.connections, |connections| connections.get() as usize),
            drain: span("drain", default.drain)?,
        })
    }
}

impl Forward {
    fn read(section: &Section<'_>) -> Result<Forward, ConfigError> {
        Ok(Forward { path: section.need("path")?, to: section.need("to")? })
    }
}

impl Cgi {
    fn read(section: &Section<'_>) -> Result<Cgi, ConfigError> {
        let path = match section.get::<Prefix>("path")? {
            Some(path) => path,
            None => Prefix::parse("/cgi-bin").map_err(|why| section.complain(why, ""))?,
        };
        let own_dir = PathBuf::from(path.as_str().trim_start_matches('/'));
        let mut env = BTreeMap::new();
        for (name, at) in section.named("env")? {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(at.complain(
                    format!("`{}` is no variable's name", name.escape_debug()),
                    "letters and `_`",
                ));
            }
            env.insert(name, scalar(&at)?);
        }
        Ok(Cgi {
            dir: section.get::<Beneath>("dir")?.map_or(own_dir, |dir| dir.0),
            path,
            timeout: section.or("timeout", read::Duration(Duration::from_secs(60)))?.0,
            env,
            processes: section
                .get::<NonZeroU32>("processes")?
                .map_or(16, |processes| processes.get() as usize),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_may_have_a_side_server_of_its_own() {
        let forward =
            |to: &str| Forward { path: Prefix::parse("/").unwrap(), to: Address::parse(to).unwrap() };
        let at = |to: &str| forward(to).at("r41").to_string();
        assert_eq!(at("unix:/run/shop/{release}.sock"), "unix:/run/shop/r41.sock");
        assert_eq!(at("unix:/run/shop/side.sock"), "unix:/run/shop/side.sock");
        assert_eq!(at("127.0.0.1:6001"), "127.0.0.1:6001");
    }
}
