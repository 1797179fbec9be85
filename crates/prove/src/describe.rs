//! Describe: what a scenario will do, in words, before it does it.

use crate::flipper::{Flipper, Manner};
use crate::scenario::{Flips, Load, Pace, Scenario, Speaking};
use std::time::Duration;

impl Scenario {
    /// Who is asked how much and how, and what is flipped how often: a sentence without an end.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{}; {}", load(&self.load), flips(&self.flips))
    }
}

fn load(load: &Load) -> String {
    let Load { connections, closing, .. } = load;
    let how = match load.speaking {
        Speaking::Http1 if *closing == 0 => "kept".to_owned(),
        Speaking::Http1 => format!("{} kept, {closing} closed after each request", connections - closing),
        Speaking::Pipelined { depth } => format!("pipelining {depth} requests"),
        Speaking::Http2 { streams } => format!("HTTP/2, {streams} streams each"),
    };
    let asking = match load.arrivals {
        Some(arriving) => format!(
            "{} requests each second on up to {} connections ({how})",
            plain(arriving.per_second),
            arriving.connections_max
        ),
        None => format!("as many requests as {connections} connections get answered ({how})"),
    };
    match load.lasts {
        Some(time) => format!("{asking}, for {time:?}"),
        None if load.requests == u64::MAX => asking,
        None => format!("{asking}, {} requests", load.requests),
    }
}

fn flips(flips: &Flips) -> String {
    let by = match &flips.by {
        Flipper::Nobody => return "no flips".to_owned(),
        Flipper::Link(link) => match link.manner {
            Manner::Rename => format!("the link {} replaced by rename", link.path.display()),
            Manner::RemoveThenLink => format!("the link {} removed and made again", link.path.display()),
        },
        Flipper::Command(words) => format!("`{}`", words.join(" ")),
        Flipper::Shell(shell) => format!("`{}`", shell.line()),
        Flipper::Call(_) => "the releases flipped".to_owned(),
    };
    let pace = match flips.pace {
        Pace::Every(Duration::ZERO) => "as fast as it goes".to_owned(),
        Pace::Every(pause) => format!("{pause:?} after the one before"),
        Pace::Each(period) if period < Duration::from_secs(1) => {
            format!("{} times each second", plain(1.0 / period.as_secs_f64()))
        }
        Pace::Each(period) => format!("every {period:?}"),
        Pace::Spread => "spread evenly".to_owned(),
    };
    match flips.count {
        u64::MAX => format!("{by} {pace}"),
        count => format!("{by} {count} times, {pace}"),
    }
}

fn plain(number: f64) -> String {
    if number.fract().abs() < 0.05 { format!("{number:.0}") } else { format!("{number:.1}") }
}
