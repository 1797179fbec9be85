//! Ask: the opcache of a pool, asked by a script of ours that the pool runs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use fastcgi::blocking::{self, BlockingError, Limits, Response};
use fastcgi::{Address, Params};
use release::App;
use release::atomic::{self, AtomicError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::figures::Figures;
use super::need::Cached;
use crate::health::mapped;

/// The opcache of a pool.
#[derive(Clone, Debug)]
pub struct Cache {
    pool: Address,
    script: PathBuf,
    map: Vec<(PathBuf, PathBuf)>,
    patience: Duration,
}

/// Why a cache could not be asked, or not be used.
#[derive(Debug, thiserror::Error)]
pub enum OpcacheError {
    /// The pool gave no answer.
    #[error("the pool {pool} did not answer: {why}")]
    Silent {
        /// The pool.
        pool: Address,
        /// Why.
        why: String,
    },
    /// The pool does not run our script.
    #[error("the pool {pool} does not run {}: {why}", script.display())]
    Refused {
        /// The pool.
        pool: Address,
        /// The script, as the pool sees it.
        script: PathBuf,
        /// Why, and what to set.
        why: String,
    },
    /// The script ran, and its answer is none.
    #[error("the opcache of {pool} could not be asked: {why}")]
    Broken {
        /// The pool.
        pool: Address,
        /// What PHP said.
        why: String,
    },
    /// There is no opcache to be used.
    #[error("{pool} {why}")]
    Unusable {
        /// The pool.
        pool: Address,
        /// Why.
        why: Unusable,
    },
    /// The script could not be written.
    #[error(transparent)]
    Disk(#[from] AtomicError),
}

/// Why an opcache is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// PHP has none.
    #[error("has no opcache: install PHP's opcache, or each request compiles everything it runs")]
    Absent,
    /// It is switched off, or only on for the command line.
    #[error(
        "has its opcache switched off: set opcache.enable=1 in php.ini (opcache.enable_cli is not for FPM)"
    )]
    Off,
    /// It keeps files only.
    #[error(
        "keeps opcache's code only in files, in {0}: opcache.file_cache_only=0 lets workers share it in memory"
    )]
    FileOnly(String),
    /// Only scripts below a path may ask it.
    #[error("lets only scripts below {0} ask its opcache (opcache.restrict_api)")]
    Restricted(String),
    /// Its functions are disabled.
    #[error("forbids its functions: take {0} out of disable_functions")]
    Forbidden(String),
}

/// What a cache has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// How full it is.
    pub figures: Figures,
    /// For each directory below the one that was asked for: scripts and bytes. The empty name: all others.
    pub shares: BTreeMap<String, (u64, u64)>,
    /// The scripts of the release, or of all releases, by their paths in it; hits are summed.
    pub scripts: Vec<Cached>,
}

impl Look {
    /// Bytes that all releases take but this directory's.
    pub fn others(&self, name: &str) -> u64 {
        let others = self.shares.iter().filter(|(id, _)| !id.is_empty() && *id != name);
        others.map(|(_, (_, bytes))| bytes).sum()
    }
}

/// What one request of compiling did.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Compiled {
    /// Files that were looked at, from the first on.
    pub done: usize,
    /// Those of them that are in the cache.
    pub cached: u64,
    /// Those of them that were not there before.
    pub compiled: u64,
    /// Those that PHP did not take: index, line or 0, why or nothing.
    pub again: Vec<(usize, u64, String)>,
    /// Those that do not parse: index, line, PHP's words.
    pub errors: Vec<(usize, u64, String)>,
    /// Why it stopped.
    pub stopped: Stopped,
    /// How full it is now.
    pub figures: Figures,
}

/// Why compiling stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// All is done.
    End,
    /// The time was over.
    Time,
    /// The next file would take what is to stay free.
    Room,
    /// PHP wants to restart the cache, or is at it.
    Restart,
}

/// What compiling leaves free, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// For one request.
    pub time: Duration,
    /// What stays free.
    pub spare: Spare,
}

/// What compiling leaves free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spare {
    /// So much.
    Leave {
        /// Bytes.
        bytes: u64,
        /// Keys.
        keys: u64,
    },
    /// Nothing: what does not fit makes PHP restart the cache, if enough of it is waste.
    Nothing,
}

