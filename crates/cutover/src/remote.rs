//! Remote: which commands work on another host, and their near end: this side of the connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use config::Config;
use deploy::event::Event;
use deploy::host::message::{About, Answered, Order};
use deploy::host::program;
use deploy::host::session::{Session, SessionError, Tree};
use deploy::host::ssh::{self, Dialled, Putting, Ssh, SshError, Target};
use deploy::notify;
use deploy::receipt::Step;

use crate::answer::{Answer, Exit, Failure};
use crate::args::{Command, Globals};
use crate::show::Show;
use crate::who::who;

/// A host that a command is to work on, and the app there.
#[derive(Debug)]
pub struct Remote {
    target: Target,
    about: About,
    /// This side's configuration, where there is one.
    config: Option<Config>,
}

/// Where a command is to work; `None`: here.
pub fn chosen(globals: &Globals, command: &Command) -> Result<Option<Remote>, Failure> {
    if globals.local {
        return match &globals.to {
            Some(_) => Err(Failure::usage("--to and --local cannot be used together").next("leave one out")),
            None => Ok(None),
        };
    }
    if words(command).is_none() {
        return match &globals.to {
            Some(_) => Err(Failure::usage("this command works on this machine only")
                .next("leave --to out, or log in there and run it")),
            None => Ok(None),
        };
    }
    let file = file(globals);
    match &globals.to {
        Some(to) => {
            let (host, dir) = match to.split_once(":/") {
                Some((host, dir)) => (host, Some(format!("/{dir}"))),
                None => (to.as_str(), None),
            };
            if host.is_empty() || host.starts_with('-') || host.chars().any(char::is_control) {
                return Err(Failure::usage(format!("--to wants user@host, or an alias: {host:?} is none"))
                    .next("cutover deploy --to deploy@web1"));
            }
            if let Some(path) = dir {
                let about = About::Dir { path };
                return Ok(Some(Remote { target: target(globals, host, None), about, config: None }));
            }
            let Some(file) = file else {
                return Err(Failure::usage("there is no cutover.toml here that says which app it is about")
                    .next(format!("name its directory there: --to {host}:/srv/shop")));
            };
            let (text, config) = read(&file)?;
            let program =
                config.host.fleet.iter().find(|one| one.ssh == host).and_then(|one| one.program.clone());
            remote(target(globals, host, program), text, config).map(Some)
        }
        None => {
            // What is wrong with the file is told by whoever needs it.
            let Some((text, config)) = file.and_then(|file| read(&file).ok()) else { return Ok(None) };
            match &config.host.fleet[..] {
                [] => Ok(None),
                [one] => {
                    let target = target(globals, &one.ssh, one.program.clone());
                    remote(target, text, config).map(Some)
                }
                [first, ..] => {
                    let next = format!("name one: --to {}", first.ssh);
                    Err(Failure::usage("this cutover.toml names several hosts").next(next))
                }
            }
        }
    }
}

fn remote(target: Target, text: String, config: Config) -> Result<Remote, Failure> {
    // Read as from no particular place: a root that depends on where the file stands means nothing there.
    let placeless = Config::parse(&text, Path::new("cutover.toml")).map_err(Failure::usage)?;
    if !placeless.host.app.root.is_absolute() {
        return Err(Failure::usage(format!("app.root has to say where the app is on {}", target.host))
            .next("write it as an absolute path: root = \"/srv/shop\""));
    }
    Ok(Remote { target, about: About::Config { text }, config: Some(config) })
}

fn target(globals: &Globals, host: &str, program: Option<PathBuf>) -> Target {
    let named = || std::env::var_os("CUTOVER_SSH_CONFIG").filter(|file| !file.is_empty()).map(PathBuf::from);
    Target { host: host.to_owned(), config: globals.ssh_config.clone().or_else(named), program }
}

/// The cutover.toml of this side, if there is one.
fn file(globals: &Globals) -> Option<PathBuf> {
    let named = globals.config.as_deref().or(globals.dir.as_deref()).unwrap_or(Path::new("."));
    let file = if named.is_dir() { named.join("cutover.toml") } else { named.to_owned() };
    file.is_file().then_some(file)
}

fn read(file: &Path) -> Result<(String, Config), Failure> {
    let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let config = Config::parse(&text, file).map_err(Failure::usage)?;
    Ok((text, config))
}

