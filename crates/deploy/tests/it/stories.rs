//! Hooks, health, journal and Freeze, on directories and commands of a real machine.

use deploy::event::Event;
use deploy::freeze;
use deploy::journal::Ending;
use deploy::plan::Aim;
use deploy::receipt::Step;
use deploy::record;
use release::history::{self, What};

use crate::shop::Shop;

const EVERY: &str = "[hooks]
before_build = ['echo before_build']
after_build = ['echo after_build']
before_stage = ['echo before_stage']
after_stage = ['echo after_stage']
before_warm = ['echo before_warm']
after_warm = ['echo after_warm']
before_flip = ['echo before_flip']
drain = ['echo drain']
undrain = ['echo undrain']
after_flip = ['echo after_flip']
before_verify = ['echo before_verify']
after_verify = ['echo after_verify']
before_prune = ['echo before_prune']
after_prune = ['echo after_prune']
on_failure = ['echo on_failure']
on_rollback = ['echo on_rollback']
";

#[test]
fn hooks_run_at_every_step_in_the_order_of_a_deploy() {
    let shop = Shop::new(EVERY);
    let told = shop.deploy();
    let order = [
        "before_build",
        "after_build",
        "before_stage",
        "after_stage",
        "before_warm",
        "after_warm",
        "before_flip",
        "drain",
        "before_verify",
        "after_verify",
        "undrain",
        "after_flip",
        "before_prune",
        "after_prune",
    ];
    assert_eq!(told.output(), order);
    let second = shop.deployed("two");
    let told = shop.rollback();
    let order =
        ["before_flip", "drain", "before_verify", "after_verify", "undrain", "after_flip", "on_rollback"];
    assert_eq!(told.output(), order);
    // Each command's output is kept.
    let log = shop.app().logs(second.as_str()).join("after_stage.log");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "after_stage\n");
}

#[test]
fn a_hook_knows_the_app_its_release_and_the_one_before() {
    let shop = Shop::new(
        "[hooks]\nafter_flip = ['echo $CUTOVER_APP $CUTOVER_RELEASE $CUTOVER_PREVIOUS $CUTOVER_USER $CUTOVER_PHASE', 'pwd', 'readlink $CUTOVER_CURRENT', 'echo $CUTOVER_RELEASE_DIR; cd $CUTOVER_SHARED/..; pwd']\n",
    );
    let first = shop.deployed("one");
    shop.page("two");
    let told = shop.deploy();
    let second = told.outcome.release.clone().unwrap();
    let root = shop.app().root().canonicalize().unwrap().display().to_string();
    let dir = format!("{root}/releases/{second}");
    let said = format!("shop {second} {first} alice@web1 after_flip");
    let link = format!("releases/{second}");
    assert_eq!(told.output()[..3], [said.as_str(), dir.as_str(), link.as_str()]);
    assert_eq!(told.output()[4], root);
}

#[test]
fn a_hook_that_fails_before_the_flip_leaves_the_old_release_live_and_nothing_behind() {
    for (moment, step) in [
        ("before_build", "build"),
        ("after_build", "build"),
        ("before_stage", "stage"),
        ("after_stage", "stage"),
        ("before_warm", "warm"),
        ("after_warm", "warm"),
        ("before_flip", "flip"),
    ] {
        let shop = Shop::new("");
        let first = shop.deployed("one");
        shop.page("two");
        shop.configure(&format!(
            "[hooks]\n{moment} = ['echo no; exit 3']\non_failure = ['echo $CUTOVER_ERROR']\n"
        ));
        let told = shop.deploy();
        assert_eq!(told.outcome.ending, Ending::Undone, "{moment}");
        let (failed, why) = told.failure();
        assert_eq!(failed, step, "{moment}");
        assert!(why.contains("`echo no; exit 3` failed (exit code 3)\n    no"), "{moment}: {why}");
        assert!(
            told.output().iter().any(|line| line.contains("exit code 3")),
            "{moment}: on_failure is told"
        );
        assert_eq!(shop.live(), first, "{moment}");
        assert_eq!(shop.releases(), [first.to_string()], "{moment}");
        shop.configure("");
        shop.deployed("two");
    }
}

#[test]
fn a_hook_that_fails_after_the_flip_is_reported_and_the_release_stays_live() {
    let shop = Shop::new("[hooks]\nafter_flip = ['exit 1']\n");
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::Live);
    assert!(
        told.outcome.problems[0].starts_with("after_flip: `exit 1` failed"),
        "{:?}",
        told.outcome.problems
    );
    assert_eq!(Some(shop.live()), told.outcome.release);
}

#[test]
fn a_failure_right_after_the_flip_flips_back_and_marks_the_release_bad() {
    let shop = Shop::new("");
    let first = shop.deployed("one");
    shop.page("two");
    shop.configure("[hooks]\nafter_verify = ['exit 1']\non_rollback = ['echo back at $CUTOVER_PREVIOUS']\n");
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::FlippedBack);
    assert_eq!(shop.live(), first);
    let bad = told.outcome.release.clone().unwrap();
    assert_eq!(history::verdict(&shop.events(), &bad), Some(What::Bad));
    assert_eq!(history::verdict(&shop.events(), &first), Some(What::Good));
    assert_eq!(told.output().last().copied(), Some(format!("back at {first}").as_str()));
}

