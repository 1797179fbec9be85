//! Answer times by the time since the last flip: that is where a cold cache shows.

use super::svg::{Scale, WIDTH, tick_name};
use crate::latency::{Spread, since_last_flip};
use crate::report::summary::Summary;

const LEFT: f64 = 62.0;
/// The end of the logarithmic part; behind it stands the steady state.
const RIGHT: f64 = WIDTH - 150.0;
const STEADY: f64 = WIDTH - 70.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 224.0;
/// From 100 us to 10 s, four in a decade.
const BUCKETS: i32 = 20;
const FIRST_NS: f64 = 1e5;
const STEADY_NS: f64 = 1e10;

/// What a line draws of the times in a bucket, in nanoseconds.
type Figure = fn(&Spread) -> f64;

/// The figure with its caption; without a flip, a sentence.
pub(super) fn figure(summary: &Summary<'_>) -> String {
    if summary.latencies.flips.count() == 0 || summary.observed.responses.is_empty() {
        return "<p>There was no flip that returned, so there is nothing to compare.</p>\n".to_owned();
    }
    let mut buckets: Vec<Spread> = (0..=BUCKETS).map(|_| Spread::new()).collect();
    let mut steady = Spread::new();
    for (response, since) in since_last_flip(summary.observed) {
        match since {
            Some(since) if (since as f64) < STEADY_NS => {
                let nth = ((since as f64 / FIRST_NS).max(1e-9).log10() * 4.0).floor() as i32 + 1;
                let nth = usize::try_from(nth.clamp(0, BUCKETS)).unwrap_or(0);
                if let Some(bucket) = buckets.get_mut(nth) {
                    bucket.add(response.took_ns());
                }
            }
            Some(_) | None => steady.add(response.took_ns()),
        }
    }
    let drawn = || buckets.iter().chain([&steady]).filter(|bucket| bucket.count() > 0);
    let median_ns = |bucket: &Spread| bucket.percent(50.0).as_nanos();
    let least = drawn().map(median_ns).min().unwrap_or(1_000);
    let y = Scale::decades(least as f64, summary.latencies.all.max().as_nanos() as f64, BOTTOM, TOP);
    let last =
        buckets.iter().rposition(|bucket| bucket.count() > 0).and_then(|last| i32::try_from(last).ok());
    let x =
        Scale::decades(FIRST_NS, middle_ns(last.unwrap_or(BUCKETS)).max(FIRST_NS * 10.0), LEFT + 30.0, RIGHT);
    let mut svg = axes(x, y);
    let lines: [(&str, Figure); 3] = [
        ("max", |spread| spread.max().as_nanos() as f64),
        ("p99", |spread| spread.percent(99.0).as_nanos() as f64),
        ("p50", |spread| spread.percent(50.0).as_nanos() as f64),
    ];
    let mut label_below = TOP - 14.0;
    for (class, of) in lines {
        let points: Vec<(f64, f64)> = (0..)
            .zip(&buckets)
            .filter(|(_, bucket)| bucket.count() > 0)
            .map(|(nth, bucket)| (x.at(middle_ns(nth)), y.at(of(bucket))))
            .collect();
        let last = points.last().map(|(_, at)| *at);
        svg.push_str(&line(class, &points));
        let mut label_at = last;
        if steady.count() > 0 {
            let at = y.at(of(&steady));
            svg.push_str(&format!(
                "<path class=\"line {class}\" d=\"M{} {at:.1}H{}\"/>",
                STEADY - 26.0,
                STEADY + 26.0
            ));
            label_at = Some(at);
        }
        if let Some(at) = label_at {
            // Names of lines that run together are written below each other.
            let at = (at + 4.0).max(label_below + 14.0);
            label_below = at;
            let left = if steady.count() > 0 { STEADY + 34.0 } else { RIGHT + 8.0 };
            svg.push_str(&format!("<text class=\"ink\" x=\"{left}\" y=\"{at:.1}\">{class}</text>"));
        }
    }
    let height = BOTTOM + 44.0;
    format!(
        "<figure><div class=\"scroll\"><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"ar-t ar-d\">\n\
         <title id=\"ar-t\">Answer times by the time since the last flip</title>\n<desc id=\"ar-d\">Median, 99th percentile and \
         maximum of the answer times, by how long before the request the last flip had returned. The table below gives the same figures.</desc>\n\
         {svg}</svg></div>\n<figcaption>How long answers took (up) by how long before their request the last flip had returned (across); \
         both logarithmic. A cold cache shows as a hill at the left.</figcaption></figure>\n"
    )
}

/// The middle of a bucket; the first holds all below 100 us.
fn middle_ns(nth: i32) -> f64 {
    FIRST_NS * 10_f64.powf((f64::from(nth) - 0.5) / 4.0)
}

fn axes(x: Scale, y: Scale) -> String {
    let mut out = String::new();
    for tick in y.ticks() {
        let at = y.at(tick);
        out.push_str(&format!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - 44.0,
            LEFT - 8.0,
            at + 4.0,
            tick_name(tick)));
    }
    for tick in x.ticks() {
        let at = x.at(tick);
        out.push_str(&format!("<path class=\"axis\" d=\"M{at:.1} {BOTTOM}v5\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 20.0,
            tick_name(tick)));
    }
    out.push_str(&format!("<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{}\"/><text x=\"{STEADY}\" y=\"{}\" text-anchor=\"middle\">steady</text>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">since the last flip</text>",
        WIDTH - 44.0,
        BOTTOM + 20.0,
        (LEFT + RIGHT) / 2.0,
        BOTTOM + 38.0));
    out
}

fn line(class: &str, points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    let mut dots = String::new();
    for (nth, (x, y)) in points.iter().enumerate() {
        path.push_str(&format!("{}{x:.1} {y:.1}", if nth == 0 { "M" } else { "L" }));
        dots.push_str(&format!("<circle class=\"fill {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>"));
    }
    format!("<path class=\"line {class}\" d=\"{path}\"/>{dots}\n")
}
