//! Apache: a private one, with mod_cutover, in the directory of a shop.

use crate::http::{self, Answer};
use crate::shop::Shop;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

const MODULES: &str = "/usr/lib/apache2/modules";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mpm {
    Prefork,
    Worker,
    Event,
}

pub struct Apache {
    child: Child,
    pub address: SocketAddr,
    dir: PathBuf,
}

/// Whether the long runs are wanted: CUTOVER_PROMISE=full.
pub fn full() -> bool {
    std::env::var("CUTOVER_PROMISE").is_ok_and(|promise| promise == "full")
}

/// The program `cutover`: `CUTOVER_BIN`, or what the other workspace has built.
pub fn program() -> Option<PathBuf> {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/debug/cutover");
    let named = std::env::var_os("CUTOVER_BIN").map_or_else(|| built.into(), PathBuf::from);
    named.exists().then_some(named)
}

/// The module as it was built with these tests.
pub fn module() -> PathBuf {
    // target/…/debug/deps/it-… is the test, target/…/debug/libmod_cutover.so what `cargo build` made.
    let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("libmod_cutover.so");
    assert!(built.exists(), "{} is not there: run `cargo build` in modules/ first", built.display());
    built
}

/// A configuration file: what every test needs, then the test's own lines. SHOP is the shop's directory.
fn conf(shop: &Shop, mpm: Mpm, php: bool, port: u16, lines: &str) -> String {
    let (mpm, cgi) = match mpm {
        Mpm::Prefork => ("prefork", "cgi"),
        Mpm::Worker => ("worker", "cgid"),
        Mpm::Event => ("event", "cgid"),
    };
    let mut conf =
        format!("ServerRoot {}\nListen 127.0.0.1:{port}\nServerName shop.test\n", shop.beside().display());
    let mut load = |module: &str, file: &str| {
        conf.push_str(&format!("LoadModule {module}_module {MODULES}/{file}.so\n"));
    };
    load(&format!("mpm_{mpm}"), &format!("mod_mpm_{mpm}"));
    for module in [
        "alias",
        "auth_basic",
        "authn_core",
        "authn_file",
        "authz_core",
        "authz_host",
        "authz_user",
        "autoindex",
        cgi,
        "dir",
        "env",
        "headers",
        "http2",
        "include",
        "mime",
        "negotiation",
        "proxy",
        "proxy_fcgi",
        "rewrite",
        "setenvif",
        "status",
        "userdir",
        "vhost_alias",
    ] {
        load(module, &format!("mod_{module}"));
    }
    if php {
        load("php", "libphp8.2");
    }
    conf.push_str(&format!("LoadModule cutover_module {}\n", module().display()));
    if rustix::process::geteuid().is_root() {
        conf.push_str("User www-data\nGroup www-data\n");
    }
    conf.push_str(
        "PidFile pid\nErrorLog error.log\nLogLevel warn cutover:info\nLogFormat \"%r %>s %^CR\" cut\nCustomLog access.log cut\n\
         DefaultRuntimeDir .\nScriptSock cgid.sock\nTypesConfig /etc/mime.types\nTimeout 60\nDirectoryIndex index.html\n\
         AddHandler cgi-script .cgi\nAddType text/html .shtml\nAddLanguage en .en\nAddOutputFilter INCLUDES .shtml\n\
         <Directory />\nAllowOverride None\nRequire all denied\nOptions FollowSymLinks\n</Directory>\n",
    );
    if php {
        conf.push_str("<FilesMatch \\.php$>\nSetHandler application/x-httpd-php\n</FilesMatch>\n");
    }
    if mpm == "prefork" {
        conf.push_str("StartServers 2\nMinSpareServers 2\nMaxRequestWorkers 8\n");
        conf = conf.replace("ScriptSock cgid.sock\n", "");
    } else {
        conf.push_str("StartServers 2\nThreadsPerChild 8\nMaxRequestWorkers 16\n");
    }
    conf.push_str(&lines.replace("SHOP", &shop.root().display().to_string()));
    conf
}

/// The lines of a site whose docroot is the live release's `public`.
pub const SITE: &str = "DocumentRoot SHOP/current/public\nCutover On\n\
    <Directory SHOP/current>\nRequire all granted\nOptions +ExecCGI +Includes +FollowSymLinks\n</Directory>\n";

impl Apache {
    /// Starts one, and waits until it answers.
    pub fn start(shop: &Shop, mpm: Mpm, lines: &str) -> Apache {
        Apache::start_under(&[], shop, mpm, lines)
    }

