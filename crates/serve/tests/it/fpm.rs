//! The embedded pool: a real php-fpm, killed in every way.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fastcgi::blocking::{self, BlockingError, Limits, Response};
use fastcgi::{Address, Params};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serve::fpm::{Embedded, FpmError, FpmOptions, STATUS_PATH};

const KEEPER: &str = env!("CARGO_BIN_EXE_cutover-fpm-keeper");

/// Longer than anything takes on a busy machine: who waits so long waits for ever.
const LONG: Duration = Duration::from_secs(60);

/// What a master has to end by itself.
const STOPS: Duration = Duration::from_secs(20);

/// Says that it runs, and is over when it may: see [`Shop::slow`].
const SLOW: &str = "<?php touch(__DIR__ . '/begun/' . getmypid());
    while (!file_exists(__DIR__ . '/over')) { clearstatcache(); usleep(2000); } echo 'slow';";

/// A release with some scripts, and a runtime directory.
struct Shop {
    dir: tempfile::TempDir,
}

impl Shop {
    fn new() -> Shop {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let shop = Shop { dir };
        shop.script("hello.php", "<?php echo 'hello from ', posix_getuid();");
        shop.script("slow.php", SLOW);
        shop
    }

    fn script(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn run(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    fn options(&self) -> FpmOptions {
        FpmOptions {
            keeper: KEEPER.into(),
            workers: 2,
            stop_within: STOPS,
            ..FpmOptions::new("shop", &self.run())
        }
    }

    fn start(&self) -> Embedded {
        Embedded::start(&self.options()).unwrap()
    }

    fn get(&self, socket: &Path, script: &str) -> Result<Response, BlockingError> {
        let mut params = Params::new();
        params.push(b"SCRIPT_FILENAME", self.dir.path().join(script).as_os_str().as_encoded_bytes());
        params.push(b"SCRIPT_NAME", format!("/{script}").as_bytes());
        params.push(b"REQUEST_METHOD", b"GET");
        let limits = Limits { total: LONG, ..Limits::default() };
        blocking::send(&Address::Unix(socket.into()), &params, b"", limits)
    }

    fn body(&self, socket: &Path, script: &str) -> String {
        String::from_utf8(self.get(socket, script).unwrap().body).unwrap()
    }

    /// What happens while so many requests are in the midst of a script; gives what they were answered.
    fn slow(&self, socket: &Path, requests: usize, happens: impl FnOnce()) -> Vec<String> {
        let begun = self.dir.path().join("begun");
        fs::create_dir(&begun).unwrap();
        fs::set_permissions(&begun, fs::Permissions::from_mode(0o777)).unwrap();
        std::thread::scope(|scope| {
            let slow: Vec<_> = (0..requests).map(|_| scope.spawn(|| self.body(socket, "slow.php"))).collect();
            eventually("the scripts run", || fs::read_dir(&begun).unwrap().count() == requests);
            happens();
            self.script("over", "");
            slow.into_iter().map(|slow| slow.join().unwrap()).collect()
        })
    }

    /// The names in the runtime directory.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.run()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie is dead, whoever should have waited for it.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The keeper's process id: the parent of the master.
fn keeper_of(pool: &Embedded) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pool.pid().unwrap())).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_pool_answers_once_started_and_is_gone_without_a_trace_once_stopped() {
    let shop = Shop::new();
    let pool = shop.start();
    let pid = pool.pid().unwrap();
    assert!(shop.body(pool.socket(), "hello.php").starts_with("hello from "));
    assert!(lives(pid) && pool.is_kept());
    pool.stop(STOPS).unwrap();
    assert!(!lives(pid));
    assert_eq!(shop.left(), Vec::<String>::new());
}

#[test]
fn scripts_never_run_as_root_unless_asked_for() {
    if !geteuid().is_root() {
        return;
    }
    let shop = Shop::new();
    let www_data = nix::unistd::User::from_name("www-data").unwrap().expect("apt install php-fpm").uid;
    assert_eq!(shop.body(shop.start().socket(), "hello.php"), format!("hello from {www_data}"));
    let asked = FpmOptions { user: Some("root".into()), ..shop.options() };
    assert_eq!(shop.body(Embedded::start(&asked).unwrap().socket(), "hello.php"), "hello from 0");
}

#[test]
fn ini_admin_and_environment_reach_scripts_as_written() {
    let shop = Shop::new();
    shop.script(
        "told.php",
        "<?php ini_set('memory_limit', '1G'); echo json_encode([getenv('KEY'), getenv('EMPTY'), getenv('CARGO_MANIFEST_DIR'),
            ini_get('user_agent'), ini_get('memory_limit'), ini_get('opcache.memory_consumption'),
            ini_get('error_reporting') & E_DEPRECATED, getenv('PATH') != '']);",
    );
    let awkward = r#"it's $x ${HOME} "q" \ \\ ; # b"#;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let pool = Embedded::start(&FpmOptions {
        env: vec![pair("KEY", awkward), pair("EMPTY", "")],
        ini: vec![
            pair("user_agent", awkward),
            pair("opcache.memory_consumption", "16"),
            pair("error_reporting", "E_ALL & ~E_DEPRECATED"),
        ],
        admin: vec![pair("memory_limit", "64M")],
        ..shop.options()
    })
    .unwrap();
    let expected = serde_json::json!([awkward, "", false, awkward, "64M", "16", 0, true]);
    let told: serde_json::Value = serde_json::from_str(&shop.body(pool.socket(), "told.php")).unwrap();
    assert_eq!(told, expected);
}

