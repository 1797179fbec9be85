//! Descriptors: as many as the system lets this process have, for each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More is of no use, and what programs we start might close one by one.
const WANTED: u64 = 65_536;

/// Raises the soft limit towards the hard one (a login shell's soft limit is 1,024). Gives the limit that holds now,
/// `None` if there is none.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(WANTED, |most| most.min(WANTED));
    if limit.current.is_some_and(|now| now < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        // Up to the hard limit it is always granted; if not, the old one still holds.
        setrlimit(Resource::Nofile, raised).ok();
    }
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_rises_as_far_as_it_may_and_never_falls() {
        let before = getrlimit(Resource::Nofile);
        let now = raise();
        assert_eq!(now, getrlimit(Resource::Nofile).current);
        assert!(now.is_none_or(|now| before.current.is_some_and(|before| now >= before)));
        let reachable = before.maximum.map_or(WANTED, |most| most.min(WANTED));
        assert!(now.is_none_or(|now| now >= reachable));
    }
}
