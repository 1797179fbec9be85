//! The whole run: each answer by when it was asked and how long it took, coloured by its release, under the flips.

use super::svg::{Scale, WIDTH, extent, live, live_band, release_class, tick_name};
use crate::observations::Seen;
use crate::report::summary::{Summary, grouped};
use crate::verdict::Verdict;
use std::collections::BTreeMap;

const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 8.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 274.0;
/// A cell's size.
const CELL: (f64, f64) = (3.0, 5.0);
/// More flips than this are not drawn as lines: they would hide what is below.
const LINES: usize = 120;
const LANE: f64 = 20.0;

/// The figure, with a caption.
pub(super) fn figure(summary: &Summary<'_>) -> String {
    let observed = summary.observed;
    let (begin, end) = extent(observed);
    let x = Scale::even(begin as f64, end as f64, LEFT, RIGHT);
    let took = || observed.responses.iter().map(crate::observations::Response::took_ns);
    let (least, most) = (took().min().unwrap_or(1_000), took().max().unwrap_or(1_000_000));
    let y = Scale::decades(least.max(1_000) as f64, most as f64, BOTTOM, TOP);
    let lanes = lanes(summary, x);
    let height = BOTTOM + 34.0 + LANE * lanes.len() as f64;
    let axis_at = height - 24.0;
    let mut svg = String::new();
    svg.push_str(&axes(x, y, begin, axis_at));
    svg.push_str(&live_band(&live(observed, x, begin, end), 8.0, 12.0));
    svg.push_str(&format!(
        "<text class=\"ink\" x=\"54\" y=\"18\" text-anchor=\"end\">live</text>\n{}",
        cells(summary, x, y)
    ));
    if observed.flips.len() <= LINES && !observed.flips.is_empty() {
        let line =
            |flip: &crate::observations::Flip| format!("M{:.1} 8V{axis_at}", x.at(flip.called_ns as f64));
        let lines: String = observed.flips.iter().map(line).collect();
        svg.push_str(&format!("<path class=\"flip\" d=\"{lines}\"/>"));
    }
    svg.push_str(&crosses(summary, x, y));
    for (nth, lane) in (0_u32..).zip(&lanes) {
        let top = BOTTOM + 8.0 + LANE * f64::from(nth);
        svg.push_str(&lane.drawn(top));
    }
    let flips = observed.flips.len() as u64;
    let drawn = match flips {
        0 => "There was no flip.".to_owned(),
        _ if observed.flips.len() <= LINES => format!("The {} vertical lines are the flips.", grouped(flips)),
        _ => format!(
            "The {} flips are too many to be drawn as lines; the band above shows which release was live, grey where they come too fast to be seen.",
            grouped(flips)
        ),
    };
    let requests = grouped(summary.verdicts.total.all());
    let convicted = grouped(summary.verdicts.convicted.len() as u64);
    format!(
        "<figure><div class=\"scroll\"><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"tl-t tl-d\">\n\
         <title id=\"tl-t\">Answers over time</title>\n<desc id=\"tl-d\">{requests} answers by when they were asked and how \
         long they took, coloured by the release that answered; {flips} flips; {convicted} answers broke the promise. The tables \
         below give the same figures.</desc>\n{svg}</svg></div>\n\
         <figcaption>Each dot is answers of one release that were asked at that time (across) and took so long (up, logarithmic). {drawn}</figcaption></figure>\n"
    )
}

fn axes(x: Scale, y: Scale, begin: u64, axis_at: f64) -> String {
    let mut out = String::new();
    for tick in y.ticks() {
        let at = y.at(tick);
        out.push_str(&format!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            LEFT - 8.0,
            at + 4.0,
            tick_name(tick)));
    }
    let since = Scale::even(0.0, x.span(), LEFT, RIGHT);
    for tick in since.ticks() {
        let at = x.at(begin as f64 + tick);
        let anchor = if at > RIGHT - 16.0 { "end" } else { "middle" };
        out.push_str(&format!(
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            axis_at + 18.0,
            tick_name(tick)
        ));
    }
    out.push_str(&format!("<path class=\"axis\" d=\"M{LEFT} {axis_at:.1}H{RIGHT}\"/>"));
    out
}

/// The cell of a place, from 0.
fn cell(x: f64, y: f64) -> (u32, u32) {
    (((x - LEFT) / CELL.0).max(0.0) as u32, ((y - TOP) / CELL.1).max(0.0) as u32)
}

