//! A php-fpm in a container, as far as /proc tells: a root, mounts, processes and a network of its own. What can be seen
//! from outside is seen there, and what cannot is said.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use doctor::facts::Look;
use doctor::machine::{Here, Machine, NoLook, Program, Question, Ran, Stat};
use doctor::{Facts, Report, Targets};
use fastcgi::Address;

use crate::shop::Shop;

/// Makes a root of Debian's own programs, mounts a release into it, and starts php-fpm there.
const ENTER: &str = "set -e
mount --make-rprivate /
mkdir -p \"$1/usr\" \"$1/dev\" \"$1/tmp\" \"$1/var/www\"
for name in bin sbin lib lib64; do
    if [ -L /$name ]; then ln -s usr/$name \"$1/$name\"; elif [ -d /$name ]; then mkdir \"$1/$name\"; mount --rbind /$name \"$1/$name\"; fi
done
mount --rbind /usr \"$1/usr\"
mount --rbind /dev \"$1/dev\"
mount -t tmpfs none \"$1/dev/shm\"
mount --bind \"$2/releases/r1\" \"$1/var/www\"
exec chroot \"$1\" /usr/sbin/php-fpm8.2 -F -R -y \"$3\" -c /etc/php.ini
";

struct Container {
    inside: Child,
    dir: tempfile::TempDir,
    conf: PathBuf,
}

impl Container {
    /// `Err`: why this machine has none.
    fn start(shop: &Shop) -> Result<Container, String> {
        let may = Command::new("unshare").args(["--mount", "--pid", "--net", "--fork", "true"]).output();
        let may = may.map_err(|why| format!("unshare: {why}"))?;
        if !may.status.success() || !rustix::process::geteuid().is_root() {
            return Err("namespaces may not be made here".into());
        }
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().file_name().unwrap().to_string_lossy().into_owned();
        let conf = PathBuf::from(format!("/etc/{}.conf", name.trim_start_matches('.')));
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put(
            conf.to_str().unwrap(),
            "[global]\nerror_log = /run/log\ndaemonize = no\n\
             [www]\nuser = root\ngroup = root\nlisten = /run/www.sock\npm = static\npm.max_children = 1\npm.status_path = /status\n\
             [tcp]\nuser = root\ngroup = root\nlisten = 0.0.0.0:9000\npm = static\npm.max_children = 1\n",
        );
        put("/etc/php.ini", "realpath_cache_ttl = 77\n");
        put("/etc/passwd", "root:x:0:0:root:/:/bin/sh\n");
        put("/etc/group", "root:x:0:\n");
        put("/run/keep", "");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"]);
        command.arg(dir.path()).arg(shop.root()).arg(&conf).env("PHP_INI_SCAN_DIR", "");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("said")).unwrap());
        let inside = command.process_group(0).spawn().unwrap();
        let mut container = Container { inside, dir, conf };
        container.wait_until_ready();
        Ok(container)
    }

    fn wait_until_ready(&mut self) {
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.dir.path().join("run/www.sock")).is_err() {
            let ended = self.inside.try_wait().unwrap();
            let said = ["said", "run/log"]
                .map(|name| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default());
            let late = began.elapsed() > Duration::from_secs(60);
            assert!(ended.is_none() && !late, "php-fpm does not start in its container: {said:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // With `unshare` its child goes (--kill-child), and with the first process of its namespace all others.
        self.inside.kill().ok();
        self.inside.wait().ok();
    }
}

/// This machine, but of its processes only those with this word in their command line: tests of others run beside this one.
struct Only(String);

impl Machine for Only {
    fn entries(&self, dir: &Path) -> Result<Vec<OsString>, NoLook> {
        let names = Here.entries(dir)?;
        let ours = |name: &OsString| {
            let line = Here.read(&dir.join(name).join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&self.0)
        };
        Ok(if dir == Path::new("/proc") { names.into_iter().filter(ours).collect() } else { names })
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, NoLook> {
        Here.read(path)
    }

    fn stat(&self, path: &Path) -> Result<Stat, NoLook> {
        Here.stat(path)
    }

    fn link(&self, path: &Path) -> Result<PathBuf, NoLook> {
        Here.link(path)
    }

    fn run(&self, program: &Program) -> Result<Ran, NoLook> {
        Here.run(program)
    }

    fn ask(&self, pool: &Address, question: &Question) -> Result<String, NoLook> {
        Here.ask(pool, question)
    }
}

#[test]
fn what_a_container_hides_is_said_and_what_it_shows_is_judged() {
    let shop = Shop::new();
    let container = match Container::start(&shop) {
        Ok(container) => container,
        Err(why) => {
            return crate::web::skipped("what_a_container_hides_is_said_and_what_it_shows_is_judged", &why);
        }
    };
    let machine = Only(format!("master process ({})", container.conf.display()));
    let facts = Facts::look(&machine, &Targets { apps: vec![shop.root()], ..Targets::default() });
    let [master] = &facts.fpm[..] else { panic!("{:#?}", facts.fpm) };

    // Its files are read where it sees them.
    let proc = PathBuf::from(format!("/proc/{}/root", master.pid.unwrap()));
    assert_eq!((&master.conf, &master.root), (&container.conf, &proc));
    assert_eq!(master.blind, []);
    assert_eq!(master.php.get("realpath_cache_ttl").map(|line| line.value.as_str()), Some("77"));
    let names: Vec<&str> = master.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["www", "tcp"]);
    let [www, tcp] = &master.pools[..] else { panic!("{names:?}") };
    assert_eq!(www.listen, Some(Address::Unix("/run/www.sock".into())));

    // Its status page is asked for through its own root; the ids on it mean other processes here.
    assert_eq!(www.status().map(|status| status.workers.len()), Some(1));
    assert_eq!(www.memory, []);

    // A script of ours is not there for it, and its loopback is not ours.
    let why = |look: &Look<_>| match look {
        Look::Blind(blind) => blind.why.clone(),
        Look::Seen(_) | Look::Absent => panic!("{look:?}"),
    };
    assert!(why(&www.php.inside).contains("container"), "{:?}", www.php.inside);
    assert!(why(&tcp.php.inside).contains("in a network of its own"), "{:?}", tcp.php.inside);

    // It has one release mounted: no flip will ever reach it.
    let report = Report::of(&facts);
    let found: Vec<_> = report.findings().filter(|(check, _)| check.id == "D03").collect();
    assert!(found.len() == 1 && found[0].1.what.contains("as /var/www"), "{found:#?}");
}
