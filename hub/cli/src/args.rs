//! The command line: options of all verbs. Each verb's own options stand in its file.

use std::path::PathBuf;

use berth_common::{ByteCount, HostId, Seconds, ServerName, Timestamp, Username};
use clap::{ArgAction, Args};
use serde_json::{Map, Value, json};

use crate::connection::Connection;
use crate::print::{Choice, Filter, Format, Style};
use crate::problem::Problem;
use crate::settings::{SettingsError, Sources};

/// Options of all verbs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Common {
    /// http(s)://HOST or unix:/PATH (BERTH_URL)
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// A file with the token (BERTH_TOKEN_FILE)
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// table, wide, json, yaml, csv (lists only) or name
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    output: Format,
    /// The same as -o json
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    json: bool,
    /// Leave out the header line
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    no_header: bool,
    /// Lists: these columns, by their names
    #[arg(short, long, global = true, value_name = "NAME,NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// Lists: these rows, e.g. state:ready, servers:>3
    #[arg(long, global = true, value_name = "COLUMN:VALUE", value_delimiter = ' ')]
    filter: Vec<Filter>,
    /// Print names, ids or secrets only
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub quiet: bool,
    /// Show it again every two seconds, until Ctrl-C
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub watch: bool,
    /// Open the page of it, or print its address
    #[arg(long, global = true, action = ArgAction::SetTrue, conflicts_with = "watch")]
    pub web: bool,
}

impl Common {
    /// How answers are written.
    pub fn style(&self) -> Style {
        let format = match self.output {
            Format::Table if self.json => Format::Json,
            Format::Table if self.quiet => Format::Name,
            format => format,
        };
        let choice = Choice { columns: self.columns.clone(), filters: self.filter.clone() };
        Style::of_stdout(format, !self.no_header, choice)
    }

    /// Where a hub and a token may be named.
    pub fn sources(&self) -> Sources {
        // Not read by the parser: what comes from there would stand in its messages as if typed.
        let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let url = || named("BERTH_URL").map(|url| url.to_string_lossy().into_owned());
        let token_file = || named("BERTH_TOKEN_FILE").map(PathBuf::from);
        Sources::here(self.url.clone().or_else(url), self.token_file.clone().or_else(token_file))
    }

    /// The hub to ask.
    ///
    /// # Errors
    /// When none is known.
    pub fn connection(&self) -> Result<Connection, Problem> {
        self.sources().connection().map_err(SettingsError::problem)
    }
}

/// What a person asks for when starting a server.
#[derive(Debug, Clone, Args)]
pub struct Wish {
    /// Whose server; yours if not given
    #[arg(long, value_name = "USER")]
    pub user: Option<Username>,
    /// What it is good for; see `berth profile list`
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// With a unit, e.g. 8G
    #[arg(long, value_name = "MEMORY")]
    pub memory: Option<ByteCount>,
    /// One of the profile's images
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Fewer or more GPUs than the profile's default
    #[arg(long, value_name = "COUNT")]
    pub gpus: Option<u32>,
    /// One of the profile's models of GPU
    #[arg(long, value_name = "MODEL")]
    pub gpu_model: Option<String>,
}

impl Wish {
    /// The choices as the API takes them; empty: nothing is said.
    pub fn choices(&self) -> Map<String, Value> {
        let mut choices = Map::new();
        if let Some(profile) = &self.profile {
            choices.insert("profile".into(), json!(profile));
        }
        if let Some(memory) = self.memory {
            choices.insert("memory".into(), json!(memory));
        }
        if let Some(image) = &self.image {
            choices.insert("image".into(), json!(image));
        }
        if let Some(gpus) = self.gpus {
            choices.insert("gpus".into(), json!(gpus));
        }
        if let Some(model) = &self.gpu_model {
            choices.insert("gpu_model".into(), json!(model));
        }
        choices
    }
}

/// A server as people name it: an id or its beginning, or `USER`, or `USER/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerRef {
    /// A person's server.
    Named(Username, ServerName),
    /// A word that is an id, the beginning of one, or a person with a default server.
    Word(String),
}

impl ServerRef {
    /// A person's server; `None` if the name is nobody's.
    pub fn of(user: &str, name: &ServerName) -> Option<Self> {
        user.parse().ok().map(|user| Self::Named(user, name.clone()))
    }
}

impl std::str::FromStr for ServerRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((user, name)) = text.split_once('/') {
            let user = user.parse().map_err(|error: berth_common::id::BadId| error.to_string())?;
            let name = name.parse().map_err(|error: berth_common::id::BadId| error.to_string())?;
            return Ok(Self::Named(user, name));
        }
        let is_id = (1..=16).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit());
        if is_id || text.parse::<Username>().is_ok() {
            Ok(Self::Word(text.to_owned()))
        } else {
            Err("write an id or its beginning, USER, or USER/NAME".into())
        }
    }
}

