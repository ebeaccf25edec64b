//! What a subcommand prints: a page for people, or JSON.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::error::FAILED;

/// The result of a subcommand.
#[derive(Debug)]
pub struct Report {
    json: String,
    page: Page,
    failed: bool,
}

impl Report {
    /// A result: `data` is its JSON, `write` writes its page.
    pub fn new(data: &impl Serialize, write: impl FnOnce(&mut Page)) -> Self {
        let mut page = Page { text: String::new(), colour: has_colour() };
        write(&mut page);
        Self { json: json(data), page, failed: false }
    }

    /// A result that prints nothing more.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            json: String::new(),
            page: Page { text: String::new(), colour: false },
            failed: false,
        }
    }

    /// The same result, with exit code 1 if `failed`.
    #[must_use]
    pub fn failed_if(self, failed: bool) -> Self {
        Self { failed, ..self }
    }

    /// Prints it, and says what the program ends with.
    pub fn print(self, as_json: bool) -> ExitCode {
        let written = self.write(as_json);
        if self.failed || written.is_err() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
    }

    /// Prints it; `false` once the output is closed.
    ///
    /// # Errors
    ///
    /// When standard output fails in another way.
    pub fn write(&self, as_json: bool) -> io::Result<bool> {
        let text = if as_json { &self.json } else { &self.page.text };
        match io::stdout().write_all(text.as_bytes()) {
            // A reader that has enough, such as head(1).
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
    }
}

/// A value as the program prints it.
#[must_use]
pub fn json(data: &impl Serialize) -> String {
    // Only a map whose keys are no strings cannot be JSON; no report has one.
    let mut text = serde_json::to_string_pretty(data).unwrap_or_default();
    text.push('\n');
    text
}

/// Whether standard output is a terminal that shows colours (no-color.org).
fn has_colour() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// How a text looks on a terminal with colours.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Style {
    /// As it is.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// The head of a table.
    Head,
}

impl Style {
    /// The parameters of "select graphic rendition" (ECMA-48 §8.3.117).
    const fn parameters(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Bad => Some("1;31"),
            Self::Head => Some("1"),
        }
    }
}

/// One text of a table or line.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// `text` in `style`.
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Style::Plain)
    }
}

/// A page for people.
#[derive(Debug)]
pub struct Page {
    text: String,
    colour: bool,
}

impl Page {
    /// Adds a text as it is.
    pub fn verbatim(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds a line.
    pub fn line(&mut self, cell: impl Into<Cell>) {
        self.cell(&cell.into(), 0);
        self.text.push('\n');
    }

    /// Adds a table: a head, where it has one, and rows.
    pub fn table(&mut self, head: &[&str], rows: Vec<Vec<Cell>>) {
        let head = head.iter().map(|title| Cell::new(*title, Style::Head)).collect::<Vec<_>>();
        let rows: Vec<_> =
            std::iter::once(head).filter(|head| !head.is_empty()).chain(rows).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in &rows {
            let used =
                row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
            for (column, cell) in row.iter().take(used).enumerate() {
                let is_last = column + 1 == used;
                self.cell(cell, if is_last { 0 } else { widths[column] + 2 });
            }
            self.text.push('\n');
        }
    }

    /// Adds the cell, with spaces up to `width` characters.
    fn cell(&mut self, cell: &Cell, width: usize) {
        match cell.style.parameters().filter(|_| self.colour) {
            Some(parameters) => {
                self.text.push_str(&format!("\x1b[{parameters}m{}\x1b[0m", cell.text));
            }
            None => self.text.push_str(&cell.text),
        }
        let missing = width.saturating_sub(cell.text.chars().count());
        self.text.extend(std::iter::repeat_n(' ', missing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(colour: bool, write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page { text: String::new(), colour };
        write(&mut page);
        page.text
    }

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec!["ipmid".into(), Cell::new("up", Style::Good), "1.0".into()],
            vec!["netipmid".into(), Cell::new("down", Style::Bad), "".into()],
        ]
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_text_and_lines_end_in_no_space() {
        let text = page(false, |page| page.table(&["DAEMON", "STATE", "VERSION"], rows()));
        assert_eq!(
            text,
            "DAEMON    STATE  VERSION\n\
             ipmid     up     1.0\n\
             netipmid  down\n"
        );
    }

    #[test]
    fn colours_change_no_width() {
        let text = page(true, |page| page.table(&[], rows()));
        assert_eq!(
            text,
            "ipmid     \x1b[32mup\x1b[0m    1.0\n\
             netipmid  \x1b[1;31mdown\x1b[0m\n"
        );
    }
}
