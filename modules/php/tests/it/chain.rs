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
use crate::php::{cutover, mod_cutover, text};
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

#[test]
fn the_prover_acquits_apache_whose_code_is_found_by_include_path() {
    let Some(program) = cutover() else {
        println!(
            "\nskipped: the_prover_acquits_apache_whose_code_is_found_by_include_path: no program `cutover`; name it by CUTOVER_BIN"
        );
        return;
    };
    let full = std::env::var_os("CUTOVER_PROMISE").is_some_and(|value| value == "full");
    let shop = Shop::new();
    // Its parts are found one after the other; without the extension they would be of several releases.
    let code = "for ($i = 0; $i < 4; $i++) { echo include 'version.php', ' ', file_get_contents('deep/version2.php', true), ' '; usleep(200); }";
    fs::create_dir(shop.beside("www")).unwrap();
    shop.script_beside("www/front.php", code);
    let lines = |more: String| {
        format!(
            "DocumentRoot {}\n{more}\nphp_value include_path .:{}/lib\n",
            shop.beside("www").display(),
            shop.app.link().display(),
        )
    };
    let judge = |apache: &Apache, requests: &str| {
        let known = shop.beside("known.toml");
        let prove = |more: &[&str]| {
            let mut command = Command::new(&program);
            command
                .arg("prove")
                .arg(format!("http://127.0.0.1:{}", apache.port()))
                .arg("--link")
                .arg(shop.app.link());
            let output = command
                .args(["--releases", "r1,r2", "--page", "/front.php", "--patience", "120s"])
                .args(more)
                .output()
                .unwrap();
            (output.status.code(), text(&output.stdout) + &text(&output.stderr))
        };
        let known = known.to_str().unwrap();
        let learnt = prove(&["--learn", known]);
        assert_eq!(learnt.0, Some(0), "{}", learnt.1);
        prove(&["--known", known, "--requests", requests, "--flips-per-second", "1000", "--connections", "6"])
    };
    let pinned =
        Apache::start(8, &lines(format!("php_admin_value cutover.link {}", shop.app.link().display())));
    let (status, report) = judge(&pinned, if full { "100000" } else { "1500" });
    println!("{report}");
    assert_eq!(status, Some(0), "{report}\n{}", pinned.said());
    // Without it PHP remembers for minutes where the link led: the prover does not even begin.
    let unpinned = Apache::start(8, &lines(String::new()));
    let (status, report) = judge(&unpinned, "1500");
    assert!(status != Some(0) && report.contains("is answered as no release would"), "{report}");
}

/// `cutover serve`.
struct Serve {
    child: Child,
    port: u16,
}

impl Serve {
    fn start(shop: &Shop, program: &Path, fpm: &Fpm) -> Serve {
        let port = crate::port::free();
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
