//! The report as one page that can be sent to a colleague: no script, nothing that is fetched from elsewhere.
//!
//! Its plots are drawn here, as SVG. What they draw is counted into cells of a few pixels first, so a page stays small
//! however many requests there were; an answer that broke the promise marks its cell, whatever else is in it.

mod around;
mod closeup;
mod svg;
mod timeline;

use super::examples;
use super::junit::escaped;
use super::summary::{Summary, grouped, since_flip};
use super::text::{sessions, short};
use crate::latency::Spread;
use crate::observations::Observations;
use crate::verdict::{Tally, Verdicts};
use std::time::Duration;

/// How many convictions of each kind are told one by one.
const TOLD: usize = 6;

/// The whole file.
#[must_use]
pub fn html(observations: &Observations, verdicts: &Verdicts) -> String {
    let summary = Summary::of(observations, verdicts);
    let (style, title) = (include_str!("style.css"), escaped(&title(&summary)));
    let parts = [
        banner(&summary),
        tiles(&summary),
        section("What the answers were", &verdict_table(&summary)),
        section("The run", &(legend(&summary) + &timeline::figure(&summary))),
        closeup::figure(&summary).map_or_else(String::new, |figure| section("Close up", &figure)),
        section("Answer times around a flip", &(around::figure(&summary) + &times_table(&summary))),
        section("Pages", &page_table(&summary)),
        worst(&summary),
        section("How it is judged", include_str!("judged.html")),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{style}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
        parts.concat()
    )
}

fn title(summary: &Summary<'_>) -> String {
    match summary.observed.target.as_str() {
        "" => summary.conclusion(),
        target => format!("{target}: {}", summary.conclusion()),
    }
}

fn section(heading: &str, inside: &str) -> String {
    format!("<section>\n<h2>{heading}</h2>\n{inside}</section>\n")
}

fn banner(summary: &Summary<'_>) -> String {
    let observed = summary.observed;
    let conclusion = summary.conclusion();
    let (verdict, rest) = conclusion.split_once(": ").unwrap_or((conclusion.as_str(), ""));
    let class = match (summary.held(), summary.verdicts.holds() || summary.verdicts.total.all() == 0) {
        (true, _) => "held",
        (false, true) => "open",
        (false, false) => "broken",
    };
    let mut facts = Vec::new();
    for (what, value) in [("Target", &observed.target), ("Load", &observed.load), ("Began", &observed.began)]
    {
        if !value.is_empty() {
            facts.push(format!("<div><dt>{what}</dt><dd>{}</dd></div>\n", escaped(value)));
        }
    }
    let warn = |what: &str, why: &Option<String>| {
        why.as_ref()
            .map_or_else(String::new, |why| format!("<p class=\"warn\"><b>{what}</b> {}</p>\n", escaped(why)))
    };
    format!(
        "<header class=\"{class}\">\n<p class=\"eyebrow\">cutover prove</p>\n<h1>{}</h1>\n<p class=\"lead\">{}.</p>\n\
         {}{}<dl class=\"facts\">\n{}</dl>\n</header>\n",
        capitalised(verdict),
        escaped(&capital(rest)),
        warn("The run was cut short:", &observed.cut_short),
        warn("The load itself was the limit:", &observed.bottleneck),
        facts.concat()
    )
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn capitalised(text: &str) -> String {
    capital(&text.to_lowercase())
}

fn tiles(summary: &Summary<'_>) -> String {
    let latencies = &summary.latencies;
    let time = |spread: &Spread, percent: f64| short(spread.percent(percent));
    let mut tiles = vec![
        (
            "Requests",
            grouped(summary.verdicts.total.all()),
            format!("{} per second", grouped(summary.rate as u64)),
        ),
        (
            "Flips",
            grouped(summary.observed.flips.len() as u64),
            if latencies.flips.count() == 0 {
                "the site stood still".to_owned()
            } else {
                format!("{} each, max {}", time(&latencies.flips, 50.0), short(latencies.flips.max()))
            },
        ),
        ("Clients", grouped(summary.verdicts.sessions.clients), format!("in {:.1} s", summary.seconds)),
    ];
    if latencies.all.count() > 0 {
        tiles.push((
            "Median answer",
            time(&latencies.all, 50.0),
            format!("p99 {}", time(&latencies.all, 99.0)),
        ));
        tiles.push((
            "Slowest answer",
            short(latencies.all.max()),
            format!("p99.9 {}", time(&latencies.all, 99.9)),
        ));
    }
    let tile = |(what, value, more): &(&str, String, String)| {
        format!("<div class=\"tile\"><p>{what}</p><b>{value}</b><span>{more}</span></div>\n")
    };
    format!("<div class=\"tiles\">\n{}</div>\n", tiles.iter().map(tile).collect::<String>())
}

fn verdict_table(summary: &Summary<'_>) -> String {
    let Tally { ok, failed, mixed, stale, slow } = summary.verdicts.total;
    let late = summary.latest_ns.map(|late| format!(", by up to {}", short(Duration::from_nanos(late))));
    let slow_class = if summary.slow_breaks() { "bad" } else { "meh" };
    let mut rows = vec![
        ("ok", "good", ok, "one release answered, and it was live".to_owned()),
        ("failed", "bad", failed, "no release would have answered so, or nobody answered".to_owned()),
        ("mixed", "bad", mixed, "parts of two releases in one answer".to_owned()),
        ("stale", "bad", stale, format!("of a release that was not live{}", late.unwrap_or_default())),
    ];
    if let Some(over) = summary.slow_over() {
        rows.push(("slow", slow_class, slow, format!("ok, but it took longer than {}", short(over))));
    }
    let all = summary.verdicts.total.all().max(1) as f64;
    let row = |(name, class, count, what): &(&str, &str, u64, String)| {
        let share = *count as f64 / all * 100.0;
        let shown = match *count {
            0 => "0 %".to_owned(),
            _ if share < 0.01 => "&lt; 0.01 %".to_owned(),
            _ if *name == "ok" && share > 99.99 && share < 100.0 => "&gt; 99.99 %".to_owned(),
            _ if share >= 99.995 => "100 %".to_owned(),
            _ => format!("{share:.2} %"),
        };
        let bar = if *count == 0 {
            String::new()
        } else {
            format!("<i class=\"{class}\" style=\"width:{share:.3}%\"></i>")
        };
        let zero = if *count == 0 { " class=\"zero\"" } else { "" };
        format!(
            "<tr{zero}><th scope=\"row\">{name}</th><td class=\"n\">{}</td><td class=\"n\">{shown}</td>\
             <td class=\"bar\">{bar}</td><td class=\"what\">{what}</td></tr>\n",
            grouped(*count)
        )
    };
    let (class, told) = match summary.verdicts.sessions.wronged {
        0 => ("", sessions(summary)),
        _ => (" class=\"badtext\"", sessions(summary)),
    };
    format!(
        "<table class=\"verdicts\"><thead><tr><th>verdict</th><th class=\"n\">answers</th><th class=\"n\">share</th>\
         <th class=\"bar\"></th><th>meaning</th></tr></thead><tbody>\n{}</tbody></table>\n\
         <p{class}>Sessions: {told}.</p>\n",
        rows.iter().map(row).collect::<String>()
    )
}

fn legend(summary: &Summary<'_>) -> String {
    let mut entries: Vec<String> = (0..)
        .zip(summary.observed.releases.iter().take(24))
        .map(|(number, id)| {
            format!("<li><i class=\"key {}\"></i>{}</li>\n", svg::release_class(number), escaped(id))
        })
        .collect();
    if let Some(more) = summary.observed.releases.len().checked_sub(24).filter(|more| *more > 0) {
        entries.push(format!("<li>and {more} more, whose colours come again</li>\n"));
    }
    if !summary.verdicts.convicted.is_empty() {
        entries.push("<li><i class=\"key cross\"></i>broke the promise</li>\n".to_owned());
    }
    format!("<ul class=\"legend\" aria-label=\"Releases by colour\">\n{}</ul>\n", entries.concat())
}

fn times_table(summary: &Summary<'_>) -> String {
    let latencies = &summary.latencies;
    let row = |name: &str, spread: &Spread| {
        if spread.count() == 0 {
            return String::new();
        }
        let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| short(spread.percent(percent)));
        format!(
            "<tr><th scope=\"row\">{name}</th><td class=\"n\">{}</td><td class=\"n\">{p50}</td>\
             <td class=\"n\">{p99}</td><td class=\"n\">{p999}</td><td class=\"n\">{}</td></tr>\n",
            grouped(spread.count()),
            short(spread.max())
        )
    };
    let mut rows = Vec::new();
    let mut before = None;
    for (window, spread) in &latencies.windows {
        rows.push(row(&since_flip(before, *window), spread));
        before = Some(*window);
    }
    rows.push(row("all answers", &latencies.all));
    rows.push(row("the flips themselves", &latencies.flips));
    format!(
        "<div class=\"wide\"><table><thead><tr><th>asked</th><th class=\"n\">answers</th><th class=\"n\">p50</th>\
         <th class=\"n\">p99</th><th class=\"n\">p99.9</th><th class=\"n\">max</th></tr></thead>\
         <tbody>\n{}</tbody></table></div>\n",
        rows.concat()
    )
}

