//! What goes to standard output: tables for people, JSON, YAML and CSV for programs.

use std::io::{self, IsTerminal, Write};

use berth_common::{ByteCount, Reason, Timestamp};
use clap::ValueEnum;
use comfy_table::{
    Attribute, Cell as TableCell, CellAlignment, Color, ContentArrangement, Table, presets,
};
use serde_json::{Map, Value};

use crate::problem::{Exit, Problem, plain};
use crate::text;

mod choice;

pub use choice::{Choice, Filter};

/// The version of all JSON and YAML that this command writes itself.
const SCHEMA_VERSION: u64 = 1;

/// Wrapping to less than this makes columns of single letters.
const NARROWEST: u16 = 60;

/// How the answer is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For people, with more columns.
    Wide,
    /// As the hub answers: bytes, ISO times, `schema_version`.
    Json,
    /// The same as YAML.
    Yaml,
    /// Lists only: one header line, bytes, ISO times.
    Csv,
    /// Names or ids only, one a line.
    Name,
}

/// How answers are written in this call.
#[derive(Debug, Clone)]
pub struct Style {
    /// The format.
    pub format: Format,
    /// Whether tables and CSV have a header line.
    pub header: bool,
    /// Whether standard output is a terminal that wants colours.
    pub colour: bool,
    /// Where sentences are wrapped; never for programs and in lists, so that lines stay whole.
    pub width: Option<u16>,
    /// Which columns and rows of lists.
    pub choice: Choice,
}

/// What a value means for the person who looks for trouble.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// On its way, or to be watched.
    Watch,
    /// Trouble.
    Bad,
}

/// One value, for people and for programs.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    value: String,
    tone: Tone,
    /// Of a moment: the zone of the clock that the text reads.
    zone: String,
}

impl Cell {
    /// The same for both.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { value: text.clone(), text, ..Self::default() }
    }

    /// A text that may be missing: `-` for people, nothing for programs.
    pub fn maybe(text: Option<impl Into<String>>) -> Self {
        text.map_or_else(|| Self::both("-", ""), Self::text)
    }

    /// Different for people and programs.
    pub fn both(text: impl Into<String>, value: impl Into<String>) -> Self {
        Self { text: text.into(), value: value.into(), ..Self::default() }
    }

    /// An amount of memory.
    pub fn bytes(bytes: Option<ByteCount>) -> Self {
        bytes.map_or_else(
            || Self::both("-", ""),
            |bytes| Self::both(bytes.to_string(), bytes.0.to_string()),
        )
    }

    /// A moment, as the time since then.
    pub fn ago(moment: Option<Timestamp>, now: Timestamp) -> Self {
        moment.map_or_else(
            || Self::both("-", ""),
            |moment| Self::both(text::ago(moment, now), moment.to_string()),
        )
    }

    /// A moment on the local clock; `-o wide` has its zone.
    pub fn moment(moment: Option<Timestamp>, now: Timestamp) -> Self {
        let Some(moment) = moment else { return Self::both("-", "") };
        let (local, zone) = (text::local(moment, now), text::zone(moment));
        Self { zone, ..Self::both(local, moment.to_string()) }
    }

    /// The state of a host or a server.
    pub fn state(state: &str) -> Self {
        Self::text(state).toned(match state {
            "ready" | "running" => Tone::Good,
            "joining" | "waiting" | "starting" | "stopping" => Tone::Watch,
            "ended" => Tone::Plain,
            _ => Tone::Bad,
        })
    }

    /// Yes or no.
    pub fn yes(it: bool) -> Self {
        Self::both(if it { "yes" } else { "no" }, it.to_string())
    }

    /// With a meaning.
    #[must_use]
    pub fn toned(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    /// With another text for people.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        text.clone_into(&mut self.text);
        self
    }

    /// With more text for people.
    #[must_use]
    pub fn followed_by(mut self, more: &str) -> Self {
        self.text.push_str(more);
        self
    }

    /// As `-o wide` has it.
    fn in_full(mut self) -> Self {
        if !self.zone.is_empty() {
            self.text = format!("{} {}", self.text, self.zone);
        }
        self
    }

    fn painted(&self) -> TableCell {
        let cell = TableCell::new_owned(plain(&self.text));
        match self.tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::DarkGreen),
            Tone::Watch => cell.fg(Color::DarkYellow),
            Tone::Bad => cell.fg(Color::DarkRed),
        }
    }
}