/// The command line of a command that also works on another host; `None`: it works here only.
pub fn words(command: &Command) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut flag = |on: bool, name: &str| words.extend(on.then(|| name.to_owned()));
    match command {
        Command::Deploy { reference, only_if_changed, lock } => {
            flag(true, "deploy");
            flag(*only_if_changed, "--only-if-changed");
            words.extend(reference.iter().map(|reference| format!("--ref={reference}")));
            words.extend(lock.words());
        }
        Command::Lock { reason } => words.extend(["lock".into(), format!("--reason={reason}")]),
        Command::Unlock => flag(true, "unlock"),
        Command::Flip { release, force, lock } => {
            flag(true, "flip");
            flag(*force, "--force");
            words.push(release.to_string());
            words.extend(lock.words());
        }
        Command::Rollback { release, force, keep_good, lock } => {
            flag(true, "rollback");
            flag(*force, "--force");
            flag(*keep_good, "--keep-good");
            words.extend(release.iter().map(ToString::to_string));
            words.extend(lock.words());
        }
        Command::Releases => flag(true, "releases"),
        Command::Status => flag(true, "status"),
        Command::Diff { first, second } => {
            words.extend(["diff".into(), first.to_string(), second.to_string()]);
        }
        Command::Fsck { releases, repair, lock } => {
            flag(true, "fsck");
            flag(*repair, "--repair");
            words.extend(releases.iter().map(ToString::to_string));
            words.extend(lock.words());
        }
        Command::Prune { keep, dry_run, lock } => {
            flag(true, "prune");
            flag(*dry_run, "--dry-run");
            words.extend(keep.iter().map(|keep| format!("--keep={keep}")));
            words.extend(lock.words());
        }
        Command::Warm { release, lock } => {
            flag(true, "warm");
            words.extend(release.iter().map(ToString::to_string));
            words.extend(lock.words());
        }
        Command::Maintenance { state } => {
            let state = if *state == crate::args::OnOff::On { "on" } else { "off" };
            words.extend(["maintenance".into(), state.into()]);
        }
        Command::Plan { reference, lock } => {
            flag(true, "plan");
            words.extend(reference.iter().map(|reference| format!("--ref={reference}")));
            words.extend(lock.words());
        }
        Command::Init { .. }
        | Command::Adopt(_)
        | Command::Exec(_)
        | Command::Seal { .. }
        | Command::Serve { .. }
        | Command::Reload
        | Command::Upgrade { .. }
        | Command::Prove(_)
        | Command::Doctor(_)
        | Command::Host
        | Command::Apache(_)
        | Command::Nginx(_)
        | Command::Completions { .. } => return None,
    }
    Some(words)
}

impl Remote {
    /// The host, as it is named.
    pub fn host(&self) -> &str {
        &self.target.host
    }

    /// This side's configuration, where there is one.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// Runs a command there and gives its answer.
    pub fn run(&self, command: &Command, json: bool) -> Result<Answer, Failure> {
        // As here: such a command answers with one object, and nothing before it.
        let show = if json { Show::Nothing } else { Show::new(false) };
        let interrupted = crate::stop::told_to_stop();
        self.lead(command, &show, &interrupted, None, &mut || Err("this command needs no tree".into()))
    }

    /// The same, for a command that needs a tree: `early`, where it is there before the host has answered, or what
    /// `build` gives once the host is ready.
    pub fn lead(
        &self,
        command: &Command,
        show: &Show,
        interrupted: &Arc<AtomicBool>,
        early: Option<&mut dyn FnMut() -> Result<Tree, Failure>>,
        build: &mut dyn FnMut() -> Result<Tree, String>,
    ) -> Result<Answer, Failure> {
        let program = program::own().map_err(Failure::failed)?;
        let called =
            ssh::dial(&self.target, &program, interrupted).map_err(|error| self.unreached(&error))?;
        let early = match early.map(|early| early()).transpose() {
            Ok(early) => early,
            Err(failure) => {
                called.hang_up();
                return Err(failure);
            }
        };
        let ssh = self.reach(called, show, interrupted)?;
        let mut step = None;
        let mut watch = |event: &Event| {
            if let Event::Started { step: begun } = event {
                step = Some(*begun);
            }
            show.event(event);
        };
        let answered = Session::begin(&ssh.link, self.order(command), interrupted).and_then(|mut session| {
            if let Some(tree) = early {
                session.send(tree);
            }
            session.answer(build, &mut watch, &mut |_| true)
        });
        let answered = match answered {
            Ok(answered) => {
                ssh.done();
                answered
            }
            Err(error) => return Err(self.broken(ssh, &error, command)),
        };
        match answered {
            Answered::Answer { text, json, bad } => Ok(Answer { text, json, bad }),
            Answered::Failure { exit, error, still, next } => {
                let exit = match exit {
                    2 => Exit::Usage,
                    3 => Exit::Refused,
                    _ => Exit::Failed,
                };
                Err(Failure { exit, error, still, next })
            }
        }
    }

