//! Site: one way that the settings stand, and the hold that its requests share.
//!
//! With FPM there is one; Apache sets them anew for each virtual host, in every request.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use release::live::{self, LiveError};
use rustix::fs::{AtFlags, FileType};

use crate::hold::{Hold, Told};
use crate::include_path::{self, Lead};
use crate::settings::{OnFailure, Pinning, Raw, Settings, Stands, To};

/// One way that the settings stand.
pub struct Site {
    /// The settings as PHP has them.
    pub raw: Raw,
    settings: Settings,
    hold: Hold,
    led: Option<Led>,
    /// The last DOCUMENT_ROOT that a request brought, and the release that it lies in.
    docroot: Option<(Vec<u8>, Option<Told>)>,
}

/// An include_path that was led into a release, for the requests to come.
struct Led {
    given: Vec<u8>,
    docroot: Option<Vec<u8>>,
    target: PathBuf,
    /// `None`: nothing in it leads through the link.
    value: Option<CString>,
}

/// What a request brings.
pub struct Request<'a> {
    /// include_path as the settings have it.
    pub include_path: &'a [u8],
    /// What somebody in front of us pinned: the release's directory.
    pub root: Option<&'a [u8]>,
    /// And its name, where that is asked for.
    pub release: Option<&'a [u8]>,
    /// DOCUMENT_ROOT, where it is asked for.
    pub docroot: Option<&'a [u8]>,
    /// The process is this one request.
    pub for_life: bool,
}

/// What comes of the beginning of a request.
#[derive(Default)]
pub struct Begun {
    /// It could not be pinned, for this reason.
    pub failed: Option<String>,
    /// What the administrator should hear besides.
    pub complaints: Vec<String>,
    /// Another release than before: what PHP remembers of where links lead is out of date.
    pub other: bool,
}

impl Site {
    /// A site with these settings.
    pub fn new(raw: Raw, sapi: &str) -> Site {
        let settings = Settings::parse(&raw, sapi, look);
        Site { raw, settings, hold: Hold::default(), led: None, docroot: None }
    }

    /// Parses the settings anew, where what they said depended on a link that was not there.
    pub fn look_again(&mut self, sapi: &str) {
        if self.settings.pinning.is_err() && self.raw.link.is_empty() {
            self.settings = Settings::parse(&self.raw, sapi, look);
        }
    }

    /// Whether there is anything to be done in a request.
    pub fn pins(&self) -> bool {
        !matches!(self.settings.pinning, Ok(None)) || self.settings.complaint.is_some()
    }

    /// Whether requests are to bring their DOCUMENT_ROOT.
    pub fn wants_docroot(&self) -> bool {
        match &self.settings.pinning {
            Ok(Some(pinning)) => pinning.places.iter().any(|place| place.to == To::Docroot),
            Ok(None) | Err(_) => false,
        }
    }

    /// What becomes of a request that cannot be pinned.
    pub fn on_failure(&self) -> OnFailure {
        self.settings.on_failure
    }

    /// What the settings say that was not understood; told once.
    pub fn complaint(&mut self) -> Option<String> {
        self.settings.complaint.take()
    }

    /// Takes hold of the release of the request before, the short way: if that is the one that is wanted, and the
    /// include_path is the same.
    pub fn begin_again(&mut self, root: Option<&[u8]>, include_path: &[u8]) -> bool {
        let (Ok(Some(pinning)), Some(led)) = (&self.settings.pinning, &self.led) else { return false };
        led.given == include_path && led.docroot.is_none() && self.hold.take_again(&pinning.app, root)
    }

    /// Takes hold of the request's release.
    pub fn begin(&mut self, request: &Request<'_>) -> Begun {
        let pinning = match &self.settings.pinning {
            Ok(Some(pinning)) => pinning,
            Ok(None) => return Begun::default(),
            Err(why) => return Begun { failed: Some(why.clone()), ..Begun::default() },
        };
        let mut begun = Begun::default();
        let mut taken = None;
        if self.docroot.as_ref().is_none_or(|(docroot, _)| Some(docroot.as_slice()) != request.docroot) {
            let told = in_docroot(pinning, request.docroot);
            self.docroot = request.docroot.map(|docroot| (docroot.to_owned(), told));
        }
        let in_docroot = self.docroot.as_ref().and_then(|(_, told)| told.clone());
        if let Some(told) = told(request).or(in_docroot) {
            match self.hold.take_told(&pinning.app, &told) {
                Ok(it) => taken = Some(it),
                // Whoever said it may run another release than this one: where that matters, it is no pin.
                Err(why) if self.settings.on_failure == OnFailure::Refuse => {
                    return Begun { failed: Some(why), ..begun };
                }
                Err(why) => begun.complaints.push(format!("{why}; the link is read instead")),
            }
        }
        let taken = match taken {
            Some(taken) => taken,
            None => match self.hold.take_live(&pinning.app) {
                Ok(taken) => taken,
                Err(why) => return Begun { failed: Some(said(&why)), ..begun },
            },
        };
        begun.other = taken.other;
        begun.complaints.extend(taken.complaint);
        if let Err(why) = self.lead(request) {
            begun.failed = Some(why);
        }
        if request.for_life {
            self.hold.keep_for_life();
        }
        begun
    }

