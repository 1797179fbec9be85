//! Close up: the requests around one flip, each as a bar from its sending to its last byte; the worst that went wrong, or if
//! nothing did, the flip in the middle of the run.

use super::svg::{Scale, WIDTH, live, live_band, nanos, release_class, tick_name};
use crate::observations::{Response, Seen};
use crate::report::examples::{self, Example};
use crate::report::junit::escaped;
use crate::report::summary::Summary;
use crate::verdict::Verdict;
use std::collections::HashMap;

const LEFT: f64 = 150.0;
const RIGHT: f64 = WIDTH - 130.0;
const TOP: f64 = 44.0;
const ROW: f64 = 15.0;
/// As many requests are shown at most.
const ROWS: usize = 28;

/// The figure with its caption; `None`: there is no flip and nothing went wrong.
pub(super) fn figure(summary: &Summary<'_>) -> Option<String> {
    let observed = summary.observed;
    let worst = examples::worst(summary, 1).into_iter().find(|one| one.response.done_ns > 0);
    let (from, until, what) = match &worst {
        Some(example) => around_example(summary, example),
        None => {
            let flip = observed.flips.get(observed.flips.len() / 2)?;
            let until = flip.returned_ns.unwrap_or(flip.called_ns);
            (
                flip.called_ns,
                until,
                format!("The flip to {} in the middle of the run", observed.release(flip.to)),
            )
        }
    };
    let per_request_ns = if summary.rate > 0.0 { 1e9 / summary.rate } else { 1e6 };
    let usual_ns = summary.latencies.all.percent(50.0).as_nanos() as f64;
    let pad =
        ((until - from) as f64 * 0.35).max(per_request_ns * 8.0).max(usual_ns * 1.5).max(200_000.0) as u64;
    let (from, until) = (from.saturating_sub(pad), until.saturating_add(pad));
    let convicted: HashMap<usize, Verdict> = summary.verdicts.convicted.iter().copied().collect();
    let shown = chosen(summary, &convicted, from, until);
    let x = Scale::even(from as f64, until as f64, LEFT, RIGHT);
    let bottom = TOP + ROW * shown.len() as f64 + 4.0;
    let height = bottom + 28.0;
    let mut svg = flips(summary, x, from, until, bottom);
    svg.push_str(&live_band(&live(observed, x, from, until), 24.0, 10.0));
    svg.push_str("<text class=\"ink\" x=\"142\" y=\"33\" text-anchor=\"end\">live</text>\n");
    for (nth, (at, response)) in (0_u32..).zip(&shown) {
        svg.push_str(&bar(summary, response, convicted.get(at).copied(), x, TOP + ROW * f64::from(nth)));
    }
    for tick in Scale::even(0.0, x.span(), LEFT, RIGHT).ticks() {
        let at = x.at(from as f64 + tick);
        svg.push_str(&format!(
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 18.0,
            tick_name(tick)
        ));
    }
    svg.push_str(&format!("<path class=\"axis\" d=\"M{LEFT} {bottom:.1}H{RIGHT}\"/>"));
    Some(format!(
        "<figure><div class=\"scroll\"><svg viewBox=\"0 0 {WIDTH} {height:.1}\" role=\"img\" aria-labelledby=\"cu-t cu-d\">\n\
         <title id=\"cu-t\">Requests around one flip</title>\n<desc id=\"cu-d\">{what}: {} requests as bars from their sending to \
         their last byte, over {}.</desc>\n{svg}</svg></div>\n\
         <figcaption>{what}. Each bar is one request, from its sending to its last byte, in the colour of the release that \
         answered; a shaded column is a flip, from its call to its return. A bar may have the colour of any release that was live while it lasted; before its flip was called, or after the next one returned, a release may not be seen.</figcaption></figure>\n",
        shown.len(),
        nanos(until - from)
    ))
}

/// Its interval, stretched to the flip that it is to be seen against.
fn around_example(summary: &Summary<'_>, example: &Example<'_>) -> (u64, u64, String) {
    let one = example.response;
    let flips = &summary.observed.flips;
    let last = flips.partition_point(|flip| flip.called_ns <= one.done_ns).checked_sub(1);
    let flip = last.and_then(|last| flips.get(last)).map_or(one.sent_ns, |flip| flip.called_ns);
    // A flip that is long ago would leave nothing to be seen of the request.
    let near = flip.saturating_add(4 * one.took_ns().max(2_000_000)) >= one.sent_ns;
    let from = if near { flip.min(one.sent_ns) } else { one.sent_ns };
    let what = format!(
        "A request for {}: {}, asked {}",
        escaped(example.page),
        example.verdict,
        escaped(&example.when)
    );
    (from, one.done_ns, what)
}

