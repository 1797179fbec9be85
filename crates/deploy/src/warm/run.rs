//! Run: one release compiled into one cache.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use config::host::Php;
use release::live;

use super::files::{Files, Order};
use super::pace::{BATCH, Pace};
use super::{WarmError, advice};
use crate::health::Subject;
use crate::opcache::ask::{Bounds, Look, Stopped, below};
use crate::opcache::room::{self, Short};
use crate::opcache::{Cache, Figures, Need, collect};

/// All that it needs.
pub struct Run<'a, 'd, 's> {
    pub subject: &'a Subject<'s, 'd>,
    pub php: &'a Php,
    pub files: &'a Files,
    /// The cache; another one, if a fresh master was started.
    pub cache: Cache,
    /// A fresh master was started here.
    pub started: bool,
    /// Told how many files are done, of how many.
    pub progress: &'a mut dyn FnMut(usize, usize),
}

/// What it came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Files in the cache.
    pub cached: u64,
    /// What could not be done, and does no harm.
    pub warnings: Vec<String>,
}

/// Files per request, at most: it is over after [`BATCH`] anyhow.
const FILES: usize = 500;
/// For a restart of the cache, which waits for the requests that are under way.
const RESTART: Duration = Duration::from_secs(15);
/// So many files are named in a warning.
const NAMED: usize = 3;
/// With room for fewer deploys than this after the one in hand, it is said.
const FEW: u64 = 3;

/// How far compiling got.
struct Reached {
    cached: u64,
    done: usize,
    stopped: Stopped,
    figures: Figures,
    errors: Vec<(PathBuf, u64, String)>,
    left: Vec<(PathBuf, u64, String)>,
}

