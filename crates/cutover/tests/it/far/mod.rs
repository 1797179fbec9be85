//! Deploys to another host: a real ssh, a real sshd, and our binary at both ends.

mod breaks;
mod deploys;
mod held;
mod reached;
mod web1;
