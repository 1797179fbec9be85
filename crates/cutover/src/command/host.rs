//! host: the far end: what a cutover elsewhere orders, over stdin and stdout.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use config::host::Secret;
use deploy::host::lead::Lead;
use deploy::host::link::{Link, Patience};
use deploy::host::message::{About, Answered, Far, Near, Order, PROTOCOL};
use deploy::host::{house, program};

use crate::answer::{Answer, Failure};
use crate::args::Args;
use crate::opened::{Opened, config_at};
use crate::remote;
use crate::show::at_the_near_end;
use crate::who::work_for;

/// Answers the one order of one connection, and ends.
pub fn run() -> Result<Answer, Failure> {
    if std::io::stdin().is_terminal() {
        return Err(Failure::usage("`cutover host` is the far end of a connection, and not for people")
            .next("`cutover deploy --to user@host` starts it there"));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let link = link(&stop).map_err(Failure::failed)?;
    let lost = |error| Failure::failed(format!("the near end: {error}"));
    let program = program::own().map_err(Failure::failed)?;
    let place = house::take(&program);
    let version = concat!("cutover ", env!("CARGO_PKG_VERSION")).to_owned();
    link.sender().say(&Far::Hello { protocol: PROTOCOL, program: program.hash(), version }).map_err(lost)?;
    // Whoever speaks another protocol reads that in our hello, and goes.
    let Near::Hello { protocol: PROTOCOL, who } = link.hear(&|| false).map_err(lost)? else {
        return Err(Failure::usage("the near end speaks another protocol"));
    };
    let Near::Order(order) = link.hear(&|| false).map_err(lost)? else {
        return Err(Failure::usage("the near end gave no order"));
    };
    work_for(&who);
    at_the_near_end(link.sender());
    let answered = answered(obey(&order, &link, &stop));
    link.sender().say(&Far::Answered(answered)).map_err(lost)?;
    link.flush();
    if let Some(place) = place {
        place.tidy();
    }
    Ok(Answer::default())
}

/// The connection. What anything here prints goes to stderr from now on: stdout belongs to the connection alone.
fn link(stop: &Arc<AtomicBool>) -> std::io::Result<Link> {
    let from = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let to = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdout(std::io::stderr().as_fd())?;
    Ok(Link::over(from, to, Patience::default(), Arc::clone(stop)))
}

/// Runs the command that was ordered, on the app that it is about.
fn obey(order: &Order, link: &Link, stop: &Arc<AtomicBool>) -> Result<Answer, Failure> {
    let words = std::iter::once("cutover").chain(order.words.iter().map(String::as_str));
    let args = Args::try_parse_from(words).map_err(|error| Failure::usage(error.to_string().trim_end()))?;
    if remote::words(&args.command).is_none() {
        return Err(Failure::usage("this command works on its own machine only"));
    }
    let opened = || {
        let mut opened = match &order.about {
            About::Config { text } => Opened::sent(text.clone())?,
            About::Dir { path } => Opened::of(config_at(Path::new(path)).map_err(Failure::usage)?)?,
        };
        for (notify, address) in opened.config.host.notify.iter_mut().zip(&order.webhooks) {
            if let Some(address) = address {
                notify.url = Secret::Plain(address.clone());
            }
        }
        Ok(opened)
    };
    let lead = Lead::new(link, order.hold.clone(), Arc::clone(stop));
    super::here(args.command, &args.globals, &opened, Some(&lead))
}

fn answered(result: Result<Answer, Failure>) -> Answered {
    match result {
        Ok(Answer { text, json, bad }) => Answered::Answer { text, json, bad },
        Err(Failure { exit, error, still, next }) => {
            Answered::Failure { exit: exit as u8, error, still, next }
        }
    }
}