/// Those that broke the promise first, then those nearest to the middle; in the order in which they were sent.
fn chosen<'a>(
    summary: &Summary<'a>,
    convicted: &HashMap<usize, Verdict>,
    from: u64,
    until: u64,
) -> Vec<(usize, &'a Response)> {
    let inside = |one: &Response| one.done_ns >= from && one.sent_ns <= until;
    let mut found: Vec<_> =
        summary.observed.responses.iter().enumerate().filter(|(_, one)| inside(one)).collect();
    let middle = from / 2 + until / 2;
    found.sort_by_key(|(at, one)| {
        let away = (one.sent_ns / 2 + one.done_ns / 2).abs_diff(middle);
        (!convicted.contains_key(at), away)
    });
    found.truncate(ROWS);
    found.sort_by_key(|(_, one)| one.sent_ns);
    found
}

fn flips(summary: &Summary<'_>, x: Scale, from: u64, until: u64, bottom: f64) -> String {
    let observed = summary.observed;
    let end = |flip: &crate::observations::Flip| flip.returned_ns.unwrap_or(until);
    let inside: Vec<_> =
        observed.flips.iter().filter(|flip| flip.called_ns <= until && end(flip) >= from).take(200).collect();
    let mut out = String::new();
    let mut label_from = LEFT;
    for flip in &inside {
        let (left, right) = (x.at(flip.called_ns as f64), x.at(end(flip) as f64));
        let width = (right - left).max(1.0);
        out.push_str(&format!("<rect class=\"flipping\" x=\"{left:.1}\" y=\"20\" width=\"{width:.1}\" height=\"{:.1}\"/><path class=\"flip\" d=\"M{left:.1} 20V{bottom:.1}\"/>",
            bottom - 20.0));
        let name = format!("flip to {}", observed.release(flip.to));
        let needed = name.chars().count() as f64 * 6.6 + 8.0;
        if left >= label_from && left + needed <= RIGHT + 100.0 {
            out.push_str(&format!("<text x=\"{left:.1}\" y=\"13\">{}</text>", escaped(&name)));
            label_from = left + needed;
        }
    }
    out
}

fn bar(summary: &Summary<'_>, one: &Response, verdict: Option<Verdict>, x: Scale, top: f64) -> String {
    let observed = summary.observed;
    let (left, right) = (x.at(one.sent_ns as f64), x.at(one.done_ns as f64));
    let width = (right - left).max(2.0);
    let page: String = summary.page(one.page).chars().take(20).collect();
    let class = match &one.seen {
        Seen::Of(release) => release_class(*release),
        Seen::AnyOf(_) | Seen::Parts(_) | Seen::Wrong(_) => "any".to_owned(),
    };
    let bars = match &one.seen {
        Seen::Parts(parts) if !parts.is_empty() => {
            let share = width / parts.len() as f64;
            let part = |(nth, release): (u32, &u32)| {
                rect(&release_class(*release), left + share * f64::from(nth), top, share)
            };
            (0_u32..).zip(parts.iter()).map(part).collect()
        }
        Seen::Of(_) | Seen::AnyOf(_) | Seen::Parts(_) | Seen::Wrong(_) => rect(&class, left, top, width),
    };
    let said = escaped(&examples::said(observed, &one.seen));
    let (outline, name) = match verdict {
        None => (String::new(), String::new()),
        Some(verdict) => (
            format!(
                "<rect class=\"outline\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"13\" rx=\"2\"/>",
                left - 1.0,
                top + 1.0,
                width + 2.0
            ),
            format!(
                "<text class=\"bad\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                right + 7.0,
                top + 11.5,
                examples::named(verdict)
            ),
        ),
    };
    format!(
        "<g><title>{}: {said}, took {}</title><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>{bars}{outline}{name}</g>\n",
        escaped(summary.page(one.page)),
        nanos(one.took_ns()),
        LEFT - 8.0,
        top + 11.5,
        escaped(&page)
    )
}

fn rect(class: &str, left: f64, top: f64, width: f64) -> String {
    format!(
        "<rect class=\"fill {class}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"11\"/>",
        top + 2.0
    )
}
