//! The wire to PHP-FPM: a core without I/O, a blocking client, an async client.
