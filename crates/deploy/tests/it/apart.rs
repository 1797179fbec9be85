//! Apart: a test that runs in a mount namespace of its own, on a file system of its own; nobody else sees that mount,
//! and it is gone with the test.

use std::io::Write;
use std::path::Path;
use std::process::Command;

const DIR: &str = "CUTOVER_TEST_MOUNTED";
/// What the script ends with where nothing may be mounted.
const FORBIDDEN: i32 = 77;

/// Runs `story` on a file system that `mount`, a shell line, mounts at `$D`. `test` is the full name of the calling
/// test. Temporary directories are made on that file system. Where nothing may be mounted, that is told and counted.
pub fn on(test: &str, mount: &str, story: impl FnOnce(&Path)) {
    if let Some(dir) = std::env::var_os(DIR) {
        return story(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "export D={0}/mounted; mkdir $D; {{ {mount}; }} || exit $?; export {DIR}=$D TMPDIR=$D; exec \"$0\" --exact {test} --nocapture",
        dir.path().display()
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "bash", "-c", &script]);
    unshare.arg(std::env::current_exe().unwrap()).env("IMAGE", dir.path().join("image"));
    let output = unshare.output().expect("unshare is missing: apt-get install util-linux");
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(FORBIDDEN) || said.contains("unshare failed") {
        // Past the harness, which would swallow it: scripts/test counts these lines.
        let told = format!("\nskipped: {test}: nothing may be mounted here\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return;
    }
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{said}");
    // Figures, for whoever asks for them with --nocapture.
    print!("{told}");
}

/// The line that mounts so much memory.
pub fn memory(options: &str) -> String {
    format!("mount -t tmpfs -o {options} none $D || exit {FORBIDDEN}")
}

/// The line that makes and mounts a file system of 400 MB in a file.
pub fn image(kind: &str, make: &str) -> String {
    format!(
        "truncate -s 400M $IMAGE; command -v mkfs.{kind} >/dev/null || {{ echo 'mkfs.{kind} is missing: scripts/setup' >&2; exit 1; }}; \
         {make} $IMAGE >&2 || exit 1; mount -o loop -t {kind} $IMAGE $D || exit {FORBIDDEN}"
    )
}
