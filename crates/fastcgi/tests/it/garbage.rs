//! Bytes that nobody should send.
