//! deploy, plan, lock, unlock, and what other commands do about a deploy that was killed.

use crate::shop::Shop;

/// An app whose source is a directory inside of the temporary one, but outside of the app.
fn shop(keys: &str) -> (Shop, tempfile::TempDir) {
    let (shop, source) = (Shop::with_releases(&[]), tempfile::tempdir().unwrap());
    page(&source, "one");
    let text = format!("[source]\ndir = '{}'\n{keys}", source.path().display());
    std::fs::write(shop.path("cutover.toml"), text).unwrap();
    (shop, source)
}

fn page(source: &tempfile::TempDir, text: &str) {
    std::fs::write(source.path().join("index.html"), text).unwrap();
}

fn live_page(shop: &Shop) -> String {
    std::fs::read_to_string(shop.path("current/index.html")).unwrap()
}

#[test]
fn a_deploy_makes_the_source_live_and_its_last_line_says_so() {
    let (shop, source) = shop("[hooks]\nafter_flip = ['echo restarted']\n");
    let said = shop.ok(&["deploy"]);
    let last = said.lines().last().unwrap();
    assert!(last.contains(" is live, nothing was before; ") && last.contains("(build "), "{said}");
    assert!(said.contains("settle   $ echo restarted\n         | restarted\n"), "{said}");
    page(&source, "two");
    shop.ok(&["deploy"]);
    assert_eq!(live_page(&shop), "two");
    assert!(shop.ok(&["deploy", "--only-if-changed"]).contains("nothing changed, "));
    let table = shop.ok(&["releases"]);
    assert!(table.contains("made of") && table.contains("by alice@"), "{table}");
    shop.ok(&["rollback"]);
    assert_eq!(live_page(&shop), "one");
}

