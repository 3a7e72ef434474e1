//! What would go wrong with a training, looked for beforehand: memory, image, accounts, maintenance,
//! other trainings, and whether all can start in time. A plain function of what it is given, in the
//! language of whoever reads it now.

use std::collections::BTreeSet;
use std::fmt::Display;

use berth_common::{Seconds, Timestamp, Username};
use berth_core::agenda::Maintenance;
use berth_core::fleet::Fleet;
use berth_core::settings::{Cite, Profile, Training, Window};

use super::rehearsal::{self, Rehearsal, Scene, rehearse};
use crate::web::say::{self, Said};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Whether it is still to come.
    Dates,
    /// Whether all find room.
    Memory,
    /// Whether the hosts have the image.
    Image,
    /// Whether the accounts are valid.
    People,
    /// Whether hosts are away meanwhile.
    Maintenance,
    /// Whether another training has the pool at the same time.
    Clash,
    /// Whether all start in time.
    StartRate,
}

impl Subject {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dates => "dates",
            Self::Memory => "memory",
            Self::Image => "image",
            Self::People => "people",
            Self::Maintenance => "maintenance",
            Self::Clash => "clash",
            Self::StartRate => "start_rate",
        }
    }
}

/// What was found about one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// About what.
    pub subject: Subject,
    /// Whether nothing is wrong with it.
    pub ok: bool,
    /// In a sentence, with the numbers.
    pub text: String,
    /// The lines of the files that it follows from.
    pub cites: Vec<Cite>,
}

/// What is known beside the fleet.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The maintenance that is ahead or under way.
    pub maintenance: Vec<Maintenance>,
    /// Of those whom the file names: who has no valid account, and why.
    pub invalid: Vec<(Username, String)>,
    /// How many who take part are known by name.
    pub known: usize,
}

/// Looks at everything.
pub fn check(
    fleet: &Fleet,
    name: &str,
    training: &Training,
    profile: &Profile,
    facts: &Facts,
    now: Timestamp,
) -> Vec<Finding> {
    let Some(at) = rehearsal::next_beginning(training, now) else {
        let text = say::t("check-over");
        return vec![fault(Subject::Dates, text, [&training.cite])];
    };
    let look = Look { fleet, name, training, profile, now };
    let others = look.others_at(at);
    let weights: Vec<_> = others.iter().map(|(_, it, profile)| (*profile, it.expected)).collect();
    let nobody = BTreeSet::new();
    let scene = Scene::Prepared { without: &nobody };
    let rehearsal = rehearse(fleet, profile, training.expected, &weights, scene);
    vec![
        look.memory(&rehearsal, &weights),
        look.image(),
        look.people(facts),
        look.maintenance(&facts.maintenance),
        look.clash(&rehearsal),
        look.start_rate(&rehearsal),
    ]
}

struct Look<'a> {
    fleet: &'a Fleet,
    name: &'a str,
    training: &'a Training,
    profile: &'a Profile,
    now: Timestamp,
}

type Other<'a> = (&'a String, &'a Training, &'a Profile);

