//! PHP's own web server: one process that answers one request after the other.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::http::get;
use crate::php::php;
use crate::shop::{Shop, until};

/// `php -S`, which serves what stands beside the shop.
struct WebServer {
    process: Child,
    port: u16,
}

impl WebServer {
    fn start(shop: &Shop) -> WebServer {
        let port = crate::port::free();
        let mut command = php(shop, &[]);
        command.arg("-S").arg(format!("127.0.0.1:{port}")).arg("-t").arg(shop.beside(""));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = WebServer { process: command.spawn().unwrap(), port };
        until("it takes connections", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    fn get(&self, path: &str) -> String {
        get(self.port, "a.test", path, "").1
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn phps_own_web_server_pins_each_request() {
    let shop = Shop::new();
    let show = shop.beside("show.php");
    fs::copy(shop.release("r1").join("public/index.php"), &show).unwrap();
    let server = WebServer::start(&shop);
    let seen: Vec<_> = ["r1", "r2", "r2", "r1"]
        .into_iter()
        .map(|release| {
            shop.flip(release);
            let body = server.get("/show.php");
            body.starts_with(&format!("{release}|")) && body.ends_with(&format!("|{release}"))
        })
        .collect();
    until("the idle server holds nothing", || !shop.leased("r1") && !shop.leased("r2"));
    assert_eq!(seen, [true; 4]);
}

#[test]
fn a_process_that_a_script_forks_leaves_the_lease_of_its_parents_request_alone() {
    let shop = Shop::new();
    let show = shop.beside("show.php");
    fs::copy(shop.release("r1").join("public/index.php"), &show).unwrap();
    let (there, go) = (shop.beside("there"), shop.beside("go"));
    // The child ends the request at once, and serves others from then on.
    let code = format!(
        "if ($child = pcntl_fork()) {{ file_put_contents('{0}.new', $child); rename('{0}.new', '{0}'); while (!file_exists('{1}')) usleep(1000); }}",
        there.display(),
        go.display()
    );
    shop.script_beside("fork.php", &code);
    let server = WebServer::start(&shop);
    std::thread::scope(|scope| {
        let forks = scope.spawn(|| server.get("/fork.php"));
        until("it has forked", || there.exists());
        let child: i32 = fs::read_to_string(&there).unwrap().parse().unwrap();
        let child = Pid::from_raw(child).unwrap();
        // While the parent's request goes on there is nobody else to answer.
        let answers: Vec<_> = (0..2).map(|_| server.get("/show.php")).collect();
        let leased = shop.leased("r1");
        kill_process(child, Signal::KILL).unwrap();
        fs::write(&go, "").unwrap();
        forks.join().unwrap();
        assert!(answers.iter().all(|answer| answer.starts_with("r1|")), "{answers:?}");
        assert!(leased, "the parent's request goes on");
    });
    until("the idle server holds nothing", || !shop.leased("r1"));
}
