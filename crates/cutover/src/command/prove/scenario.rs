//! Scenario: what the flags ask for.

use std::path::Path;
use std::time::Duration;

use prove::flipper::{Flipper, Link, Manner as LinkManner, Shell};
use prove::known::Known;
use prove::page::{Ask, Expect, Page};
use prove::probe::pages::{Kind, pages};
use prove::scenario::{Arriving, Load, Marks, Pace, Scenario, Speaking};
use prove::target::Target;
use prove::tls::Trust;
use release::ReleaseId;

use crate::answer::Failure;
use crate::args::Lock;
use crate::command::flip;
use crate::command::prove::flags::{FlipFlags, LoadFlags, Manner, ProveFlags, Setup, SiteFlags};
use crate::opened::{Opened, config_at};
use serve::log::with_reasons;

/// A load without an end of its own ends after this even so.
const AT_MOST: Duration = Duration::from_secs(7 * 86_400);
/// How long, if nothing is said.
const USUAL: Duration = Duration::from_secs(10);
/// Flips each second, if nothing is said.
const USUAL_FLIPS: f64 = 10.0;

/// All of it.
pub fn of(flags: &ProveFlags) -> Result<Scenario, Failure> {
    let target = target(flags.url.as_deref().unwrap_or_default(), &flags.site)?;
    let by = flipper(&flags.flips)?;
    if matches!(by, Flipper::Nobody) && flags.releases.len() > 1 {
        return Err(Failure::usage("nobody flips").next(
            "say --link PATH, --flip 'LINE {release}' or --app DIR; or --releases with the live one alone",
        ));
    }
    let pages = asked(flags)?;
    let mut scenario = Scenario::new(target, flags.releases.clone(), pages, by);
    if let Some(header) = &flags.site.header {
        scenario.marks.header = Some(header.clone());
    }
    if flags.site.header.is_some() || flags.site.known.is_some() || flags.site.learn.is_some() {
        // No text of a site that is not the probe application is a mark by chance.
        scenario.marks =
            Marks { before: "\0[release ".to_owned(), after: "\0]".to_owned(), ..scenario.marks };
    }
    scenario.load = load(&flags.load)?;
    pace(&flags.flips, &mut scenario);
    Ok(scenario)
}

/// What clap calls `php` and the prover a kind.
pub fn kind(setup: Setup) -> Kind {
    match setup {
        Setup::Php => Kind::Php,
        Setup::PhpWithoutFront => Kind::PhpWithoutFront,
        Setup::Static => Kind::Static,
        Setup::Cgi => Kind::Cgi,
    }
}

fn target(url: &str, site: &SiteFlags) -> Result<Target, Failure> {
    let trust = match (&site.cacert, site.insecure) {
        (Some(file), _) => Trust::File(file.clone()),
        (None, true) => Trust::Anyone,
        (None, false) => Trust::System,
    };
    let target = Target::parse_trusting(url, &trust).map_err(|error| Failure::usage(with_reasons(&error)))?;
    if !target.is_local() && !site.i_own_this_host {
        return Err(Failure::usage(format!("{url} is not this machine: {target}"))
            .still("nothing was asked of it")
            .next("add --i-own-this-host if it is yours to flood"));
    }
    Ok(match &site.host {
        Some(host) => target.named(host),
        None => target,
    })
}

fn asked(flags: &ProveFlags) -> Result<Vec<Page>, Failure> {
    let site = &flags.site;
    let paths = if site.pages.is_empty() { vec!["/".to_owned()] } else { site.pages.clone() };
    let mut pages = if let Some(file) = &site.known {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
        Known::parse(&text)
            .and_then(|known| known.pages(&flags.releases))
            .map_err(|error| Failure::usage(format!("{}: {}", file.display(), with_reasons(&error))))?
    } else if site.header.is_some() || site.learn.is_some() {
        let page = |path: String| Page {
            ask: Ask::get(&path),
            name: path,
            weight: 1,
            expect: Expect::Named { status: None },
        };
        paths.into_iter().map(page).collect()
    } else if !site.pages.is_empty() {
        return Err(
            Failure::usage("--page is for --header and --learn").next("--only chooses among the probe's")
        );
    } else {
        pages(&flags.releases, kind(flags.kind))
    };
    if let Some(only) = &site.only {
        let names = pages.iter().map(|page| page.name.clone()).collect::<Vec<_>>().join(", ");
        pages.retain(|page| page.name.contains(only.as_str()));
        if pages.is_empty() {
            return Err(Failure::usage(format!("no page's name contains {only:?}: there are {names}")));
        }
    }
    Ok(pages)
}

