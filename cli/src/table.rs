//! Tables for people: aligned columns on a terminal and in a file alike. On a narrow terminal texts go on in
//! the next line of their cells; numbers stay whole.

use crate::say::{self, say};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

/// A table whose columns after the first `left` are numbers.
pub(crate) fn table(header: &[&str], left: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for (index, column) in table.column_iter_mut().enumerate() {
        if index < left {
            column.set_cell_alignment(CellAlignment::Left);
        } else {
            column.set_cell_alignment(CellAlignment::Right);
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        column.set_padding((0, 2));
    }
    table
}

/// Prints a table without the spaces at the ends of its lines.
pub(crate) fn print(table: Table) {
    for line in evaluate::table::fitted(table) {
        say!("{line}");
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A name, or the end of one that is too long for a column.
pub(crate) fn shortened(name: &str) -> String {
    const LONGEST: usize = 32;
    let name = say::name(name);
    let count = name.chars().count();
    if count <= LONGEST {
        return name;
    }
    let end: String = name.chars().skip(count - LONGEST + 1).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1234), "1,234");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(shortened("short"), "short");
        let long = "a".repeat(40) + "/Conv2D";
        assert!(shortened(&long).ends_with("aaa/Conv2D"));
        assert_eq!(shortened(&long).chars().count(), 32);
    }
}
