//! Warm: a release's PHP files are compiled into the opcache of the pool that will run them.
//!
//! By a script of ours outside of the release. What cannot be compiled beside another file (two files with one
//! function) is tried again alone. opcache is never reset, and never filled beyond its size.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::host::Php;
use fastcgi::blocking::{self, BlockingError, Limits};
use fastcgi::{Address, Params};
use release::App;
use release::atomic::{self, AtomicError};
use serde::Deserialize;

use crate::health::mapped;

/// What was warmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warmed {
    /// Files in opcache.
    pub compiled: u64,
    /// What could not be done, and does no harm.
    pub warnings: Vec<String>,
}

/// Why a release was not warmed.
#[derive(Debug, thiserror::Error)]
pub enum WarmError {
    /// Files that PHP cannot read.
    #[error("{} not parse:{}", if errors.len() == 1 { "a file does" } else { "files do" }, listed(errors))]
    Parse {
        /// File, line and PHP's words.
        errors: Vec<(PathBuf, u64, String)>,
    },
    /// The pool gave no answer.
    #[error("the pool {pool} did not compile the release: {why}")]
    Pool {
        /// The pool.
        pool: Address,
        /// Why.
        why: String,
    },
    /// The script could not be written.
    #[error(transparent)]
    Disk(#[from] AtomicError),
}

const SCRIPT: &str = include_str!("warm.php");
/// Files per request.
const BATCH: usize = 100;
/// A batch longer than this hangs.
const LONGEST: Duration = Duration::from_secs(120);
/// So many files are named in a warning.
const NAMED: usize = 3;

#[derive(Deserialize)]
struct Answer {
    opcache: bool,
    full: bool,
    cached: u64,
    again: Vec<(String, String, u64)>,
    errors: Vec<(String, u64, String)>,
}

/// Compiles `files`, whose paths are relative to the release's canonical directory `dir`.
pub fn compile(
    app: &App,
    php: &Php,
    pool: &Address,
    dir: &Path,
    files: &[&[u8]],
    progress: &mut dyn FnMut(usize),
) -> Result<Warmed, WarmError> {
    let mut warmed = Warmed::default();
    if files.is_empty() {
        return Ok(warmed);
    }
    let script = place_script(app)?;
    let there = |file: &&[u8]| {
        let path = dir.join(std::ffi::OsStr::from_bytes(file));
        mapped(&php.path_map, &path).into_os_string().into_vec()
    };
    let script = mapped(&php.path_map, &script);
    let (mut errors, mut alone) = (Vec::new(), Vec::new());
    for (index, batch) in files.chunks(BATCH).enumerate() {
        let names: Vec<Vec<u8>> = batch.iter().map(there).collect();
        let answer = ask(pool, &script, &names.join(&0))?;
        if !answer.opcache {
            warmed.warnings.push(format!("{pool} has no opcache: nothing was compiled"));
            return Ok(warmed);
        }
        if answer.full {
            warmed.warnings.push(format!(
                "the opcache of {pool} is full after {} files: raise opcache.memory_consumption and opcache.max_accelerated_files",
                warmed.compiled
            ));
            return Ok(warmed);
        }
        warmed.compiled += answer.cached;
        errors.extend(answer.errors);
        alone.extend(answer.again);
        progress((index + 1) * BATCH.min(files.len()));
    }
    let mut left = Vec::new();
    for (file, _, _) in alone {
        let answer = ask(pool, &script, file.as_bytes())?;
        warmed.compiled += answer.cached;
        errors.extend(answer.errors);
        left.extend(answer.again);
    }
    if !errors.is_empty() {
        let here = |(file, line, why): (String, u64, String)| (here(php, Path::new(&file)), line, why);
        return Err(WarmError::Parse { errors: errors.into_iter().map(here).collect() });
    }
    warmed.warnings.extend(uncached(&left));
    Ok(warmed)
}

/// Puts the script where the pool can read it, unless it stands there already.
fn place_script(app: &App) -> Result<PathBuf, WarmError> {
    let dir = app.scripts();
    let name: String = blake3::hash(SCRIPT.as_bytes()).to_hex().chars().take(12).collect();
    let path = dir.join(format!("warm-{name}.php"));
    if std::fs::read(&path).is_ok_and(|found| found == SCRIPT.as_bytes()) {
        return Ok(path);
    }
    atomic::make_dir(&dir)?;
    atomic::replace(&path, SCRIPT.as_bytes())?;
    Ok(path)
}

fn ask(pool: &Address, script: &Path, body: &[u8]) -> Result<Answer, WarmError> {
    let failed = |why: String| WarmError::Pool { pool: pool.clone(), why };
    let mut params = Params::with_capacity(512);
    let file = script.as_os_str().as_bytes();
    params
        .push(b"SCRIPT_FILENAME", file)
        .push(b"SCRIPT_NAME", b"/cutover-warm.php")
        .push(b"REQUEST_URI", b"/cutover-warm.php")
        .push(b"QUERY_STRING", b"")
        .push(b"REQUEST_METHOD", b"POST")
        .push(b"SERVER_PROTOCOL", b"HTTP/1.1")
        .push(b"GATEWAY_INTERFACE", b"CGI/1.1")
        .push(b"REDIRECT_STATUS", b"200")
        .push(b"CONTENT_TYPE", b"application/octet-stream")
        .push(b"CONTENT_LENGTH", body.len().to_string().as_bytes());
    let limits = Limits { total: LONGEST, ..Limits::default() };
    let answer = blocking::send(pool, &params, body, limits).map_err(|error| failed(reasons(&error)))?;
    if answer.head.status == 404 || answer.head.status == 403 {
        let path = script.display();
        return Err(failed(format!("it cannot read {path}: may its user, and does open_basedir allow it?")));
    }
    serde_json::from_slice(&answer.body).map_err(|_| {
        let said =
            String::from_utf8_lossy(if answer.stderr.is_empty() { &answer.body } else { &answer.stderr });
        failed(format!("status {}, {}", answer.head.status, said.lines().next().unwrap_or_default()))
    })
}

fn reasons(error: &BlockingError) -> String {
    match std::error::Error::source(error) {
        Some(why) => format!("{error}: {why}"),
        None => error.to_string(),
    }
}

/// A path that the pool named, as it is here.
fn here(php: &Php, path: &Path) -> PathBuf {
    let found = php.path_map.iter().find_map(|(here, there)| Some(here.join(path.strip_prefix(there).ok()?)));
    found.unwrap_or_else(|| path.to_owned())
}

/// Files that opcache did not take, though they parse: it has its own rules.
fn uncached(left: &[(String, String, u64)]) -> Option<String> {
    if left.is_empty() {
        return None;
    }
    let named: Vec<String> = left
        .iter()
        .take(NAMED)
        .map(|(file, why, line)| if why.is_empty() { file.clone() } else { format!("{file}:{line} ({why})") })
        .collect();
    let more = if left.len() > NAMED { ", …" } else { "" };
    Some(format!("opcache did not take {} of the files: {}{more}", left.len(), named.join(", ")))
}

fn listed(errors: &[(PathBuf, u64, String)]) -> String {
    let line = |(file, line, why): &(PathBuf, u64, String)| format!("\n    {}:{line}: {why}", file.display());
    errors.iter().map(line).collect()
}
