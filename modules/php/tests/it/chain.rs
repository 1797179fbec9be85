//! With what stands in front of PHP: the same release in the server, in PHP, and in what PHP finds by include_path.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::apache::Apache;
use crate::fpm::Fpm;
use crate::http;
use crate::php::{cutover, mod_cutover};
use crate::shop::{Shop, until};

/// Says who pinned it to what, and what PHP makes of it.
const CODE: &str = "$seen = [basename(dirname(__DIR__)), basename(dirname($_SERVER['DOCUMENT_ROOT'])), $_SERVER['CUTOVER_RELEASE'], cutover_release()];\
    usleep(500); $seen[] = include 'version.php'; usleep(500); $seen[] = include 'deep/version2.php'; echo implode(' ', array_unique($seen));";

/// Asks while the link is flipped, and judges: each answer is all of one release.
fn judge(shop: &Shop, ask: impl Fn() -> (u16, String) + Sync, said: impl Fn() -> String) {
    let over = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let flipper = scope.spawn(|| {
            for release in ["r1", "r2"].iter().cycle() {
                shop.flip(release);
                if over.load(Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let clients: Vec<_> =
            (0..3).map(|_| scope.spawn(|| (0..150).map(|_| ask()).collect::<Vec<_>>())).collect();
        let seen: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        over.store(true, Relaxed);
        flipper.join().unwrap();
        seen
    });
    let of = |release: &str| seen.iter().filter(|answer| **answer == (200, release.to_owned())).count();
    assert_eq!(of("r1") + of("r2"), seen.len(), "{seen:?}\n{}", said());
    assert!(of("r1") > 0 && of("r2") > 0, "{} of r1, {} of r2", of("r1"), of("r2"));
    let other = if fs::read_link(shop.app.link()).unwrap().ends_with("r1") { "r2" } else { "r1" };
    until("nothing is held but what is live", || !shop.leased(other));
}

#[test]
fn mod_cutover_and_mod_php_agree() {
    let shop = Shop::new();
    for release in ["r1", "r2"] {
        shop.script(release, "chain.php", CODE);
    }
    let lines = format!(
        "LoadModule cutover_module {}\nDocumentRoot {link}/public\nCutover On\n\
         php_admin_value cutover.link {link}\nphp_admin_value cutover.on_failure 503\nphp_value include_path .:{link}/lib\n",
        mod_cutover().display(),
        link = shop.app.link().display(),
    );
    let apache = Apache::start(3, &lines);
    judge(&shop, || apache.get("a.test", "/chain.php"), || apache.said());
    assert!(!apache.said().contains("Warning"), "{}", apache.said());
}

#[test]
fn cutover_serve_and_php_fpm_agree() {
    let Some(program) = cutover() else {
        println!("\nskipped: cutover_serve_and_php_fpm_agree: no program `cutover`; name it by CUTOVER_BIN");
        return;
    };
    let shop = Shop::new();
    for release in ["r1", "r2"] {
        shop.script(release, "chain.php", CODE);
    }
    let fpm = Fpm::start_saying(&shop, 4, "php_admin_value[cutover.on_failure] = 503");
    let serve = Serve::start(&shop, &program, &fpm);
    judge(&shop, || serve.get("/chain.php"), || fpm.said());
    assert!(!fpm.said().contains("Warning"), "{}", fpm.said());
}

/// `cutover serve`.
struct Serve {
    child: Child,
    port: u16,
}

impl Serve {
    fn start(shop: &Shop, program: &Path, fpm: &Fpm) -> Serve {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "[app]\nname = \"shop\"\nroot = \"{}\"\ndocroot = \"public\"\n[php]\nfpm = \"unix:{}\"\nconnections = 3\n[serve]\nlisten = [\"127.0.0.1:{port}\"]\n",
            shop.root().display(),
            fpm.socket().display()
        );
        let file = shop.root().join("cutover.toml");
        fs::write(&file, config).unwrap();
        let child = Command::new(program)
            .arg("serve")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut serve = Serve { child, port };
        until("cutover serve takes connections", || {
            assert!(serve.child.try_wait().unwrap().is_none(), "cutover serve ends");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        serve
    }

    fn get(&self, path: &str) -> (u16, String) {
        http::get(self.port, "a.test", path, "")
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        )
        .ok();
        self.child.wait().ok();
    }
}
