//! Masters: the php-fpm masters of one app, and which release's scripts run in which.
//!
//! As a rule there is one. When its cache has no room for another release, or when releases are preloaded, a fresh one
//! is started for the next release and warmed. The flip does the rest: what is made once per release holds the way to
//! its master, so requests that began on the old release stay with the old master, which ends when the last of them,
//! and what its scripts do behind their response, is over.
//!
//! ```text
//! fresh(r2):  current A (r1)   fresh B (for r2)
//! flip to r2: current B (r2)   leaving A (r1): lingers, so that a rollback finds it warm; then it ends when it is free
//! ```

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use config::host::Php;
use release::ReleaseId;

use crate::control::MasterStatus;
use crate::fpm::{Embedded, FpmError, FpmOptions};
use crate::log::{ErrorLog, with_reasons};
use crate::pool::Pool;

/// Masters of one app at once, the fresh one included: each has a cache of the whole size.
const MOST: usize = 3;

/// The pools of one app: one of somebody else's, or its own masters.
pub struct Masters {
    php: Php,
    /// How one of our own is started; `None`: somebody else's.
    options: Option<FpmOptions>,
    state: Mutex<State>,
    /// Held while one is started.
    starting: Mutex<()>,
}

struct State {
    /// What runs the live release.
    current: Arc<Pool>,
    /// What is to run the release it was made for.
    fresh: Option<Arc<Pool>>,
    leaving: Vec<Leaving>,
}

/// A master whose release is live no more.
struct Leaving {
    pool: Weak<Pool>,
    /// What the log calls it.
    process: String,
    /// Held for some time though nobody uses it.
    lingers: Option<Arc<Pool>>,
    since: Instant,
    told_to_end: bool,
}

/// Why there is no fresh master.
#[derive(Debug, thiserror::Error)]
pub enum FreshError {
    /// The pool is somebody else's.
    #[error("php-fpm is not ours: it is not embedded")]
    NotOurs,
    /// Old masters still have work.
    #[error(
        "{} php-fpm masters run for this app already, and requests still run in the old ones ({busy}): php.drain says for how long they may",
        MOST
    )]
    TooMany {
        /// Which.
        busy: String,
    },
    /// The release lacks the file that is to be preloaded.
    #[error("php.preload: {release} has no {file}")]
    NoPreload {
        /// The release.
        release: ReleaseId,
        /// As configured.
        file: String,
    },
    /// It does not start.
    #[error(transparent)]
    Fpm(#[from] FpmError),
}

impl Masters {
    /// Somebody else's pool.
    pub fn external(php: &Php) -> Masters {
        Masters::with(php, None, Pool::new(php, None, None), None)
    }

    /// Our own: the one that runs, and perhaps one that was started for a release to come.
    pub fn own(php: &Php, options: FpmOptions, current: Pool, fresh: Option<Pool>) -> Masters {
        Masters::with(php, Some(options), current, fresh)
    }

    /// Starts the first one, for the release that is live, if one is. What that would have preloaded does not keep
    /// the site from being served: it is logged.
    pub fn start(
        php: &Php,
        options: FpmOptions,
        live: Option<(&ReleaseId, &Path)>,
        log: &ErrorLog,
    ) -> Result<Masters, FpmError> {
        let preload = live.and_then(|(_, dir)| Some(dir.join(php.preload.as_ref()?)));
        let started = match preload.filter(|file| file.is_file()) {
            None => Embedded::start(&options),
            Some(file) => {
                let preloading = FpmOptions { preload: Some(file), ..options.clone() };
                Embedded::start(&preloading).or_else(|why| {
                    let why = with_reasons(&why);
                    log.error(&options.app, format_args!("nothing is preloaded, for it failed: {why}"));
                    Embedded::start(&options)
                })
            }
        };
        let made_for = live.map(|(id, _)| id.clone());
        let current = Pool::new(php, Some(Arc::new(started?)), made_for);
        Ok(Masters::with(php, Some(options), current, None))
    }

    fn with(php: &Php, options: Option<FpmOptions>, current: Pool, fresh: Option<Pool>) -> Masters {
        let state = State { current: Arc::new(current), fresh: fresh.map(Arc::new), leaving: Vec::new() };
        Masters { php: php.clone(), options, state: Mutex::new(state), starting: Mutex::new(()) }
    }

    /// The same masters, with connections as `php` says now.
    pub fn again(&self, php: &Php) -> Masters {
        let state = self.state();
        let again = |pool: &Arc<Pool>| pool.again(php);
        let (current, fresh) = (again(&state.current), state.fresh.as_ref().map(again));
        Masters::with(php, self.options.clone(), current, fresh)
    }

