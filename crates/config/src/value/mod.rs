//! The small types that are parsed once and then used: no strings left to interpret.

mod address;
mod hostname;
mod listen;
mod pattern;
mod prefix;
mod size;
mod span;

pub use address::Address;
pub use hostname::HostPattern;
pub use listen::{Listen, ListenAt};
pub use pattern::Pattern;
pub use prefix::Prefix;
pub use size::parse_size;
pub use span::parse_duration;
