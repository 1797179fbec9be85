//! SVG: scales, ticks, and the colour of a release.

use crate::observations::Observations;
use std::time::Duration;

/// The width of every plot, in its own units; the page scales it.
pub(super) const WIDTH: f64 = 1000.0;

/// How many colours there are; more releases use them again.
const COLOURS: u32 = 8;

/// What is narrower cannot be told apart by its colour.
const NARROWEST: f64 = 1.0;

/// A span of time on the screen, and the release that was live in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Live {
    from: f64,
    until: f64,
    release: Option<u32>,
}

/// Maps values to places on an axis, evenly or by their logarithm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    from: f64,
    until: f64,
    start: f64,
    end: f64,
    logarithmic: bool,
}

impl Scale {
    /// Evenly; `until` is beyond `from` in any case.
    pub fn even(from: f64, until: f64, start: f64, end: f64) -> Self {
        Self { from, until: until.max(from + 1.0), start, end, logarithmic: false }
    }

    /// By whole decades around both, at least one.
    pub fn decades(from: f64, until: f64, start: f64, end: f64) -> Self {
        let low = from.max(1.0).log10().floor();
        let high = until.max(1.0).log10().ceil().max(low + 1.0);
        Self { from: low, until: high, start, end, logarithmic: true }
    }

    /// Where a value is; outside the ends it is at the end.
    pub fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(1.0).log10() } else { value };
        let share = ((value - self.from) / (self.until - self.from)).clamp(0.0, 1.0);
        self.start + share * (self.end - self.start)
    }

    /// How much an even scale spans.
    pub fn span(&self) -> f64 {
        self.until - self.from
    }

    /// Values to write at the axis.
    pub fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let decades = self.from as i32..=self.until as i32;
            return decades.map(|decade| 10_f64.powi(decade)).collect();
        }
        let raw = (self.until - self.from) / 8.0;
        let magnitude = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0].map(|one| one * magnitude).into_iter().find(|step| *step >= raw);
        let step = step.unwrap_or(10.0 * magnitude);
        let first = (self.from / step).ceil() * step;
        (0..20).map(|nth| first + f64::from(nth) * step).take_while(|tick| *tick <= self.until).collect()
    }
}

/// The class that colours a release.
pub(super) fn release_class(release: u32) -> String {
    format!("r{}", release % COLOURS)
}

/// A whole number of the largest fitting unit: `100 us`, `5 ms`, `2 s`.
pub(super) fn tick_name(ns: f64) -> String {
    let (value, unit) = match ns {
        _ if ns <= 0.0 => return "0".to_owned(),
        _ if ns < 1e3 => (ns, "ns"),
        _ if ns < 1e6 => (ns / 1e3, "us"),
        _ if ns < 1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let rounded = (value * 1e3).round() / 1e3;
    format!("{rounded} {unit}")
}

/// Spans of time in which one release was live, as seen on a screen: from, until, and the release (`None`: several, too
/// short to be seen apart). A flip is drawn at its return.
pub(super) fn live(observed: &Observations, scale: Scale, from: u64, until: u64) -> Vec<Live> {
    let ends = observed.flips.iter().map(|flip| flip.returned_ns.unwrap_or(flip.called_ns)).chain([until]);
    let releases = std::iter::once(observed.first).chain(observed.flips.iter().map(|flip| flip.to));
    let mut spans: Vec<Live> = Vec::new();
    let mut since = from;
    for (end, release) in ends.zip(releases) {
        let end = end.min(until);
        if end <= since {
            continue;
        }
        let (start, stop) = (scale.at(since as f64), scale.at(end as f64));
        let release = Some(release).filter(|_| stop - start >= NARROWEST);
        since = end;
        match spans.last_mut() {
            Some(last) if last.release == release => last.until = stop,
            Some(_) | None => spans.push(Live { from: start, until: stop, release }),
        }
    }
    spans
}

/// The live release over time, as a band; empty for a run without an end.
pub(super) fn live_band(spans: &[Live], top: f64, height: f64) -> String {
    let band = |Live { from, until, release }: &Live| {
        let (class, width) =
            (release.map_or_else(|| "several".to_owned(), release_class), (until - from).max(0.5));
        format!(
            "<rect class=\"fill {class}\" x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\"/>\n"
        )
    };
    spans.iter().map(band).collect()
}

/// The first and the last moment that is to be seen.
pub(super) fn extent(observed: &Observations) -> (u64, u64) {
    let begins = observed.responses.iter().map(|one| one.due_ns.min(one.sent_ns));
    let begin = begins.chain(observed.flips.first().map(|flip| flip.called_ns)).min().unwrap_or(0);
    let ends = observed.responses.iter().map(|one| one.done_ns);
    let end = ends.chain(observed.flips.last().map(|flip| flip.returned_ns.unwrap_or(flip.called_ns))).max();
    (begin, end.unwrap_or(begin).max(begin + 1_000_000))
}

/// Nanoseconds for people.
pub(super) fn nanos(ns: u64) -> String {
    crate::report::short(Duration::from_nanos(ns))
}
