//! Single values of the files: how they are written, and what they mean.

use std::fmt;

use berth_common::{HostId, Seconds, Timestamp};
use jiff::civil;
use jiff::tz::TimeZone;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::value::Datetime;

use super::host_range;

/// An amount of memory or a span of time as it is written. A bare number is read as well, so that
/// the answer can be that a unit is needed.
#[derive(Debug, Clone)]
pub struct Written(pub String);

/// A text for people: plain, or one for each language.
#[derive(Debug, Clone)]
pub struct Text {
    /// In English, or in the one language that it is written in.
    pub en: String,
    /// In French.
    pub fr: Option<String>,
}

/// A decimal number, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thousandths(pub u32);

/// A date, or a date and time with or without an offset.
#[derive(Debug, Clone, Copy)]
pub struct Moment(Datetime);

/// Hosts as one name or range, or a list of them.
#[derive(Debug, Clone)]
pub struct Hosts(Vec<String>);

impl Moment {
    /// The offset that it is written with, if any.
    pub fn offset(&self) -> Option<TimeZone> {
        let minutes = match self.0.offset? {
            toml::value::Offset::Z => 0,
            toml::value::Offset::Custom { minutes } => i32::from(minutes),
        };
        jiff::tz::Offset::from_seconds(minutes * 60).ok().map(TimeZone::fixed)
    }

    /// The moment; a date is its first moment in the zone.
    pub fn begin(&self, zone: &TimeZone) -> Result<Timestamp, String> {
        self.in_zone(zone, Ok)
    }

    /// The moment; a date is the first moment of the next day in the zone: a rule that holds
    /// until a day holds on that day.
    pub fn end(&self, zone: &TimeZone) -> Result<Timestamp, String> {
        self.in_zone(zone, civil::Date::tomorrow)
    }

    fn in_zone(
        &self,
        zone: &TimeZone,
        day: fn(civil::Date) -> Result<civil::Date, jiff::Error>,
    ) -> Result<Timestamp, String> {
        let text = self.0.to_string();
        let moment = if self.0.offset.is_some() {
            text.parse()
        } else if self.0.time.is_some() {
            text.parse().and_then(|local: civil::DateTime| zone.to_timestamp(local))
        } else {
            text.parse().and_then(day).and_then(|date| zone.to_timestamp(date.at(0, 0, 0, 0)))
        };
        moment
            .map(|moment: jiff::Timestamp| Timestamp(moment.as_microsecond()))
            .map_err(|_| format!("\"{text}\" is no moment that exists, write e.g. 2026-12-31"))
    }
}

impl Hosts {
    /// All their names.
    pub fn names(&self) -> Result<Vec<HostId>, String> {
        let names: Result<Vec<_>, _> = self.0.iter().map(|one| host_range::expand(one)).collect();
        Ok(names?.concat())
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Written;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text with a unit, e.g. \"16 GB\" or \"3d\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
                Ok(Written(text.into()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Written, E> {
                Ok(Written(number.to_string()))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Written, E> {
                Ok(Written(number.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Languages {
            en: String,
            fr: Option<String>,
        }
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or { en = \"...\", fr = \"...\" }")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text { en: text.into(), fr: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
                let Languages { en, fr } = Languages::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Text { en, fr })
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Thousandths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Thousandths;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 with at most three decimals, e.g. 1.5")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Thousandths, E> {
                self.visit_f64(number as f64)
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Thousandths, E> {
                let milli = (number * 1000.0).round();
                // A decimal of three places is within a few units in the last place of its value.
                let exact = (number * 1000.0 - milli).abs() < 1e-6;
                if exact && (0.0..=f64::from(u32::MAX)).contains(&milli) {
                    Ok(Thousandths(milli as u32))
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Float(number), &self))
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Datetime::deserialize(deserializer)
            .map_err(|_| ())
            .and_then(|moment| if moment.date.is_some() { Ok(Self(moment)) } else { Err(()) })
            .map_err(|()| {
                D::Error::custom(
                    "expected a date without quotes, e.g. 2026-12-31 or 2026-05-12T08:00:00+02:00",
                )
            })
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Hosts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a host, a range such as \"ccjn0[1-5]\", or a list of them")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Hosts, E> {
                Ok(Hosts(vec![text.into()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Hosts, A::Error> {
                Ok(Hosts(Vec::deserialize(SeqAccessDeserializer::new(list))?))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A span of time, e.g. `90s`, `2h 30m` or `3d`; a day is 24 hours.
pub fn duration(text: &str) -> Result<Seconds, String> {
    let wrong = || "not a duration, write e.g. \"15s\", \"2h\" or \"3d\"".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let seconds = span.total((jiff::Unit::Second, days)).map_err(|_| wrong())?;
    if seconds < 0.0 { Err(wrong()) } else { Ok(Seconds(seconds as u64)) }
}