/// Where a column is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Everywhere,
    /// Tables with `-o wide`, and CSV.
    Wide,
    /// Tables only.
    People,
    /// CSV only.
    Programs,
}

/// One column of a list of `T`.
pub struct Column<T> {
    /// For people.
    head: &'static str,
    /// For programs: stable.
    name: &'static str,
    shown: Shown,
    right: bool,
    cell: fn(&T, Timestamp) -> Cell,
}

impl<T> Column<T> {
    /// A column that is always there.
    pub const fn new(
        head: &'static str,
        name: &'static str,
        cell: fn(&T, Timestamp) -> Cell,
    ) -> Self {
        Self { head, name, shown: Shown::Everywhere, right: false, cell }
    }

    /// Numbers stand on the right.
    #[must_use]
    pub const fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// Only with `-o wide`, and for programs.
    #[must_use]
    pub const fn wide(self) -> Self {
        Self { shown: Shown::Wide, ..self }
    }

    /// For people only: what stands here for programs is in columns of its own.
    #[must_use]
    pub const fn people(self) -> Self {
        Self { shown: Shown::People, ..self }
    }

    /// For programs only.
    pub const fn programs(name: &'static str, cell: fn(&T, Timestamp) -> Cell) -> Self {
        Self { head: "", name, shown: Shown::Programs, right: false, cell }
    }

    fn is_shown(&self, format: Format) -> bool {
        match self.shown {
            Shown::Everywhere => true,
            Shown::Wide => matches!(format, Format::Wide | Format::Csv),
            Shown::People => format != Format::Csv,
            Shown::Programs => format == Format::Csv,
        }
    }
}

/// A list, ready to be written.
pub struct Listing<'a, T> {
    /// As the hub answered.
    pub json: &'a Value,
    /// Its columns.
    pub columns: &'a [Column<T>],
    /// Its rows.
    pub rows: &'a [T],
    /// What `-o name` and `-q` print of a row.
    pub name: fn(&T) -> String,
    /// The hub's clock.
    pub now: Timestamp,
    /// What is said, on standard error, when there is no row.
    pub empty: &'a str,
}

impl Style {
    /// The style for standard output.
    pub fn of_stdout(format: Format, header: bool, choice: Choice) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let colour = io::stdout().is_terminal() && !refused && !dumb;
        Self { format, header, colour, width: width(), choice }
    }

    /// Whether a program reads the answer.
    pub fn is_for_programs(&self) -> bool {
        !matches!(self.format, Format::Table | Format::Wide)
    }

    /// Writes a list.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn list<T>(&self, listing: &Listing<'_, T>) -> Result<(), Problem> {
        let columns = self.choice.columns(listing.columns, self.format)?;
        let kept = self.choice.kept(listing)?;
        let rows: Vec<&T> =
            listing.rows.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(row, _)| row).collect();
        match self.format {
            Format::Table | Format::Wide if rows.is_empty() => {
                note(if listing.rows.is_empty() { listing.empty } else { "Nothing is like that." });
                Ok(())
            }
            Format::Table | Format::Wide => say(&self.table(&columns, &rows, listing.now)),
            Format::Csv => say(&self.csv(&columns, &rows, listing.now)?),
            Format::Json | Format::Yaml => self.value(&choice::json(listing.json, &kept)),
            Format::Name => self.names(rows.into_iter().map(listing.name)),
        }
    }

    /// Writes one object: labelled lines for people, `row` as a list of one for CSV.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn sheet<T>(
        &self,
        lines: Vec<(&'static str, Cell)>,
        row: &Listing<'_, T>,
    ) -> Result<(), Problem> {
        match self.format {
            Format::Table | Format::Wide => {
                let mut table = self.wrapped_table();
                for (label, cell) in lines {
                    table.add_row(vec![TableCell::new(label), cell.painted()]);
                }
                say(&lines_of(&table))
            }
            _ => self.list(row),
        }
    }

    /// Writes JSON or YAML.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn value(&self, value: &Value) -> Result<(), Problem> {
        let text = match self.format {
            Format::Yaml => serde_saphyr::to_string(value).map_err(unwritable)?,
            _ => serde_json::to_string_pretty(value).map_err(unwritable)?,
        };
        say(text.trim_end())
    }

    /// Writes names, one a line.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn names(&self, names: impl Iterator<Item = String>) -> Result<(), Problem> {
        names.into_iter().try_for_each(|name| say(&plain(&name)))
    }

    /// A table without borders whose sentences are wrapped.
    pub fn wrapped_table(&self) -> Table {
        let mut table = self.bare_table();
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table
    }

    /// A table without borders and as wide as its lines are.
    pub fn bare_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        if self.colour {
            table.enforce_styling()
        } else {
            table.force_no_tty()
        };
        table
    }

    fn table<T>(&self, columns: &[&Column<T>], rows: &[&T], now: Timestamp) -> String {
        let mut table = self.bare_table();
        if self.header {
            table.set_header(
                columns
                    .iter()
                    .map(|column| TableCell::new(column.head).add_attribute(Attribute::Bold)),
            );
        }
        for row in rows {
            let cell = |column: &&Column<T>| match (column.cell)(row, now) {
                cell if self.format == Format::Wide => cell.in_full().painted(),
                cell => cell.painted(),
            };
            table.add_row(columns.iter().map(cell));
        }
        for (index, column) in columns.iter().enumerate() {
            if let Some(found) = table.column_mut(index).filter(|_| column.right) {
                found.set_cell_alignment(CellAlignment::Right);
            }
        }
        lines_of(&table)
    }

    fn csv<T>(
        &self,
        columns: &[&Column<T>],
        rows: &[&T],
        now: Timestamp,
    ) -> Result<String, Problem> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        if self.header {
            writer.write_record(columns.iter().map(|column| column.name)).map_err(unwritable)?;
        }
        for row in rows {
            let cells = columns.iter().map(|column| plain(&(column.cell)(row, now).value));
            writer.write_record(cells).map_err(unwritable)?;
        }
        let bytes = writer.into_inner().map_err(unwritable)?;
        let text = String::from_utf8(bytes).map_err(unwritable)?;
        Ok(text.trim_end().to_owned())
    }
}

