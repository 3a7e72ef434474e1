//! Moments, spans and sizes as people read them.

use berth_common::{ByteCount, Seconds, Timestamp};

/// The time since a moment: `45s`, `2h 10m`.
pub fn ago(moment: Timestamp, now: Timestamp) -> String {
    Seconds(now.millis_since(moment) / 1000).to_string()
}

/// A span of milliseconds in seconds with one decimal: `3.2 s`.
pub fn seconds(millis: u64) -> String {
    format!("{:.1} s", millis as f64 / 1000.0)
}

/// A moment that lies ahead, shortly: `14:02` today, `Thu 14:02` this week, else the day.
pub fn ahead(moment: Timestamp, now: Timestamp) -> String {
    const WEEK_MS: u64 = 6 * 86_400 * 1000;
    let far = moment.millis_since(now) > WEEK_MS;
    let local = local(moment, now);
    let words: Vec<&str> = local.split(' ').collect();
    match words.as_slice() {
        [_, day, month, _] if far => format!("{day} {month}"),
        [weekday, _, _, time] if !far && weekday.len() == 3 => format!("{weekday} {time}"),
        _ => local,
    }
}

/// A moment on the local clock: `14:02` today, `Mon 11 May 14:02` this year, else with the year.
pub fn local(moment: Timestamp, now: Timestamp) -> String {
    let zoned = |moment: Timestamp| {
        jiff::Timestamp::from_microsecond(moment.0)
            .map(|moment| moment.to_zoned(jiff::tz::TimeZone::system()))
    };
    let (Ok(moment), Ok(now)) = (zoned(moment), zoned(now)) else { return "?".into() };
    let format = if moment.date() == now.date() {
        "%H:%M"
    } else if moment.year() == now.year() {
        "%a %-d %b %H:%M"
    } else {
        "%-d %b %Y %H:%M"
    };
    moment.strftime(format).to_string()
}

/// The local zone at a moment, e.g. `CEST`.
pub fn zone(moment: Timestamp) -> String {
    let zoned = jiff::Timestamp::from_microsecond(moment.0)
        .map(|moment| moment.to_zoned(jiff::tz::TimeZone::system()));
    zoned.map_or_else(|_| String::new(), |zoned| zoned.strftime("%Z").to_string())
}

/// A part and its whole in the whole's unit: `9.1/32 GB`.
pub fn of(part: ByteCount, whole: ByteCount) -> String {
    let (unit, factor) = if whole.0 >= 1 << 40 {
        ("TB", 1u64 << 40)
    } else if whole.0 >= 1 << 30 {
        ("GB", 1 << 30)
    } else {
        ("MB", 1 << 20)
    };
    let number = |bytes: ByteCount| {
        let tenths = (bytes.0 as f64 * 10.0 / factor as f64).round() / 10.0;
        format!("{tenths}")
    };
    format!("{}/{} {unit}", number(part), number(whole))
}

/// What to write after a number of things: nothing for one.
pub fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_read_well() {
        assert_eq!(of(ByteCount(0), ByteCount(29 << 30)), "0/29 GB");
        assert_eq!(of(ByteCount(9_771_050_598), ByteCount(32 << 30)), "9.1/32 GB");
        assert_eq!(of(ByteCount(300 << 20), ByteCount(512 << 20)), "300/512 MB");
        assert_eq!(seconds(3_249), "3.2 s");
        assert_eq!(ago(Timestamp(0), Timestamp(7_800_000_000)), "2h 10m");
        assert_eq!(ago(Timestamp(7_800_000_000), Timestamp(0)), "0s");
    }
}