const SCRIPT: &str = include_str!("opcache.php");
/// A pool whose workers are all busy lets us wait.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
struct State {
    unusable: Option<(String, String)>,
}

impl Cache {
    /// The opcache of this pool. Puts the script where the pool can read it, unless it stands there already.
    pub fn of(app: &App, map: &[(PathBuf, PathBuf)], pool: &Address) -> Result<Cache, OpcacheError> {
        let name: String = blake3::hash(SCRIPT.as_bytes()).to_hex().chars().take(12).collect();
        let path = app.scripts().join(format!("opcache-{name}.php"));
        if !std::fs::read(&path).is_ok_and(|found| found == SCRIPT.as_bytes()) {
            atomic::make_dir(&app.scripts())?;
            atomic::replace(&path, SCRIPT.as_bytes())?;
            age(&path);
        }
        let script = mapped(map, &path);
        Ok(Cache { pool: pool.clone(), script, map: map.to_vec(), patience: PATIENCE })
    }

    /// Waits no longer than this for an answer.
    pub fn within(self, patience: Duration) -> Cache {
        Cache { patience, ..self }
    }

    /// The pool.
    pub fn pool(&self) -> &Address {
        &self.pool
    }

    /// How full it is; if `releases` (canonical, as it is here) is given, also what each release in it takes, and the
    /// scripts of `release`, or of all of them together.
    pub fn look(&self, releases: Option<&Path>, release: Option<&str>) -> Result<Look, OpcacheError> {
        #[derive(Deserialize)]
        struct Answer {
            figures: Figures,
            shares: BTreeMap<String, (u64, u64)>,
            profile: BTreeMap<String, (u64, u64, u64)>,
        }
        let releases = releases.map_or_else(Vec::new, |path| self.there(path));
        let release = release.unwrap_or_default().as_bytes().to_vec();
        let answer: Answer = self.ask("look", &[releases, release])?;
        let scripts = answer.profile.into_iter().map(|(path, (hits, last_used, bytes))| Cached {
            path: path.into_bytes(),
            hits,
            last_used,
            bytes,
        });
        Ok(Look { figures: answer.figures, shares: answer.shares, scripts: scripts.collect() })
    }

