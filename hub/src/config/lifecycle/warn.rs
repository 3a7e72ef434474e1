//! `[warn]`: how people are told before a stop, and when nothing is stopped.

use std::collections::BTreeSet;

use berth_common::Seconds;
use berth_core::settings::{Channel, Quiet, Zone};
use jiff::civil;
use jiff::tz::TimeZone;
use serde::Deserialize;
use toml::Spanned;

use super::{limit, longest_first};
use crate::config::draft::Draft;
use crate::config::hub::zone;
use crate::config::sources::{File, Place};
use crate::config::value::Written;

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarnToml {
    leads: Option<Vec<Spanned<Written>>>,
    channels: Option<BTreeSet<Channel>>,
    quiet: Option<Spanned<String>>,
    timezone: Option<Spanned<String>>,
}

/// A lead, with where it stands.
pub struct Lead {
    span: Seconds,
    place: Place,
    text: String,
}

/// Reads the section; returns the leads with where they stand.
pub fn take(draft: &mut Draft, file: File, toml: &WarnToml) -> Vec<Lead> {
    let mut noted = Vec::new();
    if let Some(leads) = &toml.leads {
        for lead in leads {
            if let Some(span) = limit(draft, file, lead) {
                let text = lead.get_ref().0.clone();
                noted.push(Lead { span, place: file.at(lead), text });
            }
        }
        let spans = noted.iter().map(|lead| lead.span).collect();
        draft.settings.lifecycle.warn.leads = longest_first(spans);
    }
    if let Some(channels) = &toml.channels {
        draft.settings.lifecycle.warn.channels = channels.clone();
    }
    let zone = match &toml.timezone {
        Some(text) => {
            draft.sources.parsed(file.at(text), text.get_ref(), zone).unwrap_or(TimeZone::UTC)
        }
        None => draft.zone.clone(),
    };
    if let Some(text) = &toml.quiet
        && let Some((from, to)) = draft.sources.parsed(file.at(text), text.get_ref(), hours)
    {
        let quiet = Quiet { from_s: from, to_s: to, zone: laid_out(&zone) };
        draft.settings.lifecycle.warn.quiet = Some(quiet);
    }
    noted
}

/// `20:00-07:00`, in seconds of the day.
fn hours(text: &str) -> Result<(u32, u32), &'static str> {
    let wrong = "not the hours of a night, write e.g. \"20:00-07:00\"";
    let (from, to) = text.split_once('-').ok_or(wrong)?;
    let second = |text: &str| {
        let time: civil::Time = text.trim().parse().map_err(|_| wrong)?;
        let second = i32::from(time.hour()) * 3600 + i32::from(time.minute()) * 60;
        Ok::<u32, &'static str>((second + i32::from(time.second())).unsigned_abs())
    };
    let (from, to) = (second(from)?, second(to)?);
    if from == to { Err("the hours end when they begin: leave quiet out") } else { Ok((from, to)) }
}

/// A zone as a plain list. From a fixed year to a fixed year: the same files must give the same
/// settings on any day.
fn laid_out(zone: &TimeZone) -> Zone {
    let year = |year| civil::date(year, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC).ok();
    let (Some(from), Some(to)) = (year(2020), year(2070)) else { return Zone::default() };
    let (from, to) = (from.timestamp(), to.timestamp());
    let moment = |at: jiff::Timestamp| berth_common::Timestamp(at.as_microsecond());
    let mut offsets = vec![(moment(from), zone.to_offset(from).seconds())];
    let changes = zone.following(from).take_while(|change| change.timestamp() < to);
    offsets.extend(changes.map(|change| (moment(change.timestamp()), change.offset().seconds())));
    Zone(offsets)
}

/// A lead over half of a limit is not used: it would come just after the last activity.
pub fn of_leads(draft: &mut Draft, leads: &[Lead]) {
    for Lead { span, place, text } in leads {
        let short = draft.settings.profiles.iter().filter_map(|(name, profile)| {
            let limit = profile.idle_limit.filter(|limit| span.0 > limit.0 / 2)?;
            Some(format!("{name} ({limit})"))
        });
        let short: Vec<_> = short.collect();
        if !short.is_empty() {
            let message = format!(
                "lead \"{text}\" is not used where it is over half of the limit: {}",
                short.join(", ")
            );
            draft.sources.warn(place, "config.warning.lead", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_common::Timestamp;

    use super::*;

    #[test]
    fn a_night_in_which_the_clock_is_set_ends_by_the_clock() {
        // Central Europe's rule, without the need of a time zone database.
        let europe = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let zone = laid_out(&europe);
        assert_eq!(zone.0.len(), 101, "two a year, and the one before");
        let quiet = Quiet { from_s: 72_000, to_s: 25_200, zone };
        for (evening, morning) in [
            ("2026-10-24T19:00:00Z", "2026-10-25T06:00:00Z"),
            ("2027-03-27T20:00:00Z", "2027-03-28T05:00:00Z"),
            ("2026-07-01T18:00:00Z", "2026-07-02T05:00:00Z"),
        ] {
            let morning: Timestamp = morning.parse().unwrap();
            assert_eq!(quiet.end(evening.parse().unwrap()), morning, "{evening}");
        }
    }
}
