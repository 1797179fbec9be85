//! Turns: many pools asked at once, so that those which hang do not hold up the others, and all of it comes to an end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastcgi::Address;

use super::{NoLook, Question, Why};

/// Pools that are asked at once. A thread that waits costs next to nothing.
const AT_ONCE: usize = 64;

/// How long it may take until the last question is put. With the time that a pool has for its answer (3 s) that is the
/// longest that all pools together take; a hundred that hang take two rounds, 6 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks all pools, some at once, each its questions one after the other; the answers in the order of the questions. A pool
/// that gave no answer in time is not asked its next question, and after `last` nobody is asked.
pub(super) fn take(
    asked: &[(Address, Question)],
    last: Instant,
    one: impl Fn(&Address, &Question) -> Result<String, NoLook> + Sync,
) -> Vec<Result<String, NoLook>> {
    let mut of_each: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, (pool, _)) in asked.iter().enumerate() {
        of_each.entry(pool.to_string()).or_default().push(at);
    }
    let pools: Vec<(String, Vec<usize>)> = of_each.into_iter().collect();
    let next = AtomicUsize::new(0);
    let turn = || {
        let mut answers = Vec::new();
        while let Some((name, questions)) = pools.get(next.fetch_add(1, Ordering::Relaxed)) {
            let refused = |why: Why| Err(NoLook { what: format!("the pool {name}"), why });
            let mut hangs = false;
            for at in questions {
                let (pool, question) = &asked[*at];
                let answer = if hangs {
                    refused(Why::TimedOut)
                } else if Instant::now() >= last {
                    refused(Why::Failed("not asked any more: too many pools give no answer".into()))
                } else {
                    one(pool, question)
                };
                hangs |= matches!(&answer, Err(no) if no.why == Why::TimedOut);
                answers.push((*at, answer));
            }
        }
        answers
    };
    let mut answers: Vec<_> = thread::scope(|scope| {
        // What a thread that cannot be started would have done the others do, this one in any case.
        let others: Vec<_> = (1..pools.len().min(AT_ONCE))
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, turn).ok())
            .collect();
        let own = turn();
        own.into_iter().chain(others.into_iter().flat_map(|other| other.join().unwrap_or_default())).collect()
    });
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn status(pools: &[&str]) -> Vec<(Address, Question)> {
        let question = Question::Status { path: "/status".into() };
        pools.iter().map(|pool| (Address::parse(pool).unwrap(), question.clone())).collect()
    }

    #[test]
    fn pools_are_asked_at_once_and_answer_in_order() {
        let names: Vec<String> = (0..40).map(|n| format!("unix:/run/{n}.sock")).collect();
        let asked = status(&names.iter().map(String::as_str).collect::<Vec<_>>());
        // Nobody answers before all are asked.
        let all = Barrier::new(40);
        let answers = take(&asked, Instant::now() + Duration::from_secs(600), |pool, _| {
            all.wait();
            Ok(pool.to_string())
        });
        assert_eq!(answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(), names);
    }

    #[test]
    fn who_hangs_is_asked_once_and_nobody_is_asked_when_the_time_is_over() {
        let asked = status(&["unix:/run/a.sock", "unix:/run/a.sock", "unix:/run/b.sock"]);
        let count = AtomicUsize::new(0);
        let one = |pool: &Address, _: &Question| {
            count.fetch_add(1, Ordering::Relaxed);
            Err(NoLook { what: pool.to_string(), why: Why::TimedOut })
        };
        let late = take(&asked, Instant::now(), one);
        assert_eq!((late.len(), count.load(Ordering::Relaxed)), (3, 0));
        assert!(late[0].as_ref().unwrap_err().to_string().contains("not asked any more"), "{late:?}");
        let hang = take(&asked, Instant::now() + Duration::from_secs(600), one);
        assert!(hang.iter().all(|answer| answer.as_ref().unwrap_err().why == Why::TimedOut), "{hang:?}");
        assert_eq!(count.load(Ordering::Relaxed), 2, "a and b once each");
    }
}
