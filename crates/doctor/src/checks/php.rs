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
mod p13;
mod p14;
mod p15;
mod p16;
mod p17;
mod p18;
mod p19;
mod p20;
mod p21;
mod p22;
mod p23;
mod p24;
mod p25;
mod p26;
mod p27;
mod p28;

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
    p13::CHECK,
    p14::CHECK,
    p15::CHECK,
    p16::CHECK,
    p17::CHECK,
    p18::CHECK,
    p19::CHECK,
    p20::CHECK,
    p21::CHECK,
    p22::CHECK,
    p23::CHECK,
    p24::CHECK,
    p25::CHECK,
    p26::CHECK,
    p27::CHECK,
    p28::CHECK,
];
