//! Visit: a request and all that Apache makes of it (subrequests, internal redirects), and the pins they share.

use crate::bindings::{
    ap_get_module_config, ap_set_module_config, apr_pool_cleanup_null, apr_pool_cleanup_register,
    apr_status_t, apr_table_setn, conn_rec, request_rec,
};
use crate::border::guard;
use crate::kept;
use crate::link::Made;
use crate::place;
use crate::site::{Site, Sites};
use crate::this;
use release::Hold;
use std::cell::{Cell, OnceCell};
use std::ffi::{c_char, c_void};
use std::os::unix::ffi::OsStrExt;

/// The pins of one request, in the order of its site's links; each is taken when it is first needed.
pub struct Visit<'a> {
    /// The server's site.
    pub site: &'a Site,
    pins: Vec<OnceCell<Option<Hold<Made>>>>,
    connection: *mut conn_rec,
    /// The document root that was given to the request last, so that nobody compares it again.
    root: Cell<*const c_char>,
}

/// What a path came to under the pins.
pub enum Placed<'a> {
    /// It lies below none of the links.
    Elsewhere,
    /// It is this now: the release's directory, and what follows it.
    At(&'a [u8], &'a [u8]),
    /// It lies below a link that leads to no release, and there is no last good one.
    Nowhere,
}

impl<'a> Visit<'a> {
    /// The visit that a request belongs to, begun if need be; `None`: requests of its server are not pinned.
    ///
    /// # Safety
    /// `r` is a request in the hands of this thread; the sites are those of its configuration.
    pub unsafe fn of(r: *mut request_rec, sites: &'a Sites) -> Option<&'a Visit<'a>> {
        // SAFETY: httpd ends these chains with null; what is kept under this module's number was put there below, and
        // lives as long as the first request, which outlives all that Apache makes of it.
        unsafe {
            let mut first = r;
            loop {
                let (main, prev) = ((*first).main, (*first).prev);
                if !main.is_null() {
                    first = main;
                } else if !prev.is_null() {
                    first = prev;
                } else {
                    break;
                }
            }
            let known = ap_get_module_config((*first).request_config, this()).cast::<Visit>();
            if !known.is_null() {
                return Some(&*known);
            }
            let site = sites.of((*first).server)?;
            let pins = site.links.iter().map(|_| OnceCell::new()).collect();
            let visit =
                Visit { site, pins, connection: (*first).connection, root: Cell::new(std::ptr::null()) };
            let visit = Box::into_raw(Box::new(visit));
            apr_pool_cleanup_register((*first).pool, visit.cast::<c_void>(), ended, apr_pool_cleanup_null);
            ap_set_module_config((*first).request_config, this(), visit.cast());
            Some(&*visit)
        }
    }

    /// The pin of one of the site's links; `None`: it leads to no release, and there is no last good one.
    pub fn pin(&self, link: usize) -> Option<&Hold<Made>> {
        let take = || {
            let pin = self.site.links[link].pin(self.site.stale_for, self.site.server);
            if let Some(pin) = &pin {
                // SAFETY: a request that is answered has its connection.
                unsafe { kept::with(self.connection, &self.site.links[link], pin) };
            }
            pin
        };
        self.pins.get(link)?.get_or_init(take).as_ref()
    }

    /// The pin whose release is named: that of the document root, or else the first link's that has one.
    pub fn named(&self) -> Option<&Hold<Made>> {
        let taken = |number: usize| self.pins.get(number)?.get()?.as_ref();
        self.site.first.and_then(taken).or_else(|| (0..self.pins.len()).find_map(taken))
    }

    /// What a path comes to under the pins.
    pub fn place<'b>(&'b self, path: &'b [u8]) -> Placed<'b> {
        for (number, link) in self.site.links.iter().enumerate() {
            if let Some(rest) = place::below(path, link.path()) {
                return match self.pin(number) {
                    Some(pin) => Placed::At(pin.with().root.as_os_str().as_bytes(), rest),
                    None => Placed::Nowhere,
                };
            }
        }
        Placed::Elsewhere
    }

    /// Whether this is the document root that the request was given.
    pub fn has_root(&self, root: *const c_char) -> bool {
        self.root.get() == root
    }

    /// Notes the document root that the request was given.
    pub fn gave_root(&self, root: *const c_char) {
        self.root.set(root);
    }

    /// The pin whose release this path lies in, and its link's number, among those taken so far.
    pub fn within(&self, path: &[u8]) -> Option<(usize, &Hold<Made>)> {
        let taken =
            self.pins.iter().enumerate().filter_map(|(number, pin)| Some((number, pin.get()?.as_ref()?)));
        taken.into_iter().find(|(_, pin)| place::below(path, &pin.with().root).is_some())
    }

    /// Names the release to scripts, rules, logs and, if wanted, to the client.
    ///
    /// # Safety
    /// `r` is a request of this visit.
    pub unsafe fn name(&self, r: *mut request_rec) {
        let Some(made) = self.named().map(Hold::with) else { return };
        // SAFETY: the tables are the request's; what they point to lives until its pool is cleared.
        unsafe {
            apr_table_setn((*r).subprocess_env, c"CUTOVER_RELEASE".as_ptr(), made.id.as_ptr());
            apr_table_setn((*r).subprocess_env, c"CUTOVER_RELEASE_ROOT".as_ptr(), made.root_text.as_ptr());
            // What a subrequest says of itself is added to what the request says.
            if self.site.header && (*r).main.is_null() {
                // Of the two tables of headers the one that is sent with errors, too.
                apr_table_setn((*r).err_headers_out, c"x-cutover-release".as_ptr(), made.id.as_ptr());
            }
        }
    }
}

/// The request's pool is cleared: its last byte was sent, or its client is gone.
unsafe extern "C" fn ended(visit: *mut c_void) -> apr_status_t {
    // SAFETY: it came from the box in `of`, and the pool calls once.
    guard(0, || unsafe {
        drop(Box::from_raw(visit.cast::<Visit>()));
        0
    })
}
