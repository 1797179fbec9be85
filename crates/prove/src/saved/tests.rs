//! What is saved is read back; what is not ours is refused; nothing makes it panic.

use super::*;
use crate::observations::Response;
use crate::saved::write;
use proptest::prelude::*;

fn observed() -> Observations {
    let one = |seen| Response { page: 1, client: 7, due_ns: 1, sent_ns: 2, done_ns: 3, seen };
    Observations {
        releases: vec!["r1".into(), "r2".into()],
        pages: vec!["front".into(), "small \"quoted\"".into()],
        first: 1,
        flips: vec![
            Flip { to: 0, called_ns: 10, returned_ns: Some(20) },
            Flip { to: 1, called_ns: 30, returned_ns: None },
        ],
        responses: vec![
            one(Seen::Of(1)),
            one(Seen::AnyOf([0, 1].into())),
            one(Seen::Parts([1, 0].into())),
            one(Seen::Wrong("status 502\nand \u{7f} more".into())),
        ],
        took_ns: 99,
        reconnects: 4,
        cut_short: Some("the time was up".into()),
        target: "http://127.0.0.1:8080".into(),
        load: "16 connections".into(),
        began: "2026-11-22T20:00:00Z".into(),
        bottleneck: Some("busy".into()),
    }
}

fn saved(observed: &Observations) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(observed, &mut bytes).unwrap();
    bytes
}

fn again(bytes: &[u8]) -> Result<Observations, SavedError> {
    read(&mut &*bytes)
}

#[test]
fn what_is_saved_is_read_back() {
    assert_eq!(again(&saved(&observed())).unwrap(), observed());
}

#[test]
fn a_file_on_disk_is_read_back_and_one_that_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.prove");
    crate::saved::to_file(&observed(), &path).unwrap();
    assert_eq!(from_file(&path).unwrap(), observed());
    let missing = from_file(&dir.path().join("nothing")).unwrap_err();
    assert!(missing.to_string().ends_with("/nothing"), "{missing}");
}

/// Killed after any byte, what was saved before is kept, and the last line is whole or not there.
#[test]
fn wherever_a_run_was_killed_what_it_saved_before_is_kept_and_it_says_so() {
    let bytes = saved(&observed());
    let header = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    for until in header..bytes.len() - 1 {
        let found = again(&bytes[..until]);
        let Ok(found) = found else { panic!("cut after {until}: {found:?}") };
        let lines = bytes[..until].iter().filter(|byte| **byte == b'\n').count();
        let kept = found.flips.len() + found.responses.len();
        // A last line that lacks nothing but its end is whole.
        assert!(kept + 1 == lines || kept == lines, "{kept} of {lines} lines, cut after {until}");
        let ended = found.cut_short == observed().cut_short;
        assert!(ended == (until == bytes.len() - 1) || found.cut_short.unwrap().contains("killed"));
    }
}

#[test]
fn a_torn_last_line_is_cut_off_and_said() {
    let bytes = saved(&observed());
    let torn = bytes.len() - 10;
    let found = again(&bytes[..torn]).unwrap();
    assert_eq!(found.responses, observed().responses);
    assert!(found.cut_short.unwrap().contains("torn"));
    assert_eq!(found.took_ns, 3, "no more is known than the last answer");
}

#[test]
fn a_torn_line_in_the_middle_is_damage_and_its_place_is_said() {
    let text = String::from_utf8(saved(&observed())).unwrap();
    let broken = text.replacen("10,20]}", "10,", 1);
    let error = again(broken.as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("line 2 of the saved observations is damaged: "), "{error}");
    let twice = format!("{text}[0,0,1,2,3,1]\n");
    assert!(matches!(again(twice.as_bytes()), Err(SavedError::Damaged { line: 9, .. })));
}

#[test]
fn a_number_that_names_nothing_is_damage() {
    let text = String::from_utf8(saved(&observed())).unwrap();
    for (from, to) in
        [("[1,7,1,2,3,1]", "[1,7,1,2,3,2]"), ("[1,7,1,2,3,1]", "[2,7,1,2,3,1]"), ("[0,10", "[9,10")]
    {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text);
        assert!(matches!(again(wrong.as_bytes()), Err(SavedError::Damaged { .. })), "{to}");
    }
}

#[test]
fn a_foreign_or_newer_file_is_named_as_such() {
    for foreign in ["", "\n", "hello\n", "{}\n", "{\"format\":\"har\",\"version\":1}\n", "\u{0}\u{1}"] {
        assert!(matches!(again(foreign.as_bytes()), Err(SavedError::Foreign(_))), "{foreign:?}");
    }
    let newer = "{\"format\":\"cutover-prove\",\"version\":2,\"what\":\"ever\"}\n";
    let error = again(newer.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("use a newer one"), "{error}");
}

#[test]
fn the_documented_example_is_read() {
    let page = include_str!("../../../../docs/prove-format.md");
    let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let found = again(example.as_bytes()).unwrap();
    assert_eq!(found.cut_short, None);
    assert_eq!((found.flips.len(), found.responses.len()), (1, 4));
    let judged = crate::judge(&found).unwrap();
    assert_eq!(judged.total, crate::verdict::Tally { ok: 1, failed: 1, mixed: 1, stale: 1, slow: 0 });
    assert_eq!(saved(&found), example.as_bytes(), "written as it stands there");
}

proptest! {
    #[test]
    fn no_bytes_whatsoever_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(again(&bytes));
        let mut behind_a_header = saved(&Observations { flips: vec![], responses: vec![], ..observed() });
        behind_a_header.truncate(behind_a_header.iter().position(|byte| *byte == b'\n').unwrap() + 1);
        behind_a_header.extend(bytes);
        drop(again(&behind_a_header));
    }

}

proptest! {
    // Four reports each are not cheap.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damage that leaves most of a file as it was gets further than noise; what is still read is still judged.
    #[test]
    fn no_damage_makes_reading_judging_or_reporting_panic(
        hits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        digits in any::<bool>(),
    ) {
        let mut bytes = saved(&observed());
        for (at, byte) in hits {
            let at = at.index(bytes.len());
            bytes[at] = if digits { b'0' + byte % 10 } else { byte };
        }
        if let Ok(found) = again(&bytes)
            && let Ok(judged) = crate::judge(&found)
        {
            for told in [crate::report::text, crate::report::json, crate::report::junit, crate::report::html] {
                prop_assert!(!told(&found, &judged).is_empty());
            }
        }
    }
}
