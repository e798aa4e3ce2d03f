//! From bytes to lines and columns.

use std::{cell::Cell, ops::Range};

use serde::Serialize;

/// Where something stands in a file. Lines and columns from 1, columns in characters; the end is behind the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The line it begins on.
    pub line: usize,
    /// The column it begins at.
    pub column: usize,
    /// The line it ends on.
    pub end_line: usize,
    /// The column behind its end.
    pub end_column: usize,
}

/// The lines of a text.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    /// Offset and column that were told last: places are asked for in order, and a line can be a file.
    last: Cell<(usize, usize)>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text, starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect(), last: Cell::new((0, 1)) }
    }

    pub(crate) fn place(&self, range: &Range<usize>) -> Place {
        let ((line, column), (end_line, end_column)) = (self.at(range.start), self.at(range.end));
        Place { line, column, end_line, end_column }
    }

    /// The bytes of a line, by its number from 1, without its end.
    pub(crate) fn line(&self, number: usize) -> Range<usize> {
        let start = self.starts.get(number.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = self.starts.get(number).map_or(self.text.len(), |next| next.saturating_sub(1));
        let line = self.text.get(start..end).unwrap_or_default();
        start..start + line.trim_end_matches('\r').len()
    }

    fn at(&self, offset: usize) -> (usize, usize) {
        let number = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(number.saturating_sub(1)).copied().unwrap_or_default();
        let (known, column) = self.last.get();
        let (from, column) = if (start..=offset).contains(&known) { (known, column) } else { (start, 1) };
        let column = column + self.text.get(from..offset).unwrap_or_default().chars().count();
        self.last.set((offset, column));
        (number, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_without_their_end_db_5() {
        let text = "ä b\r\nc\n";
        let lines = Lines::new(text);
        assert_eq!(lines.place(&(3..4)), Place { line: 1, column: 3, end_line: 1, end_column: 4 });
        assert_eq!(lines.place(&(3..7)), Place { line: 1, column: 3, end_line: 2, end_column: 2 });
        assert_eq!((&text[lines.line(1)], &text[lines.line(2)], &text[lines.line(9)]), ("ä b", "c", ""));
    }
}