#[test]
fn a_request_made_the_moment_the_master_is_killed_is_answered_all_the_same() {
    let shop = Shop::new();
    let pool = shop.start();
    for round in 1..=2 {
        let before = pool.pid().unwrap();
        kill(before, Signal::KILL);
        assert!(shop.body(pool.socket(), "hello.php").starts_with("hello"), "round {round}");
        eventually("a new master", || pool.pid().is_some_and(|pid| pid != before && lives(pid)));
        assert_eq!(pool.restarts(), round);
    }
}

#[test]
fn a_script_that_runs_while_the_master_is_killed_finishes() {
    let shop = Shop::new();
    let pool = shop.start();
    let answers = shop.slow(pool.socket(), 1, || kill(pool.pid().unwrap(), Signal::KILL));
    assert_eq!(answers, ["slow"]);
}

#[test]
fn a_master_that_somebody_ends_politely_comes_back_on_the_same_path() {
    let shop = Shop::new();
    let pool = shop.start();
    let before = pool.pid().unwrap();
    kill(before, Signal::TERM);
    eventually("a new master", || pool.pid().is_some_and(|pid| pid != before && lives(pid)));
    assert!(shop.body(pool.socket(), "hello.php").starts_with("hello"));
}

#[test]
fn a_pool_that_cannot_start_again_refuses_at_once_and_returns_when_it_can() {
    let shop = Shop::new();
    let pool = shop.start();
    let conf = shop.run().join("fpm-1.conf");
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, "[global]\nnonsense = 1\n").unwrap();
    kill(pool.pid().unwrap(), Signal::KILL);
    eventually("refused", || !pool.socket().exists());
    // At once: not after having waited for an answer.
    assert!(matches!(shop.get(pool.socket(), "hello.php"), Err(BlockingError::Connect { .. })));
    fs::write(&conf, good).unwrap();
    eventually("back", || shop.get(pool.socket(), "hello.php").is_ok());
}

#[test]
fn php_fpm_ends_with_the_server_even_when_that_is_killed() {
    let shop = Shop::new();
    let mut server = Command::new(KEEPER)
        .arg("hold")
        .arg(shop.run())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut socket = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut socket).unwrap();
    let socket = Path::new(socket.trim_end());
    assert!(shop.body(socket, "hello.php").starts_with("hello"));
    let noted = fs::read_to_string(shop.run().join("fpm-1.pid")).unwrap();
    let pid: u32 = noted.split(' ').next().unwrap().parse().unwrap();
    assert!(lives(pid));
    server.kill().unwrap();
    server.wait().unwrap();
    eventually("php-fpm is gone", || !lives(pid));
    eventually("its files are gone", || shop.left().is_empty());
}

#[test]
fn a_killed_keeper_takes_php_fpm_along_and_the_next_start_clears_up() {
    let shop = Shop::new();
    let pool = shop.start();
    let pid = pool.pid().unwrap();
    kill(keeper_of(&pool), Signal::KILL);
    eventually("php-fpm is gone", || !lives(pid));
    assert!(!pool.is_kept());
    assert!(!shop.left().is_empty());
    let next = shop.start();
    assert_ne!(next.socket(), pool.socket());
    assert!(shop.left().iter().all(|name| name.starts_with("fpm-2.")), "{:?}", shop.left());
}

