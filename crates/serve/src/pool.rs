//! Pool: the way of one app to its PHP: whose php-fpm it is, and how many connections it gets.

use std::sync::{Arc, Mutex, PoisonError};

use config::host::{Fpm, Php};
use fastcgi::Address;
use fastcgi::client::{Policy, PoolOptions};
use release::ReleaseId;

use crate::control::MasterStatus;
use crate::fpm::Embedded;
use crate::masters::Role;
use crate::params::PathMap;

/// Connections to a pool of someone else's beyond the kept ones, before requests wait here.
const SHARED_MOST: usize = 512;

/// The PHP of one app.
pub struct Pool {
    /// Connections.
    pub client: fastcgi::client::Pool,
    /// How php-fpm sees our paths.
    pub paths: PathMap,
    /// The configuration it was made from.
    pub php: Php,
    /// Our own php-fpm, kept alive for as long as this is.
    pub embedded: Option<Arc<Embedded>>,
    /// The release that our own php-fpm was started for, and has preloaded if it preloads anything.
    pub made_for: Option<ReleaseId>,
    /// The releases whose scripts ran in it.
    ran: Mutex<Vec<ReleaseId>>,
}

impl Pool {
    /// The pool of `php`; `embedded` is its php-fpm where that is ours, started for the release `made_for`.
    pub fn new(php: &Php, embedded: Option<Arc<Embedded>>, made_for: Option<ReleaseId>) -> Self {
        let address = match (&php.fpm, &embedded) {
            (_, Some(own)) => vec![Address::Unix(own.socket().to_owned())],
            (Fpm::At(list), None) => list.iter().map(address).collect(),
            (Fpm::Embedded, None) => Vec::new(),
        };
        let policy = match embedded.is_some() || php.exclusive {
            true => Policy::Exclusive { total: php.connections },
            false => Policy::Shared { kept: php.connections, max: SHARED_MOST },
        };
        let mut options = PoolOptions::new(address, policy);
        options.connect_timeout = php.connect_timeout;
        options.read_timeout = php.read_timeout;
        options.queue_timeout = php.queue_timeout;
        let client = fastcgi::client::Pool::new(options);
        let paths = PathMap::new(php.path_map.clone());
        Self { client, paths, php: php.clone(), embedded, made_for, ran: Mutex::default() }
    }

    /// The same php-fpm, with connections as `php` says now.
    pub fn again(&self, php: &Php) -> Self {
        let again = Self::new(php, self.embedded.clone(), self.made_for.clone());
        Self { ran: Mutex::new(self.ran()), ..again }
    }

    /// Notes that scripts of this release run in it from now on.
    pub fn runs(&self, id: &ReleaseId) {
        if !self.has_run(id) {
            self.ran.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
        }
    }

    /// Whether scripts of this release ran in it.
    pub fn has_run(&self, id: &ReleaseId) -> bool {
        self.ran().contains(id)
    }

    /// The releases whose scripts ran in it.
    pub fn ran(&self) -> Vec<ReleaseId> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the log calls it.
    pub fn process(&self) -> String {
        match self.embedded.as_ref().map(|embedded| embedded.pid()) {
            Some(Some(pid)) => format!("php-fpm process {pid}"),
            Some(None) | None => "php-fpm".to_owned(),
        }
    }

    /// Requests that it works on.
    pub fn busy(&self) -> usize {
        let used = self.client.occupancy();
        used.open.saturating_sub(used.idle)
    }

    /// What is told of our own php-fpm; `None`: it is not ours.
    pub fn status(&self, role: Role) -> Option<MasterStatus> {
        let embedded = self.embedded.as_ref()?;
        let (role, seconds) = match role {
            Role::Current => ("current", None),
            Role::Fresh => ("fresh", None),
            Role::Leaving { since } => ("leaving", Some(since.as_secs())),
        };
        Some(MasterStatus {
            role: role.to_owned(),
            pid: embedded.pid(),
            socket: embedded.socket().to_owned(),
            status: embedded.status_socket().to_owned(),
            releases: self.ran().iter().map(ToString::to_string).collect(),
            made_for: self.made_for.as_ref().map(ToString::to_string),
            busy: self.busy(),
            leaving_seconds: seconds,
        })
    }
}

fn address(address: &config::value::Address) -> Address {
    match address {
        config::value::Address::Unix(path) => Address::Unix(path.clone()),
        config::value::Address::Tcp { host, port } => Address::Tcp { host: host.clone(), port: *port },
    }
}
