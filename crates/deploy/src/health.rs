//! Health: a release is asked whether it is well: before the flip through the pool with its own paths, after it as
//! visitors ask.

mod script;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use config::Says;
use config::host::Health;
use config::value::{Listen, ListenAt};
use fastcgi::Address;
use fastcgi::blocking::{self, BlockingError, Limits};
use release::ReleaseId;

use crate::engine::Deploy;
use crate::web::{self, WebError};

pub use script::Found;
pub(crate) use script::mapped;

/// What is asked.
pub struct Subject<'a, 'd> {
    /// The deploy.
    pub deploy: &'a Deploy<'d>,
    /// How the release wants to be served.
    pub says: &'a Says,
    /// The release.
    pub id: &'a ReleaseId,
    /// Its directory, canonical.
    pub dir: &'a Path,
}

/// Why a release is ill.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// It answered otherwise than it should.
    #[error("{asked} answered {status}, not {expected}{}", first_words(said))]
    Status {
        /// What was asked.
        asked: String,
        /// What it answered.
        status: u16,
        /// What it should have.
        expected: String,
        /// The beginning of its answer, or of what it wrote into the log.
        said: String,
    },
    /// The pool gave no answer.
    #[error("{asked}: {}", with_reason(source))]
    Pool {
        /// What was asked.
        asked: String,
        /// Why.
        source: BlockingError,
    },
    /// The live site gave no answer.
    #[error("{asked}: {source}")]
    Web {
        /// What was asked.
        asked: String,
        /// Why.
        source: WebError,
    },
    /// Another release answered than is live.
    #[error("{asked} was answered by {by}, not by {release}")]
    OtherRelease {
        /// What was asked.
        asked: String,
        /// What the answer says of itself.
        by: String,
        /// What is live.
        release: ReleaseId,
    },
}

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks the staged release for its health, so often as is configured. Gives how many requests were answered.
pub fn staged(subject: &Subject<'_, '_>, health: &Health) -> Result<u64, HealthError> {
    again(health.attempts, || {
        let asked = format!("{} of {}", health.path, subject.id);
        let Some((status, said)) =
            ask(subject, &health.path, health.timeout, subject.deploy.asked().first())?
        else {
            return Ok(0);
        };
        match status == health.expect {
            true => Ok(1),
            false => Err(HealthError::Status { asked, status, expected: health.expect.to_string(), said }),
        }
    })
}

/// Asks the staged release for a page at one pool, so that the next who does gets it faster. Gives how many were
/// answered.
pub fn warm_up(subject: &Subject<'_, '_>, path: &str, pool: Option<&Address>) -> Result<u64, HealthError> {
    let asked = format!("{path} of {}", subject.id);
    match ask(subject, path, subject.limit(), pool)? {
        None => Ok(0),
        Some((status, _)) if status < 500 => Ok(1),
        Some((status, said)) => {
            Err(HealthError::Status { asked, status, expected: "below 500".into(), said })
        }
    }
}

/// Whether a script of the release answers this path, so that asking for it warms something.
pub fn runs_script(subject: &Subject<'_, '_>, path: &str) -> bool {
    match script::find(subject, path) {
        Found::Script(_) => true,
        Found::File | Found::Nothing => false,
    }
}

/// Asks the live site; says what was asked.
pub fn live(subject: &Subject<'_, '_>, health: &Health) -> Result<String, HealthError> {
    again(health.attempts, || {
        let host = subject.host();
        let (url, host) = match (&health.url, listening(subject)) {
            (Some(url), _) => (url.clone(), None),
            (None, Some(at)) => (format!("http://{at}{}", health.path), Some(host)),
            // Nobody of ours listens: the pool with the paths of what is live is as near as we come.
            (None, None) => {
                return staged(subject, health).map(|_| format!("{} through the pool", health.path));
            }
        };
        let answer = web::get(&url, host.as_deref(), health.timeout)
            .map_err(|source| HealthError::Web { asked: url.clone(), source })?;
        if let Some(by) = answer.release.filter(|by| *by != subject.id.as_str()) {
            return Err(HealthError::OtherRelease { asked: url, by, release: subject.id.clone() });
        }
        match answer.status == health.expect {
            true => Ok(url),
            false => {
                let (status, expected) = (answer.status, health.expect.to_string());
                Err(HealthError::Status { asked: url, status, expected, said: answer.body })
            }
        }
    })
}

impl Subject<'_, '_> {
    /// The host name that is asked for.
    pub(crate) fn host(&self) -> String {
        let hosts = self.deploy.config.host.serve.hosts.iter().map(ToString::to_string);
        hosts.into_iter().find(|host| !host.contains('*')).unwrap_or_else(|| "localhost".into())
    }

    fn limit(&self) -> Duration {
        self.deploy.config.host.php.as_ref().map_or(Duration::from_secs(60), |php| php.read_timeout)
    }
}

/// Asks the release at its own paths: the status and the beginning of the answer; `None`: a script, and no pool runs.
fn ask(
    subject: &Subject<'_, '_>,
    target: &str,
    timeout: Duration,
    pool: Option<&Address>,
) -> Result<Option<(u16, String)>, HealthError> {
    let script = match script::find(subject, target) {
        Found::File => return Ok(Some((200, String::new()))),
        Found::Nothing => return Ok(Some((404, String::new()))),
        Found::Script(script) => script,
    };
    let Some(pool) = pool else { return Ok(None) };
    let params = script.params(subject, target);
    let limits = Limits { total: timeout, ..Limits::default() };
    let asked = || format!("{target} of {} at {pool}", subject.id);
    let answer = blocking::send(pool, &params, b"", limits)
        .map_err(|source| HealthError::Pool { asked: asked(), source })?;
    let said = if answer.stderr.is_empty() { &answer.body } else { &answer.stderr };
    Ok(Some((answer.head.status, String::from_utf8_lossy(said).into_owned())))
}

/// The first socket of `serve.listen` that speaks plain HTTP and on which somebody answers.
fn listening(subject: &Subject<'_, '_>) -> Option<SocketAddr> {
    let listens = &subject.deploy.config.host.serve.listen;
    let plain = |listen: &&Listen| !listen.tls && !listen.proxy_protocol && !listen.fastcgi;
    listens.iter().filter(plain).find_map(|listen| {
        let ListenAt::Tcp(mut at) = listen.at else { return None };
        if at.ip().is_unspecified() {
            at.set_ip(match at.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let there = at.port() != 0 && TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_ok();
        there.then_some(at)
    })
}

fn again<T>(attempts: u32, mut ask: impl FnMut() -> Result<T, HealthError>) -> Result<T, HealthError> {
    let mut left = attempts;
    loop {
        match ask() {
            Err(_) if left > 1 => std::thread::sleep(PAUSE),
            done => return done,
        }
        left -= 1;
    }
}

/// The first line that says something, cut short.
fn first_words(said: &str) -> String {
    let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
    if line.is_empty() { line } else { format!(": {line}") }
}

fn with_reason(error: &BlockingError) -> String {
    match std::error::Error::source(error) {
        Some(why) => format!("{error}: {why}"),
        None => error.to_string(),
    }
}
