//! Diff: a patch as `diff -u` writes it.

use similar::TextDiff;

use crate::patch::Patch;

/// A unified diff that `patch -p0 -d /` takes.
pub fn render(patch: &Patch) -> String {
    let name = patch.path.display().to_string();
    let diff = TextDiff::from_lines(&patch.before, &patch.after);
    diff.unified_diff().context_radius(3).header(&name, &name).to_string()
}