#[test]
fn signals_to_all_processes_do_not_end_php_fpm_before_the_server_does() {
    let shop = Shop::new();
    let pool = shop.start();
    let keeper = keeper_of(&pool);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        kill(keeper, signal);
    }
    assert!(shop.body(pool.socket(), "hello.php").starts_with("hello"));
    assert!(lives(keeper) && pool.is_kept());
    let session = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().to_owned()
    };
    assert_ne!(session(keeper), session(std::process::id()), "Ctrl-C would reach it");
    // Held back in the keeper, not in php-fpm: it obeys.
    let pid = pool.pid().unwrap();
    pool.stop(STOPS).unwrap();
    assert!(!lives(pid));
}

#[test]
fn a_pool_that_was_handed_over_lives_on_when_the_first_holder_goes() {
    let shop = Shop::new();
    let first = shop.start();
    let (control, socket) = first.hand_over().unwrap();
    let second = Embedded::adopt(control, socket).unwrap();
    let pid = second.pid().unwrap();
    drop(first);
    std::thread::sleep(Duration::from_millis(100));
    assert!(shop.body(second.socket(), "hello.php").starts_with("hello"));
    assert!(second.is_kept());
    second.stop(STOPS).unwrap();
    assert!(!lives(pid));
    let not_ours = std::os::unix::net::UnixStream::pair().unwrap().0;
    let refused = Embedded::adopt(not_ours.into(), Path::new("/run/php/php8.2-fpm.sock"));
    assert!(matches!(refused, Err(FpmError::NotOurs(_))));
}

#[test]
fn changed_options_start_another_pool_while_the_old_one_finishes() {
    let shop = Shop::new();
    let old = shop.start();
    let socket = old.socket().to_owned();
    let answers = shop.slow(&socket, 1, || {
        let new = Embedded::start(&FpmOptions { workers: 3, ..shop.options() }).unwrap();
        assert_ne!(new.socket(), old.socket());
        drop(old);
        assert!(shop.body(new.socket(), "hello.php").starts_with("hello"));
        new.stop(STOPS).unwrap();
    });
    assert_eq!(answers, ["slow"]);
}

#[test]
fn status_is_told_while_all_workers_are_busy() {
    let shop = Shop::new();
    let pool = shop.start();
    let mut params = Params::new();
    params.push(b"SCRIPT_NAME", STATUS_PATH.as_bytes());
    params.push(b"SCRIPT_FILENAME", STATUS_PATH.as_bytes());
    params.push(b"REQUEST_METHOD", b"GET");
    let address = Address::Unix(pool.status_socket().into());
    let answers = shop.slow(pool.socket(), 2, || {
        // The master counts once a second.
        eventually("both are told to be busy", || {
            let status = blocking::send(&address, &params, b"", Limits::default()).unwrap();
            String::from_utf8(status.body).unwrap().contains("active processes:     2")
        });
    });
    assert_eq!(answers, ["slow"; 2]);
}

#[test]
fn a_pool_that_does_not_start_says_why_in_php_fpms_own_words() {
    let shop = Shop::new();
    let mut options = shop.options();
    options.ini.push(("opcache.preload".into(), "/missing/preload.php".into()));
    if geteuid().is_root() {
        options.ini.push(("opcache.preload_user".into(), "www-data".into()));
    }
    let failed = Embedded::start(&options).unwrap_err();
    assert!(matches!(failed, FpmError::Failed { .. }), "{failed}");
    assert!(failed.to_string().contains("Failed opening required '/missing/preload.php'"), "{failed}");
    assert_eq!(shop.left(), Vec::<String>::new());
}

#[test]
fn what_is_wrong_before_php_fpm_is_asked_is_said_too() {
    let shop = Shop::new();
    let said = |change: &dyn Fn(&mut FpmOptions)| {
        let mut options = shop.options();
        change(&mut options);
        Embedded::start(&options).unwrap_err().to_string()
    };
    assert!(said(&|o| o.binary = Some("/no/php-fpm".into())).contains("php.binary: /no/php-fpm"));
    assert!(said(&|o| o.user = Some("nobody-here".into())).contains("no user `nobody-here`"));
    assert!(said(&|o| o.group = Some("nobody-here".into())).contains("no group `nobody-here`"));
    assert!(said(&|o| o.ini = vec![("a b".into(), "1".into())]).contains("no key of php.ini"));
    assert!(said(&|o| o.binary = Some("/bin/false".into())).contains("ended with status 1"));
    assert!(said(&|o| o.keeper = "/no/keeper".into()).contains("keeper"));
}

#[test]
fn a_runtime_directory_that_others_can_write_to_is_refused() {
    let shop = Shop::new();
    fs::create_dir(shop.run()).unwrap();
    fs::set_permissions(shop.run(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Embedded::start(&shop.options()), Err(FpmError::Untrusted { .. })));
}

