//! Which columns and rows of a list are wanted: `-c` and `--filter`.

use std::str::FromStr;

use berth_common::ByteCount;
use serde_json::Value;

use super::{Column, Format, Listing};
use crate::args::Span;
use crate::problem::{Exit, Problem};

/// What the command line says of it.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// These columns in this order; empty: those that the format shows.
    pub columns: Vec<String>,
    /// Rows for which all of these hold.
    pub filters: Vec<Filter>,
}

/// `COLUMN:VALUE`, `COLUMN:>VALUE` or `COLUMN:<VALUE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    column: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Is(String),
    Above(f64),
    Below(f64),
}

impl FromStr for Filter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = "write COLUMN:VALUE, COLUMN:>VALUE or COLUMN:<VALUE, e.g. state:ready";
        let (column, value) = text.split_once(':').ok_or(malformed)?;
        let number = |text: &str| match (column.ends_with(SECONDS), text.parse::<Span>()) {
            // Minutes and megabytes are written with one letter.
            (true, Ok(Span(span))) => Ok(span.0 as f64),
            _ => amount(text).ok_or("write a number, an amount such as 4G, or a time such as 6h"),
        };
        let test = match (value.strip_prefix('>'), value.strip_prefix('<')) {
            (Some(least), _) => Test::Above(number(least)?),
            (_, Some(most)) => Test::Below(number(most)?),
            _ => Test::Is(value.to_owned()),
        };
        if column.is_empty() { Err(malformed) } else { Ok(Self { column: column.into(), test }) }
    }
}

/// What columns of a time end with.
const SECONDS: &str = "_s";

/// A number, or an amount of memory in bytes.
fn amount(text: &str) -> Option<f64> {
    let bytes = || text.parse::<ByteCount>().ok().map(|bytes| bytes.0 as f64);
    text.parse().ok().or_else(bytes)
}

impl Choice {
    /// The columns to be shown.
    pub fn columns<'a, T>(
        &self,
        all: &'a [Column<T>],
        format: Format,
    ) -> Result<Vec<&'a Column<T>>, Problem> {
        match self.columns.as_slice() {
            [] => Ok(all.iter().filter(|column| column.is_shown(format)).collect()),
            names => names.iter().map(|name| find(all, name)).collect(),
        }
    }

    /// For each row whether it is wanted.
    pub fn kept<T>(&self, listing: &Listing<'_, T>) -> Result<Vec<bool>, Problem> {
        let found = self.filters.iter().map(|filter| find(listing.columns, &filter.column));
        let columns = found.collect::<Result<Vec<_>, _>>()?;
        let wanted = |row: &T| {
            self.filters.iter().zip(&columns).all(|(filter, column)| {
                let cell = (column.cell)(row, listing.now);
                match &filter.test {
                    Test::Is(value) => cell.value == *value || cell.text == *value,
                    Test::Above(least) => amount(&cell.value).is_some_and(|it| it > *least),
                    Test::Below(most) => amount(&cell.value).is_some_and(|it| it < *most),
                }
            })
        };
        Ok(listing.rows.iter().map(wanted).collect())
    }
}

/// A column by its name for programs, or by its head.
fn find<'a, T>(all: &'a [Column<T>], name: &str) -> Result<&'a Column<T>, Problem> {
    let is_it = |column: &&Column<T>| column.name == name || column.head.eq_ignore_ascii_case(name);
    let names = || {
        let name = |column: &Column<T>| match column.name {
            "" => column.head.to_lowercase(),
            name => name.to_owned(),
        };
        all.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    all.iter().find(is_it).ok_or_else(|| {
        let why = format!("there is no column \"{name}\"");
        Problem::new(Exit::Usage, "cannot write the list", why, format!("There are: {}.", names()))
    })
}

/// The hub's answer with the rows that are wanted: rows are made of its one list of that length.
pub fn json(answer: &Value, kept: &[bool]) -> Value {
    let mut answer = answer.clone();
    if kept.iter().all(|kept| *kept) {
        return answer;
    }
    let mut fields = answer.as_object_mut().into_iter().flat_map(|object| object.values_mut());
    let list = fields.find_map(|field| field.as_array_mut().filter(|it| it.len() == kept.len()));
    if let Some(list) = list {
        let mut kept = kept.iter();
        list.retain(|_| kept.next() == Some(&true));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read() {
        let filter = |text: &str| text.parse::<Filter>().map(|filter| filter.test);
        assert_eq!(filter("state:ready"), Ok(Test::Is("ready".into())));
        assert_eq!(filter("memory:>4G"), Ok(Test::Above(4.0 * f64::from(1 << 30))));
        assert_eq!(filter("servers:<3"), Ok(Test::Below(3.0)));
        assert_eq!(filter("gpu_idle_s:>30m"), Ok(Test::Above(1800.0)));
        assert_eq!(filter("memory:>30m"), Ok(Test::Above(30.0 * f64::from(1 << 20))));
        for bad in ["", "state", ":ready", "servers:>many"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_keeps_the_rows_that_are_wanted() {
        let answer = serde_json::json!({ "schema_version": 1, "hosts": [1, 2, 3] });
        assert_eq!(json(&answer, &[true, false, true])["hosts"], serde_json::json!([1, 3]));
    }
}