    /// Lets the request's release go.
    pub fn end(&mut self) {
        self.hold.rest();
    }

    /// The release that is held now: its name, and its directory.
    pub fn release(&self) -> Option<(&str, &Path)> {
        self.hold.live().map(|live| (live.id.as_str(), live.dir.as_path()))
    }

    /// The include_path for the release that is held, if it differs from the given one.
    pub fn include_path(&self) -> Option<&CString> {
        self.hold.live().and(self.led.as_ref()?.value.as_ref())
    }

    fn lead(&mut self, request: &Request<'_>) -> Result<(), String> {
        if self.led.as_ref().is_some_and(|led| {
            led.given == request.include_path
                && led.docroot.as_deref() == request.docroot
                && self.hold.targets(&led.target)
        }) {
            return Ok(());
        }
        let (Ok(Some(pinning)), Some(target)) = (&self.settings.pinning, self.hold.target()) else {
            return Ok(());
        };
        self.led = None;
        let mut places = Vec::new();
        for place in &pinning.places {
            let to = match &place.to {
                To::Release(rest) if rest.as_os_str().is_empty() => target.clone(),
                To::Release(rest) => target.join(rest),
                To::Docroot => docroot(pinning, &target, request.docroot)?,
            };
            places.push((place.from.as_os_str().as_bytes(), to));
        }
        let leads: Vec<_> =
            places.iter().map(|(from, to)| Lead { from, to: to.as_os_str().as_bytes() }).collect();
        let value = include_path::led(request.include_path, &leads);
        let value =
            value.map(CString::new).transpose().map_err(|_| "include_path contains a NUL".to_owned())?;
        let (given, docroot) = (request.include_path.to_owned(), request.docroot.map(<[u8]>::to_owned));
        self.led = Some(Led { given, docroot, target, value });
        Ok(())
    }
}

/// Why the link names no release, in the words of our settings.
fn said(why: &LiveError) -> String {
    why.to_string().replace("app.allow", "cutover.allow")
}

fn told(request: &Request<'_>) -> Option<Told> {
    Some(Told { root: request.root?.to_owned(), release: request.release.map(<[u8]>::to_owned) })
}

/// The release that a DOCUMENT_ROOT lies in, as a server in front of us pinned it.
fn in_docroot(pinning: &Pinning, docroot: Option<&[u8]>) -> Option<Told> {
    let docroot = Path::new(OsStr::from_bytes(docroot?));
    if docroot.starts_with(pinning.app.link()) {
        return None;
    }
    let dir = docroot.ancestors().find_map(|path| live::at(&pinning.app, path).ok())?.dir;
    Some(Told { root: dir.into_os_string().into_encoded_bytes(), release: None })
}

/// What stands for the pattern in incpath's way: DOCUMENT_ROOT, which has to be that of the pinned release.
fn docroot(pinning: &Pinning, target: &Path, docroot: Option<&[u8]>) -> Result<PathBuf, String> {
    let Some(docroot) = docroot.map(|docroot| Path::new(OsStr::from_bytes(docroot))) else {
        return Err("incpath.docroot_sapi_list asks for a DOCUMENT_ROOT, and the request has none".to_owned());
    };
    if docroot.starts_with(target) {
        return Ok(docroot.to_owned());
    }
    match docroot.strip_prefix(pinning.app.link()) {
        Ok(rest) if rest.as_os_str().is_empty() => Ok(target.to_owned()),
        Ok(rest) => Ok(target.join(rest)),
        Err(_) => Err(format!(
            "DOCUMENT_ROOT {} lies neither in the pinned release nor below {}",
            docroot.display(),
            pinning.app.link().display()
        )),
    }
}

fn look(path: &Path) -> Stands {
    match rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW).map(|stat| stat.st_mode) {
        Ok(mode) if FileType::from_raw_mode(mode) == FileType::Symlink => Stands::Link,
        Ok(mode) if FileType::from_raw_mode(mode) == FileType::Directory => Stands::Directory,
        Ok(_) | Err(_) => Stands::Other,
    }
}
