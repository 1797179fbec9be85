//! Phase: which step comes next. Pure: it is told what happened and touches nothing.

use crate::journal::{Ending, Entry, Said};
use crate::plan::{Aim, Plan};
use crate::receipt::{Receipt, Step};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This step.
    Run(Step),
    /// Nothing: the deploy ended so.
    End(Ending),
}

/// A journal that no deploy can have written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the journal makes no sense: {what}")]
pub struct Illegal {
    /// The line, counted from 1.
    pub line: usize,
    /// Why.
    pub what: String,
}

/// Which step comes next, or how it ended. A step that was started and has no line after is the next again: whoever
/// finds that in the journal of a killed deploy decides first whether it was done (see [`crate::recover`]).
pub fn next(plan: &Plan, entries: &[Entry]) -> Result<Next, Illegal> {
    let mut now = first(plan);
    let mut in_hand = None;
    for (index, entry) in entries.iter().enumerate() {
        let illegal = |what: String| Illegal { line: index + 1, what };
        match &entry.said {
            Said::Begin(_) if index == 0 => {}
            Said::Begin(_) => return Err(illegal("a second beginning".into())),
            Said::Started(step) if now == Next::Run(*step) => in_hand = Some(*step),
            Said::Started(step) => return Err(illegal(format!("{step} was started out of turn"))),
            Said::Done(receipt) if in_hand == Some(receipt.step()) => {
                now = after(plan, receipt);
                in_hand = None;
            }
            Said::Done(receipt) => {
                return Err(illegal(format!("{} was done but not begun", receipt.step())));
            }
            Said::Failed { step, .. } if in_hand == Some(*step) => {
                now = after_failure(plan, *step, entries.get(..index).unwrap_or_default());
                in_hand = None;
            }
            Said::Failed { step, .. } => return Err(illegal(format!("{step} failed but was not begun"))),
            Said::End(ending) if now == Next::End(*ending) => {}
            Said::End(ending) => return Err(illegal(format!("it ended as {ending:?} too early"))),
        }
    }
    Ok(now)
}

fn first(plan: &Plan) -> Next {
    match plan.aim {
        Aim::Deploy { .. } => Next::Run(Step::Build),
        Aim::Rollback { .. } => Next::Run(Step::Flip),
        Aim::Restore { .. } => Next::Run(Step::Stage),
    }
}

fn after(plan: &Plan, receipt: &Receipt) -> Next {
    match receipt {
        Receipt::Built { unchanged: true, .. } => Next::End(Ending::Unchanged),
        Receipt::Built { .. } => Next::Run(Step::Stage),
        Receipt::Staged { .. } => Next::Run(Step::Seal),
        Receipt::Sealed { .. } => Next::Run(Step::Warm),
        Receipt::Warmed { .. } => Next::Run(Step::Flip),
        Receipt::Flipped { .. } => Next::Run(Step::Verify),
        Receipt::Verified { .. } => Next::Run(Step::Settle),
        // Going back is for haste: what it left may be wanted for a look.
        Receipt::Settled { .. } if plan.is_rollback() => Next::End(Ending::Live),
        Receipt::Settled { .. } => Next::Run(Step::Prune),
        Receipt::Pruned { .. } => Next::End(Ending::Live),
        Receipt::Undone { .. } => Next::End(Ending::Undone),
        Receipt::FlippedBack { .. } => Next::End(Ending::FlippedBack),
    }
}

