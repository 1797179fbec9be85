//! Story: the demo from beginning to end, one step after the other.

use crate::fetch::{self, run};
use crate::server::{self, Server};
use crate::show::{self, say};
use crate::stuck::{Stuck, Trying};
use crate::wiki::{self, RELEASES};
use crate::writer::{self, Written};
use crate::{Flags, home, readers};
use prove::client::Client;
use prove::evidence::Examiner;
use prove::flipper::Flipper;
use prove::observations::Seen;
use prove::scenario::{Load, Pace, Scenario};
use prove::{Observations, Target};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two edits of one writer.
const WRITER_PAUSE: Duration = Duration::from_millis(100);
/// However slow the machine.
const AT_MOST: Duration = Duration::from_secs(240);

/// Stops what an earlier demo left running.
///
/// # Errors
/// When it does not end.
pub fn stop(home: &Path) -> Result<bool, Stuck> {
    let stopped = server::stop(&home::settle(home)?)?;
    say(if stopped { "stopped" } else { "nothing was running" });
    Ok(true)
}

/// Tells it; whether the promise held.
///
/// # Errors
/// When it cannot be told to its end.
pub fn tell(flags: &Flags) -> Result<bool, Stuck> {
    let began = Instant::now();
    let cutover = find_cutover(flags)?;
    let home = home::settle(&flags.home)?;
    let site = home.join("site");
    if server::stop(&home)? {
        say("stopped the server of an earlier demo");
    }

    say("fetching DokuWiki and its libraries from Debian's packages (unpacked, not installed)");
    let packages = fetch::unpacked(&home.join("packages"))?;
    let (address, server) = match &flags.against {
        Some(_) => (server::free_address()?, None),
        None => {
            let address = server::free_address()?;
            raise(&packages, &site, &cutover, address)?;
            let server = server::start(&cutover, &site, &home, address)?;
            say(&format!(
                "cutover serve runs (pid {}) with its own php-fpm: http://{address}/",
                server.pid()
            ));
            (address, Some(server))
        }
    };
    let target = match &flags.against {
        Some(url) => Target::parse(url).trying(|| format!("cannot judge {url}"))?,
        None => Target::tcp(address),
    };

    let observed = flood(flags, &cutover, &site, target);
    let held = match &observed {
        Ok((observations, edits)) => show::verdict(observations, edits)?,
        Err(_) => false,
    };
    let leave =
        !flags.once && observed.as_ref().is_ok_and(|(observations, _)| observations.cut_short.is_none());
    match server {
        Some(mut server) if leave => {
            server.is_well()?;
            say(&format!("this took {:.0} s", began.elapsed().as_secs_f64()));
            show::left_running(address, &server, &site, &cutover);
        }
        Some(server) => finish(server, &home, began)?,
        None => {}
    }
    observed.map(|_| held)
}

/// What became of the writers' edits.
#[derive(Debug, Default)]
pub struct Edits {
    /// How many the wiki said it saved.
    pub acknowledged: usize,
    /// Page and line of those that are not there.
    pub lost: Vec<(String, String)>,
}