/// A span of time as people write it: `90m`, `12h`, `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Seconds);

impl std::str::FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.parse::<f64>().is_ok() {
            return Err("a unit is needed, e.g. 90m, 12h or 30d");
        }
        let malformed = "write e.g. 90m, 12h or 30d";
        let span: jiff::Span = text.parse().map_err(|_| malformed)?;
        let total = span.total((jiff::Unit::Second, jiff::SpanRelativeTo::days_are_24_hours()));
        match total {
            // A span longer than a thousand years is a slip of the keyboard.
            Ok(seconds) if (1.0..3.2e10).contains(&seconds) => Ok(Self(Seconds(seconds as u64))),
            _ => Err(malformed),
        }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How long something that takes a while is watched.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Patience {
    /// Do not watch it; it goes on
    #[arg(long, conflicts_with = "wait")]
    pub detach: bool,
    /// Watch it, for so long at most; then exit code 6
    #[arg(long, value_name = "SPAN", num_args = 0..=1, require_equals = true)]
    pub wait: Option<Option<Span>>,
}

impl Patience {
    /// Returns when it is used up; never, if nothing was said of it.
    pub async fn used_up(&self) {
        match self.wait {
            Some(Some(Span(span))) => {
                tokio::time::sleep(std::time::Duration::from_secs(span.0)).await;
            }
            _ => std::future::pending().await,
        }
    }
}

/// Hosts as people write them: a name, or a range such as `ccjn0[1-3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(pub Vec<HostId>);

/// More hosts than this in one range are a slip of the keyboard.
const MOST_HOSTS: u32 = 10_000;

impl std::str::FromStr for Hosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = |text: &str| -> Result<HostId, String> {
            text.parse().map_err(|error: berth_common::id::BadId| error.to_string())
        };
        let Some((before, rest)) = text.split_once('[') else { return Ok(Self(vec![name(text)?])) };
        let wrong = || "write a name, or a range such as ccjn0[1-3]".to_owned();
        let (range, after) = rest.split_once(']').ok_or_else(wrong)?;
        let (low, high) = range.split_once('-').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let (first, last) = (number(low)?, number(high)?);
        if first > last || last - first >= MOST_HOSTS {
            return Err(wrong());
        }
        // Leading zeros of the lower bound are kept.
        let width = low.len();
        let names = (first..=last).map(|n| name(&format!("{before}{n:0width$}{after}")));
        names.collect::<Result<_, _>>().map(Self)
    }
}

/// A moment as people write it: a span from now, a day and a time on the local clock, or ISO 8601.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// So far from now.
    Away(Span),
    /// This moment.
    At(Timestamp),
    /// The next time of this weekday, today's or tomorrow's hour.
    Next(Day, jiff::civil::Time),
}

/// A day by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// The present one.
    Today,
    /// The one after it.
    Tomorrow,
    /// The next that has this name, today included if the time is still to come.
    Weekday(jiff::civil::Weekday),
}

impl Moment {
    /// The moment, for something that lies ahead.
    pub fn after(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Away(span) => now.plus(span.0),
            Self::At(at) => *at,
            Self::Next(day, time) => next(*day, *time, now).unwrap_or(now),
        }
    }

    /// The moment, for something that is over.
    pub fn before(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Away(Span(span)) => {
                let back = i64::try_from(span.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
                Timestamp(now.0.saturating_sub(back))
            }
            // A weekday that is over is the last one, not the next.
            Self::Next(Day::Weekday(day), time) => {
                let week = 7 * 86_400 * 1_000_000;
                let earlier = Timestamp(now.0.saturating_sub(week));
                next(Day::Weekday(*day), *time, earlier).unwrap_or(now)
            }
            _ => self.after(now),
        }
    }
}

fn next(day: Day, time: jiff::civil::Time, now: Timestamp) -> Option<Timestamp> {
    let now = jiff::Timestamp::from_microsecond(now.0).ok()?;
    let now = now.to_zoned(jiff::tz::TimeZone::system());
    let today = now.date();
    let date = match day {
        Day::Today => today,
        Day::Tomorrow => today.tomorrow().ok()?,
        Day::Weekday(day) if day == today.weekday() && time > now.time() => today,
        Day::Weekday(day) => today.nth_weekday(1, day).ok()?,
    };
    let at = date.to_datetime(time).to_zoned(jiff::tz::TimeZone::system()).ok()?;
    Some(Timestamp(at.timestamp().as_microsecond()))
}

