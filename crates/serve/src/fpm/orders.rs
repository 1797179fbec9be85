//! Orders: what the keeper is told on its command line; the rest it reads from its place.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use super::place::Place;

/// What one keeper keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Orders {
    pub(crate) place: Place,
    /// The app's name, for what is said in the log.
    pub(crate) app: String,
    /// php-fpm.
    pub(crate) binary: PathBuf,
    pub(crate) stop_within: Duration,
    pub(crate) start_within: Duration,
    /// The group of who connects, where it is not our own.
    pub(crate) gid: Option<u32>,
    /// The workers run as root, as configured.
    pub(crate) as_root: bool,
}

impl Orders {
    pub(crate) fn to_args(&self) -> [OsString; 8] {
        [
            self.place.dir.clone().into(),
            self.place.generation.to_string().into(),
            self.app.clone().into(),
            self.binary.clone().into(),
            self.stop_within.as_millis().to_string().into(),
            self.start_within.as_millis().to_string().into(),
            self.gid.map_or("-".into(), |gid| gid.to_string().into()),
            if self.as_root { "root" } else { "-" }.into(),
        ]
    }

    /// Reads what [`Orders::to_args`] wrote; `None` for anything else.
    pub(crate) fn from_args(args: &[OsString]) -> Option<Orders> {
        let [dir, generation, app, binary, stop, start, gid, as_root] = args else { return None };
        let number = |arg: &OsStr| arg.to_str()?.parse::<u64>().ok();
        Some(Orders {
            place: Place { dir: dir.into(), generation: number(generation)?.try_into().ok()? },
            app: app.to_str()?.to_owned(),
            binary: binary.into(),
            stop_within: Duration::from_millis(number(stop)?),
            start_within: Duration::from_millis(number(start)?),
            gid: if gid == "-" { None } else { Some(number(gid)?.try_into().ok()?) },
            as_root: as_root == "root",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_they_were_given() {
        let orders = Orders {
            place: Place { dir: "/run/cutover/shop-1".into(), generation: 7 },
            app: "my shop".into(),
            binary: "/usr/sbin/php-fpm8.2".into(),
            stop_within: Duration::from_millis(1500),
            start_within: Duration::from_secs(30),
            gid: Some(33),
            as_root: true,
        };
        for orders in [orders.clone(), Orders { gid: None, as_root: false, ..orders }] {
            assert_eq!(Orders::from_args(&orders.to_args()), Some(orders));
        }
        assert_eq!(Orders::from_args(&["x".into()]), None);
    }
}
