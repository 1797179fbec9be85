//! Act: what happens to the wiki while it is read and written, one after the other, and what must be live after each.

use crate::wiki::Mistake;

/// One thing that is done. Numbers are those of [`crate::wiki::VERSIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The source becomes this version, and is deployed.
    Deploy(u32),
    /// It becomes this version with a mistake in it, and the deploy is refused.
    Refused(u32, Mistake),
    /// Back to this version, which was live before the one that is.
    Rollback(u32),
    /// A flip to this version.
    Flip(u32),
}

/// The acts with so many flips (rounded to whole rounds), the first version being live.
#[must_use]
pub fn acts(flips: u64) -> Vec<Act> {
    let mut acts = vec![Act::Deploy(1)];
    let first = flips / 4 / 2 * 2;
    acts.extend(round(&[0, 1], first));
    acts.push(Act::Deploy(2));
    let second = flips / 4 / 3 * 3;
    acts.extend(round(&[0, 1, 2], second));
    acts.push(Act::Refused(3, Mistake::Typo));
    acts.push(Act::Refused(3, Mistake::Crash));
    // The rollback marks the third version bad: nobody flips to it any more.
    acts.push(Act::Rollback(1));
    acts.push(Act::Deploy(3));
    acts.extend(round(&[0, 1, 3], flips - first - second));
    acts
}

/// Which version is live after each.
#[must_use]
pub fn live_after(acts: &[Act]) -> Vec<u32> {
    let mut live = 0;
    let after = acts.iter().map(|act| match act {
        Act::Deploy(version) | Act::Rollback(version) | Act::Flip(version) => {
            live = *version;
            live
        }
        Act::Refused(_, _) => live,
    });
    after.collect()
}

fn round(versions: &[u32], count: u64) -> impl Iterator<Item = Act> {
    versions.iter().cycle().zip(0..count).map(|(version, _)| Act::Flip(*version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_flips_as_were_asked_for_and_a_rollback_leads_to_what_was_live_before() {
        for count in [0, 1, 7, 12, 200] {
            let acts = acts(count);
            let flips = acts.iter().filter(|act| matches!(act, Act::Flip(_))).count();
            assert_eq!(flips as u64, count);
            let live = live_after(&acts);
            let back = acts.iter().position(|act| matches!(act, Act::Rollback(_))).unwrap();
            assert_eq!(live[back - 1], 2);
            let before = live[..back].iter().rev().find(|live| **live != 2).unwrap();
            assert_eq!(acts[back], Act::Rollback(*before));
        }
    }

    #[test]
    fn a_refused_deploy_changes_nothing() {
        let acts = [Act::Deploy(1), Act::Refused(3, Mistake::Typo), Act::Flip(0)];
        assert_eq!(live_after(&acts), [1, 1, 0]);
    }
}
