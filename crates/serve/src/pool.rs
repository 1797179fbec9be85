//! Pool: the way of one app to its PHP: whose php-fpm it is, and how many connections it gets.

use std::sync::Arc;

use config::host::{Fpm, Php};
use fastcgi::Address;
use fastcgi::client::{Policy, PoolOptions};

use crate::fpm::Embedded;
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
}

impl Pool {
    /// The pool of `php`; `embedded` is its php-fpm where that is ours.
    pub fn new(php: &Php, embedded: Option<Arc<Embedded>>) -> Self {
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
        Self { client, paths: PathMap::new(php.path_map.clone()), php: php.clone(), embedded }
    }
}

fn address(address: &config::value::Address) -> Address {
    match address {
        config::value::Address::Unix(path) => Address::Unix(path.clone()),
        config::value::Address::Tcp { host, port } => Address::Tcp { host: host.clone(), port: *port },
    }
}
