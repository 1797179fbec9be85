//! cutover: flags to one command; composes the trades.
//!
//! ```text
//!   args ──> opened (the app: its file and its layout) ──> command/* ──> Answer | Failure ──> print ──> exit code
//! ```
//! Exit codes: 0 done, 1 failed, 2 wrong usage or config, 3 refused (locked or in use).

mod answer;
mod args;
mod busy;
mod command;
mod history;
mod opened;
mod pools;
mod remote;
mod sending;
mod show;
mod stop;
mod webserver;
mod when;
mod who;
mod working;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|first| first == "fpm-keeper") {
        // Started by `cutover serve` for its embedded php-fpm; not for people, so not in the help.
        return serve::fpm::keeper::main(words);
    }
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(told) => return args::told(&told),
    };
    let json = args.globals.json;
    answer::print(command::run(args), json)
}
