//! Sending: a deploy to another host: the source is fetched and built here, the rest is done there.

use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use config::Config;
use config::host::{Moment, Origin};
use deploy::engine::Deploy;
use deploy::event::Event;
use deploy::host::session::Tree;
use deploy::host::walk::walk;
use deploy::journal::{Journal, now_ms};
use deploy::notify;
use deploy::plan::{Aim, Plan};
use deploy::stage::exclude::Exclude;
use deploy::{source, step};
use release::App;
use release::lock::DeployLock;

use crate::answer::{Answer, Failure};
use crate::args::Command;
use crate::command::deploy::possible;
use crate::remote::Remote;
use crate::show::Show;
use crate::stop::told_to_stop;
use crate::who::who;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    /// The tree that the build commands make.
    Built,
    /// The source's tree, for a look at it.
    AsItIs,
}

/// Runs a command that needs the source's tree on a host.
pub fn run(
    remote: &Remote,
    command: &Command,
    sends: Sends,
    reference: Option<String>,
    json: bool,
) -> Result<Answer, Failure> {
    let Some(config) = remote.config() else {
        return Err(Failure::usage("a deploy needs a cutover.toml on this side: it says what is deployed")
            .next("cutover deploy --to user@host, in the project's directory"));
    };
    possible(config, reference.as_deref())?;
    let app = here(config)?;
    let show = if json && sends == Sends::AsItIs { Show::Nothing } else { Show::new(json) };
    let interrupted = told_to_stop();
    let mut build = || tree(config, &app, sends, reference.clone(), &show, &interrupted);
    let mut told =
        || tree(config, &app, sends, reference.clone(), &show, &interrupted).map_err(|failure| failure.error);
    // What only has to be looked at is looked at while the connection is made. What runs commands waits for the lock.
    match sends == Sends::AsItIs || only_looked_at(config) {
        true => remote.lead(command, &show, &interrupted, Some(&mut build), &mut told),
        false => remote.lead(command, &show, &interrupted, None, &mut told),
    }
}

fn only_looked_at(config: &Config) -> bool {
    let hooks = [Moment::BeforeBuild, Moment::AfterBuild, Moment::BeforeStage];
    let source = config.host.source.as_ref();
    source.is_some_and(|source| matches!(source.origin, Origin::Dir(_)) && source.build.is_empty())
        && hooks.iter().all(|at| config.host.hooks.at(*at).is_empty())
}

/// Where this side keeps what it needs for one cutover.toml: mirrors of repositories, the tree that is built, what
/// build commands keep, and what was sent last.
fn here(config: &Config) -> Result<App, Failure> {
    let cache =
        std::env::var_os("XDG_CACHE_HOME").filter(|dir| Path::new(dir).is_absolute()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = cache.or_else(home).ok_or_else(|| {
        Failure::usage("neither HOME nor XDG_CACHE_HOME is set: there is no place to build in")
            .next("set one of them")
    })?;
    let file = std::path::absolute(&config.host.file).unwrap_or_else(|_| config.host.file.clone());
    let key = deploy::host::program::short(file.as_os_str().as_encoded_bytes());
    let root = cache.join("cutover/near").join(format!("{}-{key}", config.host.app.name));
    App::new(&root, Path::new("current"), &[]).map_err(|error| Failure::usage(error).next("correct HOME"))
}

/// Fetches, builds and lists the tree.
fn tree(
    config: &Config,
    app: &App,
    sends: Sends,
    reference: Option<String>,
    show: &Show,
    interrupted: &Arc<AtomicBool>,
) -> Result<Tree, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(error).still("nothing was deployed");
    let lock = DeployLock::take_as(app, Duration::ZERO, &format!("{}, building", who()))
        .map_err(|error| Failure::refused(error).next("another deploy of this project is at work here"))?;
    let who = who();
    let mut watch = |event: &Event| show.event(event);
    let deploy = Deploy {
        lock: &lock,
        config,
        who: &who,
        pools: Vec::new(),
        workers: Vec::new(),
        fresh_pool: None,
        fresh: OnceCell::new(),
        close_idle: None,
        follower: None,
        stop: Arc::clone(interrupted),
        watch: RefCell::new(&mut watch),
        secrets: notify::secrets(config),
        lead: None,
    };
    let aim = Aim::Deploy { reference, only_if_changed: false };
    let plan = Plan { aim, previous: None, who: who.clone(), at_ms: now_ms() };
    // Never ended, and taken up by nobody: how the deploy goes is written down at the other end.
    let journal = Journal::begin(&lock, plan).map_err(|error| failed(&error))?;
    let fetched = match sends {
        Sends::Built => step::tree(&deploy, &journal),
        Sends::AsItIs => step::wanted(&deploy, journal.plan()).and_then(|mut source| {
            source.build.clear();
            Ok(source::fetch(&source, app, &app.work(), &mut |_| {})?)
        }),
    };
    let fetched = fetched.map_err(|error| failed(&deploy.masked(&error.to_string())))?;
    let exclude = Exclude::new(config.host.source.as_ref().map_or(&[], |source| &source.exclude));
    let walked = walk(app, &exclude, &fetched.tree).map_err(|error| failed(&error))?;
    Ok(Tree { from: fetched.tree, walked, revision: fetched.revision })
}
