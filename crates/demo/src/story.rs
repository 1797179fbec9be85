//! Story: the demo from beginning to end, one step after the other.

use crate::act::{self, Act};
use crate::operator::Operator;
use crate::show::{self, say};
use crate::stuck::{Stuck, Trying};
use crate::wiki::{self, VERSIONS};
use crate::writer::{self, Written};
use crate::{Flags, fetch, home, readers, server, site};
use prove::client::Client;
use prove::evidence::Examiner;
use prove::flipper::Flipper;
use prove::observations::Seen;
use prove::scenario::{Load, Pace, Scenario};
use prove::{Observations, Target};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
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
    if server::stop(&home)? {
        say("stopped the server of an earlier demo");
    }

    say("fetching DokuWiki and its libraries from Debian's packages (unpacked, not installed)");
    let packages = fetch::unpacked(&home.join("packages"))?;
    let address = server::free_address()?;
    let site = site::prepare(&packages, &home, address)?;
    say(&format!(
        "its source is {}; the site is {}, so far a cutover.toml",
        site.source.display(),
        site.root.display()
    ));
    let mut operator = Operator::new(cutover.clone(), site.clone());
    operator.carry_out(Act::Deploy(0))?;
    let mut server = server::start(&cutover, &site.root, &home, address)?;
    say(&format!("cutover serve runs (pid {}) with its own php-fpm: http://{address}/", server.pid()));

    let observed = flood(flags, operator, Target::tcp(address));
    let held = match &observed {
        Ok((observations, edits)) => show::verdict(observations, edits)?,
        Err(_) => false,
    };
    let leave =
        !flags.once && observed.as_ref().is_ok_and(|(observations, _)| observations.cut_short.is_none());
    if leave {
        server.is_well()?;
        say(&format!("this took {:.0} s", began.elapsed().as_secs_f64()));
        show::left_running(address, &server, &site, &cutover);
    } else {
        server.end(&home)?;
        say(&format!("the server has ended; this took {:.0} s", began.elapsed().as_secs_f64()));
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

fn flood(flags: &Flags, mut operator: Operator, target: Target) -> Result<(Observations, Edits), Stuck> {
    let acts = act::acts(flags.flips);
    let mut queue: VecDeque<Act> = acts.iter().copied().collect();
    let mut begun = false;
    let by = Flipper::call(move |_| {
        // The first call is for what is live already.
        if !std::mem::replace(&mut begun, true) {
            return Ok(());
        }
        let Some(act) = queue.pop_front() else { return Err("there is no act left".to_owned()) };
        let done = operator.carry_out(act).map_err(|why| why.to_string());
        if queue.is_empty() {
            operator.tell_flips();
        }
        done
    });
    let versions = VERSIONS.iter().map(|version| version.name.to_owned()).collect();
    let mut scenario = Scenario::new(target, versions, readers::pages(), by);
    scenario.marks.header = Some(wiki::HEADER.to_owned());
    scenario.load = Load {
        connections: flags.readers,
        closing: flags.readers / 4,
        requests: 1,
        at_most: AT_MOST,
        ..Load::default()
    };
    scenario.flips.count = acts.len() as u64;
    scenario.flips.order = act::live_after(&acts);
    scenario.flips.pace = Pace::Every(Duration::from_millis(flags.pause_ms));
    say(&format!("{} readers and {} writers, all the time, while", flags.readers, flags.writers));
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
            "the site does not work before anything is done to it: {path} ({}): {what}",
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
    let shown = tokio::spawn(show::progress(Arc::clone(&wiki.progress)));
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
        "{} is not there: run `cargo build --profile demo -p cutover` first, or say --cutover FILE",
        path.display()
    )))
}
