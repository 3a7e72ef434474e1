//! Lives of servers: people work in them or forget them, the proxy tells the hub what it saw, and
//! the hub warns and stops. Only every fifth seed has it: the others stay what they were.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{Generation, Reason, Seconds, ServerId, Timestamp};
use berth_core::event::Event;
use berth_core::life::Evidence;
use berth_core::settings::{ByProfile, Extend, IdleRule, Lifecycle, Warn, Whose};
use berth_core::{Fleet, Server};

use crate::world::bugs::Bug;
use crate::world::chance::Chance;
use crate::world::nature::{Happening, Nature};
use crate::world::people::Wish;
use crate::world::transcript::Transcript;

/// Without activity for this long a server stops; short, since a run is half an hour.
const LIMIT: Seconds = Seconds(300);
/// Its owner is told this long before.
const LEAD: Seconds = Seconds(60);
/// An extension gives this much, once.
const STEP: Seconds = Seconds(120);
/// The proxy is read this often.
const READ_MS: u64 = 20_000;
/// In the calm a server that is to stop does so at most this much later: the proxy is read, its owner is
/// told, a restart of the hub takes its time.
const LATE: Seconds = Seconds(150);

/// The site's rules in a seed that has lives.
pub fn rules(bug: Option<Bug>) -> Lifecycle {
    let leads = if bug == Some(Bug::WarnsNobody) { Vec::new() } else { vec![LEAD] };
    Lifecycle {
        idle: vec![IdleRule {
            whose: Whose::default(),
            stop_after: Some(LIMIT),
            cite: Default::default(),
        }],
        extend: Extend { step: STEP, max_times: ByProfile { default: 1, ..ByProfile::default() } },
        warn: Warn { leads, ..Warn::default() },
        ..Lifecycle::default()
    }
}

type Start = (ServerId, Generation);

/// What is true about lives, whatever the hub believes; and what the proxy has seen.
#[derive(Debug)]
pub struct Lives {
    /// Chance of its own, so that seeds without lives stay as they were.
    chance: Chance,
    /// When somebody worked in which start.
    worked: BTreeMap<Start, Vec<Timestamp>>,
    /// Warnings that were saved.
    warned: BTreeMap<Start, BTreeSet<Timestamp>>,
    /// What owners were promised.
    promised: BTreeMap<Start, Timestamp>,
    /// Until when the hub knows what the proxy saw.
    known: Timestamp,
    judged: BTreeSet<Start>,
}

impl Lives {
    /// The lives of a seed, if it has any.
    pub fn of(seed: u64) -> Option<Self> {
        (seed % 5 == 3).then(|| Self {
            chance: Chance::new(seed ^ 0x6c69_7665_735f_6f6e),
            worked: BTreeMap::new(),
            warned: BTreeMap::new(),
            promised: BTreeMap::new(),
            known: Timestamp::default(),
            judged: BTreeSet::new(),
        })
    }

    /// The first happenings of so many people's lives.
    pub fn begin(&mut self, people: usize) -> Vec<(u64, Happening)> {
        let mut first = vec![(READ_MS, Happening::ProxyIsRead)];
        for person in 0..people {
            first.push((self.chance.between(1..=120_000), Happening::PersonWorks { person }));
        }
        first
    }

    /// A person comes to their servers: works, extends, or does neither.
    pub fn works(&mut self, fleet: &Fleet, servers: &[ServerId], now: Timestamp) -> Option<Wish> {
        let server = self.chance.pick(servers).and_then(|id| fleet.servers.get(id))?;
        if !server.is_ready() {
            return None;
        }
        match self.chance.between(0..=9) {
            0..5 => {
                let start = (server.id.clone(), server.generation);
                self.worked.entry(start).or_default().push(now);
                None
            }
            5..7 => Some(Wish::Extend { named: !server.name.is_default() }),
            _ => None,
        }
    }

    /// When the person comes again: some stay away for longer than a server lives.
    pub fn comes_again_ms(&mut self) -> u64 {
        self.chance.between(10_000..=500_000)
    }

    /// What the proxy tells the hub now.
    pub fn read(&self, now: Timestamp) -> Vec<Event> {
        let newest = self.worked.iter().filter_map(|((server, _), times)| {
            let (server, at) = (server.clone(), *times.last()?);
            Some(Event::Activity { server, kind: Evidence::Browser, at })
        });
        newest.chain([Event::ActivityTold { until: now }]).collect()
    }

