//! The judge against hand-made histories and against brute force.

use super::*;
use crate::observations::Flip;
use proptest::prelude::*;

fn flip(to: u32, called_ns: u64, returned_ns: u64) -> Flip {
    Flip { to, called_ns, returned_ns: Some(returned_ns) }
}

fn of(release: u32, sent_ns: u64, done_ns: u64) -> Response {
    Response { page: 0, client: 0, due_ns: sent_ns, sent_ns, done_ns, seen: Seen::Of(release) }
}

fn history(flips: Vec<Flip>, responses: Vec<Response>) -> Observations {
    Observations { pages: vec!["page".into()], flips, responses, ..Observations::default() }
}

fn verdicts(flips: Vec<Flip>, responses: Vec<Response>) -> Vec<Verdict> {
    let count = responses.len();
    let judged = judge(&history(flips, responses)).unwrap();
    let mut all = vec![Verdict::Ok; count];
    for (at, verdict) in judged.convicted {
        all[at] = verdict;
    }
    all
}

#[test]
fn a_request_that_begins_after_the_flip_returned_gets_the_new_release() {
    let told = verdicts(vec![flip(1, 10, 20)], vec![of(1, 21, 30), of(0, 21, 30)]);
    assert_eq!(told, [Verdict::Ok, Verdict::Stale { late_ns: Some(1) }]);
}

#[test]
fn a_request_that_ends_before_the_flip_is_called_gets_the_old_release() {
    let told = verdicts(vec![flip(1, 10, 20)], vec![of(0, 1, 9), of(1, 1, 9)]);
    assert_eq!(told, [Verdict::Ok, Verdict::Stale { late_ns: None }]);
}

#[test]
fn a_request_that_overlaps_the_flip_may_get_either() {
    let told = verdicts(vec![flip(1, 10, 20)], vec![of(0, 19, 50), of(1, 1, 50), of(0, 1, 50), of(1, 5, 11)]);
    // The last one had the new release at 11: the first, sent at 19, came too late for the old one.
    assert_eq!(told, [Verdict::Stale { late_ns: Some(8) }, Verdict::Ok, Verdict::Ok, Verdict::Ok]);
}

#[test]
fn a_slow_request_may_get_any_release_that_was_live_meanwhile() {
    let flips = || vec![flip(1, 10, 20), flip(2, 30, 40), flip(0, 50, 60)];
    let told = verdicts(flips(), vec![of(0, 5, 45), of(1, 5, 45), of(2, 5, 45), of(1, 41, 70)]);
    assert_eq!(told, [Verdict::Ok, Verdict::Ok, Verdict::Ok, Verdict::Stale { late_ns: Some(1) }]);
    assert_eq!(verdicts(flips(), vec![of(0, 41, 70)]), [Verdict::Ok], "the same release, live once more");
}

#[test]
fn a_flip_that_failed_may_have_happened_or_not() {
    let failed = Flip { to: 1, called_ns: 10, returned_ns: None };
    let told = verdicts(vec![failed], vec![of(0, 90, 99), of(1, 91, 99), of(1, 1, 9), of(0, 100, 110)]);
    let stale = |late_ns| Verdict::Stale { late_ns };
    assert_eq!(told, [Verdict::Ok, Verdict::Ok, stale(None), stale(Some(1))]);
}

#[test]
fn an_answer_that_both_releases_give_shows_nothing_about_the_flip() {
    let either = Response { seen: Seen::AnyOf([1, 0].into()), ..of(0, 5, 12) };
    assert_eq!(verdicts(vec![flip(1, 10, 20)], vec![either, of(0, 14, 16)]), [Verdict::Ok, Verdict::Ok]);
}

#[test]
fn parts_are_mixed_and_wrong_answers_failed_whenever_they_came() {
    let seen = |seen| Response { seen, ..of(0, 1, 2) };
    let told = verdicts(vec![], vec![seen(Seen::Parts([0, 1].into())), seen(Seen::Wrong("502".into()))]);
    assert_eq!(told, [Verdict::Mixed, Verdict::Failed]);
}

#[test]
fn a_release_that_was_never_live_is_stale() {
    assert_eq!(verdicts(vec![flip(1, 10, 20)], vec![of(7, 1, 99)]), [Verdict::Stale { late_ns: None }]);
}

#[test]
fn pages_are_tallied_by_themselves() {
    let mut observed = history(vec![], vec![of(0, 1, 2), of(1, 1, 2)]);
    observed.pages.push("other".into());
    observed.responses[1].page = 1;
    let judged = judge(&observed).unwrap();
    assert_eq!(judged.by_page[0], Tally { ok: 1, ..Tally::default() });
    assert_eq!(judged.by_page[1], Tally { stale: 1, ..Tally::default() });
    assert_eq!((judged.total.all(), judged.holds()), (2, false));
}

#[test]
fn intervals_that_are_none_are_refused() {
    let error = |flips, responses| judge(&history(flips, responses)).unwrap_err();
    assert_eq!(error(vec![flip(1, 10, 20), flip(0, 19, 30)], vec![]), JudgeError::Flips(1));
    assert_eq!(error(vec![flip(1, 10, 9)], vec![]), JudgeError::Flips(0));
    assert_eq!(error(vec![], vec![of(0, 2, 1)]), JudgeError::Response(0));
}

