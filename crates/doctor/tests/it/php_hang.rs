//! Pools that take a request and never answer: they hold up nobody else.

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doctor::facts::Look;
use doctor::machine::Here;
use doctor::{Facts, Targets};

use crate::php_fpm::Fpm;

const HANG: usize = 24;

/// How many wait for an answer now, and how many did at most.
#[derive(Default)]
struct Waiting {
    now: AtomicUsize,
    most: AtomicUsize,
    ever: AtomicUsize,
}

/// A socket whose owner takes everything and says nothing, until the other side has had enough.
fn hang(socket: &Path, waiting: &Arc<Waiting>) {
    let listener = UnixListener::bind(socket).unwrap();
    let waiting = Arc::clone(waiting);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            waiting.ever.fetch_add(1, Ordering::SeqCst);
            let now = waiting.now.fetch_add(1, Ordering::SeqCst) + 1;
            waiting.most.fetch_max(now, Ordering::SeqCst);
            stream.read_to_end(&mut Vec::new()).ok();
            waiting.now.fetch_sub(1, Ordering::SeqCst);
        }
    });
}

#[test]
fn pools_that_hang_are_asked_at_once_and_hold_up_nobody() {
    let fpm = Fpm::start("", "", "pm.status_path = /status");
    let dir = tempfile::tempdir().unwrap();
    let waiting = Arc::new(Waiting::default());
    let mut conf = "[global]\n".to_owned();
    for number in 0..HANG {
        let socket = dir.path().join(format!("{number}.sock"));
        hang(&socket, &waiting);
        conf += &format!("[hang{number}]\nlisten = {}\npm.status_path = /status\n", socket.display());
    }
    conf += &format!("[www]\nlisten = {}/fpm.sock\npm.status_path = /status\n", fpm.dir().display());
    let file = dir.path().join("php-fpm.conf");
    std::fs::write(&file, conf).unwrap();

    let facts = Facts::look(&Here, &Targets { fpm: vec![file], ..Targets::default() });
    let www = facts.pools().find(|(_, pool)| pool.name == "www").unwrap().1;
    assert!(www.php.inside().is_some() && www.status().is_some(), "{:?}", facts.blind);
    for (_, pool) in facts.pools().filter(|(_, pool)| pool.name != "www") {
        let Look::Blind(blind) = &pool.php.inside else { panic!("{:?}", pool.php.inside) };
        assert_eq!(blind.why, "no answer in time", "{blind:?}");
    }
    // One after the other there would never be a second one that waits; and who hangs is not asked again.
    assert!(waiting.most.load(Ordering::SeqCst) > 1, "one after the other");
    assert_eq!(waiting.ever.load(Ordering::SeqCst), HANG);
}