    fn reach(&self, called: Dialled<'_>, show: &Show, interrupted: &Arc<AtomicBool>) -> Result<Ssh, Failure> {
        let host = self.host();
        let mut told = |putting: Putting| match putting {
            Putting::Begins(bytes) => {
                let line = format!("puts cutover onto {host}, {:.1} MB", bytes as f64 / 1e6);
                show.event(&Event::Output { step: Step::Build, line });
            }
            Putting::Done => {}
        };
        called.answer(&who(), interrupted, &mut told).map_err(|error| self.unreached(&error))
    }

    fn order(&self, command: &Command) -> Order {
        Order {
            about: self.about.clone(),
            words: words(command).unwrap_or_default(),
            hold: Vec::new(),
            webhooks: self.config.as_ref().map(notify::addresses).unwrap_or_default(),
        }
    }

    fn unreached(&self, error: &SshError) -> Failure {
        let host = self.host();
        let failure = Failure::failed(error).still(format!("nothing was changed on {host}"));
        match error {
            SshError::NoSsh(_) => failure.next("install it: openssh-client"),
            SshError::Unreachable { .. } => failure.next(format!("try `ssh {host} true`")),
            SshError::Noise { .. } => failure.next(format!(
                "try `ssh {host} true`: it has to print nothing; what ~/.bashrc and the like print has to be for terminals only"
            )),
            SshError::Foreign { .. } | SshError::Protocol { .. } => failure.next(format!(
                "put a cutover that fits onto {host} and name it: [[host]] program = \"/usr/local/bin/cutover\""
            )),
            SshError::NotPut { .. } => failure
                .next(format!("it goes into ~/.cache/cutover on {host}; make room there, or name one that is there: [[host]] program = …")),
            SshError::NotRun { .. } => failure.next(format!(
                "a home that is mounted noexec, or an older libc: put a cutover that runs there onto {host}, and name it: [[host]] program = …"
            )),
            SshError::Changed { .. } | SshError::Lost { .. } | SshError::Own(_) => failure.next("try again"),
            SshError::Stopped(_) => failure,
        }
    }

    /// The connection broke: what that means depends on how far it got.
    fn broken(&self, mut ssh: Ssh, error: &SessionError, command: &Command) -> Failure {
        let host = self.host();
        let status = format!("`cutover status --to {host}` says what is live there");
        let step = match error {
            SessionError::Lost { step, .. } => *step,
            SessionError::Nonsense(why) => {
                return Failure::failed(format!("{host} said what makes no sense: {why}")).next(status);
            }
        };
        let said = ssh.last_words();
        let said = said.last().map_or_else(String::new, |last| format!(" ({last})"));
        let failure = Failure::failed(format!("the connection to {host} broke: {error}{said}")).next(status);
        let deploys = matches!(command, Command::Deploy { .. });
        failure.still(match step {
            None if deploys => {
                format!("{host} undoes what was begun there, if anything was; nothing was flipped")
            }
            None => "what was begun there goes on to its end".to_owned(),
            Some(Step::Build | Step::Stage | Step::Seal | Step::Warm) => {
                format!("nothing was flipped; {host} undoes what was begun")
            }
            Some(Step::Flip) => format!("it was about to flip: {host} finishes the deploy, or undoes it"),
            Some(Step::Verify | Step::Settle | Step::Prune) => {
                format!("the new release was flipped to, and {host} finishes the deploy")
            }
            Some(Step::Undo | Step::FlipBack) => format!("{host} finishes what undoes the deploy"),
        })
    }
}
