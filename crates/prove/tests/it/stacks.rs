//! Known stacks are judged as they deserve: that is the proof that the prover can fail them.

use crate::peer::Peer;
use crate::stack::Stack;
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
        Load { connections: 8, closing: 2, requests, at_most: Duration::from_secs(300), ..Load::default() };
    scenario.flips.count = flips;
    scenario
}

/// A run at full flip rate that ends as soon as so many suspects are found: within seconds, where two cores are free.
fn hunt(stack: &Stack, pages: &[&str], suspects: u64) -> Scenario {
    let mut scenario = scenario(stack, u64::MAX, u64::MAX);
    scenario.pages.retain(|page| pages.contains(&page.name.as_str()));
    scenario.load.at_most = Duration::from_secs(600);
    scenario.flips.pace = Pace::Every(Duration::ZERO);
    stop_at_suspects(&scenario, suspects);
    scenario
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

/// Runs, and shows the report to who reads a failed test.
fn judged(scenario: Scenario) -> Verdicts {
    let observed = run_blocking(scenario).unwrap();
    let verdicts = judge(&observed).unwrap();
    println!("{}", report::text(&observed, &verdicts));
    verdicts
}

#[test]
fn every_peer_that_stands_still_is_acquitted_to_the_last_byte() {
    for peer in Peer::ALL {
        println!("{peer:?}");
        let stack = Stack::start(&ids(), peer);
        let verdicts = judged(scenario(&stack, 1_000, 0));
        assert!(verdicts.holds(), "{peer:?}: {:?}", verdicts.total);
        assert!(verdicts.by_page.iter().all(|page| page.ok > 0), "each page was asked");
    }
}

#[test]
fn nginx_with_document_root_is_convicted_of_mixing_releases() {
    let stack = Stack::start(&ids(), Peer::NginxDocumentRoot);
    let verdicts = judged(hunt(&stack, &["script", "slow script"], 20));
    assert!(verdicts.total.mixed + verdicts.total.stale > 0, "{:?}", verdicts.total);
}

#[test]
fn each_server_that_resolves_nothing_is_convicted_of_mixing_releases() {
    for peer in [Peer::ApachePrefork, Peer::ApacheEvent, Peer::Lighttpd] {
        println!("{peer:?}");
        let stack = Stack::start(&ids(), peer);
        let verdicts = judged(hunt(&stack, &["script", "slow script"], 20));
        assert!(verdicts.total.mixed + verdicts.total.stale > 0, "{peer:?}: {:?}", verdicts.total);
    }
}

#[test]
fn a_link_that_is_removed_and_made_again_is_convicted_of_failing_requests() {
    let stack = Stack::start(&ids(), Peer::NginxDocumentRoot);
    let mut scenario = hunt(&stack, &["small.txt"], 5);
    let text = "releases/{release}".to_owned();
    scenario.flips.by = Flipper::Link(Link { path: stack.link(), text, manner: Manner::RemoveThenLink });
    let verdicts = judged(scenario);
    assert!(verdicts.total.failed > 0, "{:?}", verdicts.total);
}

/// `try_files` finds the script in one release, PHP looks for it in the next: "File not found".
#[test]
fn each_server_that_pins_php_only_is_convicted_of_losing_a_script_of_every_other_release() {
    for peer in [Peer::NginxRealpathRoot, Peer::Caddy] {
        println!("{peer:?}");
        let stack = Stack::start(&ids(), peer);
        let mut scenario = hunt(&stack, &["sometimes.php"], 1);
        scenario.load.connections = 16;
        let verdicts = judged(scenario);
        assert!(verdicts.total.failed > 0, "{peer:?}: {:?}", verdicts.total);
    }
}

#[test]
fn nginx_that_resolves_the_link_once_per_request_is_acquitted() {
    let stack = Stack::start(&ids(), Peer::NginxPinned);
    let verdicts = judged(scenario(&stack, 100_000, 5_000));
    assert!(verdicts.holds(), "{:?}", verdicts.total);
    assert!(verdicts.total.ok >= 100_000, "{:?}", verdicts.total);
}
