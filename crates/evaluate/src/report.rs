//! An evaluation as one HTML file that needs nothing else.

use crate::table::number;
use crate::{Evaluation, Verdict};
use std::fmt::Write;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2733;--paper:#fff;--line:#d5dbe2;--tone:31,111,178;--good:#1a7f4b;--bad:#b3261e}\
@media(prefers-color-scheme:dark){:root{--ink:#e4e9ee;--paper:#12181f;--line:#34404c;--tone:88,166,232;--good:#5cc98f;--bad:#f28b82}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\
table{border-collapse:collapse}th,td{padding:.25rem .75rem;border-bottom:1px solid var(--line);text-align:right}\
th:first-child,td:first-child{text-align:left}.passed{color:var(--good)}.failed{color:var(--bad);font-weight:600}\
.scroll{overflow-x:auto}text{fill:currentColor;font-size:11px}.bar{fill:rgb(var(--tone))}";

/// Text that is safe between tags and in attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A report on one model, or on several over the same data: metrics side by side, verdicts, and
/// the last one's classes and confusion matrix.
pub fn report(title: &str, evaluations: &[&Evaluation], verdicts: &[Verdict]) -> String {
    let title = escaped(title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main>\n<h1>{title}</h1>\n"
    );
    html.push_str(&verdict_list(verdicts));
    html.push_str(&metric_table(evaluations));
    if let Some(evaluation) = evaluations.last() {
        html.push_str(&class_bars(evaluation));
        html.push_str(&heat_map(evaluation));
    }
    html.push_str("</main></body></html>\n");
    html
}

fn verdict_list(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let line = |verdict: &Verdict| {
        let class = if verdict.passed { "passed" } else { "failed" };
        format!(
            "<li class=\"{class}\">{}</li>\n",
            escaped(&verdict.to_string())
        )
    };
    let lines: String = verdicts.iter().map(line).collect();
    format!("<h2>Gates</h2>\n<ul>\n{lines}</ul>\n")
}

fn metric_table(evaluations: &[&Evaluation]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in evaluations
        .iter()
        .flat_map(|evaluation| &evaluation.metrics)
    {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let heads: String = evaluations
        .iter()
        .map(|evaluation| format!("<th>{}</th>", escaped(&evaluation.name)))
        .collect();
    let mut html = format!(
        "<h2>Metrics</h2>\n<div class=\"scroll\"><table>\n<tr><th>metric</th>{heads}</tr>\n"
    );
    for name in names {
        let cells: String = evaluations
            .iter()
            .map(|evaluation| {
                format!(
                    "<td>{}</td>",
                    evaluation.metric(name).map_or("–".into(), number)
                )
            })
            .collect();
        let _ = writeln!(html, "<tr><td>{}</td>{cells}</tr>", escaped(name));
    }
    html + "</table></div>\n"
}

/// The recall of every class as a bar.
fn class_bars(evaluation: &Evaluation) -> String {
    if evaluation.classes.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<h2>Classes</h2>\n<div class=\"scroll\"><table>\n<tr><th>class</th><th>samples</th><th>precision</th><th>recall</th><th>F1</th><th></th></tr>\n",
    );
    for row in &evaluation.classes {
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td>\
             <td><svg width=\"120\" height=\"12\" role=\"img\" aria-label=\"recall {:.3}\"><rect class=\"bar\" width=\"{:.1}\" height=\"12\"/></svg></td></tr>",
            escaped(&row.name),
            row.samples,
            row.precision,
            row.recall,
            row.f1,
            row.recall,
            row.recall * 120.0,
        );
    }
    html + "</table></div>\n"
}

/// The confusion matrix; a cell's tone is its share of its row.
fn heat_map(evaluation: &Evaluation) -> String {
    let Some(confusion) = &evaluation.confusion else {
        return String::new();
    };
    let count = confusion.counts.len();
    if count > 60 {
        return String::new();
    }
    let (cell, left, top) = (32, 110, 90);
    // Names of columns lean to the right.
    let (width, height) = (left + count * cell + 60, top + count * cell + 10);
    let mut svg = format!(
        "<h2>Confusion matrix</h2>\n<p>Rows are right classes, columns predicted ones.</p>\n<div class=\"scroll\"><svg width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"confusion matrix\">\n"
    );
    for (index, row) in evaluation.classes.iter().enumerate() {
        let name = escaped(&row.name);
        let middle = index * cell + cell / 2;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
            left - 6,
            top + middle + 4
        );
        let (x, y) = (left + middle + 4, top - 6);
        let _ = writeln!(
            svg,
            "<text transform=\"translate({x} {y}) rotate(-60)\">{name}</text>"
        );
    }
    for (y, counts) in confusion.counts.iter().enumerate() {
        let total: u64 = counts.iter().sum();
        for (x, &value) in counts.iter().enumerate() {
            let share = value as f64 / total.max(1) as f64;
            let (at_x, at_y) = (left + x * cell, top + y * cell);
            let _ = writeln!(
                svg,
                "<rect x=\"{at_x}\" y=\"{at_y}\" width=\"{cell}\" height=\"{cell}\" style=\"fill:rgba(var(--tone),{share:.3});stroke:var(--line)\"/>"
            );
            if value > 0 {
                let (x, y) = (at_x + cell / 2, at_y + cell / 2 + 4);
                let ink = if share > 0.5 { "paper" } else { "ink" };
                let _ = writeln!(
                    svg,
                    "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" style=\"fill:var(--{ink})\">{value}</text>"
                );
            }
        }
    }
    svg + "</svg></div>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClassRow, Confusion};

    #[test]
    fn names_are_escaped_and_nothing_is_loaded() {
        let evaluation = Evaluation {
            name: "<b>".into(),
            metrics: vec![("top1".into(), 0.5)],
            classes: vec![ClassRow {
                name: "a&b".into(),
                samples: 2,
                ..ClassRow::default()
            }],
            confusion: Some(Confusion {
                counts: vec![vec![2]],
            }),
        };
        let gate: crate::Gate = "top1>=0.9".parse().unwrap();
        let html = report(
            "<script>",
            &[&evaluation],
            &crate::judge(&[gate], &evaluation, None),
        );
        assert!(
            html.contains("&lt;script&gt;")
                && html.contains("a&amp;b")
                && html.contains("&lt;b&gt;")
        );
        assert!(
            !html.contains("<script") && !html.contains("http"),
            "self-contained"
        );
        assert!(html.contains("class=\"failed\"") && html.contains("0.5000"));
    }
}
