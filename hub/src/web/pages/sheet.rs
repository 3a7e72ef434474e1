//! Tables for programs, and the days that pages are asked for.

use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use berth_common::Timestamp;

/// A table as comma-separated values, to be kept under a name.
pub fn answer(name: &str, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Response {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing into memory cannot fail.
    let _ = writer.write_record(head);
    for row in rows {
        let _ = writer.write_record(row.into_iter().map(text));
    }
    let body = writer.into_inner().unwrap_or_default();
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, body).into_response()
}

/// A cell that programs for tables take as text: what begins as a formula would be carried out.
fn text(cell: String) -> String {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}"),
        false => cell,
    }
}

/// The beginning of a day that a browser's date field names, in UTC; `None`: it names none.
pub fn day(text: &str) -> Option<Timestamp> {
    format!("{text}T00:00:00Z").parse().ok()
}

/// The day of a moment, in UTC, as a date field takes it.
pub fn day_of(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// The day after: dates on pages are inclusive.
pub fn next_day(at: Timestamp) -> Timestamp {
    at.plus(berth_common::Seconds(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_text() {
        assert_eq!(text("=HYPERLINK(\"x\")".into()), "'=HYPERLINK(\"x\")");
        assert_eq!(text("alice".into()), "alice");
        assert_eq!(text("3.5".into()), "3.5");
    }

    #[test]
    fn days_are_those_of_date_fields() {
        let at = day("2026-02-28").unwrap();
        assert_eq!(at.to_string().get(..19), Some("2026-02-28T00:00:00"));
        assert_eq!(day_of(next_day(at)), "2026-03-01");
        for bad in ["", "2026-02-30", "yesterday", "2026-02-28T10:00"] {
            assert_eq!(day(bad), None, "{bad}");
        }
    }
}
