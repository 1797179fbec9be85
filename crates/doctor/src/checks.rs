//! Checks: all of them by area, each in a file of its own that is named by its id.

pub mod apache;
pub mod deploy;
pub mod fpm;
pub mod nginx;
pub mod others;
pub mod php;

use crate::check::Check;

/// All checks, by id.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [apache::ALL, others::ALL, deploy::ALL, fpm::ALL, nginx::ALL, php::ALL].into_iter().flatten()
}

/// The check of this id; upper and lower case are the same.
pub fn of(id: &str) -> Option<&'static Check> {
    all().find(|check| check.id.eq_ignore_ascii_case(id))
}
