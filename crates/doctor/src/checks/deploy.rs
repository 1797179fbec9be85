//! D: checks of the deploy and its disk.

mod d01;
mod d02;
mod d03;
mod d04;
mod d05;
mod d06;
mod d07;
mod d08;
mod d09;
mod d10;
mod d11;
mod d12;
mod d13;
mod d14;

use crate::check::Check;

/// All of them, by id; one a line, so that two who add one do not meet.
#[rustfmt::skip]
pub const ALL: &[Check] = &[
    d01::CHECK,
    d02::CHECK,
    d03::CHECK,
    d04::CHECK,
    d05::CHECK,
    d06::CHECK,
    d07::CHECK,
    d08::CHECK,
    d09::CHECK,
    d10::CHECK,
    d11::CHECK,
    d12::CHECK,
    d13::CHECK,
    d14::CHECK,
];
