//! One file per command.

pub mod adopt;
pub mod apache;
mod completions;
pub mod deploy;
mod diff;
pub mod doctor;
pub mod exec;
mod flip;
mod freeze;
mod fsck;
mod host;
mod init;
pub mod nginx;
mod plan;
pub mod prove;
mod prune;
mod releases;
mod rollback;
pub mod running;
mod seal;
mod serve;
mod status;
mod warm;

use ::deploy::host::lead::Lead;

use crate::answer::{Answer, Failure};
use crate::args::{Args, Command, Globals, OnOff};
use crate::opened::Opened;
use crate::remote;
use crate::sending::{self, Sends};

/// Runs the command.
pub fn run(args: Args) -> Result<Answer, Failure> {
    let Args { globals, command } = args;
    // clap does not see a conflict of global flags that stand on both sides of the command.
    if globals.dir.is_some() && globals.config.is_some() {
        return Err(
            Failure::usage("-C and --config cannot be used together").next("name the file or its directory")
        );
    }
    if let Some(remote) = remote::chosen(&globals, &command)? {
        if let Command::Deploy { reference, .. } = &command {
            return sending::run(&remote, &command, Sends::Built, reference.clone(), globals.json);
        }
        if let Command::Plan { reference, .. } = &command {
            return sending::run(&remote, &command, Sends::AsItIs, reference.clone(), globals.json);
        }
        return remote.run(&command, globals.json);
    }
    here(command, &globals, &|| Opened::find(&globals), None)
}

/// Runs a command on this machine. `lead`: who leads it from elsewhere.
pub fn here(
    command: Command,
    globals: &Globals,
    opened: &dyn Fn() -> Result<Opened, Failure>,
    lead: Option<&Lead<'_>>,
) -> Result<Answer, Failure> {
    match command {
        Command::Init { name, force } => init::run(globals, name, force),
        Command::Plan { reference, lock } => plan::run(&opened()?, reference, lock, lead),
        Command::Deploy { reference, only_if_changed, lock } => {
            deploy::run(&opened()?, reference, only_if_changed, lock, globals.json, lead)
        }
        Command::Lock { reason } => freeze::lock(&opened()?, &reason),
        Command::Unlock => freeze::unlock(&opened()?),
        Command::Adopt(flags) => adopt::run(globals, &flags),
        Command::Flip { release, force, lock } => flip::run(&opened()?, &release, force, lock),
        Command::Rollback { release, force, keep_good, lock } => {
            rollback::run(&opened()?, release, force, keep_good, lock, globals.json)
        }
        Command::Releases => releases::run(&opened()?),
        Command::Status => status::run(&opened()?),
        Command::Seal { release, again } => seal::run(&opened()?, &release, again),
        Command::Diff { first, second } => diff::run(&opened()?, &first, &second),
        Command::Fsck { releases, repair, lock } => fsck::run(&opened()?, &releases, repair, lock),
        Command::Prune { keep, dry_run, lock } => prune::run(&opened()?, keep, dry_run, lock),
        Command::Serve { apps, check } => serve::run(globals, apps, check),
        Command::Exec(flags) => exec::run(opened(), &flags),
        Command::Reload => running::reload(&opened()?),
        Command::Upgrade { program } => running::upgrade(&opened()?, program),
        Command::Maintenance { state } => running::maintenance(&opened()?, state == OnOff::On),
        Command::Apache(flags) => apache::run(&opened()?, &flags),
        Command::Nginx(flags) => nginx::run(&opened()?, &flags),
        Command::Prove(flags) => prove::run(&flags, globals.json),
        Command::Warm { release, lock } => warm::run(&opened()?, release, lock),
        Command::Doctor(flags) => doctor::run(globals, &flags),
        Command::Host => host::run(),
        Command::Completions { shell } => completions::run(shell),
    }
}
