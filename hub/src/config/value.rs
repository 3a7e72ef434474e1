//! Single values of the files, and where they stand.

use berth_common::Seconds;

/// The line of a byte offset, from 1.
pub fn line_of(text: &str, offset: usize) -> u32 {
    let before = text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count();
    u32::try_from(before.saturating_add(1)).unwrap_or(u32::MAX)
}

/// A span of time, e.g. `90s`, `2h 30m` or `3d`; a day is 24 hours.
pub fn duration(text: &str) -> Result<Seconds, String> {
    let wrong = || "not a duration, write e.g. \"15s\", \"2h\" or \"3d\"".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let seconds = span.total((jiff::Unit::Second, days)).map_err(|_| wrong())?;
    if seconds < 0.0 { Err(wrong()) } else { Ok(Seconds(seconds as u64)) }
}

/// `; did you mean "x"?` for the nearest known name, or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min();
    nearest.map_or_else(String::new, |(_, candidate)| format!("; did you mean \"{candidate}\"?"))
}
