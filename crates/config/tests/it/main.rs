//! What a person can write into cutover.toml, and what they are told when it is wrong.
#![allow(clippy::unwrap_used, reason = "a test's helper may panic as the test itself may")]

mod documented;
mod joined;
mod mistakes;
mod patterns;
mod rubbish;
mod values;

use config::{Config, ConfigError};
use std::path::Path;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("shop/cutover.toml"))
}

fn parsed(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}
