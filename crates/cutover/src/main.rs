//! cutover: flags to one command; composes the trades.

fn main() {}
