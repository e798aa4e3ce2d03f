//! Lines that fit: cutting, wrapping, padding and aligned columns.
//!
//! Must not know what the text is about.

use console::measure_text_width;

use crate::{
    Style,
    style::{Paint, Sign},
};

/// Cuts text off at `width` columns, with an ellipsis where something is missing.
pub(crate) fn cut(text: &str, width: usize, style: &Style) -> String {
    console::truncate_str(text, width, style.ellipsis()).into_owned()
}

/// Fills text up to `width` columns; longer text stays as it is.
pub(crate) fn pad(text: &str, width: usize) -> String {
    console::pad_str(text, width, console::Alignment::Left, None).into_owned()
}

/// Fills text up to `width` columns from the left.
pub(crate) fn pad_left(text: &str, width: usize) -> String {
    console::pad_str(text, width, console::Alignment::Right, None).into_owned()
}

/// Breaks text between words into lines of at most `width` columns. A word that is longer is broken within.
/// Text that fits keeps its blanks.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    if measure_text_width(text) <= width {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = measure_text_width(word);
        if used > 0 && used + 1 + length > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        if length <= width {
            line.push_str(word);
            used += length;
            continue;
        }
        for character in word.chars() {
            let columns = measure_text_width(character.encode_utf8(&mut [0; 4]));
            if used + columns > width && used > 0 {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(character);
            used += columns;
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// A page that grows line by line.
pub(crate) struct Page<'a> {
    pub(crate) style: &'a Style,
    text: String,
}

impl<'a> Page<'a> {
    pub(crate) fn new(style: &'a Style) -> Self {
        Self { style, text: String::new() }
    }

    /// Text as it is; the caller has seen to its width.
    pub(crate) fn raw(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    pub(crate) fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A paragraph.
    pub(crate) fn text(&mut self, indent: usize, paint: Paint, text: &str) {
        for line in wrap(text, self.style.width.saturating_sub(indent)) {
            let line = format!("{:indent$}{}", "", self.style.paint(paint, line));
            self.raw(&line);
        }
    }

    /// A headline of a part of the page.
    pub(crate) fn head(&mut self, text: &str) {
        self.blank();
        self.text(0, Paint::Strong, text);
    }

    /// A name in a column of its own with a paragraph beside it.
    pub(crate) fn entry(&mut self, indent: usize, column: usize, name: &str, paint: Paint, value: &str) {
        let left = indent + column;
        for (at, line) in wrap(value, self.style.width.saturating_sub(left)).iter().enumerate() {
            let name = if at == 0 { pad(name, column) } else { " ".repeat(column) };
            let name = self.style.paint(Paint::Dim, name);
            let line = format!("{:indent$}{name}{}", "", self.style.paint(paint, line));
            self.raw(&line);
        }
    }

    /// A paragraph after a sign.
    pub(crate) fn signed(&mut self, indent: usize, sign: Sign, paint: Paint, text: &str) {
        self.signed_entry(indent, sign, "", paint, text);
    }

    /// A paragraph after a sign and a name; the caller has given the name the width of its column.
    pub(crate) fn signed_entry(&mut self, indent: usize, sign: Sign, name: &str, paint: Paint, text: &str) {
        let column = measure_text_width(name);
        for (at, line) in wrap(text, self.style.width.saturating_sub(indent + 2 + column)).iter().enumerate() {
            let left = match at {
                0 => format!("{} {name}", self.style.sign(sign)),
                _ => " ".repeat(2 + column),
            };
            let line = format!("{:indent$}{left}{}", "", self.style.paint(paint, line));
            self.raw(&line);
        }
    }

    /// Like [`Page::entry`], but never broken: something to type or copy.
    pub(crate) fn verbatim(&mut self, indent: usize, column: usize, name: &str, value: &str) {
        let name = self.style.paint(Paint::Dim, pad(name, column));
        self.raw(&format!("{:indent$}{name}{}", "", self.style.paint(Paint::Strong, value)));
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) paint: Paint,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), paint: Paint::Plain }
    }

    pub(crate) fn painted(text: impl Into<String>, paint: Paint) -> Self {
        Self { text: text.into(), paint }
    }
}

/// Widths of columns that fit into a line together.
pub(crate) struct Grid<'a> {
    style: &'a Style,
    indent: usize,
    widths: Vec<usize>,
}

const GAP: usize = 2;

impl<'a> Grid<'a> {
    /// Every column as wide as its widest cell, as long as that fits; the widest of the `soft` columns give way first,
    /// and their cells are wrapped.
    pub(crate) fn fit(style: &'a Style, indent: usize, rows: &[Vec<Cell>], soft: &[usize]) -> Self {
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        let mut widths = vec![0; columns];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(measure_text_width(&cell.text));
            }
        }
        let gaps = GAP * columns.saturating_sub(1);
        let room = style.width.saturating_sub(indent + gaps);
        let all: Vec<usize> = (0..columns).collect();
        for (candidates, least) in [(soft, 12), (&all[..], 4)] {
            while widths.iter().sum::<usize>() > room {
                let widest = candidates.iter().copied().filter(|at| widths.get(*at).is_some_and(|w| *w > least));
                let Some(at) = widest.max_by_key(|at| widths[*at]) else { break };
                widths[at] -= 1;
            }
        }
        Self { style, indent, widths }
    }

    /// The lines of one row.
    pub(crate) fn row(&self, cells: &[Cell]) -> Vec<String> {
        let wrapped: Vec<Vec<String>> =
            cells.iter().zip(&self.widths).map(|(cell, width)| wrap(&cell.text, *width)).collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
        (0..height)
            .map(|at| {
                let mut line = " ".repeat(self.indent);
                for ((cell, lines), width) in cells.iter().zip(&wrapped).zip(&self.widths) {
                    let text = pad(lines.get(at).map_or("", String::as_str), *width);
                    line.push_str(&self.style.paint(cell.paint, text));
                    line.push_str(&" ".repeat(GAP));
                }
                // In a coloured line the blanks stand before an escape code and stay; nobody sees them.
                line.trim_end().to_owned()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_text_fits_and_loses_nothing() {
        let text = "a word, averyveryverylongword, and 数据库 wide ones";
        for width in 1..40 {
            let lines = wrap(text, width);
            assert!(lines.iter().all(|line| measure_text_width(line) <= width.max(2)), "{width}: {lines:?}");
            let strip = |text: &str| text.replace(' ', "");
            assert_eq!(strip(&lines.concat()), strip(text));
        }
        assert_eq!(wrap("", 10), [""]);
    }

    #[test]
    fn soft_columns_give_way_first() {
        let style = Style::plain(40);
        let rows = vec![vec![Cell::new("service.stop"), Cell::new("stop the units and see their processes gone")]];
        let grid = Grid::fit(&style, 2, &rows, &[1]);
        let lines = grid.row(&rows[0]);
        assert_eq!(lines, ["  service.stop  stop the units and see", "                their processes gone"]);
    }
}