#[test]
fn what_takes_longer_than_the_bound_from_when_it_was_due_is_slow_and_breaks_the_promise_only_if_asked() {
    let late = Response { due_ns: 1, ..of(0, 50, 60) };
    let observed = history(vec![], vec![late, of(0, 50, 60), of(1, 1, 99)]);
    let judged = |slow| judge_by(&observed, Standard { slow }).unwrap();
    let counted = judged(Slowness::Counted { over_ns: 50 });
    assert_eq!((counted.total.slow, counted.total.ok, counted.total.stale), (1, 1, 1));
    assert_eq!(counted.convicted, [(2, Verdict::Stale { late_ns: None })], "stale outweighs slow");
    assert_eq!(judged(Slowness::Breach { over_ns: 50 }).convicted[0], (0, Verdict::Slow));
    assert_eq!(judged(Slowness::Breach { over_ns: 59 }).total.slow, 0);
}

/// A judge that compared each response with each flip would not end in a day.
#[test]
fn three_hundred_thousand_responses_over_thirty_thousand_flips_are_judged() {
    let flips = (0..30_000_u64).map(|i| flip(((i + 1) % 2) as u32, i * 100 + 50, i * 100 + 60)).collect();
    let responses = (0..300_000_u64).map(|i| of(((i / 10) % 2) as u32, i * 10 + 2, i * 10 + 45)).collect();
    assert_eq!(judge(&history(flips, responses)).unwrap().total.all(), 300_000);
}

/// Every way in which the flips may have happened: one moment for each, between its call and its return.
fn schedules(flips: &[Flip], end: u64) -> Vec<Vec<u64>> {
    flips.iter().fold(vec![Vec::new()], |known, flip| {
        let moments = flip.called_ns..=flip.returned_ns.unwrap_or(end);
        let longer = |schedule: &Vec<u64>, moment| schedule.iter().copied().chain([moment]).collect();
        known
            .iter()
            .flat_map(|schedule| moments.clone().map(move |moment| longer(schedule, moment)))
            .collect()
    })
}

/// Whether this response can be a read at some moment of its interval, had the flips happened so. At the very moment of a
/// flip both the old and the new release may be read (the clock is coarser than the world).
fn readable(response: &Response, flips: &[Flip], schedule: &[u64]) -> bool {
    let (Seen::Of(_) | Seen::AnyOf(_)) = response.seen else { return false };
    (response.sent_ns..=response.done_ns).any(|now| {
        let before = schedule.iter().filter(|moment| **moment < now).count();
        let by = schedule.iter().filter(|moment| **moment <= now).count();
        (before..=by).any(|write| {
            let live = if write == 0 { 0 } else { flips[write - 1].to };
            candidates(&response.seen).contains(&live)
        })
    })
}

const END: u64 = 16;

/// Up to three flips, the last of which may have failed, and up to four responses; short, so that all schedules can be tried.
fn histories(distinct: bool) -> impl Strategy<Value = Observations> {
    let flips = proptest::collection::vec((1..3_u64, 0..6_u64, 0..3_u32), 0..4);
    let responses = proptest::collection::vec((0..END, 0..8_u64, 0..4_u32, any::<Option<bool>>()), 0..5);
    (flips, any::<bool>(), responses).prop_map(move |(gaps, last_failed, responses)| {
        let mut now = 0;
        let mut flips = Vec::new();
        for (number, (gap, takes, to)) in gaps.into_iter().enumerate() {
            let to = if distinct { number as u32 + 1 } else { to };
            flips.push(flip(to, now + gap, now + gap + takes));
            now += gap + takes;
        }
        if let Some(last) = flips.last_mut()
            && last_failed
        {
            last.returned_ns = None;
        }
        let responses = responses.into_iter().map(|(sent, takes, release, also)| match also {
            Some(later) if !distinct => {
                let any = if later { [release, release + 1] } else { [release + 1, release] };
                Response { seen: Seen::AnyOf(any.into()), ..of(release, sent, sent + takes) }
            }
            Some(_) | None => of(release, sent, sent + takes),
        });
        history(flips, responses.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn one_response_alone_is_judged_exactly(mut observed in histories(false), which in any::<proptest::sample::Index>()) {
        prop_assume!(!observed.responses.is_empty());
        observed.responses = vec![which.get(&observed.responses).clone()];
        let response = &observed.responses[0];
        let possible = schedules(&observed.flips, END * 2)
            .iter()
            .any(|schedule| readable(response, &observed.flips, schedule));
        prop_assert_eq!(judge(&observed).unwrap().convicted.is_empty(), possible);
    }

    #[test]
    fn a_linearizable_history_is_never_convicted(observed in histories(false)) {
        let linearizable = schedules(&observed.flips, END * 2)
            .iter()
            .any(|schedule| observed.responses.iter().all(|one| readable(one, &observed.flips, schedule)));
        if linearizable {
            let judged = judge(&observed).unwrap();
            prop_assert_eq!(judged.convicted, vec![]);
            prop_assert_eq!(judged.sessions.backwards, vec![]);
        }
    }

    #[test]
    fn with_releases_that_never_return_the_acquitted_are_exactly_the_linearizable(observed in histories(true)) {
        let linearizable = schedules(&observed.flips, END * 2)
            .iter()
            .any(|schedule| observed.responses.iter().all(|one| readable(one, &observed.flips, schedule)));
        prop_assert_eq!(judge(&observed).unwrap().convicted.is_empty(), linearizable);
    }
}