impl<'a> Look<'a> {
    /// The other trainings of the pool.
    fn others(&self) -> impl Iterator<Item = Other<'a>> {
        let settings = &self.fleet.settings;
        let own = self.name;
        let same_pool = |it: &Training| it.pool == self.training.pool;
        let others = settings.trainings.iter().filter(move |(name, _)| *name != own);
        others
            .filter(move |(_, it)| same_pool(it))
            .filter_map(|(name, it)| Some((name, it, settings.profiles.get(name)?)))
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn others_at(&self, at: Timestamp) -> Vec<Other<'a>> {
        self.others().filter(|(_, it, _)| it.open_window(at).is_some()).collect()
    }

    /// The hours that lie ahead, or are now.
    fn ahead(&self) -> impl Iterator<Item = Window> {
        let now = self.now;
        self.training.windows.iter().copied().filter(move |window| now < window.to)
    }

    fn hosts(&self) -> impl Iterator<Item = (&'a berth_common::HostId, &'a Cite)> {
        let pool = self.training.pool.clone();
        let hosts = self.fleet.settings.hosts.iter().filter(move |(_, it)| it.pool == pool);
        hosts.map(|(id, host)| (id, &host.cite))
    }

    fn memory(&self, rehearsal: &Rehearsal, others: &[(&Profile, u32)]) -> Finding {
        let (people, each) = (self.training.expected, self.profile.memory_default);
        let without = rehearsal.without_place;
        let pool = &self.training.pool;
        if without > 0 {
            let text = match others.is_empty() {
                true => say::t("check-no-room"),
                false => say::t("check-no-room-beside"),
            };
            let text = text.with("without", without).with("people", people);
            let text = text.with("memory", each).with("pool", pool);
            return fault(Subject::Memory, text, [&self.training.cite]);
        }
        let room = say::t("check-room").with("people", people).with("memory", each);
        let mut text = room.with("hosts", count(rehearsal.hosts.len())).to_string();
        // What the loss of the host with most of them would mean.
        let fullest = rehearsal.hosts.iter().max_by_key(|(_, (seats, _))| *seats);
        if let Some((host, _)) = fullest {
            let down = BTreeSet::from([host.clone()]);
            let scene = Scene::Prepared { without: &down };
            let less = rehearse(self.fleet, self.profile, people, others, scene);
            let without = say::t("check-without").with("host", host.as_str());
            text.push_str(&without.with("placed", less.placed()).to_string());
            if less.overflow > 0 {
                let elsewhere = self.profile.overflow.as_deref().unwrap_or_default();
                let overflow = say::t("check-overflow").with("count", less.overflow);
                text.push_str(&overflow.with("pool", elsewhere).to_string());
            }
        }
        fine(Subject::Memory, text)
    }

    fn image(&self) -> Finding {
        let names = &self.profile.images;
        let image = names.first().map_or("", String::as_str);
        let Some(known) = self.fleet.settings.images.get(image) else {
            let text = say::t("check-no-image").with("image", image);
            return fault(Subject::Image, text, [&self.training.cite]);
        };
        let mut lack = Vec::new();
        let mut have = 0_usize;
        for (id, _) in self.hosts() {
            let entry = self.fleet.floor.host(id);
            match entry.is_some_and(|host| host.images.contains(&known.reference)) {
                true => have = have.saturating_add(1),
                false => lack.push(id.as_str()),
            }
        }
        let all = have.saturating_add(lack.len());
        if lack.is_empty() {
            let text = say::t("check-image").with("image", image).with("hosts", count(all));
            return fine(Subject::Image, text);
        }
        let text = say::t("check-image-lacks").with("image", image).with("have", have);
        let text = text.with("hosts", count(all)).with("lack", listed(&lack));
        fault(Subject::Image, text, [&self.training.cite, &known.cite])
    }

    fn people(&self, facts: &Facts) -> Finding {
        let expected = self.training.expected;
        let known = facts.known;
        if !facts.invalid.is_empty() {
            let who: Vec<_> =
                facts.invalid.iter().map(|(name, why)| format!("{name} ({why})")).collect();
            let who: Vec<_> = who.iter().map(String::as_str).collect();
            let text = say::t("check-accounts").with("who", listed(&who));
            return fault(Subject::People, text, [&self.training.cite]);
        }
        let groups: Vec<_> = self.training.participants.groups.iter().map(String::as_str).collect();
        let text = match groups.as_slice() {
            [] => say::t("check-named"),
            groups => say::t("check-known").with("groups", listed(groups)),
        };
        let text = text.with("known", known).with("expected", expected);
        // Nobody else can ever come.
        match groups.is_empty() && (known as u64) < u64::from(expected) {
            true => fault(Subject::People, text, [&self.training.cite]),
            false => fine(Subject::People, text),
        }
    }

    fn maintenance(&self, planned: &[Maintenance]) -> Finding {
        let mut found = Vec::new();
        let mut cites = vec![&self.training.cite];
        for (id, cite) in self.hosts() {
            let away = planned.iter().find(|it| {
                // From its drain on a host takes nothing new.
                let span = Window { from: it.drain_at, to: it.window.to };
                it.hosts.contains(id) && self.ahead().any(|window| window.meets(&span))
            });
            let intent = self.fleet.hosts.get(id).and_then(|host| host.intent.order());
            let why = match (away, intent) {
                (Some(it), _) => {
                    let Window { from, to } = it.window;
                    let away = say::t("check-away").with("host", id.as_str());
                    let away = away.with("from", from.to_minute()).with("to", to.to_minute());
                    away.with("reason", &it.order.reason).to_string()
                }
                (None, Some(order)) => {
                    let closed = say::t("check-closed").with("host", id.as_str());
                    closed.with("reason", &order.reason).with("who", &order.who).to_string()
                }
                (None, None) => continue,
            };
            found.push(why);
            cites.push(cite);
        }
        if found.is_empty() {
            return fine(Subject::Maintenance, say::t("check-none-away"));
        }
        fault(Subject::Maintenance, found.join("; "), cites)
    }

    /// Two trainings may share a pool, while all of both find room.
    fn clash(&self, rehearsal: &Rehearsal) -> Finding {
        let meets = |other: &Training| {
            self.ahead().find_map(|own| other.windows.iter().find(|it| own.meets(it)).copied())
        };
        let met: Vec<_> =
            self.others().filter_map(|(name, it, _)| Some((name, it, meets(it)?))).collect();
        if met.is_empty() {
            let text = say::t("check-alone").with("pool", &self.training.pool);
            return fine(Subject::Clash, text);
        }
        let told: Vec<_> = met
            .iter()
            .map(|(name, it, at)| {
                let other = say::t("check-other").with("name", *name);
                other.with("from", at.from.to_minute()).with("people", it.expected).to_string()
            })
            .collect();
        let told: Vec<_> = told.iter().map(String::as_str).collect();
        let fits = self.all_fit_with(&met) && rehearsal.without_place == 0;
        let text = if fits { say::t("check-shared") } else { say::t("check-clash") };
        let text = text.with("pool", &self.training.pool).with("others", listed(&told));
        if fits {
            return fine(Subject::Clash, text);
        }
        let cites = met.iter().map(|(_, it, _)| &it.cite);
        fault(Subject::Clash, text, std::iter::once(&self.training.cite).chain(cites))
    }

    /// Whether everybody has room at each moment at which another training is on as well.
    fn all_fit_with(&self, met: &[(&String, &Training, Window)]) -> bool {
        let nobody = BTreeSet::new();
        let scene = Scene::Prepared { without: &nobody };
        met.iter().all(|(_, _, at)| {
            let moment = self.ahead().map(|own| own.from.max(at.from)).find(|it| at.holds(*it));
            let others = self.others_at(moment.unwrap_or(at.from));
            let weights: Vec<_> =
                others.iter().map(|(_, it, profile)| (*profile, it.expected)).collect();
            let people = self.training.expected;
            rehearse(self.fleet, self.profile, people, &weights, scene).without_place == 0
        })
    }

    fn start_rate(&self, rehearsal: &Rehearsal) -> Finding {
        let (takes, within) = (rehearsal.takes(), self.training.start_within);
        let from = match rehearsal.measured {
            0 => say::t("check-assumed"),
            1 => say::t("check-measured"),
            times => say::t("check-median").with("times", times),
        };
        let from = from.with("one", rehearsal.one.to_string()).to_string();
        let text = say::t("check-starts").with("starts", rehearsal.placed()).with("from", &from);
        let text = text.with("takes", takes.to_string()).with("within", within.to_string());
        if takes > within {
            return fault(Subject::StartRate, text, [&self.training.cite]);
        }
        fine(Subject::StartRate, text)
    }
}

