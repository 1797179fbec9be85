//! Php: the extension as it is built, and php on the command line with it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::shop::Shop;

/// The extension for the PHP of this machine.
pub fn extension() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("usual", &[], &[]))
}

/// The extension built with these variables and arguments.
pub fn built(name: &str, variables: &[(&str, &str)], arguments: &[&str]) -> PathBuf {
    built_of("php-cutover", "libcutover.so", name, variables, arguments)
}

/// The module for Apache.
pub fn mod_cutover() -> PathBuf {
    built_of("mod_cutover", "libmod_cutover.so", "mod_cutover", &[], &[])
}

/// Something of this workspace, put aside: the next build has the same name.
fn built_of(
    package: &str,
    file: &str,
    name: &str,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    static KEPT: OnceLock<tempfile::TempDir> = OnceLock::new();
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("extension");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--quiet", "-p", package, "--target-dir"]).arg(&target).args(arguments);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.env_remove("CUTOVER_PHP_API").env_remove("CUTOVER_PHP_ZTS").envs(variables.iter().copied());
    assert!(cargo.status().unwrap().success(), "{name} does not build");
    let kept = KEPT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        // Workers may be another user's.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        dir
    });
    let path = kept.path().join(format!("{name}.so"));
    std::fs::copy(target.join("debug").join(file), &path).unwrap();
    path
}

/// PHP on the command line with the extension, for this app, with these further settings.
pub fn php(shop: &Shop, settings: &[(&str, &str)]) -> Command {
    php_with(extension(), shop, settings)
}

/// The same with another build of the extension.
pub fn php_with(extension: &Path, shop: &Shop, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program());
    command.arg("-n").arg("-d").arg(format!("extension={}", extension.display()));
    let link = shop.app.link().display().to_string();
    let include_path = shop.include_path();
    let usual = [
        ("cutover.link", link.as_str()),
        ("include_path", &include_path),
        ("display_errors", "0"),
        ("log_errors", "1"),
        ("error_log", "/dev/stderr"),
    ];
    for (name, value) in
        usual.iter().filter(|(name, _)| !settings.iter().any(|(other, _)| other == name)).chain(settings)
    {
        command.arg("-d").arg(format!("{name}=\"{value}\""));
    }
    command.current_dir("/").env_remove("CUTOVER_RELEASE_ROOT").env_remove("CUTOVER_RELEASE");
    command
}

/// What a line of PHP prints.
pub fn run(shop: &Shop, settings: &[(&str, &str)], code: &str) -> String {
    let (out, said) = run_and_hear(shop, settings, code);
    assert_eq!(said, "", "{code}");
    out
}

/// What a line of PHP prints, and what PHP says of it in its log.
pub fn run_and_hear(shop: &Shop, settings: &[(&str, &str)], code: &str) -> (String, String) {
    let output = php(shop, settings).arg("-r").arg(code).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    (text(&output.stdout), said(&output))
}

pub fn said(output: &Output) -> String {
    text(&output.stderr)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn program() -> &'static str {
    ["/usr/bin/php8.2", "/usr/bin/php"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("php is needed: apt-get install php8.2-cli")
}

/// The program `cutover`: `CUTOVER_BIN`, or what the other workspace has built.
pub fn cutover() -> Option<PathBuf> {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/debug/cutover");
    let named = std::env::var_os("CUTOVER_BIN").map_or_else(|| built.into(), PathBuf::from);
    named.exists().then_some(named)
}
