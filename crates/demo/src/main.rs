//! The demo: DokuWiki deployed and served by Cutover, deployed and flipped on under readers and writers, and a verdict
//! at the end.
//!
//! ```text
//!   fetch ──> wiki (a source, tree) ──> site (cutover.toml) ──> cutover deploy ──> server (cutover serve)
//!                                                                                    │
//!          readers ┐                                                                 │
//!          writer ─┼──> prove: load × act, by operator (cutover deploy, flip, rollback) ──> observations ──> verdict
//!          form ───┘
//! ```

mod act;
mod fetch;
mod form;
mod home;
mod operator;
mod readers;
mod server;
mod show;
mod site;
mod story;
mod stuck;
mod tree;
mod wiki;
mod writer;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Shows the main job on a real application: DokuWiki is deployed again and again under load, and no request notices.
#[derive(Debug, Parser)]
#[command(name = "demo/run")]
struct Flags {
    /// Stop the server and exit when the verdict is there
    #[arg(long)]
    once: bool,
    /// Only stop the server that an earlier demo left running
    #[arg(long)]
    stop: bool,
    /// Flips, besides four deploys, two that are refused, and a rollback
    #[arg(long, default_value_t = 200)]
    flips: u64,
    /// Milliseconds between two flips, or deploys
    #[arg(long, default_value_t = 50)]
    pause_ms: u64,
    /// Readers, each with a request in flight all the time
    #[arg(long, default_value_t = 6)]
    readers: u32,
    /// Writers, each of whom edits a page again and again
    #[arg(long, default_value_t = 2)]
    writers: u32,
    /// Where packages, site and log are kept
    #[arg(long, default_value = ".demo")]
    home: PathBuf,
    /// The cutover to show; by default the one beside this program
    #[arg(long)]
    cutover: Option<PathBuf>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let told = if flags.stop { story::stop(&flags.home) } else { story::tell(&flags) };
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("demo: {why}");
            ExitCode::from(1)
        }
    }
}
