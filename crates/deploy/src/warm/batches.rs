//! Batches: files compiled into a cache by one short request after the other.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::WarmError;
use super::pace::Pace;
use crate::opcache::ask::{Bounds, Spare, Stopped};
use crate::opcache::{Cache, Figures};

/// Files per request, at most: its time is over sooner.
const FILES: usize = 500;

/// How far it got.
pub struct Reached {
    /// Files that are in the cache.
    pub cached: u64,
    /// Files that were looked at, from the first on.
    pub done: usize,
    /// Why it stopped.
    pub stopped: Stopped,
    /// How full the cache is.
    pub figures: Figures,
    /// What does not parse: file, line, PHP's words.
    pub errors: Vec<(PathBuf, u64, String)>,
    /// What opcache did not take: file, line or 0, why or nothing.
    pub left: Vec<(PathBuf, u64, String)>,
}

/// Compiles these files, and what failed again alone: two files with one function cannot be compiled by one request.
/// `figures`: how full the cache is now; `stop`: ends it between two requests; `progress` is told how many are done.
pub fn compile(
    cache: &Cache,
    files: &[PathBuf],
    figures: &Figures,
    spare: Spare,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Reached, WarmError> {
    let mut pace = Pace::from(figures);
    let mut reached = Reached {
        cached: 0,
        done: 0,
        stopped: Stopped::End,
        figures: figures.clone(),
        errors: Vec::new(),
        left: Vec::new(),
    };
    let mut alone = Vec::new();
    while reached.done < files.len() {
        not_stopped(stop)?;
        let batch = files.get(reached.done..).unwrap_or_default();
        let batch = batch.get(..FILES).unwrap_or(batch);
        let bounds = Bounds { time: pace.batch(reached.done == 0), spare };
        let began = Instant::now();
        let compiled = cache.compile(batch.iter().map(PathBuf::as_path), bounds)?;
        let took = began.elapsed();
        let named = |(index, line, why): (usize, u64, String)| Some((batch.get(index)?.clone(), line, why));
        reached.cached += compiled.cached;
        reached.done += compiled.done;
        reached.errors.extend(compiled.errors.into_iter().filter_map(named));
        alone.extend(compiled.again.into_iter().filter_map(named));
        reached.stopped = compiled.stopped;
        let pause = pace.pause(&compiled.figures, took);
        reached.figures = compiled.figures;
        progress(reached.done, files.len());
        match compiled.stopped {
            Stopped::End | Stopped::Time => {}
            Stopped::Room | Stopped::Restart => break,
        }
        std::thread::sleep(pause);
    }
    for (path, _, _) in alone {
        not_stopped(stop)?;
        retry(cache, &path, Bounds { time: pace.batch(false), spare }, &mut reached)?;
    }
    Ok(reached)
}

fn retry(cache: &Cache, path: &Path, bounds: Bounds, reached: &mut Reached) -> Result<(), WarmError> {
    let compiled = cache.compile([path], bounds)?;
    let named = |(_, line, why): (usize, u64, String)| (path.to_owned(), line, why);
    reached.cached += compiled.cached;
    reached.errors.extend(compiled.errors.into_iter().map(named));
    reached.left.extend(compiled.again.into_iter().map(named));
    reached.figures = compiled.figures;
    Ok(())
}

fn not_stopped(stop: &AtomicBool) -> Result<(), WarmError> {
    if stop.load(Ordering::SeqCst) { Err(WarmError::Stopped) } else { Ok(()) }
}