impl std::str::FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = "write e.g. 90m, \"friday 18:00\" or 2026-05-15T18:00";
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::At(Timestamp(at.as_microsecond())));
        }
        if let Ok(civil) = text.parse::<jiff::civil::DateTime>() {
            let at = civil.to_zoned(jiff::tz::TimeZone::system()).map_err(|_| malformed)?;
            return Ok(Self::At(Timestamp(at.timestamp().as_microsecond())));
        }
        let (day, time) = text.rsplit_once(' ').unwrap_or(("today", text));
        if let Ok(time) = jiff::civil::Time::strptime("%H:%M", time) {
            return Ok(Self::Next(day_of(day).ok_or(malformed)?, time));
        }
        text.parse().map(Self::Away).map_err(|_| malformed)
    }
}

fn day_of(text: &str) -> Option<Day> {
    use jiff::civil::Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let day = text.to_ascii_lowercase();
    let named = [
        ("monday", Monday),
        ("tuesday", Tuesday),
        ("wednesday", Wednesday),
        ("thursday", Thursday),
        ("friday", Friday),
        ("saturday", Saturday),
        ("sunday", Sunday),
    ];
    match day.as_str() {
        "today" => Some(Day::Today),
        "tomorrow" => Some(Day::Tomorrow),
        day => {
            let mut found =
                named.iter().filter(|(name, _)| day.len() >= 3 && name.starts_with(day));
            found.next().map(|(_, weekday)| Day::Weekday(*weekday))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_in_ranges() {
        let check = |text: &str| {
            let hosts = text.parse::<Hosts>().map(|hosts| hosts.0);
            hosts.map(|hosts| hosts.iter().map(HostId::as_str).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(check("ccjn01").as_deref(), Ok("ccjn01"));
        assert_eq!(check("ccjn0[1-3]").as_deref(), Ok("ccjn01 ccjn02 ccjn03"));
        assert_eq!(check("n[08-10].x").as_deref(), Ok("n08.x n09.x n10.x"));
        for bad in ["n[3-1]", "n[1-", "n[a-b]", "n[1]", "n[0-99999]", "", "a b"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_are_spans_days_or_exact() {
        // Wednesday, 13 May 2026, 14:02 on the local clock.
        let local = |text: &str| {
            let civil: jiff::civil::DateTime = text.parse().unwrap();
            let zoned = civil.to_zoned(jiff::tz::TimeZone::system()).unwrap();
            Timestamp(zoned.timestamp().as_microsecond())
        };
        let now = local("2026-05-13T14:02:00");
        let by = |text: &str| text.parse::<Moment>().unwrap().after(now);
        assert_eq!(by("90m"), now.plus(Seconds(5_400)));
        assert_eq!(by("friday 18:00"), local("2026-05-15T18:00:00"));
        assert_eq!(by("Fri 18:00"), local("2026-05-15T18:00:00"));
        assert_eq!(by("wednesday 18:00"), local("2026-05-13T18:00:00"));
        assert_eq!(by("wednesday 12:00"), local("2026-05-20T12:00:00"));
        assert_eq!(by("tomorrow 08:30"), local("2026-05-14T08:30:00"));
        assert_eq!(by("18:00"), local("2026-05-13T18:00:00"));
        assert_eq!(by("2026-05-15T18:00"), local("2026-05-15T18:00:00"));
        assert_eq!(by("2026-05-15T18:00:00Z").to_string(), "2026-05-15T18:00:00.000000Z");
        let since = |text: &str| text.parse::<Moment>().unwrap().before(now);
        assert_eq!(since("1h"), local("2026-05-13T13:02:00"));
        assert_eq!(since("monday 08:00"), local("2026-05-11T08:00:00"));
        for bad in ["", "soon", "friday", "friday 25:00", "fr 10:00", "18", "2026-13-01T00:00"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_need_a_unit() {
        let check = |text: &str| text.parse::<Span>().map(|span| span.0.0);
        assert_eq!(check("90m"), Ok(5_400));
        assert_eq!(check("30d"), Ok(2_592_000));
        assert_eq!(check("1h30m"), Ok(5_400));
        assert_eq!(check("30"), Err("a unit is needed, e.g. 90m, 12h or 30d"));
        for bad in ["", "d", "-1d", "0s", "2mo", "1y", "soon", "99999999999h"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn servers_are_named_by_id_or_by_owner() {
        let named = |user: &str, name: &str| {
            Ok(ServerRef::Named(user.parse().unwrap(), name.parse().unwrap()))
        };
        assert_eq!("alice/".parse(), named("alice", ""));
        assert_eq!("alice/n1".parse(), named("alice", "n1"));
        assert_eq!("8f2c".parse(), Ok(ServerRef::Word("8f2c".into())));
        assert_eq!("alice".parse(), Ok(ServerRef::Word("alice".into())));
        for bad in ["", "a/b/c", "../x", "Alice", "8f2c0000111122223"] {
            assert!(bad.parse::<ServerRef>().is_err(), "{bad}");
        }
    }
}
