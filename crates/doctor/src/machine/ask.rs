//! Ask: a running PHP-FPM pool, asked through FastCGI how it stands.
//!
//! What a pool really has set, and how full its opcache is, only a script that it runs can tell. The script is ours, lies
//! in a private temporary directory for as long as the question takes, and changes nothing. A pool that cannot see that
//! directory (a chroot, `PrivateTmp`, another container, `open_basedir`) is one that could not be looked at.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use fastcgi::blocking::{self, Limits, Response};
use fastcgi::{Address, Params};

use super::{NoLook, Why};

/// A question to a running pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// How it stands, from inside: a script of ours, with a suffix that the pool runs (`security.limit_extensions`).
    Inside {
        /// The suffix, with its dot.
        suffix: String,
    },
    /// Its status page (`pm.status_path`), with all workers.
    Status {
        /// The path.
        path: String,
    },
}

const SCRIPT: &str = include_str!("inside.php");

/// How long a pool may take. All its workers may be busy; then it could not be asked.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer; a status page of a thousand workers has half a million.
const ANSWER_MAX: usize = 4 << 20;

/// Where a script of ours may lie, the best first. A pool with `PrivateTmp` sees only the last.
const DIRS: [&str; 2] = ["/tmp", "/dev/shm"];

impl Question {
    /// Its name in a recording.
    pub fn name(&self) -> &'static str {
        match self {
            Question::Inside { .. } => "inside",
            Question::Status { .. } => "status",
        }
    }
}

/// Asks a pool; the answer is JSON.
pub(super) fn ask(pool: &Address, question: &Question) -> Result<String, NoLook> {
    match question {
        Question::Status { path } => {
            let params = params(path, Path::new(path), "json&full");
            told(pool, &send(pool, &params)?)
        }
        Question::Inside { suffix } => {
            let mut last =
                NoLook { what: pool.to_string(), why: Why::Failed("no directory for a script".into()) };
            for dir in DIRS {
                let script = match Script::put(Path::new(dir), suffix) {
                    Ok(script) => script,
                    Err(said) => {
                        last = NoLook::io(Path::new(dir), &said);
                        continue;
                    }
                };
                let mut params = params("/cutover-doctor.php", &script.path, "");
                params.push(b"CUTOVER_QUESTION", b"inside");
                match told(pool, &send(pool, &params)?) {
                    Ok(answer) => return Ok(answer),
                    Err(why) => last = why,
                }
            }
            Err(last)
        }
    }
}

fn params(name: &str, script: &Path, query: &str) -> Params {
    let mut params = Params::with_capacity(512);
    params
        .push(b"SCRIPT_FILENAME", script.as_os_str().as_bytes())
        .push(b"SCRIPT_NAME", name.as_bytes())
        .push(b"REQUEST_URI", name.as_bytes())
        .push(b"QUERY_STRING", query.as_bytes())
        .push(b"REQUEST_METHOD", b"GET")
        .push(b"SERVER_PROTOCOL", b"HTTP/1.1")
        .push(b"GATEWAY_INTERFACE", b"CGI/1.1")
        .push(b"REDIRECT_STATUS", b"200");
    params
}

fn send(pool: &Address, params: &Params) -> Result<Response, NoLook> {
    let limits = Limits { connect: PATIENCE, total: PATIENCE, output_len: ANSWER_MAX, ..Limits::default() };
    blocking::send(pool, params, b"", limits)
        .map_err(|error| NoLook { what: format!("the pool {pool}"), why: why(&error) })
}

fn why(error: &blocking::BlockingError) -> Why {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(deeper) = source {
        match deeper.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::PermissionDenied) => return Why::Denied,
            Some(io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => return Why::TimedOut,
            Some(io::ErrorKind::NotFound) => return Why::Absent,
            // Writing to a String cannot fail.
            _ => write!(said, ": {deeper}").unwrap_or_default(),
        }
        source = deeper.source();
    }
    Why::Failed(said)
}

/// The JSON of an answer.
fn told(pool: &Address, answer: &Response) -> Result<String, NoLook> {
    let body = String::from_utf8_lossy(&answer.body);
    let marked = body.split('\u{1e}').nth(1).unwrap_or(body.trim());
    if marked.starts_with('{') {
        return Ok(marked.to_owned());
    }
    let log = String::from_utf8_lossy(&answer.stderr);
    let said = if log.trim().is_empty() { body } else { log };
    let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing").trim();
    let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
    let why = Why::Failed(format!("answered {}: {said}", answer.head.status));
    Err(NoLook { what: format!("the pool {pool}"), why })
}

/// Our script on disk; gone with this value.
struct Script {
    dir: PathBuf,
    path: PathBuf,
}

impl Script {
    fn put(above: &Path, suffix: &str) -> io::Result<Script> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (count, pid) = (COUNT.fetch_add(1, Ordering::Relaxed), std::process::id());
        let dir = above.join(format!("cutover-doctor-{pid}-{count}"));
        // Making a directory neither follows a link nor takes one that is there: what is inside is ours.
        DirBuilder::new().mode(0o700).create(&dir)?;
        let script =
            Script { path: dir.join(OsStr::new("ask")).with_extension(suffix.trim_start_matches('.')), dir };
        fs::write(&script.path, SCRIPT)?;
        fs::set_permissions(&script.path, Permissions::from_mode(0o444))?;
        fs::File::open(&script.path)?.set_modified(UNIX_EPOCH)?;
        // Only now may the pool's user look into it.
        fs::set_permissions(&script.dir, Permissions::from_mode(0o711))?;
        Ok(script)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // What cannot be removed is a file of a few kilobytes in a directory for temporary files.
        drop(fs::remove_file(&self.path));
        drop(fs::remove_dir(&self.dir));
    }
}
