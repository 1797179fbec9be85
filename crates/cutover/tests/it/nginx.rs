//! `cutover nginx`: what it prints makes Debian's nginx pin, to the last path; what nginx refuses is put back.

#![expect(clippy::disallowed_methods, reason = "tests flip as other tools do")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::serve::client::{Reply, request};

const CUTOVER: &str = env!("CARGO_BIN_EXE_cutover");

/// nginx and php-fpm over an app, set up by `cutover nginx --write`.
struct Stand {
    dir: TempDir,
    port: u16,
    running: Vec<Child>,
}

impl Stand {
    /// The probe application. `more` is appended to its cutover.toml; `server` goes into nginx's `http { }`.
    fn start(more: &str, http: &str) -> Stand {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("app");
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let out =
            Command::new(CUTOVER).args(["prove", "--kind", "php", "--scaffold"]).arg(&app).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let mut stand = Stand { port: free_port(), dir, running: Vec::new() };
        let config = format!(
            "[app]\nname = \"probe\"\nroot = \".\"\n[php]\nfpm = \"unix:{}\"\nfront = \"index.php\"\n\
             [serve]\nlisten = [\"127.0.0.1:{}\"]\n{more}",
            stand.path("fpm.sock").display(),
            stand.port
        );
        fs::write(app.join("cutover.toml"), config).unwrap();
        stand.fpm();
        stand.nginx(http);
        stand
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn fpm(&mut self) {
        let (conf, socket) = (self.path("fpm.conf"), self.path("fpm.sock"));
        let text = format!(
            "[global]\nerror_log = {log}\ndaemonize = no\n[www]\nlisten = {socket}\nlisten.mode = 0666\n\
             user = www-data\ngroup = www-data\npm = static\npm.max_children = 4\n\
             php_admin_value[opcache.file_update_protection] = 0\n",
            log = self.path("fpm.log").display(),
            socket = socket.display()
        );
        fs::write(&conf, text).unwrap();
        let mut command = Command::new("/usr/sbin/php-fpm8.2");
        command.args(["-F", "-y"]).arg(&conf);
        self.run(&mut command);
        self.until(|| UnixStream::connect(&socket).is_ok());
    }

    fn nginx(&mut self, http: &str) {
        let own = self.dir.path().display();
        let text = format!(
            "daemon off;\nuser www-data;\npid {own}/nginx.pid;\nerror_log {own}/nginx.log;\nworker_processes 2;\n\
             events {{ worker_connections 512; }}\nhttp {{\ninclude /etc/nginx/mime.types;\naccess_log off;\n{temp}\n{http}\n\
             include {own}/conf.d/*.conf;\n}}\n",
            temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {own}/{name};"))
                .join("\n")
        );
        fs::write(self.path("nginx.conf"), text).unwrap();
        fs::create_dir(self.path("conf.d")).unwrap();
        let said = self.write();
        assert!(said.contains("written and tested; nginx does not run"), "{said}");
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(self.path("nginx.conf"));
        self.run(&mut command);
        let port = self.port;
        self.until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// `cutover nginx --write`; what it said.
    fn write(&self) -> String {
        let out = self.try_write();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn try_write(&self) -> std::process::Output {
        let nginx = format!("/usr/sbin/nginx -c {}", self.path("nginx.conf").display());
        let mut command = Command::new(CUTOVER);
        command.arg("-C").arg(self.path("app")).args(["nginx", "--nginx", &nginx, "--write"]);
        command.arg(self.site()).output().unwrap()
    }

    fn site(&self) -> PathBuf {
        self.path("conf.d/probe.conf")
    }

    fn run(&mut self, command: &mut Command) {
        let log = fs::File::create(self.path("out.log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self.running.push(
            child.unwrap_or_else(|why| panic!("{command:?}: {why}: install nginx-light and php8.2-fpm")),
        );
    }

    fn until(&self, there: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !there() {
            let said = || fs::read_to_string(self.path("out.log")).unwrap_or_default();
            assert!(Instant::now() < until, "it never answered: {}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn file(&self, release: &str, name: &str, text: &str) {
        let path = self.path("app/releases").join(release).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn flip(&self, text: &str) {
        let (link, fresh) = (self.path("app/current"), self.path("app/.fresh"));
        symlink(text, &fresh).unwrap();
        fs::rename(fresh, link).unwrap();
    }

    fn get(&self, path: &str) -> Reply {
        request(self.port, format!("GET {path} HTTP/1.0\r\nHost: probe.test\r\n\r\n"))
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("nginx.log")).unwrap_or_default()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        for child in self.running.iter_mut().rev() {
            // SIGTERM, so that the masters take their workers with them.
            Command::new("/bin/kill").arg(child.id().to_string()).output().unwrap();
            child.wait().unwrap();
        }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn nginx_as_we_set_it_up_holds_the_promise_with_its_open_file_cache_too() {
    let cache = "open_file_cache max=1000;\nopen_file_cache_valid 60s;\nopen_file_cache_errors on;";
    let stand = Stand::start("", cache);
    let out = Command::new(CUTOVER)
        .arg("prove")
        .arg(format!("http://127.0.0.1:{}", stand.port))
        .arg("--link")
        .arg(stand.path("app/current"))
        .args(["--kind", "php", "--requests", "100000", "--flips", "3000", "--connections", "8"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    println!("{said}{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(0), "{said}\n{}", stand.said());
}

#[test]
fn every_way_to_another_path_stays_on_the_release_that_the_request_began_with() {
    let stand = Stand::start(
        "[[site.header]]\npath = \"/api/**\"\nset = { X-Api = \"1\" }\n[site.error]\n404 = \"/gone.html\"\n[[site.header]]\npath = \"/**\"\nset = { X-Own = \"yes\" }\n\
         [[site.cache]]\npath = \"*.css\"\ncontrol = \"max-age=60\"\n\
         [[site.redirect]]\nfrom = \"/old/*\"\nto = \"/new/*\"\nstatus = 308\n",
        "",
    );
    // The answer is another file of the release, named by PHP after the flip that happens meanwhile.
    let accel = "<?php sleep(1); header('X-Accel-Redirect: /own.css');";
    for id in ["r1", "r2"] {
        stand.file(id, "gone.html", &format!("nothing in {id}"));
        stand.file(id, "own.css", &format!("css of {id}"));
        stand.file(id, "accel.php", accel);
        stand.file(id, "told.php", "<?php echo $_SERVER['CUTOVER_RELEASE'], ' ', $_SERVER['CUTOVER_RELEASE_ROOT'], ' ', $_SERVER['DOCUMENT_ROOT'], ' ', $_SERVER['PATH_INFO'] ?? '';");
    }
    let root = fs::canonicalize(stand.path("app/releases/r1")).unwrap();
    let root = root.display();
    assert_eq!(stand.get("/told.php/a/b").text(), format!("r1 {root} {root} /a/b"));
    let css = stand.get("/own.css");
    assert_eq!(
        (css.release(), css.header("x-own"), css.header("cache-control")),
        ("r1", Some("yes"), Some("max-age=60"))
    );
    assert_eq!(stand.get("/api/by-the-front-controller").header("x-api"), Some("1"));
    assert_eq!(stand.get("/told.php").header("x-api"), None);
    let moved = stand.get("/old/a%2Fb?x=1");
    assert_eq!(moved.status, 308);
    assert!(moved.header("location").unwrap().ends_with("/new/a%2Fb?x=1"), "{}", moved.head);
    assert_eq!(stand.get("/.env").status, 404);

    let slow = std::thread::scope(|scope| {
        let slow = scope.spawn(|| stand.get("/accel.php"));
        std::thread::sleep(Duration::from_millis(400));
        stand.flip("releases/r2");
        slow.join().unwrap()
    });
    assert_eq!((slow.text().as_str(), slow.release()), ("css of r1", "r1"));
    assert_eq!(stand.get("/own.css").text(), "css of r2");
    assert_eq!(stand.get("/.git/config").text(), "nothing in r2");

    stand.flip("releases/none");
    assert_eq!(stand.get("/own.css").status, 503);
    stand.flip("releases/r1");
    assert_eq!(stand.get("/own.css").text(), "css of r1");
}

#[test]
fn scripts_among_uploads_do_not_run_and_maintenance_closes_the_site() {
    let stand = Stand::start("[site.maintenance]\npage = \"/closed.html\"\n", "");
    let config = stand.path("app/cutover.toml");
    let text =
        fs::read_to_string(&config).unwrap().replace("root = \".\"", "root = \".\"\nshared_dirs = [\"up\"]");
    fs::write(&config, text).unwrap();
    stand.file("r1", "up/evil.php", "<?php echo 'ran';");
    stand.file("r1", "closed.html", "back soon");
    assert_eq!(stand.get("/up/evil.php").text(), "ran");
    assert!(stand.write().contains("nginx reloaded"));
    stand.until(|| stand.get("/up/evil.php").status == 403);
    assert!(stand.write().contains("unchanged; nginx was left alone"));

    let closed = stand.path("app/.cutover/maintenance");
    fs::write(&closed, "").unwrap();
    let reply = stand.get("/own.css");
    assert_eq!((reply.status, reply.text().as_str()), (503, "back soon"));
    fs::remove_file(closed).unwrap();
    assert_eq!(stand.get("/closed.html").status, 200);
}

#[test]
fn what_nginx_refuses_is_put_back_and_what_it_cannot_hold_is_not_written() {
    let stand = Stand::start("", "");
    let before = fs::read(stand.site()).unwrap();
    let config = stand.path("app/cutover.toml");
    let text = fs::read_to_string(&config).unwrap();
    let tls = "tls = [{ cert = \"none.pem\", key = \"none.key\" }]";
    fs::write(&config, text.replace("[serve]", &format!("[serve]\n{tls}"))).unwrap();
    let out = stand.try_write();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("nginx refuses it") && said.contains("is there again"), "{said}");
    assert_eq!(fs::read(stand.site()).unwrap(), before);

    for (change, why) in [
        (("docroot = \"\"", "docroot = \"a$b\""), "nginx cannot hold"),
        (("[php]\nfpm = \"unix", "[php]\n#\""), "embedded"),
    ] {
        let base = text.replace("root = \".\"", "root = \".\"\ndocroot = \"\"");
        fs::write(&config, base.replace(change.0, change.1)).unwrap();
        let out = stand.try_write();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{said}");
        assert!(said.contains(why) && said.contains("nothing was written"), "{said}");
    }
    assert!(Path::new("/etc/nginx/fastcgi_params").exists());
}
