//! The doctor's tests: fixtures, and real servers.

mod fixtures;
