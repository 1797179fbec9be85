//! php-cutover: each request of PHP sees exactly one release, also where it finds its code by include_path.
//!
//! The promise: at a request's start its release is taken hold of, as whoever stands in front says (`CUTOVER_RELEASE_ROOT`)
//! or as the link says at that moment; include_path leads into it, and it is leased until nothing of the request runs.
//!
//! ```text
//! PHP loads us       module    settings registered, ini_restore() replaced
//! a request starts   module -> state -> site -> hold          the release is taken hold of
//!                                            -> include_path   what leads through the link is led into it
//!                    module <- orders: set include_path, forget the realpath cache, warn, refuse
//! it runs            functions, refusal
//! nothing of it runs module -> state -> site -> hold          the lock is given back; the directory stays open
//! ```
//!
//! The rules: [`zend`] is all that is known of PHP. [`border`] is where PHP calls in: no panic passes it, and nothing
//! within it calls PHP, which might leave by a long jump over our destructors. [`state`] and what is below it are safe Rust.
//!
//! - to PHP: [`zend`], [`border`], [`module`], [`functions`], [`refusal`]
//! - of one thread: [`state`], [`site`], [`hold`], [`forks`]
//! - pure: [`settings`], [`include_path`]

mod border;
mod forks;
mod functions;
mod hold;
mod include_path;
mod module;
mod refusal;
mod settings;
mod site;
mod state;
mod zend;

/// What PHP asks a module for.
#[unsafe(no_mangle)]
pub extern "C" fn get_module() -> *mut zend::Module {
    module::ENTRY.0.get()
}