#[test]
fn who_is_not_root_reaches_the_sockets_by_group_only() {
    if !geteuid().is_root() {
        return;
    }
    let shop = Shop::new();
    let gid = nix::unistd::Group::from_name("www-data").unwrap().expect("apt install php-fpm").gid.as_raw();
    let pool = Embedded::start(&FpmOptions { connecting_gid: Some(gid), ..shop.options() }).unwrap();
    use std::os::unix::fs::MetadataExt;
    let seen = |path: &Path| fs::metadata(path).map(|found| (found.mode() & 0o777, found.gid())).unwrap();
    assert_eq!(seen(&shop.run()), (0o710, gid));
    assert_eq!(seen(pool.socket()), (0o660, gid));
    assert_eq!(seen(pool.status_socket()), (0o660, gid));
    assert_eq!(seen(&shop.run().join("fpm-1.conf")).0, 0o600);
}

#[test]
fn a_twin_is_like_the_first_and_outlives_it() {
    let shop = Shop::new();
    shop.script(
        "told.php",
        "<?php echo ini_get('opcache.memory_consumption'), getenv('MODE'), posix_getuid();",
    );
    let options = FpmOptions {
        ini: vec![("opcache.memory_consumption".into(), "9".into())],
        env: vec![("MODE".into(), "it's $x".into())],
        ..shop.options()
    };
    let first = Embedded::start(&options).unwrap();
    let twin = first.twin(None, LONG).unwrap();
    let of_twin = twin.twin(None, LONG).unwrap();
    let told = shop.body(first.socket(), "told.php");
    assert!(told.starts_with("9it's $x"), "{told}");
    for other in [&twin, &of_twin] {
        assert_eq!(shop.body(other.socket(), "told.php"), told);
        assert_ne!(other.pid(), first.pid());
    }
    let socket = first.socket().to_owned();
    first.stop(STOPS).unwrap();
    assert!(!socket.exists() && lives(twin.pid().unwrap()));
    // The kernel lists a socket for as long as anybody holds it.
    let held = fs::read_to_string("/proc/net/unix").unwrap();
    assert!(!held.contains(socket.to_str().unwrap()), "a twin holds the sockets of the first");
    let keeper = keeper_of(&of_twin);
    of_twin.stop(STOPS).unwrap();
    eventually("its keeper is waited for", || !Path::new(&format!("/proc/{keeper}")).exists());
    assert_eq!(shop.body(twin.socket(), "told.php"), told);
    twin.stop(STOPS).unwrap();
    assert_eq!(shop.left(), Vec::<String>::new());
}

#[test]
fn a_twin_has_compiled_and_kept_what_is_to_be_preloaded() {
    let shop = Shop::new();
    shop.script("preload.php", "<?php function kept() { return 'kept'; }");
    shop.script("asks.php", "<?php echo function_exists('kept') ? kept() : 'not kept';");
    let first = shop.start();
    let twin = first.twin(Some(&shop.dir.path().join("preload.php")), LONG).unwrap();
    assert_eq!(shop.body(twin.socket(), "asks.php"), "kept");
    assert_eq!(shop.body(first.socket(), "asks.php"), "not kept");
    // The twin of one that preloads has what it is told, not what that had.
    assert_eq!(shop.body(twin.twin(None, LONG).unwrap().socket(), "asks.php"), "not kept");
    let options = FpmOptions { preload: Some(shop.dir.path().join("preload.php")), ..shop.options() };
    assert_eq!(shop.body(Embedded::start(&options).unwrap().socket(), "asks.php"), "kept");
}

#[test]
fn a_twin_that_does_not_start_says_why_and_the_first_goes_on() {
    let shop = Shop::new();
    shop.script("broken.php", "<?php function ( {");
    shop.script("throws.php", "<?php throw new Exception('not today');");
    let first = shop.start();
    let preload = |name: &str| {
        let error = first.twin(Some(&shop.dir.path().join(name)), LONG).unwrap_err();
        error.to_string() + &std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
    };
    for (name, why) in [
        ("broken.php", "syntax error"),
        ("throws.php", "not today"),
        ("missing.php", "missing.php"),
        ("x'\nextension=/tmp/x.so\n;", "cannot be told the path"),
        ("a\nextension=x", "cannot be told the path"),
    ] {
        let said = preload(name);
        assert!(said.contains(why), "{name}: {said}");
    }
    assert!(shop.body(first.socket(), "hello.php").starts_with("hello from "));
    let left: Vec<_> = shop.left().into_iter().filter(|name| !name.starts_with("fpm-1.")).collect();
    assert_eq!(left, Vec::<String>::new());
    drop(first.twin(None, LONG).unwrap());
}
