//! Stories of deploys, on real directories, hooks and PHP-FPM.