fn load(flags: &LoadFlags) -> Result<Load, Failure> {
    let speaking = match (flags.pipeline, flags.http2) {
        (Some(depth), _) => Speaking::Pipelined { depth },
        (None, true) => Speaking::Http2 { streams: flags.streams },
        (None, false) => Speaking::Http1,
    };
    let most = flags.connections.unwrap_or(if flags.arrivals.is_some() { 1024 } else { 32 });
    let arrivals = flags.arrivals.map(|per_second| Arriving { per_second, connections_max: most });
    let connections = if arrivals.is_some() { most.min(16) } else { most };
    let closing = match speaking {
        Speaking::Http1 => flags.closing.unwrap_or(connections / 4),
        Speaking::Pipelined { .. } | Speaking::Http2 { .. } => 0,
    };
    if closing > connections {
        return Err(Failure::usage(format!("--closing {closing} of {connections} connections")));
    }
    let lasts = flags.lasts.or_else(|| flags.requests.is_none().then_some(USUAL));
    Ok(Load {
        connections,
        closing,
        speaking,
        arrivals,
        requests: flags.requests.unwrap_or(u64::MAX),
        lasts,
        at_most: AT_MOST,
        patience: flags.patience,
        threads: flags.threads,
    })
}

fn flipper(flags: &FlipFlags) -> Result<Flipper, Failure> {
    if let Some(path) = &flags.link {
        let manner = match flags.manner {
            Manner::Rename => LinkManner::Rename,
            Manner::RemoveThenLink => LinkManner::RemoveThenLink,
        };
        // Both manners would take away what is there; a directory is not theirs to take.
        return match path.symlink_metadata() {
            Ok(found) if !found.is_symlink() => {
                Err(Failure::usage(format!("{} is not a link", path.display())).still("it was not touched"))
            }
            Ok(_) | Err(_) => {
                Ok(Flipper::Link(Link { path: path.clone(), text: flags.text.clone(), manner }))
            }
        };
    }
    if let Some(line) = &flags.flip {
        if !line.contains("{release}") {
            return Err(Failure::usage(format!("--flip {line:?} does not say {{release}}"))
                .next("for example --flip 'cutover -C /srv/shop flip {release}'"));
        }
        return Ok(Flipper::Shell(Shell::new(line, flags.flip_timeout)));
    }
    match &flags.app {
        Some(dir) => by_cutover(dir),
        None => Ok(Flipper::Nobody),
    }
}

/// What `cutover flip` does, in this process.
fn by_cutover(dir: &Path) -> Result<Flipper, Failure> {
    let opened = Opened::of(config_at(dir).map_err(Failure::usage)?)?;
    Ok(Flipper::call(move |release| {
        let id = ReleaseId::parse(release).map_err(|error| error.to_string())?;
        match flip::run(&opened, &id, false, Lock::default()) {
            Ok(_) => Ok(()),
            Err(Failure { error, next: Some(next), .. }) => Err(format!("{error} ({next})")),
            Err(Failure { error, .. }) => Err(error),
        }
    }))
}

fn pace(flags: &FlipFlags, scenario: &mut Scenario) {
    let flips = &mut scenario.flips;
    if matches!(flips.by, Flipper::Nobody) {
        return;
    }
    (flips.count, flips.pace) = match (flags.count, flags.every) {
        (Some(count), _) => (count, Pace::Spread),
        (None, Some(every)) => (u64::MAX, Pace::Each(every)),
        (None, None) => {
            let rate = flags.per_second.unwrap_or(USUAL_FLIPS);
            (u64::MAX, Pace::Each(Duration::from_secs_f64(1.0 / rate)))
        }
    };
}
