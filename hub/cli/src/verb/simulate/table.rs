//! Traces as they are read: CSV with a header line, columns found by name in any order. What is
//! wrong is said with file, line and column.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use csv::{ReaderBuilder, StringRecord};

use crate::problem::{Exit, Problem};

/// A trace, its columns found.
#[derive(Debug)]
pub struct Table {
    file: String,
    header: Vec<String>,
    rows: Vec<(u64, StringRecord)>,
}

/// One line of a trace.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    table: &'a Table,
    line: u64,
    fields: &'a StringRecord,
}

impl Table {
    /// Reads a file that has at least these columns.
    ///
    /// # Errors
    /// When it cannot be read, is no such table, or lacks a column.
    pub fn read(path: &Path, columns: &[&str]) -> Result<Self, Problem> {
        let file = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| {
            let advice = "Name a file that is there and may be read.";
            Problem::new(Exit::Usage, format!("cannot read {file}"), error, advice)
        })?;
        Self::parse(file, &bytes, columns)
    }

    /// Reads the bytes of a file.
    pub fn parse(file: String, bytes: &[u8], columns: &[&str]) -> Result<Self, Problem> {
        // A byte order mark is no part of the first column's name.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = ReaderBuilder::new().quoting(false).from_reader(bytes);
        let wrong = |error: csv::Error| {
            let place = match error.position() {
                Some(position) => format!("{file}:{}", position.line()),
                None => file.clone(),
            };
            let advice =
                "Every line has the columns of the header line, as UTF-8, separated by commas.";
            Problem::new(Exit::Usage, format!("cannot use {place}"), error.kind_text(), advice)
        };
        let header: Vec<String> =
            reader.headers().map_err(wrong)?.iter().map(str::to_owned).collect();
        for column in columns {
            if !header.iter().any(|name| name == column) {
                let found = if header.is_empty() { "nothing".into() } else { header.join(", ") };
                return Err(Problem::new(
                    Exit::Usage,
                    format!("cannot use {file}:1: there is no column {column}"),
                    format!("The header line has: {found}."),
                    format!("Needed are: {}.", columns.join(", ")),
                ));
            }
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            rows.push((record.position().map_or(0, csv::Position::line), record));
        }
        Ok(Self { file, header, rows })
    }

    /// Its lines.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, fields)| Row { table: self, line: *line, fields })
    }

    /// A problem of the whole file.
    pub fn wrong(&self, why: impl fmt::Display, advice: &str) -> Problem {
        Problem::new(Exit::Usage, format!("cannot use {}", self.file), why, advice)
    }
}

impl<'a> Row<'a> {
    /// The text of a column; empty if the trace does not have it.
    pub fn text(&self, column: &str) -> &'a str {
        let index = self.table.header.iter().position(|name| name == column);
        index.and_then(|index| self.fields.get(index)).unwrap_or_default().trim()
    }

    /// A whole number that lies within the bounds.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn number<T>(&self, column: &str, bounds: std::ops::RangeInclusive<T>) -> Result<T, Problem>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let text = self.text(column);
        match text.parse::<T>() {
            Ok(number) if bounds.contains(&number) => Ok(number),
            _ => {
                let (least, most) = (bounds.start(), bounds.end());
                Err(self.wrong(column, format!("a whole number from {least} to {most}")))
            }
        }
    }

    /// A problem with one value: what was expected instead of it.
    pub fn wrong(&self, column: &str, expected: impl fmt::Display) -> Problem {
        let found: String = self.text(column).chars().take(60).collect();
        Problem::new(
            Exit::Usage,
            format!("cannot use {}:{}, column {column}", self.table.file, self.line),
            format!("Found \"{found}\"; expected {expected}."),
            "Mend that line of the file, and run the command again.",
        )
    }
}

/// The reason within a CSV error, without the place, which we say ourselves.
trait KindText {
    fn kind_text(&self) -> String;
}

impl KindText for csv::Error {
    fn kind_text(&self) -> String {
        match self.kind() {
            csv::ErrorKind::Utf8 { .. } => "It is not UTF-8.".into(),
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("The line has {len} fields, the header line {expected_len}.")
            }
            _ => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<u32>, String> {
        let table = Table::parse("t.csv".into(), text.as_bytes(), &["name", "size"])
            .map_err(|problem| problem.to_string())?;
        table
            .rows()
            .map(|row| row.number("size", 1..=9).map_err(|problem| problem.to_string()))
            .collect()
    }

    #[test]
    fn columns_are_found_by_name_whatever_the_line_ends_are() {
        assert_eq!(parse("size,other,name\r\n3,x,a\r\n\r\n4,y,b\r\n"), Ok(vec![3, 4]));
        assert_eq!(parse("\u{feff}name,size\na,1"), Ok(vec![1]));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let expect = |text: &str, words: &[&str]| {
            let problem = parse(text).unwrap_err();
            for word in words {
                assert!(problem.contains(word), "{problem:?} does not say {word:?}");
            }
        };
        expect("name\na\n", &["t.csv:1", "no column size", "name"]);
        expect("", &["t.csv:1", "no column name", "nothing"]);
        expect("name,size\na,1\nb,-2\n", &["t.csv:3", "column size", "\"-2\"", "from 1 to 9"]);
        expect("name,size\na,1\nb\n", &["t.csv:3", "1 fields", "2"]);
        expect("name,size\na,1.5\n", &["t.csv:2", "\"1.5\""]);
        expect("name,size\na,99999999999999999999\n", &["t.csv:2", "from 1 to 9"]);
    }
}
