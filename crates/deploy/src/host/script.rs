//! Script: what the login shell at the far end is told: one line, which becomes our program or says why it cannot.

use super::program::Program;
use super::ssh::Target;

/// What its lines for us begin with.
pub(super) const MARK: &str = "cutover-host 1 ";

/// What ours is made for, as `uname -sm` says it.
pub(super) fn here() -> String {
    let system = match std::env::consts::OS {
        "linux" => "Linux",
        other => other,
    };
    format!("{system} {}", std::env::consts::ARCH)
}

/// What the login shell is told. `anew`: what stands there is not looked at.
pub(super) fn script(target: &Target, program: &Program, anew: bool) -> String {
    if let Some(program) = &target.program {
        let program = program.display();
        return format!("exec sh -c 'echo; echo {MARK}found; exec \"{program}\" host'");
    }
    let (hash, bytes) = (program.hash(), program.bytes());
    let look = match anew {
        true => String::new(),
        false => format!(
            "if test -x \"$f\" && test \"$(wc -c <\"$f\")\" -eq {bytes}; then echo {MARK}found; exec \"$f\" host; fi; "
        ),
    };
    // Counted before it gets its name: a file of that name and length is whole, and what it holds it tells itself.
    format!(
        "exec sh -c 'echo; d=${{XDG_CACHE_HOME:-$HOME/.cache}}/cutover/bin/{hash}; f=$d/cutover; t=$d/.put-$$; \
         {look}echo {MARK}missing $(uname -sm); \
         (umask 077; mkdir -p \"$d\" && head -c {bytes} >\"$t\" && test \"$(wc -c <\"$t\")\" -eq {bytes} && chmod 700 \"$t\" && mv -f \"$t\" \"$f\") \
         && {{ echo {MARK}put; exec \"$f\" host; }}; rm -f \"$t\"; echo {MARK}failed'"
    )
}