#[test]
fn a_first_release_that_fails_its_check_has_nothing_to_flip_back_to_and_that_is_said() {
    let shop = Shop::new("[hooks]\nafter_verify = ['exit 1']\n");
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::Unhealthy);
    assert_eq!(Some(shop.live()), told.outcome.release);
}

#[test]
fn a_static_release_without_its_health_page_never_goes_live() {
    let shop = Shop::new("[health]\npath = '/up.html'\nattempts = 1\n");
    shop.source("public/up.html", "up");
    let first = shop.deployed("one");
    std::fs::remove_file(shop.path("src/public/up.html")).unwrap();
    shop.page("two");
    let told = shop.deploy();
    let (step, why) = told.failure();
    assert_eq!(step, "warm");
    assert!(why.contains("answered 404, not 200"), "{why}");
    assert_eq!(shop.live(), first);
}

#[test]
fn build_commands_run_in_a_tree_of_their_own_with_a_cache_that_survives() {
    let build = "[source]\ndir = '../src'\nbuild = ['echo built > built', 'mkdir -p $CUTOVER_CACHE; echo x >> $CUTOVER_CACHE/runs; wc -l < $CUTOVER_CACHE/runs']\n";
    let shop = Shop::new(build);
    assert_eq!(shop.deploy().output(), ["1"]);
    assert_eq!(shop.deploy().output(), ["2"]);
    assert!(shop.app().link().join("built").exists());
    assert!(!shop.path("src/built").exists(), "the source itself is not written to");
}

#[test]
fn nothing_is_deployed_if_it_would_be_what_is_live() {
    let shop = Shop::new("");
    let first = shop.deployed("one");
    let only = || shop.run(Aim::Deploy { reference: None, only_if_changed: true });
    assert_eq!(only().outcome.ending, Ending::Unchanged);
    assert_eq!(shop.releases(), [first.to_string()]);
    shop.page("two");
    assert_eq!(only().outcome.ending, Ending::Live);
    assert_eq!(shop.live_page(), "two");
}

#[test]
fn what_a_release_is_made_of_is_written_down() {
    let shop = Shop::new("");
    let id = shop.deployed("one");
    let record = record::read(&shop.app(), &id).unwrap();
    assert_eq!((record.builder.as_str(), record.ending), ("alice@web1", Some(Ending::Live)));
    assert_eq!(record.manifest.map(|hash| hash.len()), Some(64));
    let steps: Vec<Step> = record.took_ms.iter().map(|(step, _)| *step).collect();
    use Step::*;
    assert_eq!(steps, [Build, Stage, Seal, Warm, Flip, Verify, Settle, Prune]);
}

#[test]
fn a_torn_last_line_of_the_journal_is_cut_off_and_a_torn_middle_is_refused() {
    let shop = Shop::new("");
    shop.deployed("one");
    shop.page("two");
    assert!(shop.killed_at(30, "deploy"));
    let path = shop.app().journal();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], b"0123456789abcdef {\"at\":17"].concat()).unwrap();
    shop.recover();
    shop.deployed("two");

    let mut lines: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    lines[1] = lines[1].replace("build", "stage");
    lines.pop();
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let error = deploy::journal::look(&shop.app()).unwrap_err();
    assert!(error.to_string().ends_with("journal.jsonl, line 2, is damaged"), "{error}");
    assert_eq!(shop.live_page(), "two");
}

#[test]
fn a_freeze_says_who_and_why_until_it_is_ended() {
    let shop = Shop::new("");
    shop.deployed("one");
    let app = shop.app();
    assert_eq!(freeze::frozen(&app).unwrap(), None);
    freeze::freeze(&app, "the sale", "bob@web1").unwrap();
    let frozen = freeze::frozen(&app).unwrap().unwrap();
    assert_eq!((frozen.reason.as_str(), frozen.who.as_str()), ("the sale", "bob@web1"));
    // Whatever somebody put there by hand freezes as well.
    std::fs::write(app.frozen(), "do not touch\n").unwrap();
    assert_eq!(freeze::frozen(&app).unwrap().unwrap().reason, "do not touch");
    assert!(freeze::thaw(&app).unwrap().is_some());
    assert_eq!(freeze::frozen(&app).unwrap(), None);
}

#[test]
fn a_deploy_tells_its_steps_with_their_times_and_ends_with_what_is_live() {
    let shop = Shop::new("");
    let told = shop.deploy();
    let steps: Vec<Step> = told
        .events
        .iter()
        .filter_map(|event| {
            let Event::Done { step, .. } = event else { return None };
            Some(*step)
        })
        .collect();
    assert_eq!(steps.len(), 8);
    let last = serde_json::to_value(told.events.last().unwrap()).unwrap();
    assert_eq!((last["event"].as_str(), last["ending"].as_str()), (Some("ended"), Some("live")));
    assert_eq!(last["live"].as_str(), Some(shop.live().as_str()));
}