fn finish(server: Server, home: &Path, began: Instant) -> Result<(), Stuck> {
    server.end(home)?;
    say(&format!("the server has ended; this took {:.0} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// Builds the site anew, seals its releases, puts the first live.
fn raise(packages: &Path, site: &Path, cutover: &Path, address: std::net::SocketAddr) -> Result<(), Stuck> {
    if site.exists() {
        fs::remove_dir_all(site).trying(|| format!("cannot clear {}", site.display()))?;
    }
    wiki::build(packages, site)?;
    let config = site.join("cutover.toml");
    let sessions = site.join("shared/sessions");
    let text = format!(
        "[app]\nname = \"wiki\"\ndocroot = \"public\"\nshared_dirs = [\"data\", \"conf\"]\n\n\
         [php]\nfpm = \"embedded\"\nfront = \"doku.php\"\nini = {{ \"session.save_path\" = \"{}\" }}\n\n\
         [serve]\nlisten = [\"{address}\"]\n",
        sessions.display()
    );
    fs::write(&config, text).trying(|| format!("cannot write {}", config.display()))?;
    home::give_to_php(&site.join("shared"))?;
    for (id, _) in RELEASES {
        run(Command::new(cutover).arg("-C").arg(site).args(["seal", id]))?;
    }
    let ids = RELEASES.map(|(id, _)| id).join(", ");
    say(&format!("built and sealed the releases {ids}: each names itself in six places of each page"));
    run(Command::new(cutover).arg("-C").arg(site).args(["flip", RELEASES[0].0]))
}

fn flood(flags: &Flags, cutover: &Path, site: &Path, target: Target) -> Result<(Observations, Edits), Stuck> {
    let releases: Vec<String> = RELEASES.iter().map(|(id, _)| (*id).to_owned()).collect();
    let flip = [&cutover.display().to_string(), "-C", &site.display().to_string(), "flip", "{release}"];
    let by = Flipper::Command(flip.map(str::to_owned).into());
    let mut scenario = Scenario::new(target, releases, readers::pages(), by);
    scenario.load = Load {
        connections: flags.readers,
        closing: flags.readers / 4,
        requests: 1,
        at_most: AT_MOST,
        ..Load::default()
    };
    scenario.flips.count = flags.flips;
    scenario.flips.pace = Pace::Every(Duration::from_millis(flags.pause_ms));
    say(&format!(
        "{} readers and {} writers, while `cutover flip` goes round {} times",
        flags.readers, flags.writers, flags.flips
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.trying(|| "cannot start the load".to_owned())?.block_on(flood_on(flags, scenario))
}

/// Asks for each page once, so that a site that does not work is told at once, and not by a verdict.
async fn ask_each_once(scenario: &Scenario) -> Result<(), Stuck> {
    let mut client = Client::new(scenario.target.clone(), scenario.clock, scenario.load.patience);
    let examiner = Examiner::new(&scenario.releases, &scenario.marks);
    for page in &scenario.pages {
        let exchange = client.ask(&page.ask, true).await;
        let what = match examiner.look(page, &exchange.answer) {
            Seen::Of(_) | Seen::AnyOf(_) => continue,
            Seen::Parts(_) => "parts of several releases".to_owned(),
            Seen::Wrong(why) => why.into(),
        };
        let path = &page.ask.path;
        return Err(Stuck::because(format!(
            "the site does not work before any flip: {path} ({}): {what}",
            page.name
        )));
    }
    Ok(())
}

async fn flood_on(flags: &Flags, scenario: Scenario) -> Result<(Observations, Edits), Stuck> {
    ask_each_once(&scenario).await?;
    let wiki = writer::Wiki {
        target: scenario.target.clone(),
        clock: scenario.clock,
        releases: scenario.releases.clone(),
        marks: scenario.marks.clone(),
        progress: Arc::clone(&scenario.progress),
    };
    let writers: Vec<_> = (0..flags.writers)
        .map(|number| tokio::spawn(writer::write_on(wiki.clone(), number, WRITER_PAUSE)))
        .collect();
    let shown = tokio::spawn(show::progress(Arc::clone(&wiki.progress), flags.flips));
    let progress = Arc::clone(&wiki.progress);
    let interrupted = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            progress.stop();
        }
    });
    let observed = prove::run(scenario).await;
    wiki.progress.stop();
    interrupted.abort();
    shown.await.trying(|| "the progress display broke down".to_owned())?;
    let mut observed = observed.trying(|| "cannot run the load".to_owned())?;
    let mut acknowledged = BTreeMap::new();
    for writer in writers {
        let written = writer.await.trying(|| "a writer broke down".to_owned())?;
        acknowledged.extend(join(&mut observed, written));
    }
    let lost = writer::lost(&wiki, &acknowledged).await;
    Ok((observed, Edits { acknowledged: acknowledged.values().map(Vec::len).sum(), lost }))
}

/// Adds a writer's responses to the readers'; gives what it was told was saved.
fn join(observed: &mut Observations, written: Written) -> BTreeMap<String, Vec<String>> {
    for (page, mut response) in written.responses {
        response.page = observed.page(page);
        observed.responses.push(response);
    }
    written.acknowledged
}

fn find_cutover(flags: &Flags) -> Result<PathBuf, Stuck> {
    let beside = || std::env::current_exe().map(|here| here.with_file_name("cutover"));
    let path = match &flags.cutover {
        Some(path) => std::path::absolute(path).trying(|| format!("cannot find {}", path.display()))?,
        None => beside().trying(|| "cannot find this program's own directory".to_owned())?,
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(Stuck::because(format!(
        "{} is not there: run `cargo build --release -p cutover` first",
        path.display()
    )))
}
