//! Monotonic reads against hand-made sessions and against brute force.

use super::*;
use crate::observations::{Flip, Seen};
use crate::verdict::judge;
use proptest::prelude::*;

fn flip(to: u32, called_ns: u64, returned_ns: u64) -> Flip {
    Flip { to, called_ns, returned_ns: Some(returned_ns) }
}

fn of(client: u32, release: u32, sent_ns: u64, done_ns: u64) -> Response {
    Response { page: 0, client, due_ns: sent_ns, sent_ns, done_ns, seen: Seen::Of(release) }
}

fn sessions(flips: Vec<Flip>, responses: Vec<Response>) -> Sessions {
    let observed = Observations { flips, responses, ..Observations::default() };
    judge(&observed).unwrap().sessions
}

#[test]
fn a_client_that_sees_the_new_release_and_then_the_old_one_went_back() {
    let told = sessions(vec![flip(1, 10, 20)], vec![of(0, 1, 12, 14), of(0, 0, 15, 16), of(1, 0, 15, 16)]);
    assert_eq!(told, Sessions { clients: 2, wronged: 1, backwards: vec![Backwards { first: 0, then: 1 }] });
}

#[test]
fn two_clients_may_learn_of_a_flip_in_any_order() {
    let told = sessions(vec![flip(1, 10, 20)], vec![of(0, 1, 12, 14), of(1, 0, 13, 16), of(1, 1, 17, 18)]);
    assert_eq!(told.backwards, []);
}

#[test]
fn requests_under_way_at_the_same_time_are_not_compared() {
    let told = sessions(vec![flip(1, 10, 20)], vec![of(0, 1, 11, 14), of(0, 0, 12, 18)]);
    assert_eq!(told.backwards, []);
}

#[test]
fn a_release_that_comes_again_is_no_step_back() {
    let flips = vec![flip(1, 10, 20), flip(0, 30, 40)];
    assert_eq!(sessions(flips.clone(), vec![of(0, 1, 21, 22), of(0, 0, 31, 32)]).backwards, []);
    let then = vec![of(0, 0, 41, 42), of(0, 1, 43, 44)];
    assert_eq!(sessions(flips, then).backwards, [Backwards { first: 0, then: 1 }]);
}

#[test]
fn a_site_that_flaps_after_one_flip_goes_back_each_time() {
    let flapping = (0..6).map(|i| of(0, u32::from(i % 2 == 0), 30 + 4 * i, 31 + 4 * i)).collect();
    let told = sessions(vec![flip(1, 10, 20)], flapping);
    assert_eq!(told.backwards.len(), 3);
    assert_eq!(told.wronged, 1);
}

#[test]
fn failed_and_mixed_answers_show_nothing_about_newer_and_older() {
    let mixed = Response { seen: Seen::Parts([0, 1].into()), ..of(0, 0, 23, 24) };
    let told = sessions(vec![flip(1, 10, 20)], vec![of(0, 1, 21, 22), mixed, of(0, 7, 25, 26)]);
    assert_eq!(told.backwards, []);
}

/// Every choice of a write for each response, tried one after the other.
fn goes_forwards(responses: &[Response], timeline: &Timeline) -> bool {
    fn choose(responses: &[Response], timeline: &Timeline, chosen: &mut Vec<Option<usize>>) -> bool {
        let Some(response) = responses.get(chosen.len()) else { return true };
        let writes: Vec<Option<usize>> = match Allowed::of(response, timeline) {
            None => vec![None],
            Some(allowed) => {
                allowed.0.iter().flat_map(|spans| spans.iter()).map(|span| Some(span.write)).collect()
            }
        };
        writes.into_iter().any(|write| {
            let agrees = chosen.iter().zip(responses).all(|(earlier, other)| {
                let (Some(earlier), Some(write)) = (*earlier, write) else { return true };
                let follows =
                    |one: &Response, two: &Response| one.client == two.client && one.done_ns < two.sent_ns;
                (!follows(other, response) || earlier <= write)
                    && (!follows(response, other) || write <= earlier)
            });
            chosen.push(write);
            let found = agrees && choose(responses, timeline, chosen);
            chosen.pop();
            found
        })
    }
    choose(responses, timeline, &mut Vec::new())
}

fn histories() -> impl Strategy<Value = Observations> {
    let flips = proptest::collection::vec((1..3_u64, 0..4_u64, 0..3_u32), 0..5);
    let responses =
        proptest::collection::vec((0..20_u64, 0..6_u64, 0..4_u32, 0..2_u32, any::<Option<bool>>()), 0..7);
    (flips, any::<bool>(), responses).prop_map(|(gaps, last_failed, responses)| {
        let mut now = 0;
        let mut flips = Vec::new();
        for (gap, takes, to) in gaps {
            flips.push(flip(to, now + gap, now + gap + takes));
            now += gap + takes;
        }
        if let Some(last) = flips.last_mut()
            && last_failed
        {
            last.returned_ns = None;
        }
        let response = |(sent, takes, release, client, also)| {
            let one = of(client, release, sent, sent + takes);
            match also {
                Some(true) => Response { seen: Seen::AnyOf([release + 1, release].into()), ..one },
                Some(false) | None => one,
            }
        };
        let responses = responses.into_iter().map(response).collect();
        Observations { flips, responses, ..Observations::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn nobody_went_back_exactly_if_some_choice_of_writes_goes_forwards(observed in histories()) {
        let mut timeline = Timeline::of(&observed).unwrap();
        timeline.learn_from(&observed.responses);
        let found = Sessions::of(&observed, &timeline);
        prop_assert_eq!(found.backwards.is_empty(), goes_forwards(&observed.responses, &timeline));
    }

    #[test]
    fn who_went_back_asked_after_the_newer_answer_had_ended(observed in histories()) {
        for back in judge(&observed).unwrap().sessions.backwards {
            let (first, then) = (&observed.responses[back.first], &observed.responses[back.then]);
            prop_assert_eq!(first.client, then.client);
            prop_assert!(first.done_ns < then.sent_ns);
        }
    }
}
