//! Hook: where Apache calls us.

use crate::bindings::{
    APR_HOOK_MIDDLE, APR_HOOK_REALLY_FIRST, APR_HOOK_REALLY_LAST, APR_NOFILE, DECLINED,
    HTTP_INTERNAL_SERVER_ERROR, HTTP_SERVICE_UNAVAILABLE, OK, ap_context_document_root, ap_document_root,
    ap_file_walk, ap_hook_child_init, ap_hook_map_to_storage, ap_hook_post_config, ap_hook_post_read_request,
    ap_hook_pre_config, ap_hook_translate_name, ap_set_context_info, ap_set_document_root,
    apr_dynamic_fn_retrieve, apr_palloc, apr_pool_cleanup_null, apr_pool_cleanup_register, apr_pool_t,
    apr_status_t, apr_table_addn, apr_table_setn, register_log_item, request_rec, server_rec,
};
use crate::border::guard;
use crate::log::{self, Level};
use crate::place;
use crate::proxy;
use crate::site::Sites;
use crate::visit::{Placed, Visit};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The sites of the configuration that is in force. Null while none is.
static SITES: AtomicPtr<Sites> = AtomicPtr::new(ptr::null_mut());

/// Tells Apache what to call. Once per start and restart, before it reads the configuration.
pub unsafe extern "C" fn register(_: *mut apr_pool_t) {
    let none = ptr::null();
    // SAFETY: the functions have the types that each hook asks for.
    unsafe {
        ap_hook_pre_config(prepare, none, none, APR_HOOK_REALLY_FIRST);
        ap_hook_post_config(configured, none, none, APR_HOOK_MIDDLE);
        ap_hook_child_init(child_begins, none, none, APR_HOOK_MIDDLE);
        // First of all: mod_rewrite's rules see the pinned document root.
        ap_hook_post_read_request(begin, none, none, APR_HOOK_REALLY_FIRST);
        ap_hook_translate_name(root, none, none, APR_HOOK_REALLY_FIRST);
        ap_hook_map_to_storage(file, none, none, APR_HOOK_REALLY_FIRST);
        // Where the core would walk, after everybody who may say that it is no file at all.
        ap_hook_map_to_storage(walk, none, none, APR_HOOK_REALLY_LAST - 1);
    }
}

/// The other modules are loaded: `%^CR` in a LogFormat becomes the release of the request, and mod_proxy is hooked.
unsafe extern "C" fn prepare(pool: *mut apr_pool_t, _: *mut apr_pool_t, _: *mut apr_pool_t) -> c_int {
    guard(OK, || {
        proxy::hook(passed_on);
        // SAFETY: mod_log_config registers a function of this type under this name; without it there is none.
        unsafe {
            let found = apr_dynamic_fn_retrieve(c"ap_register_log_handler".as_ptr());
            if let Some(found) = found {
                let register: register_log_item = std::mem::transmute(found);
                register(pool, c"^CR".as_ptr().cast_mut(), logged, 0);
            }
        }
        OK
    })
}

unsafe extern "C" fn logged(r: *mut request_rec, _: *mut c_char) -> *const c_char {
    guard(ptr::null(), || {
        // SAFETY: a request that is over, but whose pool still stands.
        let visit = unsafe { sites().and_then(|sites| Visit::of(r, sites)) };
        visit.and_then(Visit::named).map_or(ptr::null(), |pin| pin.with().id.as_ptr())
    })
}

/// The configuration was read.
unsafe extern "C" fn configured(
    pool: *mut apr_pool_t,
    _: *mut apr_pool_t,
    temporary: *mut apr_pool_t,
    main: *mut server_rec,
) -> c_int {
    guard(HTTP_INTERNAL_SERVER_ERROR, || match Sites::new(main, temporary) {
        Ok(sites) => {
            let sites = Box::into_raw(Box::new(sites));
            SITES.store(sites, Ordering::Release);
            // SAFETY: the pool of the configuration, cleared before the next one is read.
            unsafe { apr_pool_cleanup_register(pool, sites.cast(), forgotten, apr_pool_cleanup_null) };
            OK
        }
        Err(why) => {
            log::line(main, Level::Error, &why);
            HTTP_INTERNAL_SERVER_ERROR
        }
    })
}