    /// Masters made anew because another file is to be preloaded; the old ones end with their requests.
    pub fn preloading(
        &self,
        php: &Php,
        options: FpmOptions,
        live: Option<(&ReleaseId, &Path)>,
    ) -> Result<Masters, FpmError> {
        let preload = live.and_then(|(_, dir)| Some(dir.join(php.preload.as_ref()?)));
        let started = self.start_another(&options, preload.as_deref().filter(|file| file.is_file()))?;
        let current = Pool::new(php, Some(Arc::new(started)), live.map(|(id, _)| id.clone()));
        Ok(Masters::with(php, Some(options), current, None))
    }

    /// The configuration they were made from.
    pub fn php(&self) -> &Php {
        &self.php
    }

    /// The pool for the scripts of the release `id` in the directory `dir`, which is about to be pinned: from now on
    /// that is the current one.
    ///
    /// Blocks only where releases are preloaded, and this one was made live by a flip that no fresh master preceded.
    pub fn of(&self, id: &ReleaseId, dir: &Path, log: &ErrorLog) -> Arc<Pool> {
        let suiting = self.state().suiting(id, self.php.preload.is_some());
        if let Some(pool) = suiting {
            return self.make_current(pool, id, log);
        }
        let pool = match self.begin(id, dir, false) {
            Ok(pool) => pool,
            Err(why) => {
                let why = with_reasons(&why);
                log.error(
                    &self.name(),
                    format_args!("{id} runs beside what another release preloaded: {why}"),
                );
                Arc::clone(&self.state().current)
            }
        };
        self.make_current(pool, id, log)
    }

    /// Starts a master for the release `id` in the directory `dir`, which takes it over when it is pinned. One that
    /// was started for another release and is not used ends. Blocks for a fraction of a second, half a minute at most.
    pub fn fresh(&self, id: &ReleaseId, dir: &Path) -> Result<Arc<Pool>, FreshError> {
        {
            let state = self.state();
            if let Some(ready) = state.fresh.as_ref().filter(|pool| pool.made_for.as_ref() == Some(id)) {
                return Ok(Arc::clone(ready));
            }
        }
        self.discard(None);
        self.make_room()?;
        let pool = self.begin(id, dir, true)?;
        // The one that it takes the place of, if two were asked for at once, ends here.
        let before = self.state().fresh.replace(Arc::clone(&pool));
        drop(before);
        Ok(pool)
    }

    /// Ends the fresh master, of this release or of any; says whether there was one.
    pub fn discard(&self, id: Option<&ReleaseId>) -> bool {
        let gone = {
            let mut state = self.state();
            let is_it = |pool: &Arc<Pool>| id.is_none() || pool.made_for.as_ref() == id;
            state.fresh.take_if(|pool| is_it(pool))
        };
        gone.is_some()
    }

    /// Lets go of old masters whose time is over.
    pub fn tend(&self, log: &ErrorLog) {
        // Dropped last: what is dropped while the state is locked keeps requests waiting.
        let mut gone = Vec::new();
        let mut state = self.state();
        for one in &mut state.leaving {
            if one.since.elapsed() >= self.php.linger {
                gone.extend(one.lingers.take());
            }
            if one.since.elapsed() >= self.php.drain && !one.told_to_end {
                one.told_to_end = true;
                gone.extend(one.pool.upgrade().inspect(|pool| self.end(pool, log)));
            }
        }
        state.leaving.retain(|one| {
            let held = one.pool.strong_count() > 0;
            if !held {
                log.info(&self.name(), format_args!("{} has finished, and ends", one.process));
            }
            held
        });
    }

    /// Ends a master though it is used: its scripts have the time to finish that each has at an end.
    fn end(&self, pool: &Pool, log: &ErrorLog) {
        let (what, busy, after) = (pool.process(), pool.busy(), self.php.drain.as_secs_f32());
        log.warn(
            &self.name(),
            format_args!(
                "{what} is ended: {busy} requests still ran in it {after} s after the flip (php.drain)"
            ),
        );
        if let Some(embedded) = &pool.embedded {
            embedded.end();
        }
    }

    /// Closes idle connections, so that the workers behind them count as idle.
    pub fn close_idle(&self) {
        self.all().iter().for_each(|(_, pool)| pool.client.close_idle());
    }

    /// All that run, with what each is.
    pub fn all(&self) -> Vec<(Role, Arc<Pool>)> {
        let state = self.state();
        let leaving = state
            .leaving
            .iter()
            .filter_map(|one| Some((Role::Leaving { since: one.since.elapsed() }, one.pool.upgrade()?)));
        let fresh = state.fresh.iter().map(|pool| (Role::Fresh, Arc::clone(pool)));
        [(Role::Current, Arc::clone(&state.current))].into_iter().chain(fresh).chain(leaving).collect()
    }

