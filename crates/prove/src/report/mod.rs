//! Report: observations and their verdict, told to people ([`text()`], [`html()`]) and to programs ([`json()`], [`junit()`]).
//!
//! All four say the same, from one [`summary`]. `docs/prove-report.md` describes the two that programs read.

mod examples;
mod html;
mod json;
mod junit;
mod summary;
mod text;

pub use html::html;
pub use json::json;
pub use junit::junit;
pub use text::{short, text};

#[cfg(test)]
mod tests;
