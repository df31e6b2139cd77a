//! Evaluations as text for a terminal.

use crate::Evaluation;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// The fewest characters of a text in a line of its cell.
const NARROWEST: u16 = 12;

/// The largest confusion matrix that is printed.
const MOST_CLASSES: usize = 20;

fn table(header: Vec<String>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for (index, column) in table.column_iter_mut().enumerate() {
        if index == 0 {
            column.set_cell_alignment(CellAlignment::Left);
        } else {
            column.set_cell_alignment(CellAlignment::Right);
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        column.set_padding((0, 2));
    }
    table
}

/// The lines of a table without the spaces at their ends. Where the standard output is a terminal and too
/// narrow, columns without a constraint go on in the next line of their cells; elsewhere nothing is broken.
pub fn fitted(mut table: Table) -> Vec<String> {
    if table.width().is_some() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        let widths = table.column_max_content_widths();
        for (column, width) in table.column_iter_mut().zip(widths) {
            if column.constraint().is_none() {
                let least = width.min(NARROWEST) + column.padding_width();
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
            }
        }
    }
    let lines = table.lines();
    lines.map(|line| line.trim_end().to_string()).collect()
}

fn text(table: Table) -> String {
    fitted(table).join("\n")
}

/// A metric with as many digits as it deserves.
pub(crate) fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        format!("{value:.0}")
    } else if value.abs() >= 100.0 {
        format!("{value:.1}")
    } else if value.abs() >= 0.01 {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

/// One model: metrics, classes, confusion matrix.
pub fn one(evaluation: &Evaluation) -> String {
    let mut metrics = table(vec!["metric".into(), evaluation.name.clone()]);
    for (name, value) in &evaluation.metrics {
        metrics.add_row([name.clone(), number(*value)]);
    }
    let mut parts = vec![text(metrics)];
    parts.extend(classes(evaluation));
    parts.extend(confusion(evaluation));
    parts.join("\n\n")
}

/// Two models: metrics side by side, and the second one's classes.
pub fn side_by_side(a: &Evaluation, b: &Evaluation) -> String {
    let mut metrics = table(vec![
        "metric".into(),
        a.name.clone(),
        b.name.clone(),
        "change".into(),
    ]);
    for (name, value) in &b.metrics {
        let base = a.metric(name);
        let change = base.map_or(String::new(), |base| {
            let sign = if *value > base { "+" } else { "" };
            format!("{sign}{}", number(value - base))
        });
        metrics.add_row([
            name.clone(),
            base.map_or("-".into(), number),
            number(*value),
            change,
        ]);
    }
    let mut parts = vec![text(metrics)];
    parts.extend(classes(b));
    parts.join("\n\n")
}

fn classes(evaluation: &Evaluation) -> Option<String> {
    if evaluation.classes.is_empty() || evaluation.classes.len() > 100 {
        return None;
    }
    let header = ["class", "samples", "precision", "recall", "F1"].map(String::from);
    let mut rows = table(header.to_vec());
    for row in &evaluation.classes {
        rows.add_row([
            row.name.clone(),
            row.samples.to_string(),
            format!("{:.3}", row.precision),
            format!("{:.3}", row.recall),
            format!("{:.3}", row.f1),
        ]);
    }
    Some(text(rows))
}

fn confusion(evaluation: &Evaluation) -> Option<String> {
    let confusion = evaluation.confusion.as_ref()?;
    if confusion.counts.len() > MOST_CLASSES {
        return None;
    }
    let short = |name: &str| name.chars().take(7).collect::<String>();
    let mut header = vec!["is \\ predicted".to_string()];
    header.extend(evaluation.classes.iter().map(|row| short(&row.name)));
    let mut rows = table(header);
    for (row, counts) in evaluation.classes.iter().zip(&confusion.counts) {
        let mut cells = vec![row.name.clone()];
        cells.extend(counts.iter().map(|&count| {
            if count == 0 {
                ".".into()
            } else {
                count.to_string()
            }
        }));
        rows.add_row(cells);
    }
    Some(text(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_stand_side_by_side() {
        let evaluation = |name: &str, top1: f64| Evaluation {
            name: name.into(),
            metrics: vec![("samples".into(), 4.0), ("top1".into(), top1)],
            ..Evaluation::default()
        };
        let text = side_by_side(&evaluation("float", 0.75), &evaluation("int8", 0.5));
        assert!(
            text.contains("top1") && text.contains("0.7500") && text.contains("-0.2500"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.trim_end() == line));
    }

    #[test]
    fn numbers_have_digits_that_matter() {
        assert_eq!(number(26_112.0), "26112");
        assert_eq!(number(0.9131), "0.9131");
        assert_eq!(number(0.000_012), "1.200e-5");
        assert_eq!(number(123.456), "123.5");
    }
}
