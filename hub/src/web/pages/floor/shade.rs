//! What the colours say: to which group a server belongs, how long it has been idle, how old it is,
//! or which image it runs.

use std::collections::BTreeMap;

use berth_common::{ByteCount, ServerId, Timestamp};
use berth_core::floor::{Floor, FloorServer};
use berth_core::{Fleet, Server};

use super::words;
use crate::web::say;

/// So many names have a colour of their own; more nobody could tell apart.
const OWN: usize = 8;

/// What the colours say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum By {
    /// The owner's main group.
    #[default]
    Group,
    /// The time since the last activity.
    Idle,
    /// The time since the start.
    Age,
    /// The image.
    Image,
}

impl By {
    /// All ways, as they are offered.
    pub const ALL: [Self; 4] = [Self::Group, Self::Idle, Self::Age, Self::Image];

    /// The word in addresses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Idle => "idle",
            Self::Age => "age",
            Self::Image => "image",
        }
    }

    /// Back from the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.word() == text)
    }

    /// For people.
    pub fn title(self) -> say::Said {
        match self {
            Self::Group => say::t("by-group"),
            Self::Idle => say::t("by-idle"),
            Self::Age => say::t("by-age"),
            Self::Image => say::t("by-image"),
        }
    }
}

/// The colours of one look at the floor: which there are, and what each stands for.
#[derive(Debug)]
pub struct Shades {
    by: By,
    at: Timestamp,
    /// What each stands for, in the order of their numbers.
    pub names: Vec<String>,
    /// Servers and what is reserved for them, by number.
    pub sums: Vec<(usize, ByteCount)>,
}

impl Shades {
    /// The colours of a floor. Names with most reserved come first.
    pub fn of(fleet: &Fleet, floor: &Floor, by: By, at: Timestamp) -> Self {
        let names = match by {
            By::Idle => words::IDLE.map(|(key, _)| say::t(key).to_string()).into(),
            By::Age => words::AGE.map(|(key, _)| say::t(key).to_string()).into(),
            By::Group | By::Image => ranked(fleet, floor, by),
        };
        let mut shades = Self { by, at, names, sums: Vec::new() };
        shades.names.push(match by {
            By::Group | By::Image => say::t(words::OTHERS).to_string(),
            By::Idle | By::Age => say::t(words::UNKNOWN).to_string(),
        });
        shades.sums = vec![(0, ByteCount::ZERO); shades.names.len()];
        for held in floor.hosts.iter().flat_map(|host| &host.servers) {
            let number = shades.number(fleet, held);
            if let Some((count, reserved)) = shades.sums.get_mut(number) {
                *count = count.saturating_add(1);
                *reserved = reserved.plus(held.memory.limit);
            }
        }
        shades
    }

    /// The number of a server's colour.
    pub fn number(&self, fleet: &Fleet, held: &FloorServer) -> usize {
        let server = fleet.servers.get(&held.server);
        let of_span = |from: Option<Timestamp>, spans: &[(&str, u64)]| {
            let passed = self.at.millis_since(from?) / 1000;
            spans.iter().position(|(_, end)| passed < *end)
        };
        let found = match self.by {
            By::Group | By::Image => {
                server.and_then(|server| name(fleet, self.by, server)).and_then(|name| {
                    let own = self.names.len().saturating_sub(1);
                    self.names.iter().take(own).position(|known| *known == name)
                })
            }
            By::Idle => of_span(server.map(|server| server.last_activity), &words::IDLE),
            By::Age => {
                let placed = server.and_then(|server| server.placement());
                // Placed after the moment that is shown: it was another start then.
                let placed = placed.map(|it| it.placed_at).filter(|placed| *placed <= self.at);
                of_span(placed, &words::AGE)
            }
        };
        found.unwrap_or(self.names.len().saturating_sub(1))
    }

    /// What a server's colour stands for.
    pub fn name(&self, fleet: &Fleet, held: &FloorServer) -> &str {
        self.names.get(self.number(fleet, held)).map_or("", String::as_str)
    }

    /// The class of a colour: `c` for names, `s` for what has an order.
    pub fn class(&self, number: usize) -> String {
        let last = number.saturating_add(1) == self.names.len();
        match self.by {
            _ if last => "co".to_owned(),
            By::Group | By::Image => format!("c{number}"),
            By::Idle | By::Age => format!("s{number}"),
        }
    }
}

fn name(fleet: &Fleet, by: By, server: &Server) -> Option<String> {
    match by {
        By::Image => {
            let image = fleet.settings.images.get(&server.ask.image);
            let title = image.map(|image| image.title.to_string()).filter(|it| !it.is_empty());
            title.or_else(|| Some(server.ask.image.clone()))
        }
        _ => Some(server.main_group().to_owned()),
    }
    .filter(|name| !name.is_empty())
}

/// The names with most reserved.
fn ranked(fleet: &Fleet, floor: &Floor, by: By) -> Vec<String> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let limits: BTreeMap<&ServerId, u64> = floor
        .hosts
        .iter()
        .flat_map(|host| &host.servers)
        .map(|held| (&held.server, held.memory.limit.0))
        .collect();
    for (server, limit) in limits {
        if let Some(name) = fleet.servers.get(server).and_then(|it| name(fleet, by, it)) {
            let sum = sums.entry(name).or_default();
            *sum = sum.saturating_add(limit);
        }
    }
    let mut ranked: Vec<_> = sums.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked.into_iter().take(OWN).map(|(name, _)| name).collect()
}
