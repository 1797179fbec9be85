//! Warm: before the flip a release is compiled into the opcache of each pool that will run it, what visitors want most
//! first, and then asked for pages.
//!
//! ```text
//!   one cache of each master ──> room? ──> compile: what the live release uses, then the rest ──> pages, by log or list
//!                                  └─ none: a fresh master (embedded pool), or what is used most, with a warning
//! ```
//!
//! One request at a time runs in each pool, and none for long, so that visitors find the other workers free.

mod batches;
mod files;
mod log;
mod pace;
mod run;

use std::path::PathBuf;

use config::host::Php;
use fastcgi::Address;
use release::ReleaseId;
use release::manifest::{self, ManifestError};

use crate::health::{self, HealthError, Subject};
use crate::opcache::{Cache, OpcacheError, advice, masters};

use files::Files;

/// What was warmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warmed {
    /// Files in opcache, summed over the masters.
    pub compiled: u64,
    /// Requests that were answered.
    pub requests: u64,
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
    /// A pool did not do it.
    #[error("the release was not compiled: {0}")]
    Opcache(#[from] OpcacheError),
    /// Each release wants a master of its own, and there is none.
    #[error("no PHP-FPM could be started for the release: {0}")]
    NoMaster(String),
    /// The release has no seal.
    #[error("{0}")]
    Manifest(ManifestError),
    /// It is not sealed.
    #[error("{0} is not sealed: nobody can say which files it is made of")]
    Unsealed(ReleaseId),
    /// A page could not be had.
    #[error("{0}")]
    Health(#[from] HealthError),
    /// It was told to stop.
    #[error("the deploy was stopped")]
    Stopped,
}

/// Compiles a sealed release that stands in `dir` (canonical) and asks it for its pages. `progress` is told how many
/// files are done, of how many.
pub fn warm(subject: &Subject<'_, '_>, progress: &mut dyn FnMut(usize, usize)) -> Result<Warmed, WarmError> {
    let deploy = subject.deploy;
    let host = &deploy.config.host;
    let mut warmed = Warmed::default();
    if host.php.is_some() && deploy.asked().is_empty() && deploy.fresh_pool.is_none() {
        warmed
            .warnings
            .push("no pool runs: the release is neither compiled nor asked before the flip".into());
    }
    start_fresh_if_always(subject)?;
    let mut pools: Vec<Address> = deploy.asked().to_vec();
    if let Some(php) = host.php.as_ref().filter(|_| host.warm.compile && !pools.is_empty()) {
        pools = compile(subject, php, &mut warmed, progress)?;
    }
    if pools.is_empty() {
        for path in &host.warm.requests {
            warmed.requests += health::warm_up(subject, path, None)?;
        }
    }
    for pool in &pools {
        for path in &host.warm.requests {
            warmed.requests += health::warm_up(subject, path, Some(pool))?;
        }
    }
    log::replay(subject, &pools, &mut warmed);
    Ok(warmed)
}

/// Compiles into one cache of each master; gives a pool of each master, to be asked for pages.
fn compile(
    subject: &Subject<'_, '_>,
    php: &Php,
    warmed: &mut Warmed,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Address>, WarmError> {
    let deploy = subject.deploy;
    let app = deploy.app();
    let manifest = manifest::load_at(app, subject.id, subject.dir).map_err(WarmError::Manifest)?;
    let manifest = manifest.ok_or_else(|| WarmError::Unsealed(subject.id.clone()))?;
    let files = Files::of(&manifest, &deploy.config.host.warm.exclude);
    if files.is_empty() {
        return Ok(deploy.asked().to_vec());
    }
    let caches: Result<Vec<Cache>, OpcacheError> =
        deploy.asked().iter().map(|pool| Cache::of(app, &php.path_map, pool)).collect();
    let caches = masters::distinct(app, caches?)?;
    let mut pools = Vec::new();
    for cache in caches {
        let mut run = run::Run { subject, php, files: &files, cache, started: false, progress };
        match run.all() {
            Ok(done) => {
                warmed.compiled += done.cached;
                warmed.warnings.extend(done.warnings);
            }
            Err(WarmError::Opcache(
                error @ (OpcacheError::Unusable { .. } | OpcacheError::Refused { .. }),
            )) => {
                warmed.warnings.push(format!(
                    "{error}; nothing was compiled before the flip, so visitors wait for that"
                ));
            }
            Err(error) => return Err(error),
        }
        pools.push(run.cache.pool().clone());
    }
    Ok(pools)
}

fn start_fresh_if_always(subject: &Subject<'_, '_>) -> Result<(), WarmError> {
    let deploy = subject.deploy;
    match deploy.fresh_pool.as_ref().filter(|fresh| fresh.always && deploy.fresh.get().is_none()) {
        None => Ok(()),
        Some(fresh) => {
            let pool = (fresh.start)(subject.id).map_err(WarmError::NoMaster)?;
            deploy.fresh.get_or_init(|| pool);
            Ok(())
        }
    }
}

fn listed(errors: &[(PathBuf, u64, String)]) -> String {
    let line = |(file, line, why): &(PathBuf, u64, String)| format!("\n    {}:{line}: {why}", file.display());
    errors.iter().map(line).collect()
}
