//! Servers in front of Cutover that only hand on: Caddy, lighttpd, HAProxy.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use prove::scenario::Pace;

use super::{behind, recipe, serve, served};
use crate::exec::Sets;
use crate::web::{Much, Site, full, page};

/// Thousands of requests while the link is flipped; 100,000 with `CUTOVER_PROMISE=full`.
pub fn much() -> Much {
    let (requests, flips) = if full() { (100_000, 3_000) } else { (4_000, 400) };
    Much { requests, flips, pace: Pace::Spread }
}

#[test]
fn caddy_hands_on() {
    let mut site = served("");
    let dir = site.path("");
    let block = recipe("caddy")
        .replace("http://shop.example.com", "http://:FRONT")
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{}", site.port));
    let conf = format!(
        "{{\nadmin off\nauto_https off\ndefault_bind 127.0.0.1\nstorage file_system {}\n}}\n{block}",
        dir.join("caddy").display()
    );
    behind(&mut site, &conf, |site, _| {
        let mut command = Command::new("/usr/bin/caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(site.path("front.conf"));
        command.env("HOME", &dir).env("XDG_DATA_HOME", &dir).env("XDG_CONFIG_HOME", &dir);
        command
    });
    site.holds(&much(), Vec::new());
}

#[test]
fn lighttpd_hands_on() {
    let mut site = served("");
    let block = recipe("lighttpd").replace("8080", &site.port.to_string());
    let conf = format!(
        "server.modules = ()\nserver.bind = \"127.0.0.1\"\nserver.port = FRONT\nserver.document-root = \"{0}\"\n\
         server.upload-dirs = ( \"{0}\" )\n{block}",
        site.path("").display()
    );
    behind(&mut site, &conf, |site, _| {
        let mut command = Command::new("/usr/sbin/lighttpd");
        command.args(["-D", "-f"]).arg(site.path("front.conf"));
        command
    });
    site.holds(&much(), Vec::new());
}

/// HAProxy as documented; `hosts` stand where the page has 10.0.0.1 and 10.0.0.2.
fn haproxy(site: &mut Site, hosts: [u16; 2]) {
    let block = recipe("haproxy")
        .replace("GET /up", "GET /probe.php")
        .replace("bind :80", "bind 127.0.0.1:FRONT")
        .replace("10.0.0.1:8080", &format!("127.0.0.1:{}", hosts[0]))
        .replace("10.0.0.2:8080", &format!("127.0.0.1:{}", hosts[1]));
    let conf = format!(
        "global\nmaxconn 512\nstats socket {} level admin\ndefaults\nmode http\ntimeout connect 5s\n\
         timeout client 60s\ntimeout server 60s\n{block}",
        site.path("admin.sock").display()
    );
    behind(site, &conf, |site, _| {
        let mut command = Command::new("/usr/sbin/haproxy");
        command.args(["-db", "-f"]).arg(site.path("front.conf"));
        command
    });
}

/// Serves it as a host that takes PROXY headers, as documented; `more` is appended to its configuration.
fn proxied(site: &mut Site, more: &str) {
    let keys = recipe("haproxy cutover.toml").replace("[serve]\n", "").replace("10.0.0.0/8", "127.0.0.1");
    let keys = keys.replace("10.0.0.1:8080", &format!("127.0.0.1:{}", site.port));
    site.change(&format!("listen = [\"127.0.0.1:{}\"]\n", site.port), &format!("{keys}{more}"));
    serve(site);
}

#[test]
fn haproxy_hands_on_and_tells_who_the_visitor_is() {
    let mut site = Site::lay("", 1);
    proxied(&mut site, "");
    for id in ["r1", "r2"] {
        site.file(id, "who.php", "<?php echo $_SERVER['REMOTE_ADDR'];");
        site.cutover(&["seal", id, "--again"]);
    }
    let port = site.port;
    haproxy(&mut site, [port, port]);
    site.holds(&much(), vec![page("/who.php", 200, "127.0.0.1")]);
}

/// A host is deployed while it is out of the balancer; visitors go to the other one, and not one of them notices.
#[test]
fn haproxy_lets_nobody_on_a_host_that_is_deployed() {
    let mut web1 = Site::lay("", 1);
    let noted = format!("\n[serve.log]\naccess = \"{}\"\n", web1.path("access.log").display());
    proxied(&mut web1, &noted);
    let mut web2 = Site::lay("", 1);
    proxied(&mut web2, "");
    let (one, two) = (web1.port, web2.port);
    haproxy(&mut web1, [one, two]);
    let script =
        recipe("balancer").replace("/run/haproxy/admin.sock", web1.path("admin.sock").to_str().unwrap());
    fs::create_dir(web1.path("bin")).unwrap();
    fs::write(web1.path("bin/balancer"), script).unwrap();
    let hooks = recipe("haproxy hooks").replace("/srv/shop/bin", web1.path("bin").to_str().unwrap());
    let hooks = hooks.replace("php ", "php8.2 ");
    // What a deploy is made of, and a word on who was there while it was at work.
    let source = web1.path("source");
    let copied =
        Command::new("cp").arg("-r").arg(web1.path("app/releases/r2")).arg(&source).status().unwrap();
    assert!(copied.success());
    let config = web1.path("app/cutover.toml");
    let text = fs::read_to_string(&config).unwrap();
    // Who asks web1 while it is out? Visitors do not stop asking, and what Cutover noted is in its log within a second.
    let log = web1.path("access.log");
    let count = format!(
        "sleep 2; grep -c visitor {0} >> {0}.out; sleep 1; grep -c visitor {0} >> {0}.out",
        log.display()
    );
    let hooks = hooks.replace("drain\"]\nundrain", &format!("drain\", \"{count}\"]\nundrain"));
    assert!(hooks.contains("grep"), "{hooks}");
    fs::write(&config, format!("{text}\n[source]\ndir = \"{}\"\n{hooks}", source.display())).unwrap();

    let (over, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    let failed = std::thread::scope(|scope| {
        let visitors: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let reply = web1.get("/route/visitor");
                        asked.fetch_add(1, Ordering::Relaxed);
                        if reply.status != 200 {
                            failed.push(reply.head);
                        }
                    }
                    failed
                })
            })
            .collect();
        let over = Sets(&over);
        web1.until(|| asked.load(Ordering::Relaxed) > 50);
        let came = || fs::read_to_string(&log).unwrap_or_default().matches("visitor").count();
        for _ in 0..2 {
            // HAProxy sends visitors back when it has found the host well again.
            let before = came();
            web1.until(|| came() > before);
            let said = web1.cutover(&["deploy"]);
            assert!(said.contains("drain"), "{said}");
        }
        drop(over);
        visitors.into_iter().flat_map(|visitor| visitor.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), asked.load(Ordering::Relaxed), failed.first());
    let counts = fs::read_to_string(format!("{}.out", log.display())).unwrap();
    let counts: Vec<u32> = counts.lines().map(|count| count.parse().unwrap()).collect();
    assert_eq!(counts.len(), 4);
    assert!(counts.chunks(2).all(|pair| pair[0] == pair[1]), "nobody was on it: {counts:?}");
    assert!(counts[0] > 0 && counts[3] > counts[0], "visitors came back: {counts:?}");
    println!("2 deploys, {} requests, 0 failed", asked.load(Ordering::Relaxed));
}
