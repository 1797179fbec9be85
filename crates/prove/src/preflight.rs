//! Preflight: each page is asked for once before anything is flooded or flipped, so that a site that cannot be judged is
//! told at once, and not by ten thousand verdicts.

use crate::client::{Client, Exchange};
use crate::evidence::Examiner;
use crate::fault::Fault;
use crate::http2::{Prepared2, Session, Stream2};
use crate::observations::Seen;
use crate::page::Page;
use crate::scenario::{Scenario, Speaking};

/// Why a site cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// A page cannot be asked for.
    #[error("cannot ask in HTTP/2 for what these pages name")]
    Page(#[from] http::Error),
    /// Nobody listens.
    #[error("the site is down: {target}: {fault}")]
    Down {
        /// Whom we asked.
        target: String,
        /// What came of it.
        fault: Fault,
    },
    /// There is no whole answer to this page.
    #[error("{path} is not answered ({page}): {fault}")]
    Unanswered {
        /// The page's name.
        page: String,
        /// Its path.
        path: String,
        /// What came of it.
        fault: Fault,
    },
    /// The site sends its visitors somewhere else.
    #[error(
        "{path} leads to {location} (status {status}): give that address instead, or a page that is there"
    )]
    Elsewhere {
        /// Its path.
        path: String,
        /// 301 or the like.
        status: u16,
        /// Where to.
        location: String,
    },
    /// The answer is none of any release.
    #[error("{path} is answered as no release would ({page}): {why}")]
    Foreign {
        /// The page's name.
        page: String,
        /// Its path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Asks for each page once. Whatever release answers is fine: what is live is not known yet.
///
/// # Errors
/// When a page has no answer that one of the scenario's releases would give.
pub async fn preflight(scenario: &Scenario) -> Result<(), PreflightError> {
    let mut asking = Asking::of(scenario);
    let examiner = Examiner::new(&scenario.releases, &scenario.marks);
    for page in scenario.pages.iter().filter(|page| page.weight > 0) {
        let Exchange { answer, .. } = asking.ask(scenario, page).await?;
        let (name, path) = (page.name.clone(), page.ask.path.clone());
        let answer = match answer {
            Err(fault @ Fault::Refused(_)) => {
                return Err(PreflightError::Down { target: scenario.target.to_string(), fault });
            }
            Err(fault) => {
                let fault = explained(fault, scenario.load.speaking);
                return Err(PreflightError::Unanswered { page: name, path, fault });
            }
            Ok(answer) => answer,
        };
        let why = match examiner.look(page, &Ok(answer)) {
            // A site that mixes its releases while it stands still is for the judge to convict.
            Seen::Of(_) | Seen::AnyOf(_) | Seen::Parts(_) => continue,
            Seen::Wrong(why) => why.into(),
        };
        let elsewhere = answer.header("location").filter(|_| (300..400).contains(&answer.status));
        return Err(match elsewhere {
            Some(to) => PreflightError::Elsewhere { path, status: answer.status, location: to.to_owned() },
            None => PreflightError::Foreign { page: name, path, why },
        });
    }
    Ok(())
}

/// Somebody who asks, whatever is spoken.
enum Asking {
    Http1(Box<Client>),
    Http2(Stream2),
}

impl Asking {
    fn of(scenario: &Scenario) -> Self {
        let (target, clock) = (&scenario.target, scenario.clock);
        match scenario.load.speaking {
            Speaking::Http1 | Speaking::Pipelined { .. } => {
                Self::Http1(Box::new(Client::new(target.clone(), clock, scenario.load.patience)))
            }
            Speaking::Http2 { .. } => Self::Http2(Stream2::new(Session::new(target), clock)),
        }
    }

    async fn ask(&mut self, scenario: &Scenario, page: &Page) -> Result<Exchange<'_>, http::Error> {
        match self {
            Self::Http1(client) => Ok(client.ask(&page.ask, true).await),
            Self::Http2(stream) => {
                let prepared = Prepared2::new(&page.ask, &scenario.target)?;
                Ok(stream.ask(&prepared, scenario.load.patience).await)
            }
        }
    }
}

/// What a server that knows HTTP/1 only says to HTTP/2 is no answer, and hard to read.
fn explained(fault: Fault, speaking: Speaking) -> Fault {
    match (fault, speaking) {
        (Fault::Unanswered(why), Speaking::Http2 { .. }) => Fault::Unanswered(std::io::Error::other(
            format!("{why}; does the site speak HTTP/2 there, over http by prior knowledge?"),
        )),
        (fault, Speaking::Http1 | Speaking::Pipelined { .. } | Speaking::Http2 { .. }) => fault,
    }
}
