//! Flood: judges any stack by hand, with the probe application.
//!
//! ```text
//! cargo run --release -p cutover-prove --example flood -- scaffold /tmp/probe r1 r2
//!   (serve /tmp/probe/current with the server under judgement, front controller index.php)
//! cargo run --release -p cutover-prove --example flood -- run --url http://127.0.0.1:8080 \
//!     --link /tmp/probe/current --releases r1,r2 --requests 200000 --flips 10000
//! ```
//!
//! Exits with 1 if a request failed, mixed releases or was stale.

use clap::{Args, Parser, Subcommand, ValueEnum};
use prove::flipper::{Flipper, Link, Manner};
use prove::probe::pages::{Kind, pages};
use prove::probe::scaffold;
use prove::scenario::{Load, Pace, Scenario};
use prove::{Target, judge, report, run_blocking};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(about = "Floods a site while its releases flip, and judges what it answered")]
struct Flags {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Writes the probe application.
    Scaffold {
        /// An empty directory.
        dir: PathBuf,
        /// The ids of its releases; the first is put live.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Floods and judges.
    Run(Box<RunFlags>),
}

#[derive(Args)]
struct RunFlags {
    /// http://HOST:PORT or unix:/path.
    #[arg(long)]
    url: String,
    /// The releases to flip between, comma-separated, in the order they were scaffolded.
    #[arg(long, value_delimiter = ',', required = true)]
    releases: Vec<String>,
    /// How the site is set up.
    #[arg(long, value_enum, default_value = "php")]
    kind: Setup,
    /// The link to replace, by rename.
    #[arg(long, conflicts_with = "flip")]
    link: Option<PathBuf>,
    /// What the link says.
    #[arg(long, default_value = "releases/{release}")]
    text: String,
    /// Replace the link by removing and making it, as `ln -sfn` does.
    #[arg(long, requires = "link")]
    rm_then_ln: bool,
    /// A command that flips, split at blanks: 'cutover flip {release}'.
    #[arg(long)]
    flip: Option<String>,
    #[arg(long, default_value_t = 10_000)]
    requests: u64,
    #[arg(long, default_value_t = 0)]
    flips: u64,
    /// Milliseconds between flips; without it they are spread evenly over the requests.
    #[arg(long)]
    every_ms: Option<u64>,
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// Of these, so many use a connection for each request.
    #[arg(long, default_value_t = 8)]
    closing: u32,
    /// Only pages whose name contains this.
    #[arg(long)]
    only: Option<String>,
    #[arg(long, default_value_t = 300)]
    at_most_s: u64,
    /// Save the observations here, as JSON.
    #[arg(long)]
    save: Option<PathBuf>,
    /// The report as JSON.
    #[arg(long)]
    json: bool,
    /// The site is not on this machine, and yours to flood.
    #[arg(long)]
    i_own_this_host: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Setup {
    Php,
    PhpWithoutFront,
    Static,
}

fn main() -> ExitCode {
    let done = match Flags::parse().what {
        What::Scaffold { dir, ids } => {
            scaffold(&dir, &ids).map(|()| true).map_err(|why| Box::new(why) as Box<dyn Error>)
        }
        What::Run(flags) => flood(*flags),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            let mut said = why.to_string();
            let mut cause = why.source();
            while let Some(source) = cause {
                said.push_str(&format!(": {source}"));
                cause = source.source();
            }
            eprintln!("flood: {said}");
            ExitCode::from(2)
        }
    }
}

fn flood(flags: RunFlags) -> Result<bool, Box<dyn Error>> {
    let target = Target::parse(&flags.url)?;
    if !target.is_local() && !flags.i_own_this_host {
        return Err(
            format!("{target} is not this machine: say --i-own-this-host if it is yours to flood").into()
        );
    }
    let kind = match flags.kind {
        Setup::Php => Kind::Php,
        Setup::PhpWithoutFront => Kind::PhpWithoutFront,
        Setup::Static => Kind::Static,
    };
    let mut pages = pages(&flags.releases, kind);
    if let Some(only) = &flags.only {
        pages.retain(|page| page.name.contains(only));
    }
    let by = match (flags.link, flags.flip) {
        (Some(path), _) => {
            let manner = if flags.rm_then_ln { Manner::RemoveThenLink } else { Manner::Rename };
            Flipper::Link(Link { path, text: flags.text, manner })
        }
        (None, Some(command)) => Flipper::Command(command.split_whitespace().map(str::to_owned).collect()),
        (None, None) => Flipper::Nobody,
    };
    let mut scenario = Scenario::new(target, flags.releases, pages, by);
    scenario.load = Load {
        connections: flags.connections,
        closing: flags.closing,
        requests: flags.requests,
        at_most: Duration::from_secs(flags.at_most_s),
        ..Load::default()
    };
    scenario.flips.count = flags.flips;
    scenario.flips.pace = flags.every_ms.map_or(Pace::Spread, |ms| Pace::Every(Duration::from_millis(ms)));
    eprintln!(
        "flooding {} with {} requests on {} connections, {} flips",
        scenario.target, flags.requests, flags.connections, flags.flips
    );
    let observed = run_blocking(scenario)?;
    if let Some(path) = flags.save {
        std::fs::write(path, serde_json::to_vec(&observed)?)?;
    }
    let verdicts = judge(&observed)?;
    match flags.json {
        true => println!("{}", report::json(&observed, &verdicts)),
        false => print!("{}", report::text(&observed, &verdicts)),
    }
    Ok(verdicts.holds() && observed.cut_short.is_none())
}
