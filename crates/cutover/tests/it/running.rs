//! serve, and what is asked of a running server: status, reload, maintenance, upgrade.

use crate::shop::Shop;
use insta::assert_snapshot;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running `cutover serve` on a Unix socket in the shop's directory; ended when dropped.
struct Serving<'s> {
    shop: &'s Shop,
    child: Child,
}

const LISTEN: &str = "[app]\nname = 'shop'\n[serve]\nlisten = ['unix:SOCKET']\n";

/// Writes the shop's cutover.toml: the socket, and these further lines.
fn configure(shop: &Shop, more: &str) {
    let socket = shop.path("http.sock");
    let text = LISTEN.replace("SOCKET", socket.to_str().unwrap()) + more;
    std::fs::write(shop.path("cutover.toml"), text).unwrap();
}

impl Serving<'_> {
    fn start(shop: &Shop) -> Serving<'_> {
        Serving::start_on(shop, &[shop.root()])
    }

    fn start_on<'s>(shop: &'s Shop, apps: &[&Path]) -> Serving<'s> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.arg("serve").args(apps).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening on") {
            assert!(log.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Serving { shop, child }
    }

    /// Status and body of a GET.
    fn get(&self, path: &str) -> (u16, String) {
        self.get_of("shop.test", path)
    }

    /// The same, of the app that answers for this host name.
    fn get_of(&self, host: &str, path: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(self.shop.path("http.sock")).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn pid(&self) -> u64 {
        self.child.id().into()
    }

    fn tell(&self, signal: &str) {
        let done = Command::new("kill").arg(signal).arg(self.pid().to_string()).status().unwrap();
        assert!(done.success());
    }

    /// Its exit code, once it has ended.
    fn ended(&mut self) -> i32 {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

fn ask_pid(shop: &Shop) -> u64 {
    shop.json(&["status"]).1["server"]["pid"].as_u64().expect("a server answers")
}

#[test]
fn each_flip_is_served_from_the_next_request_on_and_status_tells() {
    let shop = Shop::with_live(&["r1", "r2"]);
    configure(&shop, "");
    let mut serving = Serving::start(&shop);
    assert_eq!(serving.get("/"), (200, "r2".into()));
    for _ in 0..20 {
        for id in ["r1", "r2"] {
            shop.ok(&["flip", id]);
            assert_eq!(serving.get("/index.html"), (200, id.into()));
        }
    }
    let (_, said) = shop.json(&["status"]);
    assert_eq!(said["server"]["pid"], serving.pid());
    assert_eq!(said["server"]["sites"][0]["release"], "r2");
    assert_eq!(said["in_use"], true);
    let text = shop.ok(&["status"]);
    assert!(text.contains("serves   r2, 0 requests in flight"), "{text}");
    serving.tell("-TERM");
    assert_eq!(serving.ended(), 0);
    let text = shop.ok(&["status"]);
    assert!(text.contains("server   none is running") && text.contains("no process holds it"), "{text}");
}

#[test]
fn a_reload_takes_up_a_new_file_and_refuses_a_wrong_one() {
    let shop = Shop::with_live(&["r1"]);
    configure(&shop, "");
    let serving = Serving::start(&shop);
    assert_eq!(serving.get("/old").0, 404);
    let redirect = "[[site.redirect]]\nfrom = '/old'\nto = '/new'\n";
    configure(&shop, redirect);
    assert_snapshot!(shop.ok(&["reload"]), @"reloaded: shop");
    assert_eq!(serving.get("/old").0, 301);
    configure(&shop, "[site]\nidnex = []\n");
    // The command reads the file itself, to find the server.
    let said = shop.fails(2, &["reload"]);
    assert!(said.contains("did you mean `index`?"), "{said}");
    assert_eq!(serving.get("/old").0, 301, "what was served still is");
}

#[test]
fn a_configuration_that_reads_well_but_cannot_be_served_changes_nothing() {
    let shop = Shop::with_live(&["r1"]);
    configure(&shop, "");
    let serving = Serving::start(&shop);
    configure(&shop, "[serve.log]\naccess = '/nonexistent/access.log'\n");
    assert_snapshot!(shop.fails(1, &["reload"]), @"
    cutover: cannot open the log /nonexistent/access.log: No such file or directory (os error 2)
      still: what was served still is
    ");
    assert_eq!(serving.get("/").0, 200);
}

#[test]
fn maintenance_is_turned_on_and_off_with_a_server_and_without() {
    let shop = Shop::with_live(&["r1"]);
    configure(&shop, "");
    assert_snapshot!(shop.ok(&["maintenance", "on"]), @"maintenance is on for shop; no server is running, the next one heeds it");
    let serving = Serving::start(&shop);
    assert_eq!(serving.get("/").0, 503);
    assert!(shop.ok(&["status"]).contains("maintenance is on"));
    assert_snapshot!(shop.ok(&["maintenance", "off"]), @"maintenance is off for shop");
    assert_eq!(serving.get("/").0, 200);
    shop.ok(&["maintenance", "on"]);
    drop(serving);
    shop.ok(&["maintenance", "off"]);
    assert_eq!(Serving::start(&shop).get("/").0, 200);
}

#[test]
fn an_upgrade_hands_the_socket_to_a_new_process_and_the_old_one_ends() {
    let shop = Shop::with_live(&["r1"]);
    configure(&shop, "");
    let mut serving = Serving::start(&shop);
    let said = shop.ok(&["upgrade", env!("CARGO_BIN_EXE_cutover")]);
    assert!(said.contains("serves; this one ends"), "{said}");
    assert_eq!(serving.ended(), 0);
    let new = ask_pid(&shop);
    assert_ne!(new, serving.pid());
    assert_eq!(serving.get("/"), (200, "r1".into()));
    assert!(Command::new("kill").arg(new.to_string()).status().unwrap().success());
}

#[test]
fn an_upgrade_to_something_that_does_not_serve_changes_nothing() {
    let shop = Shop::with_live(&["r1"]);
    configure(&shop, "");
    let serving = Serving::start(&shop);
    let said = shop.fails(1, &["upgrade", "/bin/false"]);
    assert!(said.contains("this process still serves"), "{said}");
    assert_eq!(serving.get("/"), (200, "r1".into()));
    assert_eq!(ask_pid(&shop), serving.pid());
}

#[test]
fn without_a_server_a_reload_says_so() {
    let shop = Shop::with_live(&["r1"]);
    assert_snapshot!(shop.fails(1, &["reload"]), @"
    cutover: no server answers on /srv/shop/.cutover/run/serve.sock: is `cutover serve` running for this app?
      still: no server was asked
      next: start one with `cutover serve`
    ");
}

#[test]
fn a_socket_that_another_server_answers_on_is_not_taken_from_it() {
    let shop = Shop::with_live(&["r1"]);
    configure(&shop, "");
    let serving = Serving::start(&shop);
    assert_snapshot!(shop.fails(1, &["serve"]), @"
    cutover: cannot listen on unix:/srv/shop/http.sock: another process answers there; stop it, or use `cutover upgrade`
      still: nothing is served by this command
    ");
    assert_eq!(serving.get("/").0, 200);
}

#[test]
fn several_apps_share_a_socket_and_the_host_name_tells_them_apart() {
    let shops: Vec<Shop> = ["any", "exact", "deep", "wide"].map(|id| Shop::with_live(&[id])).into();
    let hosts = ["", "hosts = ['Shop.test']", "hosts = ['*.shop.test']", "hosts = ['*.test']"];
    let socket = shops[0].path("http.sock");
    for ((shop, hosts), name) in shops.iter().zip(hosts).zip(["any", "exact", "deep", "wide"]) {
        let text = LISTEN.replace("SOCKET", socket.to_str().unwrap()).replace("'shop'", &format!("'{name}'"));
        std::fs::write(shop.path("cutover.toml"), text + hosts).unwrap();
    }
    let serving = Serving::start_on(&shops[0], &shops.iter().map(Shop::root).collect::<Vec<_>>());
    for (host, name) in [
        ("shop.test", "exact"),
        ("SHOP.test.:8080", "exact"),
        ("a.shop.test", "deep"),
        ("a.b.shop.test", "deep"),
        ("a.test", "wide"),
        ("test", "any"),
        ("shop.test.evil", "any"),
        ("[::1]:80", "any"),
    ] {
        assert_eq!(serving.get_of(host, "/"), (200, name.into()), "{host}");
    }
    // Whichever app is asked about, it is the one server that answers.
    let pids: Vec<u64> = shops.iter().map(ask_pid).collect();
    assert_eq!(pids, [serving.pid(); 4]);
}
