//! A run that does not go as planned keeps what it saw, and says so.

use prove::page::{Answer, Ask, Page};
use prove::scenario::{Load, Pace, Scenario};
use prove::{Flipper, Target, judge, run_blocking};
use std::sync::Arc;
use std::time::Duration;

/// Nobody answers there, which is observed like anything else.
fn scenario(by: Flipper) -> (tempfile::TempDir, Scenario) {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::unix(dir.path().join("nobody.sock"));
    let ids: Vec<String> = ["r1", "r2"].map(str::to_owned).into();
    let page = Page::exact("page", 1, Ask::get("/"), vec![Answer::status(200), Answer::status(200)]);
    let mut scenario = Scenario::new(target, ids, vec![page], by);
    scenario.load = Load { connections: 2, closing: 0, requests: 1, ..Load::default() };
    scenario.flips.count = 1_000_000;
    scenario.flips.pace = Pace::Every(Duration::from_millis(1));
    (dir, scenario)
}

#[test]
fn a_run_that_was_stopped_before_its_flips_were_done_says_so() {
    let (_dir, scenario) = scenario(Flipper::call(|_| Ok(())));
    let progress = Arc::clone(&scenario.progress);
    std::thread::spawn(move || {
        while progress.flipped() < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        progress.stop();
    });
    let observed = run_blocking(scenario).unwrap();
    assert!(observed.cut_short.as_ref().unwrap().contains("stopped"), "{:?}", observed.cut_short);
    assert!(observed.flips.len() >= 3);
    let verdicts = judge(&observed).unwrap();
    assert_eq!(verdicts.total.failed, verdicts.total.all(), "nobody answered");
}

#[test]
fn a_run_whose_time_is_up_says_so() {
    let (_dir, mut scenario) = scenario(Flipper::call(|_| Ok(())));
    scenario.load.at_most = Duration::from_millis(50);
    let observed = run_blocking(scenario).unwrap();
    assert!(observed.cut_short.unwrap().contains("time was up"));
}

#[test]
fn flips_go_round_or_where_the_scenario_says() {
    let (_dir, mut scenario) = scenario(Flipper::call(|_| Ok(())));
    scenario.flips.count = 3;
    let round = run_blocking(scenario).unwrap();
    assert_eq!(round.flips.iter().map(|flip| flip.to).collect::<Vec<_>>(), [1, 0, 1]);
    let (_dir, mut scenario) = self::scenario(Flipper::call(|_| Ok(())));
    scenario.flips.order = vec![0, 0, 1];
    let ordered = run_blocking(scenario).unwrap();
    assert_eq!(ordered.flips.iter().map(|flip| flip.to).collect::<Vec<_>>(), [0, 0, 1]);
    assert!(ordered.cut_short.unwrap().contains("after 3 of 1000000 flips"));
}

#[test]
fn a_flip_that_fails_ends_the_run_and_may_have_happened() {
    let mut calls = 0;
    let (_dir, scenario) = scenario(Flipper::call(move |_| {
        calls += 1;
        if calls < 4 { Ok(()) } else { Err("no".to_owned()) }
    }));
    let observed = run_blocking(scenario).unwrap();
    assert!(observed.cut_short.unwrap().contains("cannot flip to r2: no"));
    assert_eq!(observed.flips.last().unwrap().returned_ns, None);
    assert_eq!(observed.flips.len(), 3, "the first call put r1 live before the load");
}

#[test]
fn a_first_release_that_cannot_be_put_live_ends_it_before_it_began() {
    let (_dir, scenario) = scenario(Flipper::Command(vec!["/bin/false".to_owned()]));
    let error = run_blocking(scenario).unwrap_err().to_string();
    assert_eq!(error, "cannot put r1 live before the load starts");
}