fn after_failure(plan: &Plan, step: Step, before: &[Entry]) -> Next {
    let left_one =
        before.iter().any(|entry| matches!(&entry.said, Said::Done(Receipt::Flipped { from: Some(_), .. })));
    match step {
        Step::Build | Step::Stage | Step::Seal | Step::Warm | Step::Flip => Next::Run(Step::Undo),
        // Who goes back left something that is bad: not again to that.
        Step::Verify if plan.is_rollback() || !left_one => Next::End(Ending::Unhealthy),
        Step::Verify => Next::Run(Step::FlipBack),
        // These report; should one fail after all, the release is live.
        Step::Settle | Step::Prune => Next::End(Ending::Live),
        Step::Undo => Next::End(Ending::Undone),
        Step::FlipBack => Next::End(Ending::Unhealthy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Revision;
    use release::ReleaseId;

    fn id(text: &str) -> ReleaseId {
        ReleaseId::parse(text).unwrap()
    }

    fn deploy() -> Plan {
        let aim = Aim::Deploy { reference: None, only_if_changed: false };
        Plan { aim, previous: Some(id("r1")), who: "alice".into(), at_ms: 0 }
    }

    fn rollback() -> Plan {
        let aim = Aim::Rollback { to: id("r1"), forced: false, leaves_bad: true };
        Plan { aim, previous: Some(id("r2")), who: "alice".into(), at_ms: 0 }
    }

    fn receipt(step: Step) -> Receipt {
        match step {
            Step::Build => Receipt::Built {
                release: id("r2"),
                tree: "/t".into(),
                revision: Revision::default(),
                unchanged: false,
            },
            Step::Stage => Receipt::Staged { files: 1, bytes: 1, bytes_copied: 1 },
            Step::Seal => Receipt::Sealed { manifest: String::new(), entries: 1 },
            Step::Warm => Receipt::Warmed { compiled: 0, requests: 0, warnings: Vec::new() },
            Step::Flip => Receipt::Flipped { from: Some(id("r1")), took_us: 1 },
            Step::Verify => Receipt::Verified { asked: None },
            Step::Settle => Receipt::Settled { problems: Vec::new() },
            Step::Prune => Receipt::Pruned { gone: Vec::new(), problems: Vec::new() },
            Step::Undo => Receipt::Undone { problems: Vec::new() },
            Step::FlipBack => Receipt::FlippedBack { to: Some(id("r1")), problems: Vec::new() },
        }
    }

    /// Runs the loop, with this step failing; gives the steps in their order and the end.
    fn story(plan: &Plan, fails: Option<Step>) -> (Vec<Step>, Ending) {
        let mut entries = vec![Entry { at_ms: 0, said: Said::Begin(plan.clone()) }];
        let mut steps = Vec::new();
        loop {
            let step = match next(plan, &entries).unwrap() {
                Next::End(ending) => return (steps, ending),
                Next::Run(step) => step,
            };
            steps.push(step);
            let said = match fails == Some(step) {
                true => Said::Failed { step, why: "so".into() },
                false => Said::Done(receipt(step)),
            };
            entries.extend([Said::Started(step), said].map(|said| Entry { at_ms: 0, said }));
        }
    }

    #[test]
    fn a_deploy_goes_through_its_steps_in_their_order() {
        use Step::*;
        let all = vec![Build, Stage, Seal, Warm, Flip, Verify, Settle, Prune];
        assert_eq!(story(&deploy(), None), (all, Ending::Live));
        assert_eq!(story(&rollback(), None), (vec![Flip, Verify, Settle], Ending::Live));
    }

    #[test]
    fn what_fails_before_the_flip_is_undone_and_after_it_flipped_back() {
        use Step::*;
        for fails in [Build, Stage, Seal, Warm, Flip] {
            let (steps, ending) = story(&deploy(), Some(fails));
            assert_eq!((steps.last(), ending), (Some(&Undo), Ending::Undone), "{fails}");
        }
        let (steps, ending) = story(&deploy(), Some(Verify));
        assert_eq!((steps.last(), ending), (Some(&FlipBack), Ending::FlippedBack));
        assert_eq!(story(&rollback(), Some(Verify)).1, Ending::Unhealthy);
        assert_eq!(story(&deploy(), Some(Prune)).1, Ending::Live);
    }

    #[test]
    fn a_history_that_cannot_be_is_refused() {
        let plan = deploy();
        let entry = |said| Entry { at_ms: 0, said };
        let begin = || entry(Said::Begin(plan.clone()));
        for (said, line) in [
            (vec![begin(), begin()], 2),
            (vec![begin(), entry(Said::Started(Step::Flip))], 2),
            (vec![begin(), entry(Said::Done(receipt(Step::Build)))], 2),
            (vec![begin(), entry(Said::Started(Step::Build)), entry(Said::Done(receipt(Step::Flip)))], 3),
            (vec![begin(), entry(Said::End(Ending::Live))], 2),
        ] {
            assert_eq!(next(&plan, &said).unwrap_err().line, line);
        }
    }
}
