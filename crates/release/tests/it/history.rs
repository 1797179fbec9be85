//! The history: torn anywhere it heals, damaged in its middle it is refused.

use crate::shop::{Shop, id};
use proptest::prelude::*;
use release::history::{self, Event, HistoryError, What};
use std::fs;
use std::time::{Duration, SystemTime};

fn event(name: &str, what: What, at: u64) -> Event {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(at);
    Event { time, id: id(name), what, who: "deploy@web1".into() }
}

fn story(said: &[(&str, What)]) -> Vec<Event> {
    said.iter().enumerate().map(|(at, (name, what))| event(name, *what, at as u64)).collect()
}

#[test]
fn what_was_noted_is_read_in_order() {
    let shop = Shop::with(&[]);
    assert_eq!(history::read(&shop.app).unwrap(), []);
    let events = story(&[("r1", What::Live), ("r1", What::Good), ("r2", What::Live), ("r2", What::Bad)]);
    for event in &events {
        history::append(&shop.app, event).unwrap();
    }
    assert_eq!(history::read(&shop.app).unwrap(), events);
}

#[test]
fn a_history_torn_at_any_byte_loses_at_most_its_last_line() {
    let shop = Shop::with(&[]);
    let events = story(&[("r1", What::Live), ("r1", What::Good), ("r2", What::Live)]);
    for event in &events {
        history::append(&shop.app, event).unwrap();
    }
    let whole = fs::read(shop.app.history()).unwrap();
    let more = event("r3", What::Live, 9);
    for end in 0..=whole.len() {
        fs::write(shop.app.history(), &whole[..end]).unwrap();
        let lines = whole[..end].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(history::read(&shop.app).unwrap(), events[..lines], "torn at {end}");
        history::append(&shop.app, &more).unwrap();
        let want: Vec<Event> = events[..lines].iter().chain([&more]).cloned().collect();
        assert_eq!(history::read(&shop.app).unwrap(), want, "torn at {end}");
    }
}

#[test]
fn a_history_damaged_in_its_middle_is_refused_and_not_added_to() {
    let shop = Shop::with(&[]);
    for event in story(&[("r1", What::Live), ("r2", What::Live)]) {
        history::append(&shop.app, &event).unwrap();
    }
    let whole = fs::read(shop.app.history()).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap();
    for at in 0..first {
        let mut rotten = whole.clone();
        rotten[at] ^= 1;
        fs::write(shop.app.history(), &rotten).unwrap();
        let want = HistoryError::Damaged { path: shop.app.history(), line: 1 };
        assert_eq!(history::read(&shop.app), Err(want.clone()), "at {at}");
        assert_eq!(history::append(&shop.app, &event("r3", What::Live, 3)), Err(want));
        assert_eq!(fs::read(shop.app.history()).unwrap(), rotten);
    }
}

#[test]
fn rolling_back_goes_to_what_was_good_before_and_never_forward() {
    use What::{Bad, Good, Live};
    for (said, now, want) in [
        (&[("a", Live), ("a", Good), ("b", Live)][..], "b", Some("a")),
        (&[("a", Live), ("b", Live)], "b", None),
        (&[("a", Live), ("a", Good), ("a", Bad), ("b", Live)], "b", None),
        (&[("a", Live), ("a", Good), ("b", Live), ("b", Bad), ("c", Live)], "c", Some("a")),
        // c was left by rolling back to b; rolling back again goes on to a.
        (
            &[("a", Live), ("a", Good), ("b", Live), ("b", Good), ("c", Live), ("c", Good), ("b", Live)],
            "b",
            Some("a"),
        ),
        (&[("a", Live), ("a", Good)], "a", None),
        // The link was flipped by another tool: every release of ours came before.
        (&[("a", Live), ("a", Good)], "x", Some("a")),
        (&[], "a", None),
    ] {
        assert_eq!(history::last_good_before(&story(said), &id(now)), want.map(id), "{said:?}");
    }
}

#[test]
fn when_a_release_was_live_and_was_left_can_be_told() {
    let events = story(&[("a", What::Live), ("b", What::Live), ("b", What::Live), ("a", What::Live)]);
    let at = |ms| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
    assert_eq!((history::when_live(&events, &id("a")), history::when_left(&events, &id("a"))), (at(3), None));
    assert_eq!(
        (history::when_live(&events, &id("b")), history::when_left(&events, &id("b"))),
        (at(2), at(3))
    );
    assert_eq!(history::last_live(&events), Some(&id("a")));
}

#[test]
fn a_foreign_flip_is_noted_once() {
    let shop = Shop::with(&[]);
    assert!(history::note_live(&shop.app, &id("r1"), "unknown").unwrap());
    assert!(!history::note_live(&shop.app, &id("r1"), "unknown").unwrap());
    assert_eq!(history::read(&shop.app).unwrap().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_name_of_a_person_stays_one_line(who in any::<String>()) {
        let shop = Shop::with(&[]);
        history::append(&shop.app, &Event { who, ..event("r1", What::Live, 1) }).unwrap();
        history::append(&shop.app, &event("r2", What::Live, 2)).unwrap();
        let ids: Vec<_> = history::read(&shop.app).unwrap().into_iter().map(|event| event.id).collect();
        prop_assert_eq!(ids, [id("r1"), id("r2")]);
    }
}
