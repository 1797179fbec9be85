//! `cutover prove`, as a person or CI runs it: on sites that are fine, and on sites and commands that are not.

mod good;
mod site;
mod stopped;
mod unusable;
