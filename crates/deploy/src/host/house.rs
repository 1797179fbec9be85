//! House: the directory at the far end that our programs are put into, kept tidy.
//!
//! ```text
//! ~/.cache/cutover/bin/<BLAKE3>/cutover     its directory is locked, shared, by whoever runs it; its time is when it ran
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::program::Program;

/// The running program's place in the house, held until dropped.
#[derive(Debug)]
pub struct Place {
    dir: PathBuf,
    _lock: File,
}

/// Programs that nobody ran for so long go.
const LONG: Duration = Duration::from_secs(30 * 24 * 3600);
/// What was half put for so long is put by nobody any more.
const HALF: Duration = Duration::from_secs(24 * 3600);

/// Takes the place of the running program; `None`: it was not put there by us.
pub fn take(program: &Program) -> Option<Place> {
    let file = std::fs::read_link("/proc/self/exe").ok()?;
    place(&file, &program.hash())
}

fn place(file: &Path, hash: &str) -> Option<Place> {
    let dir = file.parent()?;
    let bin = dir.parent()?;
    let ours =
        dir.file_name()? == hash && bin.file_name()? == "bin" && bin.parent()?.file_name()? == "cutover";
    let lock = ours.then(|| File::open(dir).ok())??;
    lock.try_lock_shared().ok()?;
    // What cannot be marked as used may be put again one day.
    lock.set_modified(SystemTime::now()).unwrap_or(());
    Some(Place { dir: dir.to_owned(), _lock: lock })
}

impl Place {
    /// Removes programs beside it that were not run for long and are not now. What cannot be removed stays.
    pub fn tidy(&self) {
        for half in list(&self.dir).filter(|path| name(path).starts_with(".put-") && older(path, HALF)) {
            std::fs::remove_file(half).unwrap_or(());
        }
        let others = self.dir.parent().map(list).into_iter().flatten().filter(|path| *path != self.dir);
        for other in others.filter(|path| is_hash(&name(path)) && older(path, LONG)) {
            let lock = File::open(&other).ok().filter(|dir| dir.try_lock().is_ok());
            if lock.is_some() {
                std::fs::remove_dir_all(&other).unwrap_or(());
            }
        }
    }
}

fn list(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_hash(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn older(path: &Path, than: Duration) -> bool {
    let modified = path.symlink_metadata().and_then(|stat| stat.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > than))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_nobody_ran_for_long_go_and_those_that_run_stay() {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("cutover/bin");
        let hash = |digit: &str| digit.repeat(64);
        let put = |digit: &str, age: Duration| {
            let dir = bin.join(hash(digit));
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("cutover"), "").unwrap();
            File::open(&dir).unwrap().set_modified(SystemTime::now() - age).unwrap();
            dir
        };
        let (own, new, old, running) =
            (put("a", LONG * 2), put("b", LONG / 2), put("c", LONG * 2), put("d", LONG * 2));
        std::fs::create_dir(bin.join("something else")).unwrap();
        let runs = File::open(&running).unwrap();
        runs.try_lock_shared().unwrap();
        let place = place(&own.join("cutover"), &hash("a")).unwrap();
        place.tidy();
        assert_eq!([&own, &new, &old, &running].map(|dir| dir.exists()), [true, true, false, true]);
        assert!(bin.join("something else").exists());
        assert!(super::place(&bin.join("x/cutover"), &hash("a")).is_none());
    }
}
