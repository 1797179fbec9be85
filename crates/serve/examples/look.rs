//! Measures a pin when nothing flipped: `cargo run --release --example look -p cutover-serve`.
//!
//! Prints nanoseconds per pin against getppid() in the same run, in rounds that alternate, and their medians' ratio.

use release::{App, Lease, Pinner};
use serve::look::{Look, Mode};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

const ROUNDS: usize = 21;
const CALLS: u32 = 200_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temp = tempfile::tempdir()?;
    std::fs::create_dir_all(temp.path().join("releases/r1"))?;
    let app = App::new(temp.path(), Path::new("current"), &[])?;
    let id = "r1".parse()?;
    release::flip(&app, release::Target::Forced(id)).map_err(|why| why.to_string())?;
    let look = Look::new();
    let watched = look.watch(Pinner::new(app.clone(), |_: &Lease| ()));
    if let Mode::Reading(why) = watched.mode() {
        println!("the link is read on every pin: {why}");
    }
    let strict = Pinner::new(app, |_: &Lease| ());
    let (mut pins, mut calls, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        calls.push(measure(rustix::process::getppid));
        pins.push(measure(|| watched.pin().is_ok()));
        reads.push(measure(|| strict.look().is_ok()));
    }
    let (pin, call, read) = (median(pins), median(calls), median(reads));
    println!("getppid()              {call:7.1} ns");
    println!("pin, watched           {pin:7.1} ns  {:.2} x getppid()", pin / call);
    println!("pin, reading the link  {read:7.1} ns  {:.2} x getppid()", read / call);
    Ok(())
}

fn measure<R>(mut call: impl FnMut() -> R) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        black_box(call());
    }
    start.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}
