//! Leases: a release stays while a request uses it, and not a moment longer.

use crate::apache::{Apache, Mpm, SITE};
use crate::shop::Shop;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// Whether a pruner would get the lock that it asks for.
///
/// Asked by another program: a process that another test starts would have what this one has open until it is that
/// other program, and the lock with it.
fn prunable(shop: &Shop, id: &str) -> bool {
    let mut flock = Command::new("flock");
    flock.args(["--nonblock", "--exclusive"]).arg(shop.dir_of(id)).arg("true").status().unwrap().success()
}

/// Waits until it is so: the end of a request is a moment after its last byte.
fn in_time(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Begins a request that goes on until it is let go, and waits until its script runs: what was heard so far.
///
/// Not by asking for the lock meanwhile: whoever is stopped by a busy machine while he has it keeps the request from
/// having it, which then goes without.
fn begin_slow(apache: &Apache) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(apache.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET /slow.cgi HTTP/1.0\r\nHost: shop.test\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"begun\n") {
        let mut some = [0; 1024];
        let length = stream.read(&mut some).unwrap();
        assert!(length > 0, "{}\n{}", String::from_utf8_lossy(&heard), apache.log());
        heard.extend_from_slice(&some[..length]);
    }
    (stream, heard)
}

#[test]
fn a_release_is_held_while_a_request_runs_and_idle_processes_hold_none() {
    let shop = Shop::new();
    let gate = shop.beside().join("gate");
    let slow = format!(
        "#!/bin/sh\necho 'Content-Type: text/plain'\necho\necho begun\nwhile [ ! -e {} ]; do sleep 0.02; done\ncat page.txt\n",
        gate.display()
    );
    for id in ["r1", "r2"] {
        shop.write(&shop.dir_of(id).join("public/slow.cgi"), &slow);
    }
    for mpm in [Mpm::Prefork, Mpm::Worker, Mpm::Event] {
        println!("{mpm:?}");
        drop(fs::remove_file(&gate));
        shop.flip("r1");
        let apache = Apache::start(&shop, mpm, SITE);
        in_time("nobody asked for anything yet", || prunable(&shop, "r1"));
        let (mut stream, mut heard) = begin_slow(&apache);
        assert!(!prunable(&shop, "r1"), "the request holds its release");
        shop.flip("r2");
        // Other requests come and go, in every process.
        for _ in 0..30 {
            assert_eq!(apache.text("/page.txt"), "page r2");
        }
        assert!(!prunable(&shop, "r1"), "it still runs");
        in_time("r2 is live, but nobody asks", || prunable(&shop, "r2"));
        fs::write(&gate, "").unwrap();
        stream.read_to_end(&mut heard).unwrap();
        let said = String::from_utf8_lossy(&heard);
        assert!(said.ends_with("begun\npage r1"), "{said}");
        in_time("its request is over", || prunable(&shop, "r1"));
    }
}

#[test]
fn a_killed_child_holds_nothing_and_the_others_serve_on() {
    let shop = Shop::new();
    for id in ["r1", "r2"] {
        let slow = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\necho begun\nexec sleep 60\n";
        shop.write(&shop.dir_of(id).join("public/slow.cgi"), slow);
    }
    let apache = Apache::start(&shop, Mpm::Prefork, SITE);
    let (_stream, _) = begin_slow(&apache);
    assert!(!prunable(&shop, "r1"), "the request holds its release");
    shop.flip("r2");
    let killed = apache.children();
    for child in &killed {
        // Of the very Apache that this test started.
        Command::new("/bin/kill").args(["-KILL", child]).status().unwrap();
    }
    // One that is about to die may still have taken a connection.
    in_time("Apache has seen their end", || apache.children().iter().all(|child| !killed.contains(child)));
    in_time("the kernel has taken the lock back", || prunable(&shop, "r1"));
    assert_eq!(apache.text("/page.txt"), "page r2");
}

#[test]
fn a_release_that_was_pruned_and_made_again_is_served_anew() {
    let shop = Shop::new();
    let apache = Apache::start(&shop, Mpm::Event, SITE);
    assert_eq!(apache.text("/page.txt"), "page r1");
    shop.flip("r2");
    fs::remove_dir_all(shop.dir_of("r1")).unwrap();
    shop.fill(&shop.dir_of("r1"), "again");
    shop.flip("r1");
    assert_eq!(apache.text("/page.txt"), "page again");
}
