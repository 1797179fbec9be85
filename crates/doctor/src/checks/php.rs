//! P: checks of PHP and its opcache.

mod p01;
mod p02;
mod p03;
mod p04;
mod p05;
mod p06;
mod p07;
mod p08;
mod p09;
mod p10;
mod p11;
mod p12;

use crate::check::Check;

/// All of them, by id; one a line, so that two who add one do not meet.
#[rustfmt::skip]
pub const ALL: &[Check] = &[
    p01::CHECK,
    p02::CHECK,
    p03::CHECK,
    p04::CHECK,
    p05::CHECK,
    p06::CHECK,
    p07::CHECK,
    p08::CHECK,
    p09::CHECK,
    p10::CHECK,
    p11::CHECK,
    p12::CHECK,
];