fn page_table(summary: &Summary<'_>) -> String {
    let row = |(page, tally): (&String, &Tally)| {
        let cell = |count: u64| {
            let class = if count > 0 { "n badtext" } else { "n zero" };
            format!("<td class=\"{class}\">{}</td>", grouped(count))
        };
        let slow = if summary.slow_over().is_some() {
            format!("<td class=\"n\">{}</td>", grouped(tally.slow))
        } else {
            String::new()
        };
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td>{}{}{}{slow}</tr>\n",
            escaped(page),
            grouped(tally.all()),
            grouped(tally.ok),
            cell(tally.failed),
            cell(tally.mixed),
            cell(tally.stale)
        )
    };
    let slow = if summary.slow_over().is_some() { "<th class=\"n\">slow</th>" } else { "" };
    let rows: String = summary.observed.pages.iter().zip(&summary.verdicts.by_page).map(row).collect();
    format!(
        "<div class=\"wide\"><table><thead><tr><th>page</th><th class=\"n\">requests</th><th class=\"n\">ok</th>\
         <th class=\"n\">failed</th><th class=\"n\">mixed</th><th class=\"n\">stale</th>{slow}</tr></thead>\
         <tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn worst(summary: &Summary<'_>) -> String {
    let examples = examples::worst(summary, TOLD);
    if examples.is_empty() {
        return String::new();
    }
    let row = |example: &examples::Example<'_>| {
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"badtext how\">{}</td><td class=\"when\">{}</td><td class=\"n\">{}</td><td class=\"said\">{}</td></tr>\n",
            escaped(example.page),
            example.verdict,
            escaped(&example.when),
            short(Duration::from_nanos(example.response.took_ns())),
            escaped(&example.said)
        )
    };
    section(
        &format!("The worst of {} that broke the promise", grouped(summary.verdicts.convicted.len() as u64)),
        &format!(
            "<div class=\"wide\"><table><thead><tr><th>page</th><th>verdict</th><th>asked</th><th class=\"n\">took</th>\
             <th>it said</th></tr></thead><tbody>\n{}</tbody></table></div>\n",
            examples.iter().map(row).collect::<String>()
        ),
    )
}
