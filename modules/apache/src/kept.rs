//! Kept: what a connection holds from one request to the next.
//!
//! Taking a release's lock and giving it back costs as much as the look at the link. A kept connection asks again in a
//! moment, as a rule, so the lock stays until it is closed or one of its requests is pinned to another release.

use crate::bindings::{
    ap_get_module_config, ap_set_module_config, apr_pool_cleanup_null, apr_pool_cleanup_register,
    apr_status_t, conn_rec,
};
use crate::border::guard;
use crate::link::{Link, Made};
use crate::this;
use release::Hold;
use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::Arc;

/// A hold for each link that requests of the connection have met.
type Kept = RefCell<Vec<(Arc<Link>, Hold<Made>)>>;

/// Keeps this hold with the connection, in place of an earlier one of the same link.
///
/// # Safety
/// The connection is in the hands of this thread.
pub unsafe fn with(connection: *mut conn_rec, link: &Arc<Link>, pin: &Hold<Made>) {
    // SAFETY: what is kept under this module's number was put there below, and lives as long as the connection.
    let kept = unsafe {
        let vector = (*connection).conn_config;
        let mut kept = ap_get_module_config(vector, this()).cast::<Kept>();
        if kept.is_null() {
            kept = Box::into_raw(Box::default());
            apr_pool_cleanup_register((*connection).pool, kept.cast(), closed, apr_pool_cleanup_null);
            ap_set_module_config(vector, this(), kept.cast());
        }
        &*kept
    };
    let mut kept = kept.borrow_mut();
    match kept.iter_mut().find(|(known, _)| Arc::ptr_eq(known, link)) {
        Some((_, earlier)) if earlier.same_as(pin) => {}
        Some((_, earlier)) => *earlier = pin.clone(),
        None => kept.push((Arc::clone(link), pin.clone())),
    }
}

/// The connection is closed.
unsafe extern "C" fn closed(kept: *mut c_void) -> apr_status_t {
    // SAFETY: it came from the box in `with`, and the pool calls once.
    guard(0, || unsafe {
        drop(Box::from_raw(kept.cast::<Kept>()));
        0
    })
}
