//! A rehearsal as people see it: a live table on a terminal, else a line for each start, and at the
//! end what the starts took.

use std::collections::BTreeSet;

use berth_common::{Seconds, Timestamp};
use serde::Deserialize;

use crate::api::{self, ReasonText};
use crate::args::Common;
use crate::connection::Answer;
use crate::print::{Cell, Column, Listing, Style, Tone, is_watched, note, reason, say};
use crate::problem::{Problem, plain};
use crate::text;

/// A rehearsal as the hub tells it.
#[derive(Debug, Deserialize)]
pub struct Rehearsal {
    training: String,
    at: String,
    stage: String,
    #[serde(default, deserialize_with = "api::moment")]
    until: Option<Timestamp>,
    hub_restarted: bool,
    expected: u64,
    servers: usize,
    ready: usize,
    failed: usize,
    left: usize,
    start_within_s: u64,
    foreseen_ms: Option<u64>,
    in_time: Option<bool>,
    times: Times,
    seats: Vec<Seat>,
}

#[derive(Debug, Deserialize)]
struct Times {
    queued_ms: Option<Spread>,
    image_ms: Option<Spread>,
    container_ms: Option<Spread>,
    ready_ms: Option<Spread>,
    total_ms: Option<Spread>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Spread {
    min: u64,
    median: u64,
    p95: u64,
    max: u64,
}

#[derive(Debug, Deserialize)]
struct Seat {
    name: String,
    state: String,
    host: Option<String>,
    queued_ms: Option<u64>,
    image_ms: Option<u64>,
    container_ms: Option<u64>,
    ready_ms: Option<u64>,
    total_ms: Option<u64>,
    reason: Option<ReasonText>,
    detail: Option<String>,
}

impl Rehearsal {
    /// Whether it is this rehearsal, and not the next.
    pub fn is_the_same(&self, other: &Self) -> bool {
        self.at == other.at
    }

    /// Whether nothing is left of it.
    pub fn is_over(&self) -> bool {
        self.stage == "over"
    }

    /// Whether its servers go on for a while.
    pub fn is_kept(&self) -> bool {
        self.stage == "kept"
    }

    fn is_too_slow(&self) -> bool {
        self.foreseen_ms.is_some_and(|it| it > self.start_within_s.saturating_mul(1000))
    }