impl Run<'_, '_, '_> {
    /// Looks, makes room, compiles, and says what the next deploys have to expect.
    pub fn all(&mut self) -> Result<Done, WarmError> {
        let mut done = Done::default();
        let app = self.subject.deploy.app();
        let live = live::read(app).ok().filter(|live| live.id != *self.subject.id);
        // The releases beside it, or in slot mode the slots: what was used of them is what will be used of this one.
        let releases = self.subject.dir.parent().map_or_else(|| collect::releases(app), Path::to_owned);
        let mut look = self.cache.look(Some(&releases), None)?;
        // What is gone takes no room that could be had back, but a full cache heals only if enough of it is waste.
        let dead = collect::dead(&look, &releases);
        if !dead.is_empty() {
            let (_, figures) = self.cache.collect(dead.iter().map(PathBuf::as_path))?;
            look.figures = figures;
        }
        // Cloned: what was used is known even when the cache is another one afterwards.
        let scripts = look.scripts.clone();
        let order = self.files.order(&scripts);
        let need = self.need(&look, &order);
        let restarts = look.figures.restarts;
        let only_used = match room::room(&look.figures, self.without_own(&look, need)) {
            Ok(()) => false,
            Err(short) => self.make_room(short, &mut look, &mut done)?,
        };
        let mut wanted = order.used.clone();
        if !only_used || wanted.is_empty() {
            wanted.extend(&order.rest);
        }
        let paths: Vec<PathBuf> = wanted.iter().map(|path| below(self.subject.dir, path)).collect();
        let mut reached = self.through(&paths, look.figures.clone())?;
        // It was judged too small, by a release that was not live yet, say.
        if reached.stopped == Stopped::Room && self.start_fresh(&mut look, &mut done)? {
            reached = self.through(&paths, look.figures.clone())?;
        }
        if !self.started && (reached.stopped == Stopped::Restart || reached.figures.restarts != restarts) {
            let figures = self.after_restart()?;
            if figures.restarts != restarts {
                done.warnings.push(format!("PHP restarted the opcache of {}", self.cache.pool()));
            }
            // Visitors of the live release lost theirs too: those first.
            let back: Vec<PathBuf> =
                live.iter().flat_map(|live| order.used.iter().map(|path| below(&live.dir, path))).collect();
            let again = self.through(&back, figures)?;
            reached = self.through(&paths, again.figures)?;
        }
        done.cached = reached.cached;
        if !reached.errors.is_empty() {
            return Err(WarmError::Parse { errors: reached.errors });
        }
        if self.started {
            self.way_back(live.as_ref().map(|live| live.dir.as_path()), &order, &mut reached)?;
        }
        done.warnings.extend(uncached(&reached.left));
        match reached.stopped {
            Stopped::End | Stopped::Time => {}
            Stopped::Room | Stopped::Restart => done.warnings.push(format!(
                "the opcache of {} has room for {} of the release's {} files, those that are used most; {}",
                self.cache.pool(),
                reached.done,
                self.files_wanted(&order),
                room::forecast(&reached.figures, need)
            )),
        }
        self.look_ahead(&reached.figures, need, &mut done);
        Ok(done)
    }

    fn files_wanted(&self, order: &Order<'_>) -> usize {
        order.used.len() + order.rest.len()
    }

    fn need(&self, look: &Look, order: &Order<'_>) -> Need {
        let sized = order.used.iter().chain(&order.rest);
        let sized = sized.map(|path| (*path, self.files.size(path).unwrap_or(0)));
        let Figures { keys, scripts, .. } = look.figures;
        let each = if scripts == 0 { 1.0 } else { keys as f64 / scripts as f64 };
        Need::of(sized, &look.scripts, |path| self.files.size(path), each)
    }

    /// A release that is warmed a second time takes what it does not have yet.
    fn without_own(&self, look: &Look, need: Need) -> Need {
        let own = self.subject.dir.file_name().and_then(|name| look.shares.get(name.to_str()?));
        own.map_or(need, |(scripts, bytes)| need.without(*bytes, *scripts))
    }

    /// A fresh master knows nothing of what is live, and a rollback would lead there too: what is used of it is compiled
    /// as far as there is room, and no word is lost about what is not.
    fn way_back(
        &mut self,
        live: Option<&Path>,
        order: &Order<'_>,
        reached: &mut Reached,
    ) -> Result<(), WarmError> {
        let Some(live) = live.filter(|_| reached.stopped == Stopped::End) else { return Ok(()) };
        let files: Vec<PathBuf> = order.used.iter().map(|path| below(live, path)).collect();
        reached.figures = self.through(&files, reached.figures.clone())?.figures;
        Ok(())
    }

    /// There is too little room: a fresh master where there can be one; a full cache is helped to heal; else what is
    /// used most has to do. Gives whether only that is compiled.
    fn make_room(&mut self, short: Short, look: &mut Look, done: &mut Done) -> Result<bool, WarmError> {
        if self.start_fresh(look, done)? {
            return Ok(false);
        }
        let pool = self.cache.pool();
        match short {
            Short::Memory { .. } | Short::Keys { .. } => {
                done.warnings.push(format!("the opcache of {pool} is too small for the release: {short}"));
                Ok(true)
            }
            Short::Full => {
                done.warnings.push(format!(
                    "the opcache of {pool} was full: releases that nobody needs were taken out of it"
                ));
                self.heal(look)?;
                Ok(false)
            }
            Short::Restarting => Ok(false),
        }
    }

    /// Goes on in a fresh master, where one can be had. Gives whether it does.
    fn start_fresh(&mut self, look: &mut Look, done: &mut Done) -> Result<bool, WarmError> {
        let deploy = self.subject.deploy;
        let Some(fresh) = deploy.fresh_pool.as_ref().filter(|_| deploy.fresh.get().is_none()) else {
            return Ok(false);
        };
        match (fresh.start)(self.subject.dir) {
            Ok(pool) => {
                let pool = deploy.fresh.get_or_init(|| pool);
                self.cache = Cache::of(deploy.app(), &self.php.path_map, pool)?;
                self.started = true;
                *look = Look { scripts: std::mem::take(&mut look.scripts), ..self.cache.look(None, None)? };
                Ok(true)
            }
            Err(why) => {
                done.warnings.push(format!("no second PHP-FPM was started: {why}"));
                Ok(false)
            }
        }
    }

    /// A full cache is restarted by PHP as soon as enough of it is waste: then the releases that are neither live nor
    /// the way back have to go.
    fn heal(&self, look: &mut Look) -> Result<(), WarmError> {
        let deploy = self.subject.deploy;
        let releases = collect::releases(deploy.app());
        let stay = collect::needed(deploy.app(), self.subject.id);
        // Slots are rewritten, never gone.
        if self.subject.dir.parent() != Some(releases.as_path()) {
            return Ok(());
        }
        let named = look.shares.keys().filter(|name| !name.is_empty() && !stay.contains(name.as_str()));
        let dirs: Vec<PathBuf> = named.map(|name| releases.join(name)).collect();
        let (_, figures) = self.cache.collect(dirs.iter().map(PathBuf::as_path))?;
        look.figures = figures;
        Ok(())
    }

    /// Waits until the cache takes scripts again, or will not.
    fn after_restart(&self) -> Result<Figures, WarmError> {
        let until = Instant::now() + RESTART;
        loop {
            let figures = self.cache.look(None, None)?.figures;
            if !figures.restarting || Instant::now() >= until {
                return Ok(figures);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Compiles these files, in batches, and what failed again alone: two files with one function cannot be compiled
    /// by one request.
    fn through(&mut self, paths: &[PathBuf], figures: Figures) -> Result<Reached, WarmError> {
        let bounds = Bounds { time: BATCH, bytes: room::spare(&figures), keys: room::spare_keys(&figures) };
        let mut pace = Pace::from(&figures);
        let mut reached = Reached {
            cached: 0,
            done: 0,
            stopped: Stopped::End,
            figures,
            errors: Vec::new(),
            left: Vec::new(),
        };
        let mut alone = Vec::new();
        while reached.done < paths.len() {
            self.not_stopped()?;
            let batch = paths.get(reached.done..).unwrap_or_default();
            let batch = batch.get(..FILES).unwrap_or(batch);
            let began = Instant::now();
            let compiled = self.cache.compile(batch.iter().map(PathBuf::as_path), bounds)?;
            let took = began.elapsed();
            let named =
                |(index, line, why): (usize, u64, String)| Some((batch.get(index)?.clone(), line, why));
            reached.cached += compiled.cached;
            reached.done += compiled.done;
            reached.errors.extend(compiled.errors.into_iter().filter_map(named));
            alone.extend(compiled.again.into_iter().filter_map(named));
            reached.stopped = compiled.stopped;
            let pause = pace.pause(&compiled.figures, took);
            reached.figures = compiled.figures;
            (self.progress)(reached.done, paths.len());
            match compiled.stopped {
                Stopped::End | Stopped::Time => {}
                Stopped::Room | Stopped::Restart => break,
            }
            std::thread::sleep(pause);
        }
        for (path, _, _) in alone {
            self.not_stopped()?;
            let compiled = self.cache.compile([path.as_path()], bounds)?;
            let named = |(_, line, why): (usize, u64, String)| (path.clone(), line, why);
            reached.cached += compiled.cached;
            reached.errors.extend(compiled.errors.into_iter().map(named));
            reached.left.extend(compiled.again.into_iter().map(named));
            reached.figures = compiled.figures;
        }
        Ok(reached)
    }

    fn not_stopped(&self) -> Result<(), WarmError> {
        match self.subject.deploy.stop.load(Ordering::SeqCst) {
            true => Err(WarmError::Stopped),
            false => Ok(()),
        }
    }

    /// Warns early: of what the next deploys will meet, and of what else is nearly used up.
    fn look_ahead(&self, figures: &Figures, need: Need, done: &mut Done) {
        let pool = self.cache.pool();
        let ahead = room::forecast(figures, need);
        let fresh = self.subject.deploy.fresh_pool.is_some();
        if ahead.deploys < FEW && !fresh && done.warnings.is_empty() {
            done.warnings.push(format!("the opcache of {pool} has {ahead}"));
        }
        let always = self.subject.deploy.fresh_pool.as_ref().is_some_and(|fresh| fresh.always);
        done.warnings
            .extend(advice::of(figures, always).into_iter().map(|advice| format!("{pool}: {advice}")));
    }
}

/// Files that opcache did not take, though they parse: it has its own rules.
fn uncached(left: &[(PathBuf, u64, String)]) -> Option<String> {
    if left.is_empty() {
        return None;
    }
    let named = left.iter().take(NAMED).map(|(file, line, why)| match (line, why.as_str()) {
        (_, "") => file.display().to_string(),
        (0, why) => format!("{} ({why})", file.display()),
        (line, why) => format!("{}:{line} ({why})", file.display()),
    });
    let named: Vec<String> = named.collect();
    let more = if left.len() > NAMED { ", …" } else { "" };
    Some(format!("opcache did not take {} of the files: {}{more}", left.len(), named.join(", ")))
}
