//! Port: one for a server that has to be told a number.
//!
//! It is below those that the kernel gives out by itself (ip_local_port_range), and each is given once: so nobody takes
//! it between the choice and the server's bind(2), neither another test's server nor a connection under way.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

pub fn free() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Two processes that test at the same time begin far apart.
    let begin = std::process::id() * 331;
    loop {
        let nth = begin + GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + nth % COUNT).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