    /// Starts one as a single process below another program, or as ever if there is none.
    pub fn start_under(program: &[&str], shop: &Shop, mpm: Mpm, lines: &str) -> Apache {
        // PHP is for one thread at a time; and what watches has much to say of it.
        let php = mpm == Mpm::Prefork && program.is_empty();
        // Between finding a free port and listening on it somebody else may take it: then another.
        for _ in 0..5 {
            let port = crate::port::free();
            let file = shop.beside().join("httpd.conf");
            // Those of the one before it, in the same place.
            for log in ["error.log", "access.log"] {
                drop(fs::remove_file(shop.beside().join(log)));
            }
            fs::write(&file, conf(shop, mpm, php, port, &lines.replace("PORT", &port.to_string()))).unwrap();
            let out = fs::File::create(shop.beside().join("out")).unwrap();
            let (mut command, how) = match program.split_first() {
                Some((first, rest)) => (run(Command::new(first).args(rest).arg(APACHE), &file), "-X"),
                None => (run(&mut Command::new(APACHE), &file), "-DFOREGROUND"),
            };
            let child = command
                .arg(how)
                // Apache ends by a signal to its whole group, which must not be ours.
                .process_group(0)
                .stdout(out.try_clone().unwrap())
                .stderr(out)
                .spawn()
                .expect("cannot run apache2: install the package");
            let address = ([127, 0, 0, 1], port).into();
            let mut apache = Apache { child, address, dir: shop.beside().to_owned() };
            if apache.comes(program.is_empty()) {
                return apache;
            }
        }
        panic!("Apache never came: {}", fs::read_to_string(shop.beside().join("out")).unwrap_or_default());
    }

    /// What Apache says of a configuration, without starting.
    pub fn test(shop: &Shop, lines: &str) -> Output {
        let file = shop.beside().join("httpd.conf");
        fs::write(&file, conf(shop, Mpm::Event, false, 1, lines)).unwrap();
        run(&mut Command::new(APACHE), &file)
            .arg("-t")
            .output()
            .expect("cannot run apache2: install the package")
    }

    fn comes(&mut self, says_so: bool) -> bool {
        let began = Instant::now();
        // Not merely that somebody listens there: another test's Apache may have taken the port first. (As a single
        // process it says nothing.)
        let listens = |apache: &Apache| !says_so || apache.log().contains("resuming normal operations");
        while !listens(self) || TcpStream::connect(self.address).is_err() {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "Apache never came: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Its configuration.
    pub fn file(&self) -> PathBuf {
        self.dir.join("httpd.conf")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: &str) {
        let done = Command::new("/bin/kill").args([signal, &self.pid().to_string()]).status().unwrap();
        assert!(done.success());
    }

    pub fn get(&self, path: &str) -> Answer {
        self.get_of("shop.test", path)
    }

    pub fn get_of(&self, host: &str, path: &str) -> Answer {
        http::get(self.address, host, path).unwrap_or_else(|why| panic!("{path}: {why}\n{}", self.log()))
    }

    /// The body of an answer that has to be fine.
    pub fn text(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}\n{}", self.log());
        answer.body
    }

    /// Ends it, and gives what it and the program above it said.
    pub fn ended(mut self) -> String {
        self.signal("-TERM");
        self.child.wait().unwrap();
        self.log()
    }

    pub fn log(&self) -> String {
        ["error.log", "out"].map(|name| fs::read_to_string(self.dir.join(name)).unwrap_or_default()).concat()
    }

    /// Whether the access log has this, or will have: a line is written a moment after the last byte.
    pub fn access_log_has(&self, text: &str) -> bool {
        let began = Instant::now();
        loop {
            let log = fs::read_to_string(self.dir.join("access.log")).unwrap_or_default();
            if log.contains(text) {
                return true;
            }
            if began.elapsed() > Duration::from_secs(30) {
                eprintln!("{log}");
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The processes that it has started, by their numbers.
    pub fn children(&self) -> Vec<String> {
        let pid = self.pid();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_whitespace().map(str::to_owned).collect()
    }
}

const APACHE: &str = "/usr/sbin/apache2";

fn run(command: &mut Command, file: &Path) -> Command {
    let mut whole = Command::new(command.get_program());
    whole.args(command.get_args()).arg("-f").arg(file);
    whole
}

impl Drop for Apache {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            // SIGTERM, so that it takes its children with it; a kill would leave those behind.
            self.signal("-TERM");
            self.child.wait().unwrap();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