    /// The hub's store goes back to a backup: promises made since may be lost.
    pub fn goes_back(&mut self) {
        self.promised.clear();
    }

    /// The hub has taken this in.
    pub fn taken(&mut self, event: &Event) {
        if let Event::ActivityTold { until } = event {
            self.known = self.known.max(*until);
        }
    }

    /// Somebody was told that a start is not stopped before.
    pub fn promise(&mut self, server: &Server, stop: Timestamp) {
        // It may have been started anew meanwhile: then nobody was promised anything about that.
        let kept = server.placement().and_then(|placement| placement.life.kept_until);
        if kept != Some(stop) {
            return;
        }
        let start = (server.id.clone(), server.generation);
        let promised = self.promised.entry(start).or_default();
        *promised = stop.max(*promised);
    }

    /// A server is saved.
    pub fn saved(&mut self, server: &Server, transcript: &mut Transcript) {
        let Some(placement) = server.placement() else { return };
        let start = (server.id.clone(), server.generation);
        let told: BTreeSet<_> = placement.life.told.iter().map(|told| told.at).collect();
        let before = self.warned.get(&start).is_some_and(|warned| !warned.is_empty());
        if !told.is_empty() {
            transcript.mark("an idle server's owner was warned");
        } else if before && placement.stop.is_none() {
            transcript.mark("a warning was taken back");
        }
        self.warned.entry(start).or_default().extend(told);
    }

    /// L4: whether a server should have been stopped long ago, since nobody works in it.
    pub fn overdue(&self, server: &Server, now: Timestamp) -> Option<String> {
        let placement = server.placement().filter(|placement| placement.stop.is_none())?;
        let begun = placement.ready_at?;
        let worked = self.worked.get(&(server.id.clone(), server.generation));
        let from = worked.and_then(|times| times.last()).copied().unwrap_or(begun).max(begun);
        let due = from.plus(LIMIT).plus(STEP).plus(LATE);
        (now > due).then(|| format!("{} runs at {now}, and was in use at {from}", server.id))
    }

    /// Whether a stop is an idle one, and what is wrong with it.
    pub fn judge(&mut self, server: &Server, transcript: &mut Transcript) -> Option<String> {
        let placement = server.placement()?;
        let stop = placement.stop.as_ref().filter(|it| it.end.reason == Reason::StoppedIdle)?;
        let start = (server.id.clone(), server.generation);
        if !self.judged.insert(start.clone()) {
            return None;
        }
        let at = stop.end.at;
        transcript.mark("an idle server was stopped");
        let begun = placement.ready_at.unwrap_or(placement.placed_at);
        let seen = |worked: &&Timestamp| **worked <= self.known && **worked <= at;
        let worked = self.worked.get(&start).and_then(|times| times.iter().rev().find(seen));
        let from = worked.copied().unwrap_or(begun).max(begun);
        if from.plus(LIMIT) > at {
            return Some(format!("{} is stopped at {at}, and was in use at {from}", server.id));
        }
        if let Some(promised) = self.promised.get(&start) {
            if at < *promised {
                return Some(format!("{} is stopped at {at}, promised {promised}", server.id));
            }
            transcript.mark("an extended server was stopped in its time");
        }
        let warned = self.warned.get(&start).into_iter().flatten();
        if !warned.into_iter().any(|told| *told > from && told.plus(LEAD) <= at) {
            return Some(format!("{} is stopped at {at} without a warning", server.id));
        }
        None
    }
}

/// Somebody comes to their servers.
pub fn person_works(
    nature: &mut Nature,
    hub: &mut super::hub::Hub,
    person: usize,
    servers: &[ServerId],
) -> Option<Wish> {
    let now = nature.schedule.now();
    let fleet = hub.fleet();
    let lives = nature.history.lives.as_mut()?;
    let again = lives.comes_again_ms();
    let wish = fleet.and_then(|fleet| lives.works(fleet, servers, now));
    nature.schedule.after_ms(again, Happening::PersonWorks { person });
    wish
}

/// The hub reads the proxy's clocks.
pub fn proxy_is_read(nature: &mut Nature, hub: &mut super::hub::Hub) {
    let now = nature.schedule.now();
    let Some(lives) = &nature.history.lives else { return };
    for event in lives.read(now) {
        hub.send(nature, event, None);
    }
    nature.schedule.after_ms(READ_MS, Happening::ProxyIsRead);
}
