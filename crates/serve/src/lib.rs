//! The pinned server: each request sees exactly one release, from its first byte to its last.
