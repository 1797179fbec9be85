//! Flags of `cutover prove`: parsed and held against each other by clap, read by its siblings.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use config::value::parse_duration;

/// Who is asked, how, while what is flipped how, and where the reports go.
#[derive(Debug, Args)]
pub struct ProveFlags {
    /// The site: http://HOST:PORT, https://HOST:PORT or unix:/path/to/socket
    #[arg(required_unless_present_any = ["scaffold", "replay"], conflicts_with_all = ["scaffold", "replay"])]
    pub url: Option<String>,
    /// Write the probe application into this empty directory
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    pub scaffold: Option<PathBuf>,
    /// Judge saved observations again
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// What the probe application consists of
    #[arg(long, value_enum, default_value = "php")]
    pub kind: Setup,
    /// The releases, in the order they were scaffolded; they are flipped to round and round
    #[arg(long, value_name = "IDS", value_delimiter = ',', default_values = ["r1", "r2"])]
    pub releases: Vec<String>,
    #[command(flatten)]
    pub flips: FlipFlags,
    #[command(flatten)]
    pub load: LoadFlags,
    #[command(flatten)]
    pub site: SiteFlags,
    #[command(flatten)]
    pub reports: ReportFlags,
}

/// What the probe application consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Setup {
    /// PHP with index.php as front controller
    Php,
    /// PHP, and the server's own 404
    PhpWithoutFront,
    /// Files alone
    Static,
    /// Files, and programs in cgi-bin
    Cgi,
}

/// Who flips, how often.
#[derive(Debug, Args)]
#[command(next_help_heading = "Flips")]
pub struct FlipFlags {
    /// Replace this link, as another tool would
    #[arg(long, value_name = "PATH", group = "flipper")]
    pub link: Option<PathBuf>,
    /// What the link says
    #[arg(long, value_name = "TEXT", default_value = "releases/{release}", requires = "link")]
    pub text: String,
    /// How the link is replaced
    #[arg(long, value_enum, default_value = "rename", requires = "link")]
    pub manner: Manner,
    /// Run this line by the shell; it has flipped when it exits with 0
    #[arg(long, value_name = "LINE", group = "flipper")]
    pub flip: Option<String>,
    /// End a line that takes longer: then the flip has failed
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub flip_timeout: Duration,
    /// Flip the app in this directory as `cutover flip` does; its releases are sealed
    #[arg(long, value_name = "DIR", group = "flipper")]
    pub app: Option<PathBuf>,
    /// So many, spread evenly over the load
    #[arg(long = "flips", value_name = "N", requires = "flipper", group = "pace")]
    pub count: Option<u64>,
    /// One each such time
    #[arg(long = "flip-every", value_name = "DURATION", requires = "flipper", group = "pace", value_parser = parse_duration)]
    pub every: Option<Duration>,
    /// So many each second [default: 10]
    #[arg(long = "flips-per-second", value_name = "N", requires = "flipper", group = "pace", value_parser = rate)]
    pub per_second: Option<f64>,
}

/// How a link is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Manner {
    /// A new one is renamed over it
    Rename,
    /// It is removed and made again, as `rm` and `ln -s` do: for a moment there is none
    RemoveThenLink,
}

/// Who asks, how much.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadFlags {
    /// So long [default: 10s]
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub lasts: Option<Duration>,
    /// Or until so many are answered
    #[arg(long, value_name = "N", conflicts_with = "lasts")]
    pub requests: Option<u64>,
    /// Connections that ask at the same time; with --arrivals the most there may be [default: 32, 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub connections: Option<u32>,
    /// Of these, so many are closed after each request [default: a quarter]
    #[arg(long, value_name = "N")]
    pub closing: Option<u32>,
    /// Open loop: so many requests each second, whether the site keeps up or not
    #[arg(long, value_name = "N", value_parser = rate)]
    pub arrivals: Option<f64>,
    /// Send so many requests at once over each connection
    #[arg(long, value_name = "N", conflicts_with_all = ["arrivals", "closing", "http2"], value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub pipeline: Option<u32>,
    /// Speak HTTP/2: over https by ALPN, over http by prior knowledge
    #[arg(long, conflicts_with = "closing")]
    pub http2: bool,
    /// Requests at the same time on each connection
    #[arg(long, value_name = "N", requires = "http2", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub streams: u32,
    /// An answer that takes longer has failed
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub patience: Duration,
    /// Threads of the load [default: one for each core, four at most]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
}

/// What is asked, and how an answer tells its release.
#[derive(Debug, Args)]
#[command(next_help_heading = "Site")]
pub struct SiteFlags {
    /// Only the pages whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Not the probe application: each answer names its release in this header
    #[arg(long, value_name = "NAME", conflicts_with_all = ["known", "learn"])]
    pub header: Option<String>,
    /// Not the probe application: what each release answers stands in this file
    #[arg(long, value_name = "FILE", conflicts_with = "learn")]
    pub known: Option<PathBuf>,
    /// Learn what each release answers, by flipping to each once, and write it to this file; nothing is flooded
    #[arg(long, value_name = "FILE", requires = "flipper")]
    pub learn: Option<PathBuf>,
    /// With --header or --learn: a path to ask for, as often as there are paths [default: /]
    #[arg(long = "page", value_name = "PATH", value_parser = path)]
    pub pages: Vec<String>,
    /// Ask for this host name
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Trust the certificates in this PEM file
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub cacert: Option<PathBuf>,
    /// Take any certificate
    #[arg(long)]
    pub insecure: bool,
    /// The site is not on this machine, and yours to flood
    #[arg(long)]
    pub i_own_this_host: bool,
}

/// Where the reports go, and by what is judged.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reports")]
pub struct ReportFlags {
    /// Count answers that take longer, from when they were due
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub slow: Option<Duration>,
    /// A slow answer breaks the promise
    #[arg(long, requires = "slow")]
    pub strict: bool,
    /// Save the observations
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a page with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e7 => Ok(rate),
        Ok(_) => Err("it is not between 0 and ten million".into()),
        Err(_) => Err("it is no number".into()),
    }
}

fn path(text: &str) -> Result<String, String> {
    let plain = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { Ok(text.to_owned()) } else { Err("a path begins with / and has no blanks".into()) }
}
