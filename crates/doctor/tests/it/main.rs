//! The doctor's tests: fixtures, and real servers.

mod fixtures;
mod php;
mod php_fpm;
mod shop;
