//! Reload, drain, upgrade: nothing is refused and nothing is cut, under load.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::client::{connect, read_reply};
use super::server::{App, LONG, Server};

fn shop() -> Server {
    App::new("").release("r1", &[("public/a.txt", "one")]).sealed("r1").live("r1").serve()
}

/// Clients that ask until they are told to stop; half of them keep their connections. Gives how many were answered.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<std::thread::JoinHandle<u64>>,
    answered: Arc<AtomicU64>,
}

impl Load {
    fn on(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let clients = (0..8)
            .map(|n| {
                let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
                std::thread::spawn(move || client(port, n % 2 == 0, &stop, &answered))
            })
            .collect();
        Self { stop, clients, answered }
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more requests were answered.
    fn goes_on(&self) {
        let before = self.answered();
        let until = Instant::now() + LONG;
        while Instant::now() < until {
            if self.answered() > before + 200 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the load stands still at {before}");
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().map(|client| client.join().unwrap()).sum()
    }
}

/// Panics at the first request that is refused, cut, or answered with anything but the page.
fn client(port: u16, keep: bool, stop: &AtomicBool, answered: &AtomicU64) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut stream = connect(port);
        loop {
            let connection = if keep { "keep-alive" } else { "close" };
            write!(stream, "GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n").unwrap();
            let reply = read_reply(&mut stream).expect("an answer");
            assert_eq!((reply.status, reply.text().as_str()), (200, "one"));
            count += 1;
            answered.fetch_add(1, Ordering::Relaxed);
            if !keep || reply.header("connection") == Some("close") || stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    count
}

#[test]
fn a_reload_loses_no_request_and_a_bad_configuration_changes_nothing() {
    let server = shop();
    let load = Load::on(server.port());
    for n in 1..=5 {
        server.app.write_config(&format!(
            "{}[[site.header]]\npath = \"/**\"\nset = {{ x-n = \"{n}\" }}\n",
            server.app.config()
        ));
        server.app.cutover(&["reload"]);
        assert_eq!(server.get("/a.txt").header("x-n"), Some(n.to_string().as_str()));
        load.goes_on();
    }
    server.app.write_config("[app]\nnonsense = 1\n");
    server.signal("HUP");
    server.wait_for("the complaint", |log| log.contains("not reloaded"));
    assert_eq!(server.get("/a.txt").header("x-n"), Some("5"));
    load.goes_on();
    assert!(load.end() > 1000);
}

#[test]
fn an_upgrade_under_load_refuses_no_connection_and_cuts_no_response() {
    let mut server = shop();
    let load = Load::on(server.port());
    load.goes_on();
    server.app.cutover(&["upgrade"]);
    assert!(server.ends(), "the old process stays:\n{}", server.log());
    load.goes_on();
    let status = server.app.cutover(&["status", "--json"]);
    assert!(load.end() > 400);
    // The new process is nobody's child here: it is ended by its own number.
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let pid = find_pid(&status).unwrap_or_else(|| panic!("no pid in {status}"));
    assert_ne!(pid, u64::from(server.child.id()));
    super::server::signal(u32::try_from(pid).unwrap(), "TERM");
}

pub fn find_pid(value: &serde_json::Value) -> Option<u64> {
    let named = value.get("pid").and_then(serde_json::Value::as_u64);
    let deeper = || value.as_object()?.values().find_map(find_pid);
    named.or_else(deeper)
}

#[test]
fn a_server_told_to_end_finishes_what_is_in_hand() {
    let large = "0123456789abcdef".repeat(1_000_000);
    let mut server = App::new("").release("r1", &[("public/large.txt", &large)]).live("r1").serve();
    let mut slow = connect(server.port());
    write!(slow, "GET /large.txt HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // The answer begins: the request was heard.
    slow.peek(&mut [0]).unwrap();
    server.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    let reply = read_reply(&mut slow).unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, large.len()));
    assert!(server.ends(), "{}", server.log());
    assert!(std::net::TcpStream::connect(("127.0.0.1", server.port())).is_err());
}
