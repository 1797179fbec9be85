//! The reports of a small run that went wrong in every way, and of one that did not.

use super::*;
use crate::observations::{Flip, Observations, Response, Seen};
use crate::verdict::{Slowness, Standard, Verdicts};
use crate::{judge, judge_by};

const MS: u64 = 1_000_000;

fn good() -> Observations {
    let response = |nth: u64| {
        let sent_ns = nth * 7 * MS / 10;
        let live = u32::from(sent_ns > 20 * MS) + u32::from(sent_ns > 40 * MS);
        let (page, client) = ((nth % 2) as u32, (nth % 4) as u32);
        let done_ns = sent_ns + (1 + nth % 3) * MS / 4;
        Response { page, client, due_ns: sent_ns, sent_ns, done_ns, seen: Seen::Of(live % 2) }
    };
    Observations {
        releases: ["r1", "r2"].map(str::to_owned).into(),
        pages: ["front", "small.txt", "never asked"].map(str::to_owned).into(),
        flips: [(1, 19), (0, 39)]
            .map(|(to, at)| Flip {
                to,
                called_ns: at * MS + MS / 2,
                returned_ns: Some(at * MS + MS * 9 / 10),
            })
            .into(),
        responses: (0..90).map(response).collect(),
        took_ns: 64 * MS,
        target: "http://127.0.0.1:8080".to_owned(),
        load: "4 connections".to_owned(),
        began: "2026-11-22T20:15:00Z".to_owned(),
        ..Observations::default()
    }
}

fn bad() -> Observations {
    let mut observed = good();
    let seen = |nth: u64, seen| Response {
        page: 0,
        client: 9,
        due_ns: (30 + nth) * MS - MS / 3,
        sent_ns: (30 + nth) * MS,
        done_ns: (30 + nth) * MS + MS / 2,
        seen,
    };
    observed.responses.extend([
        seen(0, Seen::Wrong("status 404 and \"<b>\" & more\nwhere no release answers so".into())),
        seen(1, Seen::Parts([0, 1].into())),
        seen(2, Seen::Of(1)),
        seen(3, Seen::Of(0)),
        Response { done_ns: 60 * MS, ..seen(4, Seen::Of(1)) },
    ]);
    observed.reconnects = 3;
    observed.cut_short = Some("stopped by Ctrl-C".to_owned());
    observed.bottleneck = Some("it used 98 % of its processor".to_owned());
    observed
}

fn strictly(observed: &Observations) -> Verdicts {
    judge_by(observed, Standard { slow: Slowness::Breach { over_ns: 20 * MS } }).unwrap()
}

#[test]
fn a_promise_that_was_held_is_told_on_a_terminal() {
    let observed = good();
    insta::assert_snapshot!(text(&observed, &judge(&observed).unwrap()));
}

#[test]
fn a_promise_that_was_broken_is_told_on_a_terminal() {
    let observed = bad();
    insta::assert_snapshot!(text(&observed, &strictly(&observed)));
}

#[test]
fn a_program_is_told_the_same() {
    let observed = bad();
    let told: serde_json::Value = serde_json::from_str(&json(&observed, &strictly(&observed))).unwrap();
    insta::assert_snapshot!(format!("{told:#}"));
}

#[test]
fn a_ci_server_is_told_the_same() {
    let observed = bad();
    insta::assert_snapshot!("junit_broken", junit(&observed, &strictly(&observed)));
    let observed = good();
    insta::assert_snapshot!("junit_held", junit(&observed, &judge(&observed).unwrap()));
}

#[test]
fn a_run_that_was_cut_short_proves_nothing() {
    let observed = Observations { cut_short: Some("stopped".to_owned()), ..good() };
    let told = text(&observed, &judge(&observed).unwrap());
    assert!(
        told.ends_with(
            "NOT PROVEN: nothing was wrong in 90 requests over 2 flips, but the run was cut short\n"
        )
    );
    let nothing = Observations::default();
    let told = text(&nothing, &judge(&nothing).unwrap());
    assert!(told.ends_with("NOT PROVEN: there was no answer to judge\n"), "{told}");
}

#[test]
fn every_key_of_the_json_report_is_documented() {
    let page = include_str!("../../../../docs/prove-report.md");
    let observed = bad();
    let report: serde_json::Value = serde_json::from_str(&json(&observed, &strictly(&observed))).unwrap();
    let mut keys = Vec::new();
    all_keys(&report, &mut keys);
    for key in keys {
        assert!(page.contains(&format!("`{key}`")), "docs/prove-report.md does not explain `{key}`");
    }
}

fn all_keys(value: &serde_json::Value, keys: &mut Vec<String>) {
    if let Some(object) = value.as_object() {
        for (key, inside) in object {
            keys.push(key.clone());
            all_keys(inside, keys);
        }
    }
    if let Some(list) = value.as_array() {
        list.iter().for_each(|inside| all_keys(inside, keys));
    }
}

#[test]
fn a_page_for_colleagues_fetches_nothing_and_trusts_no_text() {
    let mut observed = bad();
    observed.pages[0] = "<script>alert('x')</script>\"".to_owned();
    observed.releases[0] = "r1<img src=x>".to_owned();
    observed.target = "http://\"><b>".to_owned();
    for observed in [observed, good(), Observations::default()] {
        let page = html(&observed, &strictly(&observed));
        for never in ["<script", "<img", "<b>\"", "<link", "href=", "src=\"", "@import", "url("] {
            assert!(!page.contains(never), "{never}");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert_eq!(
            page.matches("<svg").count(),
            page.matches("role=\"img\"").count(),
            "each plot has a name"
        );
        assert_eq!(page.matches("<svg").count(), page.matches("<desc").count(), "and is described");
    }
}

#[test]
fn an_answer_that_broke_the_promise_is_drawn_however_many_did_not() {
    let mut observed = good();
    let last = observed.responses.last_mut().unwrap();
    last.seen = Seen::Wrong("refused".into());
    let page = html(&observed, &judge(&observed).unwrap());
    assert_eq!(page.matches("class=\"crosses\"").count(), 1);
    assert_eq!(page.matches("class=\"convict\"").count(), 1);
    assert!(page.contains("Promise broken"));
}

#[test]
fn the_worst_of_each_kind_is_told_by_the_flip_next_to_it() {
    let observed = bad();
    let verdicts = strictly(&observed);
    let told = text(&observed, &verdicts);
    assert!(told.contains("stale by 13.1 ms: r1"), "{told}");
    assert!(told.contains("after the flip to r2 had returned"), "{told}");
    assert_eq!(verdicts.sessions.backwards.len(), 1);
}
