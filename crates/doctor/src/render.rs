//! Render: findings for people and for programs.

pub mod diff;
mod excerpt;
pub mod json;
pub mod junit;
pub mod live;
pub mod paint;
pub mod sarif;
pub mod sizing;
pub mod text;
