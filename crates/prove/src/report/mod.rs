//! Report: observations and their verdict, told to people ([`text()`], [`html()`]) and to programs ([`json()`], [`junit()`]).

mod html;
mod json;
mod junit;
mod text;

pub use html::html;
pub use json::json;
pub use junit::junit;
pub use text::{short, text};
