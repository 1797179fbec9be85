//! The promise under `prove`, on each MPM.

use super::stand::{Stand, With};
use crate::web::{Much, a_thousand_per_second, full, ids, page, spread};

fn much() -> Much {
    if full() { spread() } else { Much { requests: 6_000, flips: 300, ..spread() } }
}

/// With an error page, and two pools that take turns.
fn holds(mpm: &str, with: With, much: &Much) {
    let stand = Stand::start(mpm, with, "[site.error]\n404 = \"/gone.html\"\n", 2, |site| {
        ids().iter().for_each(|id| site.file(id, "gone.html", &format!("gone [release {id}]\n")));
    });
    stand.holds(much, vec![page("/.hidden", 404, "gone [release {}]\n")]);
}

#[test]
fn prefork_with_the_module() {
    holds("prefork", With::Module, &much());
}

#[test]
fn worker_with_the_module() {
    holds("worker", With::Module, &much());
}

#[test]
fn event_with_the_module() {
    holds("event", With::Module, &much());
}

#[test]
fn event_with_the_module_and_a_thousand_flips_per_second() {
    holds("event", With::Module, &a_thousand_per_second());
}

#[test]
fn event_in_front_of_cutover_serve_by_http() {
    holds("event", With::Http, &much());
}

#[test]
fn prefork_in_front_of_cutover_serve_by_http() {
    holds("prefork", With::Http, &much());
}

#[test]
fn worker_in_front_of_cutover_serve_by_fastcgi() {
    holds("worker", With::FastCgi, &much());
}

#[test]
fn prefork_in_front_of_cutover_serve_by_fastcgi_and_a_thousand_flips_per_second() {
    holds("prefork", With::FastCgi, &a_thousand_per_second());
}
