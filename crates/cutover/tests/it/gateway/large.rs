//! Large bodies both ways: they pass, and the gateway's memory does not grow with them.

use std::io::{Read, Write};
use std::time::Duration;

use super::front::Kind;
use super::stand::{CONFIG, Stand, serve_as};
use crate::serve::client::{connect, read_reply};
use crate::serve::server::App;

/// Blocks of a body: each begins with its number.
const BLOCK: usize = 64 << 10;
const BLOCKS: usize = 1600;
/// What a process may need for a body of 100 MiB, in KiB.
const MOST_KIB: u64 = 40 << 10;

const TAKES: &str = "<?php $in = fopen('php://input', 'r'); for ($n = 0; ($b = stream_get_contents($in, 65536)) !== ''; $n++) \
                     if ($b !== sprintf('%08d', $n) . str_repeat('x', 65528)) { echo \"block $n differs\"; exit; } echo \"$n blocks\";";
const GIVES: &str = "<?php for ($n = 0; $n < 1600; $n++) echo sprintf('%08d', $n), str_repeat('x', 65528);";

fn block(number: usize) -> Vec<u8> {
    let mut block = format!("{number:08}").into_bytes();
    block.resize(BLOCK, b'x');
    block
}

/// A number of /proc/PID/status, in KiB.
fn kib(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// A hundred MiB up and down, through nginx; with these keys of `[php]`.
fn passes(php: &str) {
    let app = App::new(CONFIG).release("r1", &[("public/takes.php", TAKES), ("public/gives.php", GIVES)]);
    let text = app.config().replace("/ROOT", &app.root().display().to_string());
    let text = text.replace("workers = 4\n", &format!("workers = 2\n{php}"));
    let text = format!("{text}\"post_max_size\" = \"0\"\n[serve.limits]\nbody = \"200M\"\n");
    let stand = Stand::of(serve_as(app.sealed("r1").live("r1"), &text), Kind::Nginx, "/public");
    let pid = stand.server.child.id();
    let before = kib(pid, "VmRSS");
    // The peak counts from here.
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();

    let mut up = connect(stand.front.port);
    up.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let length = BLOCK * BLOCKS;
    let head = format!(
        "POST /takes.php HTTP/1.0\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    );
    up.write_all(head.as_bytes()).unwrap();
    for number in 0..BLOCKS {
        up.write_all(&block(number)).unwrap();
    }
    let taken = read_reply(&mut up).expect("an answer");
    assert_eq!(taken.text(), format!("{BLOCKS} blocks"), "{}\n{}", taken.head, stand.said());

    let mut down = connect(stand.front.port);
    down.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    down.write_all(b"GET /gives.php HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        down.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    for number in 0..BLOCKS {
        let mut got = vec![0; BLOCK];
        down.read_exact(&mut got).unwrap_or_else(|why| panic!("{number}: {why}\n{}", stand.said()));
        assert!(got == block(number), "block {number} differs");
    }
    assert_eq!(down.read(&mut [0]).unwrap(), 0, "and nothing more");
    let peak = kib(pid, "VmHWM");
    println!("{php:?}: {before} KiB before, {peak} KiB at most");
    assert!(peak.saturating_sub(before) < MOST_KIB, "{before} KiB before, {peak} KiB at most");
}

#[test]
fn kept_in_files_of_ours_until_who_takes_it_is_ready() {
    passes("");
}

#[test]
fn passed_on_as_it_comes() {
    passes("buffer_request = false\nbuffer_response = false\n");
}
