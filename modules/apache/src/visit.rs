//! Visit: a request and all that Apache makes of it (subrequests, internal redirects), and the pins they share.

use crate::bindings::{
    ap_get_module_config, ap_set_module_config, apr_palloc, apr_pool_cleanup_null, apr_pool_cleanup_register,
    apr_status_t, apr_table_setn, conn_rec, request_rec, table_put,
};
use crate::border::guard;
use crate::kept;
use crate::link::{Made, Share};
use crate::place;
use crate::site::{Site, Sites};
use crate::this;
use release::Hold;
use std::cell::{Cell, OnceCell};
use std::ffi::{c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::{ptr, slice};

/// The pins of one request, in the order of its site's links; each is taken when it is first needed.
pub struct Visit<'a> {
    /// The server's site.
    pub site: &'a Site,
    pins: &'a mut [Pin],
    connection: *mut conn_rec,
    /// The document root that was given to the request last, so that nobody compares it again.
    root: Cell<*const c_char>,
}

/// A pin, once it was taken; `None` inside: the link leads to no release, and there is no last good one.
type Pin = OnceCell<Option<Hold<Made>>>;

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
            // In the request's pool, whose memory is there already: the visit, and behind it its pins. APR aligns for
            // any type.
            let (pool, count) = ((*first).pool, site.links.len());
            const { assert!(align_of::<Pin>() <= align_of::<Visit>()) };
            let size = size_of::<Visit>() + count * size_of::<Pin>();
            let visit = apr_palloc(pool, size).cast::<Visit>();
            let pins = visit.add(1).cast::<Pin>();
            for at in 0..count {
                pins.add(at).write(OnceCell::new());
            }
            visit.write(Visit {
                site,
                pins: slice::from_raw_parts_mut(pins, count),
                connection: (*first).connection,
                root: Cell::new(ptr::null()),
            });
            apr_pool_cleanup_register(pool, visit.cast::<c_void>(), ended, apr_pool_cleanup_null);
            ap_set_module_config((*first).request_config, this(), visit.cast());
            Some(&*visit)
        }
    }

    /// The pin of one of the site's links; `None`: it leads to no release, and there is no last good one.
    pub fn pin(&self, link: usize) -> Option<&Hold<Made>> {
        let take = || {
            let link = &self.site.links[link].link;
            let pin = link.pin(self.site.stale_for, self.site.server);
            if let Some(pin) = &pin {
                // SAFETY: a request that is answered has its connection.
                unsafe { kept::with(self.connection, link, pin) };
            }
            pin
        };
        self.pins.get(link)?.get_or_init(take).as_ref()
    }

    /// What the site has of the release that one of its links leads to.
    pub fn share(&self, link: usize) -> Option<&Share> {
        Some(self.site.share(link, self.pin(link)?.with()))
    }

    /// The pin whose release is named: that of the document root, or else the first link's that has one.
    pub fn named(&self) -> Option<&Hold<Made>> {
        let taken = |number: usize| self.pins.get(number)?.get()?.as_ref();
        self.site.first.and_then(taken).or_else(|| (0..self.pins.len()).find_map(taken))
    }

    /// What a path comes to under the pins.
    pub fn place<'b>(&'b self, path: &'b [u8]) -> Placed<'b> {
        for (number, met) in self.site.links.iter().enumerate() {
            if let Some(rest) = place::below(path, met.link.path()) {
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

    /// The number of the link whose release this path lies in, among those whose pins were taken.
    pub fn within(&self, path: &[u8]) -> Option<usize> {
        let is_below = |pin: &Hold<Made>| place::below(path, &pin.with().root).is_some();
        self.pins.iter().position(|pin| pin.get().and_then(Option::as_ref).is_some_and(is_below))
    }

    /// Names the release to scripts, rules, logs and, if wanted, to the client. `put` is `apr_table_setn`, or
    /// `apr_table_addn` for a request that was just read: nobody can have set anything, and not to look costs less.
    ///
    /// # Safety
    /// `r` is a request of this visit.
    pub unsafe fn name(&self, r: *mut request_rec, put: table_put) {
        let Some(made) = self.named().map(Hold::with) else { return };
        // SAFETY: the tables are the request's; what they point to lives until its pool is cleared.
        unsafe {
            put((*r).subprocess_env, c"CUTOVER_RELEASE".as_ptr(), made.id.as_ptr());
            put((*r).subprocess_env, c"CUTOVER_RELEASE_ROOT".as_ptr(), made.root_text.as_ptr());
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
    // SAFETY: it was made in `of`, and the pool calls once; what nobody looks at any more is dropped where it lies.
    guard(0, || unsafe {
        ptr::drop_in_place((*visit.cast::<Visit>()).pins);
        0
    })
}
