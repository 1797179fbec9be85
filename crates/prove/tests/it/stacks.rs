//! Known stacks are judged as they deserve: that is the proof that the prover can fail them.

use crate::stack::{Root, Stack};
use prove::flipper::{Flipper, Link, Manner};
use prove::probe::pages::{Kind, pages};
use prove::scenario::{Load, Pace, Scenario};
use prove::{Verdicts, judge, report, run_blocking};
use std::sync::Arc;
use std::time::Duration;

fn ids() -> Vec<String> {
    ["r1", "r2"].map(str::to_owned).into()
}

fn scenario(stack: &Stack, requests: u64, flips: u64) -> Scenario {
    let by = Flipper::link(stack.link());
    let mut scenario = Scenario::new(stack.target(), ids(), pages(&ids(), Kind::Php), by);
    scenario.load =
        Load { connections: 8, closing: 2, requests, at_most: Duration::from_secs(20), ..Load::default() };
    scenario.flips.count = flips;
    scenario
}

/// Runs, and shows the report to who reads a failed test.
fn judged(scenario: Scenario) -> Verdicts {
    let observed = run_blocking(scenario).unwrap();
    let verdicts = judge(&observed).unwrap();
    println!("{}", report::text(&observed, &verdicts));
    verdicts
}

#[test]
fn a_site_that_stands_still_is_acquitted_to_the_last_byte() {
    let stack = Stack::start(&ids(), Root::Document);
    let verdicts = judged(scenario(&stack, 1_000, 0));
    assert!(verdicts.holds(), "{:?}", verdicts.total);
    assert!(verdicts.by_page.iter().all(|page| page.ok > 0), "each page was asked");
}

#[test]
fn nginx_with_document_root_is_convicted_of_mixing_releases() {
    let stack = Stack::start(&ids(), Root::Document);
    let mut scenario = scenario(&stack, u64::MAX, u64::MAX);
    scenario.pages.retain(|page| page.name.ends_with("script"));
    scenario.flips.pace = Pace::Every(Duration::from_millis(5));
    stop_at_suspects(&scenario, 20);
    let verdicts = judged(scenario);
    assert!(verdicts.total.mixed > 0, "{:?}", verdicts.total);
}

#[test]
fn a_link_that_is_removed_and_made_again_is_convicted_of_failing_requests() {
    let stack = Stack::start(&ids(), Root::Document);
    let mut scenario = scenario(&stack, u64::MAX, u64::MAX);
    scenario.pages.retain(|page| page.name == "small.txt");
    let text = "releases/{release}".to_owned();
    scenario.flips.by = Flipper::Link(Link { path: stack.link(), text, manner: Manner::RemoveThenLink });
    scenario.flips.pace = Pace::Every(Duration::ZERO);
    stop_at_suspects(&scenario, 5);
    let verdicts = judged(scenario);
    assert!(verdicts.total.failed > 0, "{:?}", verdicts.total);
}

/// Run until it is found, not a fixed time: these stacks fail at their own pace.
fn stop_at_suspects(scenario: &Scenario, count: u64) {
    let progress = Arc::clone(&scenario.progress);
    std::thread::spawn(move || {
        while progress.suspect() < count && !progress.is_stopped() {
            std::thread::sleep(Duration::from_millis(10));
        }
        progress.stop();
    });
}

#[test]
fn nginx_that_resolves_the_link_once_per_request_is_acquitted() {
    let stack = Stack::start(&ids(), Root::Pinned);
    let verdicts = judged(scenario(&stack, 4_000, 400));
    assert!(verdicts.holds(), "{:?}", verdicts.total);
}
