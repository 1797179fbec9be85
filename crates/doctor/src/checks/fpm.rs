//! F: checks of PHP-FPM.

mod f01;
mod f02;
mod f03;
mod f04;
mod f05;
mod f06;
mod f07;
mod f08;
mod f09;
mod f10;
mod f11;
mod f12;
mod f13;

use crate::check::Check;

/// All of them, by id; one a line, so that two who add one do not meet.
#[rustfmt::skip]
pub const ALL: &[Check] = &[
    f01::CHECK,
    f02::CHECK,
    f03::CHECK,
    f04::CHECK,
    f05::CHECK,
    f06::CHECK,
    f07::CHECK,
    f08::CHECK,
    f09::CHECK,
    f10::CHECK,
    f11::CHECK,
    f12::CHECK,
    f13::CHECK,
];
