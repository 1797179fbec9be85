//! Flags of `cutover doctor`: parsed and held against each other by clap, read by its siblings.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What is looked at, and how it is told.
#[derive(Debug, Args)]
pub struct DoctorFlags {
    /// Look at what `--collect` packed, or at a directory of the same form, instead of at this machine
    #[arg(value_name = "PACK")]
    pub pack: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "PACK", conflicts_with = "pack")]
    pub from: Option<PathBuf>,
    #[command(flatten)]
    pub targets: TargetFlags,
    #[command(flatten)]
    pub told: ToldFlags,
    #[command(flatten)]
    pub known: KnownFlags,
    /// Print the changes that put findings right, as a diff
    #[arg(long, conflicts_with_all = ["sarif", "junit", "collect"])]
    pub fix: bool,
    /// With --fix: make the changes; each file is kept as it was beside itself, and put back if the server refuses it
    #[arg(long, requires = "fix", conflicts_with_all = ["pack", "from"])]
    pub write: bool,
    /// Pack all that was looked at into this file, secrets masked
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pack", "from"])]
    pub collect: Option<PathBuf>,
    /// Look at a site from outside, by a few harmless requests, where its configuration cannot be read
    #[arg(long, value_name = "URL", conflicts_with_all = ["pack", "from", "fix", "collect", "sarif", "junit", "baseline"])]
    pub live: Option<String>,
    /// With --live: put a script into this directory, which the site serves at URL, for a moment
    #[arg(long, value_name = "DIR", requires = "live")]
    pub probe: Option<PathBuf>,
    /// Say all there is to say about a check
    #[arg(long, value_name = "ID", conflicts_with_all = ["pack", "from", "fix", "collect"])]
    pub explain: Option<String>,
    /// List the checks
    #[arg(long, conflicts_with_all = ["pack", "from", "fix", "collect", "explain"])]
    pub list: bool,
}

/// What is looked at.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is looked at [default: everything that is found]")]
pub struct TargetFlags {
    /// An nginx by its main file
    #[arg(long, value_name = "FILE")]
    pub nginx: Vec<PathBuf>,
    /// An Apache by its main file
    #[arg(long, value_name = "FILE")]
    pub apache: Vec<PathBuf>,
    /// A Caddy by its Caddyfile, or by its configuration as JSON
    #[arg(long, value_name = "FILE")]
    pub caddy: Vec<PathBuf>,
    /// A lighttpd by its main file
    #[arg(long, value_name = "FILE")]
    pub lighttpd: Vec<PathBuf>,
    /// A PHP-FPM by its main file
    #[arg(long, value_name = "FILE")]
    pub fpm: Vec<PathBuf>,
}

/// How it is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "How it is told")]
pub struct ToldFlags {
    /// What belongs together
    #[arg(long, value_enum, default_value = "check")]
    pub by: Grouped,
    /// Exit with 1 if anything so bad was found
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "warning")]
    pub fail_on: FailOn,
    /// Write SARIF, for code scanners
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
    /// Write JUnit's XML, for CI servers
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// What is known already.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is known already")]
pub struct KnownFlags {
    /// Do not tell what this file knows
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write all that is found now into the file that --baseline names
    #[arg(long, requires = "baseline", conflicts_with = "fix")]
    pub write_baseline: bool,
}

/// What belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Grouped {
    /// Findings of one check
    Check,
    /// Findings in one file
    File,
}

/// What counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Errors
    Error,
    /// Warnings too
    Warning,
    /// Hints too
    Info,
    /// And what could not be looked at
    Blind,
}
