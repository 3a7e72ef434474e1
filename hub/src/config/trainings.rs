//! `trainings.d`: courses. Each brings a profile of its own name, which its people may use.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{Seconds, Timestamp, Username};
use berth_core::settings::{Allow, People, Profile, Quota, Training, Window};
use jiff::civil;
use jiff::tz::TimeZone;
use serde::Deserialize;
use toml::Spanned;

use super::draft::{Draft, Offer};
use super::profiles::amount;
use super::quotas::{QuotaToml, take_quota};
use super::sources::{File, Place, Version};
use super::value::{Moment, Text, Written};

/// How long servers go on after a course that says nothing: people save what they have.
const STOP_AFTER: Seconds = Seconds(2 * 3600);
/// A course that is longer than this has a slip in one of its dates.
const LONGEST_DAYS: i32 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainingsToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    training: BTreeMap<Spanned<String>, TrainingToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainingToml {
    title: Option<Text>,
    pool: Spanned<String>,
    from: Spanned<Moment>,
    to: Spanned<Moment>,
    daily: Option<Spanned<String>>,
    participants: Spanned<ParticipantsToml>,
    #[serde(default)]
    instructors: BTreeSet<Username>,
    profile: ProfileToml,
    quota: Option<Spanned<QuotaToml>>,
    #[serde(default)]
    after: AfterToml,
    overflow: Option<Spanned<String>>,
    start_within: Option<Spanned<Written>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParticipantsToml {
    #[serde(default)]
    users: BTreeSet<Username>,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    except_users: BTreeSet<Username>,
    expected: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileToml {
    memory: Spanned<Written>,
    image: Spanned<String>,
    url: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AfterToml {
    stop_servers: Option<Spanned<Written>>,
}

/// The hours of a day.
#[derive(Debug, Clone, Copy)]
struct Daily {
    from: civil::Time,
    /// `None`: the end of the day.
    to: Option<civil::Time>,
}

/// Reads all trainings.
pub fn take(draft: &mut Draft) {
    for (file, toml) in draft.sources.all::<TrainingsToml>("trainings") {
        for (name, toml) in toml.training {
            let place = file.at(&name);
            let name = name.into_inner();
            if let Some(other) = draft.settings.profiles.get(&name) {
                let what = format!("\"{name}\", the name of a profile or training,");
                draft.sources.duplicate(&place, &what, &other.cite);
                continue;
            }
            let Some(profile) = take_profile(draft, file, &place, &name, &toml) else { continue };
            let Some(training) = take_training(draft, file, &place, &name, toml) else { continue };
            let instructors = People { users: training.instructors.clone(), ..People::default() };
            for people in [training.participants.clone(), instructors] {
                if people != People::default() {
                    let (profile, cite) = (name.clone(), training.cite.clone());
                    let allow = Allow { profile, people, until: None, note: None, cite };
                    draft.settings.access.allow.push(allow);
                }
            }
            draft.settings.profiles.insert(name.clone(), profile);
            draft.settings.trainings.insert(name, training);
        }
    }
}

fn take_profile(
    draft: &mut Draft,
    file: File,
    place: &Place,
    name: &str,
    toml: &TrainingToml,
) -> Option<Profile> {
    let ProfileToml { memory: written, image, url } = &toml.profile;
    draft.sources.expect_name("image", image.get_ref(), file.at(image));
    draft.sources.expect_name("pool", toml.pool.get_ref(), file.at(&toml.pool));
    if let Some(overflow) = &toml.overflow {
        draft.sources.expect_name("pool", overflow.get_ref(), file.at(overflow));
        if overflow == &toml.pool {
            let message = "overflow is another pool than the training's own".to_owned();
            draft.sources.bad_value(&file.at(overflow), message);
        }
    }
    if let Some(url) = url
        && !url.get_ref().starts_with('/')
    {
        let message = "url begins with a slash, e.g. \"/lab/tree/intro.ipynb\"".to_owned();
        draft.sources.bad_value(&file.at(url), message);
    }
    let memory = amount(draft, file, written)?;
    draft.offers.push(Offer {
        profile: name.to_owned(),
        memory,
        gpus: 0,
        is_button: true,
        place: file.at(written),
        gpus_place: None,
    });
    Some(Profile {
        title: title(draft, name, toml),
        pool: toml.pool.get_ref().clone(),
        memory_default: memory,
        memory_choices: vec![memory],
        memory_max: memory,
        images: vec![image.get_ref().clone()],
        start_url: url.as_ref().map(|url| url.get_ref().clone()),
        training: Some(name.to_owned()),
        overflow: toml.overflow.as_ref().map(|pool| pool.get_ref().clone()),
        cite: draft.sources.cite(place),
        ..Profile::default()
    })
}

fn take_training(
    draft: &mut Draft,
    file: File,
    place: &Place,
    name: &str,
    toml: TrainingToml,
) -> Option<Training> {
    let quota = toml.quota.as_ref().map_or_else(Quota::default, |quota| {
        take_quota(draft, file, &file.at(quota), quota.get_ref())
    });
    let stop_after = match &toml.after.stop_servers {
        Some(text) => draft.sources.duration(file, text)?,
        None => STOP_AFTER,
    };
    let start_within = match &toml.start_within {
        Some(text) => draft.sources.duration(file, text)?,
        None => Training::START_WITHIN,
    };
    let windows = take_windows(draft, file, &toml)?;
    let title = title(draft, name, &toml);
    let people = file.at(&toml.participants);
    let ParticipantsToml { users, groups, except_users, expected } = toml.participants.into_inner();
    Some(Training {
        title,
        pool: toml.pool.into_inner(),
        windows,
        participants: draft.people(&people, users, groups, except_users),
        expected,
        instructors: toml.instructors,
        quota,
        stop_after,
        start_within,
        cite: draft.sources.cite(place),
    })
}

fn title(draft: &mut Draft, name: &str, toml: &TrainingToml) -> String {
    toml.title.clone().map_or_else(|| name.to_owned(), |title| draft.text(title))
}

fn take_windows(draft: &mut Draft, file: File, toml: &TrainingToml) -> Option<Vec<Window>> {
    let zone = draft.zone.clone();
    let mut moment = |text: &Spanned<Moment>, read: Result<Timestamp, String>| match read {
        Ok(moment) => Some(moment),
        Err(why) => {
            draft.sources.bad_value(&file.at(text), why);
            None
        }
    };
    let from = moment(&toml.from, toml.from.get_ref().begin(&zone));
    let to = moment(&toml.to, toml.to.get_ref().end(&zone));
    let daily = toml
        .daily
        .as_ref()
        .map(|text| draft.sources.parsed(file.at(text), text.get_ref(), daily_hours));
    let (from, to) = (from?, to?);
    let zone = zone_of(toml.from.get_ref(), from, zone);
    let windows = match daily {
        None => windows(from, to, None, &zone),
        Some(daily) => windows(from, to, Some(daily?), &zone),
    };
    match windows {
        Ok(windows) => Some(windows),
        Err(why) => {
            draft.sources.bad_value(&file.at(&toml.to), why);
            None
        }
    }
}

/// Where the daily hours are meant: in the site's zone, whose clock changes twice a year, unless
/// `from` has an offset that the site does not have then.
fn zone_of(written: &Moment, from: Timestamp, site: TimeZone) -> TimeZone {
    let (Some(written), Ok(from)) = (written.offset(), jiff::Timestamp::from_microsecond(from.0))
    else {
        return site;
    };
    if written.to_offset(from) == site.to_offset(from) { site } else { written }
}

/// `08:00-19:00`; `24:00` is the end of the day.
fn daily_hours(text: &str) -> Result<Daily, &'static str> {
    let wrong = "not the hours of a day, write e.g. \"08:00-19:00\"";
    let (from, to) = text.split_once('-').ok_or(wrong)?;
    let from: civil::Time = from.trim().parse().map_err(|_| wrong)?;
    let to: Option<civil::Time> = match to.trim() {
        "24:00" => None,
        to => Some(to.parse().map_err(|_| wrong)?),
    };
    if to.is_some_and(|to| to <= from) {
        return Err("the hours end before they begin: a course ends on the day it begins");
    }
    Ok(Daily { from, to })
}

/// The hours from `from` to `to` when a course is open, in order and without overlap.
fn windows(
    from: Timestamp,
    to: Timestamp,
    daily: Option<Daily>,
    zone: &TimeZone,
) -> Result<Vec<Window>, String> {
    if to <= from {
        return Err("the training ends before it begins".into());
    }
    let Some(daily) = daily else { return Ok(vec![Window { from, to }]) };
    let out_of_range = |_| "this is no moment that exists".to_owned();
    let local = |moment: Timestamp| {
        jiff::Timestamp::from_microsecond(moment.0).map(|moment| zone.to_datetime(moment).date())
    };
    let (first, last) = (local(from).map_err(out_of_range)?, local(to).map_err(out_of_range)?);
    if (last - first).get_days() > LONGEST_DAYS {
        return Err(format!("longer than {LONGEST_DAYS} days: check both dates"));
    }
    let mut windows = Vec::new();
    for date in first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last) {
        let ends = match daily.to {
            Some(time) => Ok(date.to_datetime(time)),
            None => date.tomorrow().map(|next| next.at(0, 0, 0, 0)),
        };
        let moment = |local| zone.to_timestamp(local).map(|at| Timestamp(at.as_microsecond()));
        let begins = moment(date.to_datetime(daily.from)).map_err(out_of_range)?;
        let ends = ends.and_then(moment).map_err(out_of_range)?;
        let window = Window { from: begins.max(from), to: ends.min(to) };
        if window.from < window.to {
            windows.push(window);
        }
    }
    if windows.is_empty() {
        return Err("no hour of daily lies between from and to".into());
    }
    Ok(windows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn laid_out(from: &str, to: &str, daily: &str, zone: &TimeZone) -> String {
        let daily = daily_hours(daily).unwrap();
        match windows(at(from), at(to), Some(daily), zone) {
            Ok(windows) => {
                let texts: Vec<_> = windows
                    .iter()
                    .map(|window| {
                        format!("{:.16}/{:.16}", window.from.to_string(), window.to.to_string())
                    })
                    .collect();
                texts.join(" ")
            }
            Err(why) => why,
        }
    }

    /// Central Europe's rule, without the need of a time zone database.
    fn europe() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    #[test]
    fn daily_hours_follow_the_clock_on_the_wall() {
        // On 25 October 2026 Central Europe's clocks go back.
        assert_eq!(
            laid_out("2026-10-24T06:00:00Z", "2026-10-25T20:00:00Z", "08:00-19:00", &europe()),
            "2026-10-24T06:00/2026-10-24T17:00 2026-10-25T07:00/2026-10-25T18:00"
        );
    }

    #[test]
    fn first_and_last_day_are_cut_and_empty_days_left_out() {
        let utc = TimeZone::UTC;
        assert_eq!(
            laid_out("2026-05-12T10:00:00Z", "2026-05-14T08:00:00Z", "08:00-24:00", &utc),
            "2026-05-12T10:00/2026-05-13T00:00 2026-05-13T08:00/2026-05-14T00:00"
        );
        assert_eq!(
            laid_out("2026-05-12T10:00:00Z", "2026-05-12T11:00:00Z", "08:00-09:00", &utc),
            "no hour of daily lies between from and to"
        );
        assert_eq!(
            laid_out("2026-05-12T00:00:00Z", "2062-05-12T00:00:00Z", "08:00-09:00", &utc),
            "longer than 1000 days: check both dates"
        );
    }

    #[test]
    fn an_offset_that_the_site_does_not_have_is_kept() {
        let zone_for = |text: &str| {
            let toml: BTreeMap<String, Moment> = toml::from_str(&format!("from = {text}")).unwrap();
            let from = toml["from"].begin(&europe()).unwrap();
            zone_of(&toml["from"], from, europe())
        };
        assert_eq!(zone_for("2026-05-12T08:00:00+02:00"), europe());
        assert_eq!(zone_for("2026-05-12"), europe());
        let fixed = TimeZone::fixed(jiff::tz::offset(-5));
        assert_eq!(zone_for("2026-05-12T08:00:00-05:00"), fixed);
    }

    #[test]
    fn hours_of_a_day_are_checked() {
        for bad in ["08:00", "8-19", "08:00-07:00", "08:00-08:00", "x-y", "24:00-24:00"] {
            assert!(daily_hours(bad).is_err(), "{bad}");
        }
    }
}