    /// Whether all got ready, and all who are expected would in time.
    pub fn went_well(&self) -> bool {
        self.in_time == Some(true)
    }
}

impl Seat {
    fn why(&self) -> Option<String> {
        let code = self.reason.as_ref()?;
        Some(reason(&code.code, self.detail.as_deref().unwrap_or_default()))
    }
}

const SEATS: &[Column<Seat>] = &[
    Column::new("SERVER", "name", |it: &Seat, _| Cell::text(&it.name)),
    Column::new("STATE", "state", |it: &Seat, _| match (it.total_ms, &it.reason) {
        (_, Some(_)) => Cell::both("failed", &it.state).toned(Tone::Bad),
        (Some(_), None) => Cell::both("ready", &it.state).toned(Tone::Good),
        (None, None) => Cell::state(&it.state),
    }),
    Column::new("HOST", "host", |it: &Seat, _| Cell::maybe(it.host.as_ref())),
    Column::new("QUEUED", "queued_ms", |it: &Seat, _| span(it.queued_ms)).right(),
    Column::new("IMAGE", "image_ms", |it: &Seat, _| span(it.image_ms)).right(),
    Column::new("CONTAINER", "container_ms", |it: &Seat, _| span(it.container_ms)).right(),
    Column::new("LAB", "ready_ms", |it: &Seat, _| span(it.ready_ms)).right(),
    Column::new("TOTAL", "total_ms", |it: &Seat, _| span(it.total_ms)).right(),
    Column::programs("reason", |it: &Seat, _| Cell::maybe(it.reason.as_ref().map(|it| &it.code))),
];

/// One line of what the starts took.
type Row = (&'static str, Option<Spread>);

const TIMES: &[Column<Row>] = &[
    Column::new("TIME", "time", |it: &Row, _| Cell::text(it.0)),
    Column::new("MIN", "min", |it: &Row, _| span(it.1.map(|it| it.min))).right(),
    Column::new("MEDIAN", "median", |it: &Row, _| span(it.1.map(|it| it.median))).right(),
    Column::new("P95", "p95", |it: &Row, _| span(it.1.map(|it| it.p95))).right(),
    Column::new("MAX", "max", |it: &Row, _| span(it.1.map(|it| it.max))).right(),
];

fn span(millis: Option<u64>) -> Cell {
    millis.map_or_else(
        || Cell::both("-", ""),
        |millis| Cell::both(text::seconds(millis), millis.to_string()),
    )
}

/// Where it is shown.
pub struct Screen {
    style: Style,
    live: bool,
    quiet: bool,
    told: BTreeSet<String>,
}

impl Screen {
    /// A terminal gets a table, everything else lines; programs hear of the end only.
    pub fn new(common: &Common) -> Self {
        let style = common.style();
        let quiet = common.quiet || style.is_for_programs();
        Self { live: is_watched() && !quiet, quiet, style, told: BTreeSet::new() }
    }

    /// Shows how far it is.
    pub fn tell(&mut self, it: &Rehearsal, now: Timestamp) -> Result<(), Problem> {
        if self.live {
            say("\u{1b}[2J\u{1b}[H")?;
            self.seats(it, now)?;
            return say(&standing(it));
        }
        for seat in it.seats.iter().filter(|_| !self.quiet) {
            let line = match (seat.total_ms, seat.why()) {
                (_, Some(why)) => format!("{} failed: {why}", seat.name),
                (Some(total), None) => {
                    let on = seat.host.as_ref().map(|host| format!(" on {host}"));
                    format!(
                        "{} is ready after {}{}",
                        seat.name,
                        text::seconds(total),
                        on.unwrap_or_default()
                    )
                }
                (None, None) => continue,
            };
            if self.told.insert(seat.name.clone()) {
                say(&plain(&line))?;
            }
        }
        Ok(())
    }

    /// Says what came of it.
    pub fn finish(&self, it: &Rehearsal, answer: &Answer) -> Result<(), Problem> {
        if self.style.is_for_programs() {
            return self.style.list(&Listing {
                json: &answer.body,
                columns: SEATS,
                rows: &it.seats,
                name: |it| it.name.clone(),
                now: answer.now,
                empty: "",
            });
        }
        if !self.live {
            say("")?;
            self.seats(it, answer.now)?;
        }
        say("")?;
        let times = &it.times;
        let rows: Vec<Row> = vec![
            ("queued", times.queued_ms),
            ("image", times.image_ms),
            ("container", times.container_ms),
            ("lab", times.ready_ms),
            ("total", times.total_ms),
        ];
        if it.ready > 0 {
            let table = Listing {
                json: &answer.body,
                columns: TIMES,
                rows: &rows,
                name: |it| it.0.to_owned(),
                now: answer.now,
                empty: "",
            };
            self.style.list(&table)?;
            say("")?;
        }
        for line in verdict(it) {
            say(&line)?;
        }
        for seat in &it.seats {
            if let Some(why) = seat.why() {
                note(&plain(&format!("{}: {why}", seat.name)));
            }
        }
        if it.hub_restarted {
            note("The hub was started again meanwhile: the times hold that, too.");
        }
        let Some(until) = it.until.filter(|_| it.is_kept()) else {
            return say("All of them have ended, and nothing of them is left.");
        };
        let until = text::local(until, answer.now);
        say(&format!("They stay until {until}, or until somebody needs the room. End them with"))?;
        say(&plain(&format!("berth training rehearse {} --end", it.training)))
    }

    fn seats(&self, it: &Rehearsal, now: Timestamp) -> Result<(), Problem> {
        self.style.list(&Listing {
            json: &serde_json::Value::Null,
            columns: SEATS,
            rows: &it.seats,
            name: |it| it.name.clone(),
            now,
            empty: "",
        })
    }
}

fn standing(it: &Rehearsal) -> String {
    let Rehearsal { servers, ready, failed, left, .. } = it;
    match it.stage.as_str() {
        "running" => {
            format!("{ready} of {servers} ready, {failed} failed. Ctrl-C ends all of them.")
        }
        "ending" => format!("{ready} of {servers} were ready, {failed} failed; {left} end still."),
        _ => format!("{ready} of {servers} were ready, {failed} failed."),
    }
}

/// Would everybody be in, in time?
fn verdict(it: &Rehearsal) -> Vec<String> {
    let Rehearsal { servers, ready, expected, .. } = it;
    let within = Seconds(it.start_within_s);
    let mut lines = vec![match it.times.total_ms {
        Some(total) if ready == servers => {
            format!("All {servers} got ready, the last after {}.", text::seconds(total.max))
        }
        Some(total) => {
            format!("{ready} of {servers} got ready, the last after {}.", text::seconds(total.max))
        }
        None => format!("None of {servers} got ready."),
    }];
    let all = usize::try_from(*expected).is_ok_and(|expected| expected <= *servers);
    let Some(foreseen) = it.foreseen_ms else { return lines };
    let how = if all { "" } else { " at this rate" };
    let foreseen = text::seconds(foreseen);
    lines.push(match it.went_well() {
        true => {
            format!("All {expected} would be in after {foreseen}{how}; the file allows {within}.")
        }
        false if it.is_too_slow() => {
            format!("{expected} would be in after {foreseen}{how} only; the file allows {within}.")
        }
        false => format!("So not all {expected} people would be in within {within}."),
    });
    lines
}
