//! Advice: what else in a cache is nearly used up or works against releases. Pure.

use super::figures::{Figures, megabytes};

/// What should be said of these figures. `preloads_each`: each release gets a master of its own, so preloading is fine.
pub fn of(figures: &Figures, preloads_each: bool) -> Vec<String> {
    let mut advice = Vec::new();
    let strings = figures.interned + figures.interned_free;
    if strings > 0 && figures.interned_free * 20 < strings {
        advice.push(format!(
            "the buffer of interned strings is full ({} of {}): raise opcache.interned_strings_buffer",
            megabytes(figures.interned),
            megabytes(strings)
        ));
    }
    if figures.jit > 0 && figures.jit_free * 20 < figures.jit {
        advice.push(format!(
            "the JIT's buffer is full ({}), and is never freed: raise opcache.jit_buffer_size, or new code is not compiled to machine code",
            megabytes(figures.jit)
        ));
    }
    if !figures.preload.is_empty() && !preloads_each {
        advice.push(format!(
            "opcache.preload = {}: what it loaded stays as it was when this PHP-FPM was started, whatever is live",
            figures.preload
        ));
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_buffers_and_preloading_are_told() {
        let quiet = Figures { interned: 50, interned_free: 50, jit: 100, jit_free: 50, ..Figures::default() };
        assert_eq!(of(&quiet, false), Vec::<String>::new());
        assert_eq!(of(&Figures::default(), false), Vec::<String>::new());
        let full = Figures { interned_free: 1, jit_free: 0, preload: "/srv/preload.php".into(), ..quiet };
        assert_eq!(of(&full, false).len(), 3);
        assert_eq!(of(&full, true).len(), 2);
    }
}