/// Answers counted into cells; each is drawn in the colour of the release that most of them are of, the fuller the darker.
fn cells(summary: &Summary<'_>, x: Scale, y: Scale) -> String {
    let mut counts: BTreeMap<(u32, u32), BTreeMap<String, u32>> = BTreeMap::new();
    let classes: Vec<String> = (0..8).map(release_class).collect();
    for response in &summary.observed.responses {
        let class = match &response.seen {
            Seen::Of(release) => classes.get((*release % 8) as usize).map_or("any", String::as_str),
            Seen::AnyOf(_) => "any",
            Seen::Parts(_) | Seen::Wrong(_) => continue,
        };
        let place = cell(x.at(response.sent_ns as f64), y.at(response.took_ns() as f64));
        let of = counts.entry(place).or_default();
        match of.get_mut(class) {
            Some(count) => *count += 1,
            None => drop(of.insert(class.to_owned(), 1)),
        }
    }
    let mut paths: BTreeMap<(&str, u8), String> = BTreeMap::new();
    for ((column, row), of) in &counts {
        let Some((class, _)) = of.iter().max_by_key(|(_, count)| **count) else { continue };
        let level = match of.values().sum::<u32>() {
            ..=2 => 0,
            3..=20 => 1,
            _ => 2,
        };
        let path = paths.entry((class.as_str(), level)).or_default();
        let (left, middle) = (LEFT + f64::from(*column) * CELL.0, TOP + (f64::from(*row) + 0.5) * CELL.1);
        path.push_str(&format!("M{left} {middle}h3"));
    }
    let path = |((class, level), path): (&(&str, u8), &String)| {
        let opacity = [0.42, 0.7, 1.0].get(usize::from(*level)).copied().unwrap_or(1.0);
        format!("<path class=\"stroke {class}\" stroke-width=\"4.2\" opacity=\"{opacity}\" d=\"{path}\"/>\n")
    };
    paths.iter().map(path).collect()
}

/// A cross for each cell with an answer that broke the promise.
fn crosses(summary: &Summary<'_>, x: Scale, y: Scale) -> String {
    let convicted =
        summary.verdicts.convicted.iter().filter_map(|(at, _)| summary.observed.responses.get(*at));
    let mut places: Vec<(u32, u32)> =
        convicted.map(|one| cell(x.at(one.sent_ns as f64), y.at(one.took_ns() as f64))).collect();
    places.sort_unstable();
    places.dedup();
    if places.is_empty() {
        return String::new();
    }
    let cross = |(column, row): &(u32, u32)| {
        let (left, top) = (LEFT + f64::from(*column) * CELL.0 - 1.5, TOP + f64::from(*row) * CELL.1 - 0.5);
        format!("M{left} {top}l6 6m0-6l-6 6")
    };
    format!("<path class=\"crosses\" d=\"{}\"/>\n", places.iter().map(cross).collect::<String>())
}

/// One kind of breach over time.
struct Lane {
    name: &'static str,
    count: u64,
    /// By the place across, in steps of a cell.
    at: BTreeMap<u32, u64>,
}

fn lanes(summary: &Summary<'_>, x: Scale) -> Vec<Lane> {
    let lane = |name| Lane { name, count: 0, at: BTreeMap::new() };
    let [mut failed, mut mixed, mut stale, mut slow, mut back] =
        ["failed", "mixed", "stale", "slow", "gone back"].map(lane);
    let place =
        |at: usize| summary.observed.responses.get(at).map_or(0, |one| cell(x.at(one.sent_ns as f64), TOP).0);
    for (at, verdict) in &summary.verdicts.convicted {
        let lane = match verdict {
            Verdict::Ok => continue,
            Verdict::Failed => &mut failed,
            Verdict::Mixed => &mut mixed,
            Verdict::Stale { .. } => &mut stale,
            Verdict::Slow => &mut slow,
        };
        lane.add(place(*at));
    }
    for went in &summary.verdicts.sessions.backwards {
        back.add(place(went.then));
    }
    [failed, mixed, stale, slow, back].into_iter().filter(|lane| lane.count > 0).collect()
}

impl Lane {
    fn add(&mut self, place: u32) {
        self.count += 1;
        *self.at.entry(place).or_default() += 1;
    }

    fn drawn(&self, top: f64) -> String {
        let mark = |(column, count): (&u32, &u64)| {
            let left = LEFT + f64::from(*column) * CELL.0;
            format!(
                "<rect class=\"convict\" x=\"{left}\" y=\"{}\" width=\"2.4\" height=\"12\"><title>{} {}</title></rect>",
                top + 2.0,
                grouped(*count),
                self.name
            )
        };
        format!(
            "<rect class=\"lane\" x=\"{LEFT}\" y=\"{top}\" width=\"{}\" height=\"16\" rx=\"2\"/><text class=\"bad\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>{}\n",
            RIGHT - LEFT,
            LEFT - 8.0,
            top + 12.0,
            self.name,
            self.at.iter().map(mark).collect::<String>()
        )
    }
}
