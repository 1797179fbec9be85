//! mod_cutover: each request that Apache answers sees exactly one release.
