//! Shop: an app with a source, deployed by the library itself; in this process or in one that may be killed.

use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use config::Config;
use deploy::engine::{self, Deploy, FreshPool, Outcome};
use deploy::event::Event;
use deploy::journal::{Journal, now_ms};
use deploy::plan::{Aim, Plan};
use deploy::recover;
use release::lock::DeployLock;
use release::{App, ReleaseId, history, live, manifest};

const WHAT: &str = "CUTOVER_TEST_DEPLOYS";
const ROOT: &str = "CUTOVER_TEST_SHOP";

pub struct Shop {
    dir: tempfile::TempDir,
}

/// What a deploy came to, and all it told.
pub struct Told {
    pub outcome: Outcome,
    pub events: Vec<Event>,
}

impl Shop {
    /// An app whose source is a directory with one page; `keys` are added to its cutover.toml.
    pub fn new(keys: &str) -> Shop {
        Shop::within(tempfile::tempdir().unwrap(), keys)
    }

    /// The same in memory, where there is such a place: for tests of hundreds of deploys in which processes are killed,
    /// but no power is lost, so what is on the disk is all the same.
    pub fn in_memory(keys: &str) -> Shop {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Shop::within(dir.unwrap(), keys)
    }

    fn within(dir: tempfile::TempDir, keys: &str) -> Shop {
        let shop = Shop { dir };
        std::fs::create_dir_all(shop.path("src/public")).unwrap();
        std::fs::create_dir(shop.path("app")).unwrap();
        shop.page("one");
        shop.configure(keys);
        shop
    }

    /// Writes its cutover.toml.
    pub fn configure(&self, keys: &str) {
        let app = "name = 'shop'\ndocroot = 'public'\nkeep_for = '0s'\n";
        // Lines before the first table belong to [app].
        let table = if keys.starts_with('[') { Some(0) } else { keys.find("\n[").map(|at| at + 1) };
        let (own, tables) = match table {
            Some(at) => keys.split_at(at),
            None => (keys, ""),
        };
        let source = if tables.contains("[source]") { "" } else { "[source]\ndir = '../src'\n" };
        let text = format!("[app]\n{app}{own}\n{source}{tables}");
        std::fs::write(self.path("app/cutover.toml"), text).unwrap();
    }

    /// Writes the source's page.
    pub fn page(&self, text: &str) {
        std::fs::write(self.path("src/public/index.html"), text).unwrap();
    }

    pub fn source(&self, name: &str, text: &str) {
        let path = self.path("src").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self) -> Config {
        Config::read(&self.path("app/cutover.toml")).unwrap()
    }

    pub fn app(&self) -> App {
        self.config().app().unwrap()
    }

    /// What is live.
    pub fn live(&self) -> ReleaseId {
        live::read(&self.app()).unwrap().id
    }

    /// The page of what is live.
    pub fn live_page(&self) -> String {
        std::fs::read_to_string(self.app().link().join("public/index.html")).unwrap()
    }

    /// What stands in releases/, sorted.
    pub fn releases(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.app().releases()).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn events(&self) -> Vec<history::Event> {
        history::read(&self.app()).unwrap()
    }

    /// Deploys; whatever comes of it.
    pub fn deploy(&self) -> Told {
        self.run(Aim::Deploy { reference: None, only_if_changed: false })
    }

    /// Deploys this page and wants it live.
    pub fn deployed(&self, page: &str) -> ReleaseId {
        self.page(page);
        let told = self.deploy();
        assert_eq!(told.outcome.ending, deploy::journal::Ending::Live, "{:?}", told.outcome);
        assert_eq!(self.live_page(), page);
        told.outcome.release.unwrap()
    }

    /// Goes back to where `cutover rollback` would.
    pub fn rollback(&self) -> Told {
        let to = history::good_before(&self.events(), &self.live())
            .into_iter()
            .find(|id| manifest::sealed(&self.app(), id).is_ok())
            .expect("a release to go back to");
        self.run(Aim::Rollback { to, forced: false, leaves_bad: true })
    }

    /// Runs this under the lock, when what was left in hand is finished or undone.
    pub fn run(&self, aim: Aim) -> Told {
        self.run_with(aim, None)
    }

    /// The same where a fresh pool can be had.
    pub fn run_with(&self, aim: Aim, fresh: Option<FreshPool<'_>>) -> Told {
        self.run_watched(aim, fresh, &mut |_| {})
    }

