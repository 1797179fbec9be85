//! The keeper alone, for this crate's tests: the same entry as `cutover fpm-keeper …`.
//! `hold DIR` is a process that serves and does nothing but that: it starts a pool, says its socket, and waits.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use serve::fpm::{Embedded, FpmOptions, keeper};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(first) if first == "fpm-keeper" => keeper::main(args),
        Some(first) if first == "hold" => hold(args.next().unwrap_or_default().as_ref()),
        Some(_) | None => ExitCode::from(2),
    }
}

fn hold(dir: &Path) -> ExitCode {
    match Embedded::start(&FpmOptions::new("held", dir)) {
        Ok(pool) => {
            println!("{}", pool.socket().display());
            // Until the test closes it, or kills us.
            let ended = std::io::stdin().read(&mut [0]).is_ok();
            drop(pool);
            if ended { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
