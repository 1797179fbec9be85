//! State: what this thread of PHP knows, in safe Rust. Nothing here calls PHP, which might leave by a long jump.

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::settings::{OnFailure, Raw};
use crate::site::{Begun, Request, Site};

/// Counts the changes of our settings, so that a request looks at one number instead of at all of them.
static CHANGES: AtomicU64 = AtomicU64::new(1);

/// So many ways that settings stand, for so many virtual hosts, are remembered.
const SITES: usize = 64;

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State::new()) };
    /// Apart from the rest, so that looking at it cannot fail.
    static REFUSED: Cell<Refused> = const { Cell::new(Refused::No) };
}

struct State {
    /// How many changes were taken notice of.
    seen: u64,
    /// The site of the current request comes first.
    sites: Vec<Site>,
    /// What PHP is told, kept until it has been.
    warning: Option<CString>,
    shown: Option<(CString, CString)>,
    within: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    No,
    /// And not yet answered.
    Yes,
    Answered,
}

/// What PHP is to do at the beginning of a request. The pointers are good until the next one.
#[derive(Clone, Copy)]
pub struct Orders {
    /// The include_path to set, or null.
    pub include_path: *const c_char,
    /// Its length.
    pub include_path_len: usize,
    /// A warning to give, or null.
    pub warning: *const c_char,
    /// The request is to be refused.
    pub refuse: bool,
    /// What PHP remembers of where links lead is to be forgotten.
    pub forget: bool,
}

impl Orders {
    /// Nothing.
    pub const NONE: Orders = Orders {
        include_path: ptr::null(),
        include_path_len: 0,
        warning: ptr::null(),
        refuse: false,
        forget: false,
    };
}

impl Orders {
    fn with(self, include_path: Option<&CString>) -> Orders {
        match include_path {
            Some(value) => {
                Orders { include_path: value.as_ptr(), include_path_len: value.as_bytes().len(), ..self }
            }
            None => self,
        }
    }
}

/// What a request has to bring.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// The settings, first.
    Settings,
    /// Nothing: it is not pinned.
    Nothing,
    /// What every request brings.
    Usual,
    /// DOCUMENT_ROOT too.
    Docroot,
}

/// Notes that one of our settings changed.
pub fn changed() {
    CHANGES.fetch_add(1, Relaxed);
}

/// What the request that begins has to bring.
pub fn wants() -> Wants {
    STATE.with_borrow(|state| match state.sites.first() {
        Some(site) if state.seen == CHANGES.load(Relaxed) => {
            if !site.pins() {
                Wants::Nothing
            } else if site.wants_docroot() {
                Wants::Docroot
            } else {
                Wants::Usual
            }
        }
        Some(_) | None => Wants::Settings,
    })
}

/// Takes the settings as they stand now.
pub fn configure(raw: Raw, sapi: &str) {
    STATE.with_borrow_mut(|state| {
        state.seen = CHANGES.load(Relaxed);
        let at = state.sites.iter().position(|site| site.raw == raw);
        let site = match at {
            Some(at) => state.sites.remove(at),
            None => Site::new(raw, sapi),
        };
        state.sites.truncate(SITES - 1);
        state.sites.insert(0, site);
    });
}

/// Begins a request that is like the one before, the short way; `None`: it has to be done the long way.
pub fn begin_again(root: Option<&[u8]>, include_path: &[u8]) -> Option<Orders> {
    STATE.with_borrow_mut(|state| {
        let site = state.sites.first_mut()?;
        if !site.begin_again(root, include_path) {
            return None;
        }
        state.within = true;
        REFUSED.set(Refused::No);
        Some(Orders::NONE.with(site.include_path()))
    })
}

/// Begins a request.
pub fn begin(request: &Request<'_>, sapi: &str) -> Orders {
    STATE.with_borrow_mut(|state| {
        state.within = true;
        let Some(site) = state.sites.first_mut() else { return Orders::NONE };
        site.look_again(sapi);
        let Begun { failed, complaints, other } = site.begin(request);
        let refuse = failed.is_some() && site.on_failure() == OnFailure::Refuse;
        let heard: Vec<String> = site
            .complaint()
            .into_iter()
            .chain(complaints)
            .chain(failed.map(|why| told(&why, refuse)))
            .collect();
        let include_path = if refuse { None } else { site.include_path() };
        let mut orders = Orders { refuse, forget: other, ..Orders::NONE }.with(include_path);
        REFUSED.set(if refuse { Refused::Yes } else { Refused::No });
        orders.warning = state.warn(&heard);
        orders
    })
}

/// After a panic in the beginning of a request: it is not pinned, and its site's settings say what that means.
pub fn failed_inside() -> Orders {
    STATE.with_borrow_mut(|state| {
        let refuse = state.sites.first().is_some_and(|site| site.on_failure() == OnFailure::Refuse);
        REFUSED.set(if refuse { Refused::Yes } else { Refused::No });
        let warning =
            state.warn(&[told("there is a mistake in cutover itself (its panic is in the log)", refuse)]);
        Orders { warning, refuse, ..Orders::NONE }
    })
}

fn told(why: &str, refuse: bool) -> String {
    let then = if refuse { "the request is refused" } else { "the request is not pinned to a release" };
    format!("{why}; {then}")
}

impl State {
    const fn new() -> State {
        State { seen: 0, sites: Vec::new(), warning: None, shown: None, within: false }
    }

    fn warn(&mut self, heard: &[String]) -> *const c_char {
        // A path could contain anything but a NUL.
        self.warning = if heard.is_empty() { None } else { CString::new(heard.join(". ")).ok() };
        self.warning.as_ref().map_or(ptr::null(), |text| text.as_ptr())
    }
}

/// Ends a request, when nothing of it runs any more.
pub fn end() {
    STATE.with_borrow_mut(|state| {
        state.within = false;
        REFUSED.set(Refused::No);
        if let Some(site) = state.sites.first_mut() {
            site.end();
        }
    });
}

/// Whether the current request is refused, and if so, whether this is the first to hear of it. Cannot panic.
pub fn refused() -> Option<bool> {
    match REFUSED.get() {
        Refused::No => None,
        Refused::Yes => {
            REFUSED.set(Refused::Answered);
            Some(true)
        }
        Refused::Answered => Some(false),
    }
}

/// The current request's release: its name, and its directory. Good until the request's end.
pub fn release() -> Option<(*const [u8], *const [u8])> {
    STATE.with_borrow(|state| {
        let (id, dir) = state.sites.first().filter(|_| state.within)?.release()?;
        Some((ptr::from_ref(id.as_bytes()), ptr::from_ref(dir.as_os_str().as_encoded_bytes())))
    })
}

/// The include_path that the current request began with, if it was led into a release. Good until the next one.
pub fn include_path() -> Option<(*const c_char, usize)> {
    STATE.with_borrow(|state| {
        let value = state.sites.first().filter(|_| state.within)?.include_path()?;
        Some((value.as_ptr(), value.as_bytes().len()))
    })
}

/// The current request's release for phpinfo(): its name, and its directory. Good until it is asked for again.
pub fn shown() -> Option<(*const c_char, *const c_char)> {
    let texts = STATE.with_borrow(|state| {
        let (id, dir) = state.sites.first().filter(|_| state.within)?.release()?;
        Some((CString::new(id).ok()?, CString::new(dir.as_os_str().as_encoded_bytes()).ok()?))
    });
    STATE.with_borrow_mut(|state| {
        state.shown = texts;
        state.shown.as_ref().map(|(id, dir)| (id.as_ptr(), dir.as_ptr()))
    })
}