fn fine(subject: Subject, text: impl Display) -> Finding {
    Finding { subject, ok: true, text: text.to_string(), cites: Vec::new() }
}

fn fault<'a>(
    subject: Subject,
    text: impl Display,
    cites: impl IntoIterator<Item = &'a Cite>,
) -> Finding {
    let cites = cites.into_iter().filter(|cite| !cite.file.is_empty()).cloned().collect();
    Finding { subject, ok: false, text: text.to_string(), cites }
}

fn count(hosts: usize) -> Said {
    say::t("hosts-count").with("count", hosts)
}

/// The first few, and how many more.
fn listed(words: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = words.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(SHOWN) {
        0 => shown,
        more => say::t("check-more").with("shown", &shown).with("more", more).to_string(),
    }
}

/// How long somebody who only teaches may put the end off at once.
pub const LONGEST_EXTENSION: Seconds = Seconds(4 * 3600);

/// What speaks against more time for a training: another one of its pool, or maintenance there.
pub fn in_the_way(
    fleet: &Fleet,
    name: &str,
    training: &Training,
    span: Window,
    maintenance: &[Maintenance],
) -> Option<String> {
    let trainings = fleet.settings.trainings.iter();
    let mut others = trainings.filter(|(other, it)| *other != name && it.pool == training.pool);
    if let Some((other, at)) = others.find_map(|(other, it)| {
        Some((other, it.windows.iter().find(|window| window.meets(&span))?))
    }) {
        let said = say::t("training-pool-taken").with("training", other);
        return Some(said.with("from", at.from.to_minute()).to_string());
    }
    let of_pool = |id: &berth_common::HostId| {
        fleet.settings.hosts.get(id).is_some_and(|host| host.pool == training.pool)
    };
    let away = maintenance.iter().find(|it| {
        let closed = Window { from: it.drain_at, to: it.window.to };
        closed.meets(&span) && it.hosts.iter().any(of_pool)
    })?;
    let said = say::t("training-hosts-away").with("from", away.window.from.to_minute());
    Some(said.to_string())
}