/// The terminal's width; `COLUMNS` says another.
fn width() -> Option<u16> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let found = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col);
    said.or_else(found).filter(|width| *width >= NARROWEST)
}

/// Whether a person looks at the answer, not a program or a file.
pub fn is_watched() -> bool {
    io::stdout().is_terminal()
}

/// A cell of a bare table.
pub fn cell(cell: &Cell) -> TableCell {
    cell.painted()
}

/// The lines of a table: two spaces between columns, none at either end.
pub fn lines_of(table: &Table) -> String {
    let mut table = table.clone();
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// JSON that this command makes itself.
pub fn versioned(name: &str, value: Value) -> Value {
    let mut object = Map::new();
    object.insert("schema_version".into(), SCHEMA_VERSION.into());
    object.insert(name.into(), value);
    Value::Object(object)
}

/// A reason with its code: `Stopped by its owner. [stopped.user]`.
pub fn reason(code: &str, detail: &str) -> String {
    let known = code.parse::<Reason>().map(Reason::text).unwrap_or_default();
    let text = if detail.is_empty() { known } else { detail };
    format!("{text} [{code}]").trim_start().to_owned()
}

/// Writes a line to standard output. A reader that went away (`| head`) is no problem.
///
/// # Errors
/// When it cannot be written otherwise.
pub fn say(line: &str) -> Result<(), Problem> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritable(error)),
        _ => Ok(()),
    }
}

/// Writes a line to standard error: for people, never part of the answer.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn unwritable(error: impl std::fmt::Display) -> Problem {
    Problem::new(Exit::Failed, "cannot write the answer", error, "Look at where the output goes.")
}

#[cfg(test)]
mod tests {
    #[test]
    fn yaml_keeps_texts_that_look_like_something_else() {
        for text in [
            "no",
            "yes",
            "1111000000000000",
            "12e4500000000000",
            "null",
            "~",
            "",
            "1.5",
            "- a",
            "a: b",
            "#x",
        ] {
            let yaml = serde_saphyr::to_string(&serde_json::json!({ "it": text })).unwrap();
            let value = yaml.trim_end().strip_prefix("it: ").unwrap_or(&yaml);
            assert!(
                value.starts_with('"') || value.starts_with('\''),
                "{text:?} is written as {value}"
            );
        }
    }
}