    /// Compiles files, one after the other, until all are done or a bound is met. Paths are those here.
    pub fn compile<'f>(
        &self,
        files: impl IntoIterator<Item = &'f Path>,
        bounds: Bounds,
    ) -> Result<Compiled, OpcacheError> {
        let (bytes, keys) = match bounds.spare {
            Spare::Leave { bytes, keys } => (bytes.to_string(), keys.to_string()),
            Spare::Nothing => ("-1".into(), "0".into()),
        };
        let numbers = [bounds.time.as_millis().to_string(), bytes, keys];
        let mut words: Vec<Vec<u8>> = numbers.into_iter().map(String::into_bytes).collect();
        words.extend(files.into_iter().map(|file| self.there(file)));
        self.ask("compile", &words)
    }

    /// Whether a file is in the cache.
    pub fn has(&self, file: &Path) -> Result<bool, OpcacheError> {
        #[derive(Deserialize)]
        struct Answer {
            cached: Vec<bool>,
        }
        let answer: Answer = self.ask("cached", &[self.there(file)])?;
        Ok(answer.cached.first().copied().unwrap_or(false))
    }

    /// Forgets these files, though they be gone from the disk. What they took is wasted from now on.
    pub fn invalidate<'f>(&self, files: impl IntoIterator<Item = &'f Path>) -> Result<Figures, OpcacheError> {
        #[derive(Deserialize)]
        struct Answer {
            figures: Figures,
        }
        let words: Vec<Vec<u8>> = files.into_iter().map(|file| self.there(file)).collect();
        self.ask::<Answer>("invalidate", &words).map(|answer| answer.figures)
    }

    /// Forgets everything below these directories; gives how many scripts that were, and how full it is then.
    pub fn collect<'f>(
        &self,
        dirs: impl IntoIterator<Item = &'f Path>,
    ) -> Result<(u64, Figures), OpcacheError> {
        #[derive(Deserialize)]
        struct Answer {
            collected: u64,
            figures: Figures,
        }
        let words: Vec<Vec<u8>> = dirs.into_iter().map(|dir| self.there(dir)).collect();
        self.ask::<Answer>("collect", &words).map(|answer| (answer.collected, answer.figures))
    }

    fn there(&self, path: &Path) -> Vec<u8> {
        mapped(&self.map, path).into_os_string().into_vec()
    }

    fn ask<A: DeserializeOwned>(&self, order: &str, words: &[Vec<u8>]) -> Result<A, OpcacheError> {
        let broken = |why: String| OpcacheError::Broken { pool: self.pool.clone(), why };
        let answer = self.send(order, words)?;
        let State { unusable } = serde_json::from_slice(&answer.body).map_err(|_| broken(said(&answer)))?;
        if let Some((state, more)) = unusable {
            let why = match state.as_str() {
                "absent" => Unusable::Absent,
                "off" => Unusable::Off,
                "file_only" => Unusable::FileOnly(more),
                "restricted" => Unusable::Restricted(more),
                "forbidden" => Unusable::Forbidden(more),
                other => return Err(broken(format!("it says `{other}`"))),
            };
            return Err(OpcacheError::Unusable { pool: self.pool.clone(), why });
        }
        serde_json::from_slice(&answer.body).map_err(|error| broken(error.to_string()))
    }

    fn send(&self, order: &str, words: &[Vec<u8>]) -> Result<Response, OpcacheError> {
        let mut body = order.as_bytes().to_vec();
        for word in words {
            body.push(0);
            body.extend_from_slice(word);
        }
        let mut params = Params::with_capacity(512);
        params
            .push(b"SCRIPT_FILENAME", self.script.as_os_str().as_bytes())
            .push(b"SCRIPT_NAME", b"/cutover-opcache.php")
            .push(b"REQUEST_URI", b"/cutover-opcache.php")
            .push(b"QUERY_STRING", b"")
            .push(b"REQUEST_METHOD", b"POST")
            .push(b"SERVER_PROTOCOL", b"HTTP/1.1")
            .push(b"GATEWAY_INTERFACE", b"CGI/1.1")
            .push(b"REDIRECT_STATUS", b"200")
            .push(b"CUTOVER_ORDER", b"opcache")
            .push(b"CONTENT_TYPE", b"application/octet-stream")
            .push(b"CONTENT_LENGTH", body.len().to_string().as_bytes());
        let limits = Limits {
            connect: self.patience.min(Limits::default().connect),
            total: self.patience,
            output_len: 64 << 20,
            ..Limits::default()
        };
        let answer = blocking::send(&self.pool, &params, &body, limits)
            .map_err(|error| OpcacheError::Silent { pool: self.pool.clone(), why: reasons(&error) })?;
        match refusal(&answer) {
            None => Ok(answer),
            Some(why) => {
                Err(OpcacheError::Refused { pool: self.pool.clone(), script: self.script.clone(), why })
            }
        }
    }
}

/// Makes a script of ours look old, for opcache takes nothing that was written within opcache.file_update_protection.
/// A failure costs a millisecond for each order.
pub(super) fn age(path: &Path) {
    let file = std::fs::File::options().write(true).open(path);
    drop(file.and_then(|file| file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000))));
}

/// FPM answers so before any script runs (sapi/fpm/fpm/fpm_main.c).
fn refusal(answer: &Response) -> Option<String> {
    let said = said(answer);
    let hint = match answer.head.status {
        403 => "its security.limit_extensions has to allow .php",
        404 if said.contains("not permitted") => "open_basedir has to allow that directory",
        404 if said.contains("Permission denied") => "its user may not read it",
        404 => {
            "it finds no such file: in a chroot or a container php.path_map has to say what the directory is called there"
        }
        _other => return None,
    };
    Some(format!("{said}; {hint}"))
}

/// The first line of what PHP wrote into its log or, without one, answered.
fn said(answer: &Response) -> String {
    let text = String::from_utf8_lossy(if answer.stderr.is_empty() { &answer.body } else { &answer.stderr })
        .into_owned();
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no word").trim();
    format!("status {}, {line}", answer.head.status)
}

fn reasons(error: &BlockingError) -> String {
    match std::error::Error::source(error) {
        Some(why) => format!("{error}: {why}"),
        None => error.to_string(),
    }
}

/// A path in a release, from the bytes that a manifest has.
pub(crate) fn below(dir: &Path, path: &[u8]) -> PathBuf {
    dir.join(OsStr::from_bytes(path))
}
