//! Php: which PHP-FPM an app's scripts run in, and how it is talked to.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::complaint::ConfigError;
use crate::read::{self, Section, Size};
use crate::value::Address;

/// `[php]`, but for the front controller, which the release says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Php {
    /// `fpm`; embedded unless said otherwise.
    pub fpm: Fpm,
    /// `path_map`: release path here to path as FPM sees it; longest first.
    pub path_map: Vec<(PathBuf, PathBuf)>,
    /// `connections`: kept connections to the pool, below its pm.max_children. 4 unless said otherwise; for the
    /// embedded pool one below `workers`.
    pub connections: usize,
    /// `execute_shared`: scripts below shared/ may run.
    pub execute_shared: bool,
    /// `exclusive`: the pool is ours alone, so connections may be kept; always true for the embedded pool.
    pub exclusive: bool,
    /// `status`: the pool's `pm.status_path`, by which prune sees which releases workers run; `None`: not asked.
    pub status: Option<String>,
    /// `user` of the embedded pool.
    pub user: Option<String>,
    /// `group` of the embedded pool.
    pub group: Option<String>,
    /// `workers` of the embedded pool; twice the CPUs, 4 at least, unless said otherwise.
    pub workers: usize,
    /// `ini`: php.ini values of the embedded pool, as written.
    pub ini: BTreeMap<String, String>,
    /// `env`: environment of the embedded pool's scripts.
    pub env: BTreeMap<String, String>,
    /// `binary`: the embedded pool's php-fpm; `None`: looked for.
    pub binary: Option<PathBuf>,
    /// `preload`: a file of the release that the embedded pool compiles and runs once when it starts; each release
    /// then gets a php-fpm of its own.
    pub preload: Option<PathBuf>,
    /// `linger`: a php-fpm whose release is live no more stays so long for a rollback, 1 min unless said otherwise.
    pub linger: Duration,
    /// `drain`: requests that still run in it after so long are cut, 1 h unless said otherwise.
    pub drain: Duration,
    /// `connect_timeout`, 5 s unless said otherwise.
    pub connect_timeout: Duration,
    /// `read_timeout`: the longest silence of a script, 60 s unless said otherwise.
    pub read_timeout: Duration,
    /// `queue_timeout`: the longest wait for a free connection, 30 s unless said otherwise.
    pub queue_timeout: Duration,
    /// `buffer_request`: a worker is asked only when the whole body is here.
    pub buffer_request: bool,
    /// `buffer_response`: a worker is freed as soon as it is done, however slowly the client reads.
    pub buffer_response: bool,
    /// `spool_memory`: bytes of one body kept in memory before it goes to disk.
    pub spool_memory: u64,
}

/// Where the pool is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fpm {
    /// Cutover runs its own php-fpm.
    Embedded,
    /// Someone else's; requests are spread over the addresses. Never empty.
    At(Vec<Address>),
}

impl Php {
    pub(crate) fn read(section: &Section<'_>) -> Result<Php, ConfigError> {
        let fpm = read_fpm(section)?;
        let embedded = fpm == Fpm::Embedded;
        let count = |key| section.get::<NonZeroU32>(key).map(|found| found.map(|n| n.get() as usize));
        let workers = count("workers")?.unwrap_or_else(default_workers);
        let default_connections = if embedded { workers.saturating_sub(1).max(1) } else { 4 };
        let connections = count("connections")?.unwrap_or(default_connections);
        if let Some(at) = section.at("connections").filter(|_| embedded && connections > workers) {
            let what = format!("`php.connections` ({connections}) exceeds `php.workers` ({workers})");
            return Err(at.complain(what, "keep fewer connections than there are workers: each occupies one"));
        }
        if !embedded {
            refuse_embedded_only(section)?;
        }
        if let Some(at) = section.at("exclusive").filter(|at| embedded && at.value().as_bool() == Some(false))
        {
            return Err(at.complain("the embedded pool is always exclusive", "take `exclusive` out"));
        }
        let span = |key, default| {
            section
                .get::<read::Duration>(key)
                .map(|found| found.map_or(Duration::from_secs(default), |span| span.0))
        };
        Ok(Php {
            path_map: read_path_map(section)?,
            connections,
            execute_shared: section.or("execute_shared", false)?,
            exclusive: section.or("exclusive", false)? || embedded,
            status: section
                .at("status")
                .map(|at| at.read_as("a path: \"/fpm-status\"", super::fleet::request_path))
                .transpose()?,
            user: section.get("user")?,
            group: section.get("group")?,
            workers,
            ini: read_ini(section)?,
            env: read_env(section)?,
            binary: section.get("binary")?,
            preload: read_preload(section)?,
            linger: span("linger", 60)?,
            drain: span("drain", 3600)?,
            connect_timeout: span("connect_timeout", 5)?,
            read_timeout: span("read_timeout", 60)?,
            queue_timeout: span("queue_timeout", 30)?,
            buffer_request: section.or("buffer_request", true)?,
            buffer_response: section.or("buffer_response", true)?,
            spool_memory: section.or("spool_memory", Size(64 << 10))?.0,
            fpm,
        })
    }
}