#[test]
fn for_programs_a_deploy_is_a_stream_of_events_and_then_the_answer() {
    let (shop, _source) = shop("");
    let lines: Vec<serde_json::Value> =
        shop.ok(&["deploy", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["event"], "begins");
    assert_eq!(lines[lines.len() - 2]["event"], "ended");
    let answer = lines.last().unwrap();
    assert_eq!((&answer["ending"], &answer["live"]), (&"live".into(), &answer["release"]));
}

#[test]
fn a_deploy_that_fails_says_what_is_still_true_and_exits_with_1() {
    let (shop, source) = shop("");
    shop.ok(&["deploy"]);
    let text =
        format!("[source]\ndir = '{}'\nbuild = ['echo no composer; exit 9']\n", source.path().display());
    std::fs::write(shop.path("cutover.toml"), text).unwrap();
    page(&source, "two");
    let ran = shop.run(&["deploy"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("the deploy failed at build: `echo no composer; exit 9` failed (exit code 9)"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains(" is still live"), "{}", ran.err);
    assert_eq!(live_page(&shop), "one");
}

#[test]
fn a_failing_after_flip_is_told_with_exit_code_1_and_the_release_stays_live() {
    let (shop, _source) = shop("[hooks]\nafter_flip = ['exit 4']\n");
    let ran = shop.run(&["deploy"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("after_flip: `exit 4` failed (exit code 4)"), "{}", ran.err);
    assert!(ran.err.contains("is live and healthy"), "{}", ran.err);
    assert_eq!(live_page(&shop), "one");
}

#[test]
fn a_release_made_of_changes_that_are_not_committed_says_so() {
    let (shop, source) = shop("exclude = ['.git', '*.log']\n");
    let git = |words: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(source.path()).args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]);
        assert!(git.args(words).output().expect("git is missing: apt-get install git").status.success());
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "first"]);
    // What is left out of a release does not make it dirty.
    std::fs::write(source.path().join("debug.log"), "x").unwrap();
    shop.ok(&["deploy"]);
    let clean = shop.json(&["status"]).1["live"].as_str().unwrap().to_owned();
    page(&source, "two");
    assert!(shop.ok(&["plan"]).contains(", with changes that are not committed; "));
    let said = shop.ok(&["deploy", "--only-if-changed"]);
    assert!(said.contains(" dirty: with changes that are not committed"), "{said}");
    assert_eq!(live_page(&shop), "two");
    let dirty = shop.json(&["status"]).1["live"].as_str().unwrap().to_owned();
    let table = shop.ok(&["releases"]);
    assert_eq!(table.matches(" dirty ").count(), 1, "{table}");
    let said = shop.ok(&["diff", &clean, &dirty]);
    assert!(said.starts_with(&format!("{dirty} is ")) && said.contains("were not committed"), "{said}");
    let events = shop.ok(&["deploy", "--json"]);
    let named = events.lines().find(|line| line.contains(r#""named""#)).unwrap();
    assert!(named.contains(r#""dirty":true"#) && named.contains(r#""commit":""#), "{named}");
    // Not committed still, the same files are nothing new; another change is, though the commit is the same.
    assert!(shop.ok(&["deploy", "--only-if-changed"]).contains("nothing changed"));
    page(&source, "three");
    shop.ok(&["deploy", "--only-if-changed"]);
    assert_eq!(live_page(&shop), "three");
}

#[test]
fn wrong_usage_changes_nothing_and_exits_with_2() {
    let (shop, _source) = shop("");
    assert!(shop.fails(2, &["deploy", "--ref", "main"]).contains("--ref only has a meaning with source.git"));
    let bare = Shop::with_live(&["r1"]);
    assert!(bare.fails(2, &["deploy"]).contains("has no [source]"));
    assert!(bare.fails(2, &["plan"]).contains("has no [source]"));
}

#[test]
fn a_freeze_refuses_deploys_and_flips_with_its_reason_and_lets_a_rollback_pass() {
    let (shop, source) = shop("");
    shop.ok(&["deploy"]);
    page(&source, "two");
    shop.ok(&["deploy"]);
    shop.ok(&["lock", "--reason", "the sale"]);
    let said = shop.fails(3, &["deploy"]);
    assert!(said.contains("nobody may deploy: the sale (alice@"), "{said}");
    shop.fails(3, &["flip", "r1"]);
    shop.fails(3, &["lock", "--reason", "mine"]);
    assert!(shop.ok(&["status"]).contains("frozen   nobody may deploy: the sale"));
    let said = shop.ok(&["rollback"]);
    assert!(said.contains("\nthe app stays frozen: nobody may deploy: the sale (alice@"), "{said}");
    assert_eq!(live_page(&shop), "one");
    shop.ok(&["unlock"]);
    shop.ok(&["deploy"]);
}

#[test]
fn the_lock_of_another_tool_is_respected() {
    let (shop, _source) = shop("");
    std::fs::create_dir(shop.path(".dep")).unwrap();
    std::fs::write(shop.path(".dep/deploy.lock"), "bob\n").unwrap();
    for command in [&["deploy"][..], &["prune"], &["deploy", "--wait", "100ms"]] {
        let said = shop.fails(3, command);
        assert!(said.contains("Deployer holds its lock /srv/shop/.dep/deploy.lock (bob)"), "{said}");
    }
    std::fs::remove_file(shop.path(".dep/deploy.lock")).unwrap();
    shop.ok(&["deploy"]);
}

#[test]
fn of_two_deploys_at_once_the_second_is_told_who_is_at_work_or_waits() {
    let (shop, _source) = shop(
        "[hooks]\nbefore_flip = ['touch $CUTOVER_ROOT/there; while ! [ -e $CUTOVER_ROOT/go ]; do sleep 0.05; done']\n",
    );
    std::thread::scope(|scope| {
        let first = scope.spawn(|| shop.ok(&["deploy"]));
        while !shop.path("there").exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let said = shop.fails(3, &["deploy"]);
        assert!(said.contains(": alice@") && said.contains(", deploy, since 20"), "{said}");
        let second = scope.spawn(|| shop.ok(&["deploy", "--wait", "60s"]));
        std::fs::write(shop.path("go"), "").unwrap();
        first.join().unwrap();
        second.join().unwrap();
    });
    assert_eq!(live_page(&shop), "one");
}

#[test]
fn a_plan_says_what_would_be_done_and_does_nothing() {
    let (shop, source) = shop(
        // Nobody listens there: a server of somebody else's at the usual port would be asked.
        "[health]\npath = '/index.html'\n[serve]\nlisten = ['127.0.0.1:1']\n[hooks]\nbefore_flip = ['echo migrating']\n",
    );
    shop.ok(&["deploy"]);
    page(&source, "two");
    std::fs::write(source.path().join("new.html"), "new").unwrap();
    let said = shop.ok(&["plan"]);
    for line in
        ["adds 1 files\n  new.html", "changes 1 files\n  index.html", "runs before_flip: echo migrating"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("checks /index.html for 200"), "{said}");
    assert_eq!(live_page(&shop), "one");
    let (_, json) = shop.json(&["plan"]);
    assert_eq!(json["added"][0]["path"], "new.html");
}

#[test]
fn a_deploy_that_was_killed_is_told_by_status_and_tidied_up_by_the_next_command() {
    let (shop, source) = shop("");
    shop.ok(&["deploy"]);
    page(&source, "two");
    assert!(shop.killed_at(40, &["deploy"]));
    let said = shop.ok(&["status"]);
    assert!(said.contains("if it was killed, the next command finishes or undoes it"), "{said}");
    let ran = shop.run(&["prune"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("it was killed"), "{}", ran.err);
    assert!(!shop.ok(&["status"]).contains("if it was killed"));
    shop.ok(&["deploy"]);
    assert_eq!(live_page(&shop), "two");
}

#[test]
fn a_deploy_that_is_told_to_stop_before_its_flip_is_undone_at_once() {
    let (shop, source) = shop("");
    shop.ok(&["deploy"]);
    page(&source, "two");
    let text = std::fs::read_to_string(shop.path("cutover.toml")).unwrap();
    let hooks = "[hooks]\nbefore_flip = ['touch $CUTOVER_ROOT/there; sleep 600']\n";
    std::fs::write(shop.path("cutover.toml"), text + hooks).unwrap();
    let mut deploy = std::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
    let deploy = deploy.arg("-C").arg(shop.root()).arg("deploy").stdout(std::process::Stdio::null());
    let mut deploy = deploy.stderr(std::process::Stdio::null()).spawn().unwrap();
    while !shop.path("there").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&deploy), rustix::process::Signal::TERM)
        .unwrap();
    assert_eq!(deploy.wait().unwrap().code(), Some(1));
    assert_eq!(live_page(&shop), "one");
    assert_eq!(std::fs::read_dir(shop.path("releases")).unwrap().count(), 1);
}