    /// What is told of our own.
    pub fn status(&self) -> Vec<MasterStatus> {
        self.all().iter().filter_map(|(role, pool)| pool.status(*role)).collect()
    }

    fn begin(&self, id: &ReleaseId, dir: &Path, strict: bool) -> Result<Arc<Pool>, FreshError> {
        let options = self.options.as_ref().ok_or(FreshError::NotOurs)?;
        let _one_at_a_time = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.php.preload.as_ref().map(|file| dir.join(file));
        let preload = match file.filter(|file| strict || file.is_file()) {
            Some(file) if !file.is_file() => {
                let told = self.php.preload.as_ref().map(|file| file.display().to_string());
                return Err(FreshError::NoPreload { release: id.clone(), file: told.unwrap_or_default() });
            }
            preload => preload,
        };
        let started = self.start_another(options, preload.as_deref())?;
        Ok(Arc::new(Pool::new(&self.php, Some(Arc::new(started)), Some(id.clone()))))
    }

    /// Starts one more, like those that run.
    fn start_another(&self, options: &FpmOptions, preload: Option<&Path>) -> Result<Embedded, FpmError> {
        let kept = self.all().into_iter().find_map(|(_, pool)| {
            pool.embedded.as_ref().filter(|embedded| embedded.is_kept()).map(Arc::clone)
        });
        match kept {
            Some(running) => running.twin(preload, options.start_within),
            // Every keeper was killed: as at the start, if we still may.
            None => Embedded::start(&FpmOptions { preload: preload.map(Path::to_owned), ..options.clone() }),
        }
    }

    /// Makes sure that one more may be started: old ones that only linger go.
    fn make_room(&self) -> Result<(), FreshError> {
        let mut gone = Vec::new();
        let mut state = self.state();
        state.leaving.retain(|one| one.pool.strong_count() > 0);
        // The current one and the one to be started count too.
        let most = MOST - 2;
        while let Some(at) = state.leaving.iter().position(Leaving::only_lingers)
            && state.leaving.len() > most
        {
            gone.push(state.leaving.remove(at));
        }
        let left = state.leaving.len();
        let busy: Vec<String> = state.leaving.iter().map(|one| one.process.clone()).collect();
        drop(state);
        drop(gone);
        if left > most { Err(FreshError::TooMany { busy: busy.join(", ") }) } else { Ok(()) }
    }

    fn make_current(&self, pool: Arc<Pool>, id: &ReleaseId, log: &ErrorLog) -> Arc<Pool> {
        pool.runs(id);
        let mut state = self.state();
        if Arc::ptr_eq(&state.current, &pool) {
            return pool;
        }
        state.fresh.take_if(|fresh| Arc::ptr_eq(fresh, &pool));
        state.leaving.retain(|one| one.pool.as_ptr() != Arc::as_ptr(&pool));
        let before = std::mem::replace(&mut state.current, Arc::clone(&pool));
        log.info(
            &self.name(),
            format_args!("{id} runs in {}; {} finishes", pool.process(), before.process()),
        );
        state.leaving.push(Leaving {
            process: before.process(),
            pool: Arc::downgrade(&before),
            lingers: Some(before),
            since: Instant::now(),
            told_to_end: false,
        });
        pool
    }

    fn name(&self) -> String {
        self.options.as_ref().map(|options| options.app.clone()).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The master that was made for the release; else one where it ran; else the current one. Where releases are
    /// preloaded only the first will do: what another one has preloaded is not this one's code.
    fn suiting(&self, id: &ReleaseId, preloaded: bool) -> Option<Arc<Pool>> {
        let leaving = self.leaving.iter().filter(|one| !one.told_to_end).filter_map(|one| one.pool.upgrade());
        let all: Vec<Arc<Pool>> = self.fresh.iter().chain([&self.current]).cloned().chain(leaving).collect();
        let made = all.iter().find(|pool| pool.made_for.as_ref() == Some(id));
        if let Some(made) = made {
            return Some(Arc::clone(made));
        }
        if preloaded && self.current.embedded.is_some() {
            return None;
        }
        let ran = all.iter().find(|pool| pool.has_run(id));
        Some(Arc::clone(ran.unwrap_or(&self.current)))
    }
}

impl Leaving {
    /// No request and no release holds it. None can begin to while the state is locked.
    fn only_lingers(&self) -> bool {
        self.lingers.is_some() && self.pool.strong_count() == 1
    }
}

/// What a master is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It runs the live release.
    Current,
    /// It waits for its release to go live.
    Fresh,
    /// Its release is live no more.
    Leaving {
        /// For how long.
        since: Duration,
    },
}