fn read_fpm(section: &Section<'_>) -> Result<Fpm, ConfigError> {
    let Some(at) = section.at("fpm") else {
        return Ok(Fpm::Embedded);
    };
    if at.value().as_str() == Some("embedded") {
        return Ok(Fpm::Embedded);
    }
    let shape = "\"embedded\", \"unix:/run/php/php8.2-fpm.sock\", \"127.0.0.1:9000\" or a list of addresses";
    if !at.value().is_array() {
        return at.read_as(shape, Address::parse).map(|address| Fpm::At(vec![address]));
    }
    let items = at.items(shape)?;
    if items.is_empty() {
        return Err(at.wrong("the list is empty", shape));
    }
    items.iter().map(|item| item.read_as(shape, Address::parse)).collect::<Result<_, _>>().map(Fpm::At)
}

/// Someone else's pool has its own user, size and php.ini: keys that would do nothing are mistakes.
fn refuse_embedded_only(section: &Section<'_>) -> Result<(), ConfigError> {
    for key in ["user", "group", "workers", "ini", "env", "binary", "preload", "linger", "drain"] {
        if let Some(at) = section.at(key) {
            let what = format!("`php.{key}` only has a meaning with fpm = \"embedded\"");
            return Err(
                at.complain(what, "set it in that pool's own configuration, or write fpm = \"embedded\"")
            );
        }
    }
    Ok(())
}

fn read_path_map(section: &Section<'_>) -> Result<Vec<(PathBuf, PathBuf)>, ConfigError> {
    let mut map = Vec::new();
    for (from, at) in section.named("path_map")? {
        let to: PathBuf = at.read()?;
        if !from.starts_with('/') || !to.is_absolute() || from.contains('\0') {
            return Err(
                at.complain("both sides of `php.path_map` must be absolute", "{ \"/srv/shop\" = \"/app\" }")
            );
        }
        map.push((PathBuf::from(from), to));
    }
    map.sort_by_key(|(from, _)| std::cmp::Reverse(from.components().count()));
    Ok(map)
}

/// A path inside of a release.
fn read_preload(section: &Section<'_>) -> Result<Option<PathBuf>, ConfigError> {
    let shape = "a path inside of a release: \"config/preload.php\"";
    let Some(at) = section.at("preload") else { return Ok(None) };
    let path = at.read_as(shape, |text| {
        let path = PathBuf::from(text);
        let inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        match inside
            && !text.is_empty()
            && !text.contains(['\'', '"', '\\'])
            && !text.contains(char::is_control)
        {
            true => Ok(path),
            false => Err("it is not a path that stays inside".into()),
        }
    })?;
    if read_ini(section)?.contains_key("opcache.preload") {
        return Err(at.complain(
            "`php.preload` and opcache.preload in `php.ini` exclude each other",
            "take the latter out",
        ));
    }
    Ok(Some(path))
}

/// php.ini values go line by line into the generated pool file: nothing may end the line or the key.
fn read_ini(section: &Section<'_>) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut ini = BTreeMap::new();
    for (name, at) in section.named("ini")? {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(
                at.complain(format!("`{}` is no php.ini key", name.escape_debug()), "letters, `.` and `_`")
            );
        }
        ini.insert(name, scalar(&at)?);
    }
    Ok(ini)
}

fn read_env(section: &Section<'_>) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut env = BTreeMap::new();
    for (name, at) in section.named("env")? {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(plain) {
            return Err(
                at.complain(format!("`{}` is no variable's name", name.escape_debug()), "letters and `_`")
            );
        }
        env.insert(name, scalar(&at)?);
    }
    Ok(env)
}

/// Text, a number or a yes or no, as php.ini writes it; on one line.
pub(super) fn scalar(at: &read::At<'_>) -> Result<String, ConfigError> {
    if let Some(yes) = at.value().as_bool() {
        return Ok(if yes { "1" } else { "0" }.into());
    }
    if at.value().is_integer() {
        return at.read::<u64>().map(|number| number.to_string());
    }
    at.read_as("text on one line, a number, true or false", |text| match text.chars().any(char::is_control) {
        true => Err("it has a line break or another control character".into()),
        false => Ok(text.to_owned()),
    })
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(4, |cpus| (cpus.get() * 2).max(4))
}