    /// The same, and each event is shown as it happens.
    pub fn run_watched(&self, aim: Aim, fresh: Option<FreshPool<'_>>, watch: &mut dyn FnMut(&Event)) -> Told {
        let mut events = Vec::new();
        let mut note = |event: &Event| {
            watch(event);
            events.push(event.clone());
        };
        let outcome = work(self.dir.path(), &mut note, Some(aim), fresh).unwrap();
        Told { outcome, events }
    }

    /// What any command does first: finishes or undoes what is in hand.
    pub fn recover(&self) -> Option<Outcome> {
        work(self.dir.path(), &mut |_| {}, None, None)
    }

    /// Deploys in another process, which somebody else may kill.
    pub fn deploying(&self) -> std::process::Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "shop::an_actor_deploys", "--nocapture"]);
        command.env(WHAT, "deploy").env(ROOT, self.dir.path());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Deploys in another process, killed before its n-th effect on disk; says whether it got so far.
    pub fn killed_at(&self, n: u32, what: &str) -> bool {
        use std::os::unix::process::ExitStatusExt;
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "shop::an_actor_deploys", "--nocapture"]);
        command.env(WHAT, what).env(ROOT, self.dir.path()).env("CUTOVER_CRASH_AT", n.to_string());
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || output.status.signal() == Some(9), "{what} at {n}: {said}");
        !output.status.success()
    }
}

impl Told {
    /// What was told that did not make it fail.
    pub fn warnings(&self) -> String {
        self.outcome.problems.join("\n")
    }

    /// The step that failed, and why.
    pub fn failure(&self) -> (String, String) {
        let (step, why) = self.outcome.failure.clone().expect("a failure");
        (step.name().to_owned(), why)
    }

    /// Every line that commands printed.
    pub fn output(&self) -> Vec<&str> {
        let lines = self.events.iter().filter_map(|event| {
            let Event::Output { line, .. } = event else { return None };
            Some(line.as_str())
        });
        lines.collect()
    }
}

/// Not a test: where a started actor begins.
#[test]
fn an_actor_deploys() {
    let Ok(what) = std::env::var(WHAT) else { return };
    let root = std::env::var_os(ROOT).unwrap();
    let shop = Path::new(&root);
    let aim = match what.as_str() {
        "deploy" => Some(Aim::Deploy { reference: None, only_if_changed: false }),
        "recover" => None,
        restore if restore.starts_with("restore ") => {
            let to = ReleaseId::parse(&restore["restore ".len()..]).unwrap();
            Some(Aim::Restore { to, leaves_bad: false })
        }
        other => {
            Some(Aim::Rollback { to: ReleaseId::parse(other).unwrap(), forced: false, leaves_bad: true })
        }
    };
    work(shop, &mut |_| {}, aim, None);
}

fn work(
    root: &Path,
    watch: &mut dyn FnMut(&Event),
    aim: Option<Aim>,
    fresh_pool: Option<FreshPool<'_>>,
) -> Option<Outcome> {
    let config = Config::read(&root.join("app/cutover.toml")).unwrap();
    let app = config.app().unwrap();
    let lock = DeployLock::take(&app, Duration::from_secs(60)).unwrap();
    let pools = match config.host.php.as_ref().map(|php| &php.fpm) {
        Some(config::host::Fpm::At(list)) => {
            list.iter().map(|address| fastcgi::Address::parse(&address.to_string()).unwrap()).collect()
        }
        Some(config::host::Fpm::Embedded) | None => Vec::new(),
    };
    let deploy = Deploy {
        lock: &lock,
        config: &config,
        who: "alice@web1",
        workers: workers(&config, &pools),
        pools,
        fresh_pool,
        close_idle: None,
        follower: None,
        fresh: OnceCell::new(),
        stop: Arc::new(AtomicBool::new(false)),
        watch: RefCell::new(watch),
        secrets: deploy::notify::secrets(&config),
        lead: None,
    };
    let recovered = recover::recover(&deploy).unwrap();
    let Some(aim) = aim else { return recovered };
    let plan = Plan { aim, previous: deploy.live(), who: "alice@web1".into(), at_ms: now_ms() };
    let journal = Journal::begin(&lock, plan).unwrap();
    deploy::notify::begins(&deploy, &journal);
    Some(engine::run(&deploy, journal).unwrap())
}

/// Where the pools tell what their workers do, if they do.
fn workers(config: &Config, pools: &[fastcgi::Address]) -> Vec<deploy::used::Workers> {
    let path = config.host.php.as_ref().and_then(|php| php.status.clone());
    let told = |path: String| {
        pools.iter().map(move |at| deploy::used::Workers {
            at: at.clone(),
            path: path.clone(),
            map: Vec::new(),
        })
    };
    path.map(|path| told(path).collect()).unwrap_or_default()
}