/// The configuration is given up: a restart, or the end.
unsafe extern "C" fn forgotten(sites: *mut c_void) -> apr_status_t {
    guard(0, || {
        SITES.store(ptr::null_mut(), Ordering::Release);
        // SAFETY: it came from the box in `configured`, and the pool calls once.
        let sites = unsafe { Box::from_raw(sites.cast::<Sites>()) };
        if sites.all().flat_map(|site| &site.links).any(|met| met.link.was_pinned()) {
            // A child that ends. Threads may still be at work, and httpd has cleared pools that pins know: the kernel
            // takes back all of it.
            std::mem::forget(sites);
        }
        0
    })
}

/// A child begins: it learns now what is live, so that it has a last good release when the link breaks.
unsafe extern "C" fn child_begins(_: *mut apr_pool_t, _: *mut server_rec) {
    guard((), || {
        let Some(sites) = sites() else { return };
        for site in sites.all() {
            for met in &site.links {
                drop(met.link.pin(None, site.server));
            }
        }
    });
}

fn sites<'a>() -> Option<&'a Sites> {
    // SAFETY: null or what `configured` stored; it stands while requests are served.
    unsafe { SITES.load(Ordering::Acquire).as_ref() }
}

/// Runs a hook in the visit of its request; where nothing is pinned, it declines.
///
/// # Safety
/// `r` is a request in the hands of this thread.
unsafe fn visited(r: *mut request_rec, run: impl FnOnce(&Visit) -> c_int) -> c_int {
    guard(HTTP_INTERNAL_SERVER_ERROR, || {
        // SAFETY: the caller's.
        match unsafe { sites().and_then(|sites| Visit::of(r, sites)) } {
            Some(visit) => run(visit),
            None => DECLINED,
        }
    })
}

/// post_read_request: the pin. Also for internal redirects, which have the pin of the first request.
unsafe extern "C" fn begin(r: *mut request_rec) -> c_int {
    // SAFETY: Apache gives a request that this thread works on.
    unsafe {
        visited(r, |visit| {
            pin_root(r, visit);
            visit.name(r, apr_table_addn);
            DECLINED
        })
    }
}

/// translate_name: the document root again, for subrequests, which are no requests that were read.
unsafe extern "C" fn root(r: *mut request_rec) -> c_int {
    // SAFETY: as in `begin`.
    unsafe {
        // Any other has been through `begin`.
        if (*r).main.is_null() {
            return DECLINED;
        }
        visited(r, |visit| {
            pin_root(r, visit);
            DECLINED
        })
    }
}

/// map_to_storage, first of all: what others made of the link's path is the release's from here on.
unsafe extern "C" fn file(r: *mut request_rec) -> c_int {
    // SAFETY: as in `begin`; names are strings of the request that end with a zero, or null.
    unsafe {
        visited(r, |visit| {
            let name = (*r).filename;
            if !name.is_null() {
                let name = CStr::from_ptr(name).to_bytes();
                match visit.place(name) {
                    Placed::Elsewhere => {}
                    Placed::Nowhere => return HTTP_SERVICE_UNAVAILABLE,
                    Placed::At(dir, rest) => {
                        let moved = kept(r, &[dir, rest]);
                        (*r).filename = moved;
                        (*r).canonical_filename = moved;
                        // What was looked at by the old name may have been another release's.
                        (*r).finfo_filetype = APR_NOFILE;
                    }
                }
            }
            // VirtualDocumentRoot and the like have set their own meanwhile.
            pin_root(r, visit);
            pin_context(r, visit);
            // A link that is not the document root's may have been pinned only now.
            if visit.site.first.is_none() {
                visit.name(r, apr_table_setn);
            }
            DECLINED
        })
    }
}

