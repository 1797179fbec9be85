//! TOML with its positions, as sections that know their keys.

pub mod keys;
mod section;
mod value;

pub(crate) use section::{At, Section};
pub(crate) use value::{Beneath, Duration, Size, beneath};
