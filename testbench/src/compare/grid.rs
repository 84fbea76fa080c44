//! Tables as Markdown.
//!
//! In: a title, columns, rows of text. Out: the text of a table. `cell` makes the text of what was measured.

use std::fmt::Write as _;

use super::measurements::Table;

/// A table with its title, unless that is empty.
pub(super) fn grid(
    title: &str,
    corner: &str,
    columns: &[String],
    rows: impl IntoIterator<Item = (String, Vec<String>)>,
) -> String {
    let mut text = match title {
        "" => "\n".to_owned(),
        _ => format!("\n{title}\n\n"),
    };
    let mut line = |first: &str, cells: &[String]| {
        let _written = writeln!(text, "| {first} | {} |", cells.join(" | "));
    };
    line(corner, columns);
    line("---", &vec!["---".to_owned(); columns.len()]);
    for (name, row) in rows {
        line(&name, &row);
    }
    text
}

/// The median, with the least and the most.
pub(super) fn cell(table: &Table, proxy: &str, key: &str) -> String {
    match table.get(&(proxy.to_owned(), key.to_owned())) {
        Some(samples) => {
            let (least, most) = samples.spread();
            format!("{:.3} ({least:.3}–{most:.3})", samples.median())
        }
        None => "–".to_owned(),
    }
}