/// scheme_handler of mod_proxy, first of all: the script that php-fpm is asked for.
unsafe extern "C" fn passed_on(
    r: *mut request_rec,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_char,
    _: *const c_char,
    _: u16,
) -> c_int {
    // SAFETY: as in `file`.
    unsafe {
        visited(r, |visit| {
            if (*r).filename.is_null() {
                return DECLINED;
            }
            let name = CStr::from_ptr((*r).filename).to_bytes();
            let Some(start) = place::proxied_at(name) else { return DECLINED };
            match visit.place(&name[start..]) {
                Placed::Elsewhere => {}
                Placed::Nowhere => return HTTP_SERVICE_UNAVAILABLE,
                Placed::At(dir, rest) => (*r).filename = kept(r, &[&name[..start], dir, rest]),
            }
            DECLINED
        })
    }
}

/// map_to_storage, just before the core: the walk through `<Directory>` sections, if any names the link.
unsafe extern "C" fn walk(r: *mut request_rec) -> c_int {
    // SAFETY: as in `file`.
    unsafe {
        visited(r, |visit| {
            if visit.site.sections.is_empty() || (*r).filename.is_null() {
                return DECLINED;
            }
            let name = CStr::from_ptr((*r).filename).to_bytes();
            let Some(share) = visit.within(name).and_then(|link| visit.share(link)) else { return DECLINED };
            if !share.walk.is_own() {
                return DECLINED;
            }
            match share.walk.go(r) {
                Ok(OK) => ap_file_walk(r),
                Ok(status) => status,
                Err(why) => {
                    log::line(visit.site.server, Level::Error, why);
                    HTTP_INTERNAL_SERVER_ERROR
                }
            }
        })
    }
}

/// Gives the request the document root of its release, if it has one below a link.
///
/// # Safety
/// `r` is a request of this visit.
unsafe fn pin_root(r: *mut request_rec, visit: &Visit) {
    // SAFETY: a string that ends with a zero, or null; the new one lives as long as the request.
    unsafe {
        let root = ap_document_root(r);
        if root.is_null() || visit.has_root(root) {
            return;
        }
        // The site's own was made once for the release, and stands as long as the pin.
        let own = visit.site.first.filter(|_| ptr::eq(root, visit.site.root));
        let own = own.and_then(|first| visit.share(first)).and_then(|share| share.root.as_deref());
        let moved = match own {
            Some(own) => own.as_ptr(),
            None => match visit.place(CStr::from_ptr(root).to_bytes()) {
                Placed::At(dir, rest) => kept(r, &[dir, rest]),
                Placed::Elsewhere | Placed::Nowhere => return,
            },
        };
        ap_set_document_root(r, moved);
        visit.gave_root(moved);
    }
}

/// The same for what CONTEXT_DOCUMENT_ROOT tells of an `Alias`.
///
/// # Safety
/// `r` is a request of this visit.
unsafe fn pin_context(r: *mut request_rec, visit: &Visit) {
    // SAFETY: as in `pin_root`.
    unsafe {
        let root = ap_context_document_root(r);
        if !root.is_null()
            && !visit.has_root(root)
            && let Placed::At(dir, rest) = visit.place(CStr::from_ptr(root).to_bytes())
        {
            ap_set_context_info(r, ptr::null(), kept(r, &[dir, rest]));
        }
    }
}

/// A string that lives as long as the request.
///
/// # Safety
/// `r` is a request.
unsafe fn kept(r: *mut request_rec, parts: &[&[u8]]) -> *mut c_char {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    // SAFETY: as much memory as is written: the parts, and a zero behind them.
    unsafe {
        let whole = apr_palloc((*r).pool, length + 1).cast::<u8>();
        let mut end = whole;
        for part in parts {
            ptr::copy_nonoverlapping(part.as_ptr(), end, part.len());
            end = end.add(part.len());
        }
        *end = 0;
        whole.cast()
    }
}
