//! The site's rules for one person's request, in their fixed order: each is noted with its numbers
//! and the line that gave it, also after one has failed. What passes all of them becomes a need that
//! placement looks at.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_common::link::Account;
use berth_common::{ByteCount, HostId, Reason, Seconds, ServerId, Timestamp, Username};

use crate::decision::{Looked, Rule};
use crate::event::Wish;
use crate::fleet::{Ask, Fleet, Server};
use crate::placement::Need;
use crate::settings::{Cite, Metered, Place, Profile, Settings, WhenOver};
use crate::usage::Usage;

mod access;
mod quota;

pub use access::own_training;
pub use quota::{gpus_left, memory_left, quota_of};

/// A request, gone through the rules.
#[derive(Debug)]
pub struct Checked {
    /// What is asked for, as understood.
    pub ask: Ask,
    /// Every rule that could be tried.
    pub rules: Vec<Rule>,
    /// What placement should look for, or why the request is refused.
    pub verdict: Result<Passed, Refusal>,
}

impl Checked {
    /// The same request of somebody whose account must not start anything.
    #[must_use]
    pub fn barred(mut self, refusal: &Refusal) -> Self {
        let looked = match refusal.reason {
            Reason::RefusedRestoring => Looked::HostsTold,
            _ => Looked::Account,
        };
        self.rules.insert(0, Rule::new(looked, Some(refusal.reason), None));
        self.verdict = Err(refusal.clone());
        self
    }
}

/// A request that the rules let pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Passed {
    /// What it needs of a host.
    pub need: Need,
    /// Whether it is served only when nobody else waits: its budget is used up.
    pub last_in_queue: bool,
}

/// Why the rules refuse a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason code.
    pub reason: Reason,
    /// With the names and numbers of the case.
    pub detail: String,
    /// From when on it would pass, if time alone helps.
    pub from: Option<Timestamp>,
}

/// A person who asks.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// The account's name.
    pub name: &'a Username,
    /// Its groups' names.
    pub groups: &'a [&'a str],
}

/// Goes through the rules. `without` is a server of the person's that counts as stopped.
pub fn check(
    fleet: &Fleet,
    now: Timestamp,
    account: &Account,
    wish: &Wish,
    without: Option<&ServerId>,
) -> Checked {
    let groups: Vec<&str> = account.groups.iter().map(|group| group.name.as_str()).collect();
    let person = Person { name: &account.name, groups: &groups };
    let mut notes = Notes::default();
    let mut ask = Ask {
        profile: wish.profile.clone().unwrap_or_default(),
        memory: wish.memory.unwrap_or_default(),
        ..Ask::default()
    };
    let Some((name, profile)) = find_profile(&fleet.settings, person, wish, now) else {
        let known: Vec<_> = fleet.settings.profiles.keys().cloned().collect();
        let detail =
            format!("There is no profile \"{}\"; there are: {}.", ask.profile, known.join(", "));
        let looked = Looked::Profile { name: ask.profile.clone() };
        notes.add(looked, Some((Reason::RefusedProfile, detail)), None);
        return notes.into_checked(ask, None);
    };
    ask.profile = name.clone();
    ask.rehearsal = wish.rehearsal;
    if wish.rehearsal {
        // Nobody's server: it takes no right, and nobody loses one by it. The pool that helps out
        // is left to those whom it helps.
        choices(&fleet.settings, profile, wish, &mut ask, &mut notes);
        let need = Need { overflow: None, ..need_of(fleet, person, profile, &ask, now) };
        return notes.into_checked(ask, Some(Passed { need, last_in_queue: false }));
    }
    access::check(&fleet.settings, person, name, profile, now, &mut notes);
    choices(&fleet.settings, profile, wish, &mut ask, &mut notes);
    quota::check(fleet, person, profile, &ask, without, now, &mut notes);
    let last_in_queue = budgets(fleet, person, &ask, now, &mut notes);
    let need = need_of(fleet, person, profile, &ask, now);
    notes.into_checked(ask, Some(Passed { need, last_in_queue }))
}

/// The profile that is meant: the wished one, or the person's training that is on, or the default.
fn find_profile<'a>(
    settings: &'a Settings,
    person: Person<'_>,
    wish: &Wish,
    now: Timestamp,
) -> Option<(&'a String, &'a Profile)> {
    if let Some(name) = &wish.profile {
        return settings.profiles.get_key_value(name);
    }
    let trained = settings.trainings.iter().find(|(_, training)| {
        training.open_window(now).is_some()
            && training.participants.names(person.name, person.groups).is_some()
    });
    trained
        .and_then(|(name, _)| settings.profiles.get_key_value(name))
        .or_else(|| settings.default_profile())
}

/// Memory, GPUs and image are such as the profile gives.
fn choices(settings: &Settings, profile: &Profile, wish: &Wish, ask: &mut Ask, notes: &mut Notes) {
    let name = ask.profile.clone();
    let cite = Some(&profile.cite);
    let memory = wish.memory.unwrap_or(profile.memory_default);
    let most = profile.memory_max;
    ask.memory = memory;
    let fails = (memory > most || memory.0 == 0).then(|| {
        let detail = format!(
            "You asked for {memory}; profile {name} gives {most} at most. Ask for {most} or less."
        );
        (Reason::RefusedTooBig, detail)
    });
    notes.add(Looked::Memory { asked: memory, most }, fails, cite);

    let (default, most) = profile.gpus.as_ref().map_or((0, 0), |gpus| (gpus.default, gpus.max));
    ask.gpus = wish.gpus.unwrap_or(default);
    ask.gpu_milli = profile.gpus.as_ref().map_or(0, |gpus| gpus.share_milli);
    ask.cpu_milli = profile.cpu_milli;
    if ask.gpus > 0 || most > 0 {
        let asked = ask.gpus;
        let fails = (asked > most).then(|| {
            (
                Reason::RefusedTooBig,
                format!("You asked for {asked} GPUs; profile {name} gives {most} at most."),
            )
        });
        notes.add(Looked::Gpus { asked, most }, fails, cite);
    }
    if let Some(model) = &wish.gpu_model {
        let offered = profile.gpu_models();
        let fails = (!offered.contains(model))
            .then(|| (Reason::RefusedProfile, no_such_model(&name, model, offered)));
        notes.add(Looked::GpuModel { name: model.clone() }, fails, cite);
        ask.gpu_model = Some(model.clone());
    }

    let image = wish.image.clone().or_else(|| profile.images.first().cloned()).unwrap_or_default();
    let offered = profile.images.contains(&image) && settings.images.contains_key(&image);
    let fails = (!offered).then(|| {
        let detail = format!(
            "Profile {name} has no image \"{image}\"; it has: {}.",
            profile.images.join(", ")
        );
        (Reason::RefusedProfile, detail)
    });
    notes.add(Looked::Image { name: image.clone() }, fails, cite);
    ask.image = image;
}

/// Why a profile does not give a model of GPU.
fn no_such_model(profile: &str, model: &str, offered: &[String]) -> String {
    if offered.is_empty() {
        format!("Profile {profile} gives no choice of the GPU's model: leave \"{model}\" out.")
    } else {
        format!("Profile {profile} has no GPU model \"{model}\"; it has: {}.", offered.join(", "))
    }
}

/// Use over time. True: the person is served when nobody else waits.
fn budgets(
    fleet: &Fleet,
    person: Person<'_>,
    ask: &Ask,
    now: Timestamp,
    notes: &mut Notes,
) -> bool {
    let mut last = false;
    for budget in &fleet.settings.quotas.budgets {
        let counts = budget.resource == Metered::GibHours || ask.gpus > 0;
        if !counts || budget.people.names(person.name, person.groups).is_none() {
            continue;
        }
        let used = Usage::of_person(fleet, person.name, budget.window, now).hours(budget.resource);
        let (unit, reason) = match budget.resource {
            Metered::GpuHours => ("GPU hours", Reason::RefusedGpuHours),
            Metered::GibHours => ("GiB hours", Reason::RefusedGibHours),
        };
        let (limit, window) = (budget.limit_hours, budget.window);
        let over = used >= limit;
        let refuses = over && budget.when_over == WhenOver::Refuse;
        let fails = refuses.then(|| {
            (reason, format!("You have used {used} of {limit} {unit} of the last {window}."))
        });
        last |= over && !refuses;
        let (of, served_last) = (budget.resource, over && !refuses);
        let looked = Looked::Budget { used, limit, of, window, last: served_last };
        notes.add(looked, fails, Some(&budget.cite));
    }
    last
}

fn need_of(
    fleet: &Fleet,
    person: Person<'_>,
    profile: &Profile,
    ask: &Ask,
    now: Timestamp,
) -> Need {
    let (prefer, require) = special_hosts(&fleet.settings, person, &ask.profile);
    Need {
        peak: fleet.expected_peak(person.name, ask),
        peak_known: fleet.knows_peak(person.name, ask),
        prefer,
        require,
        stays_until: stays_until(fleet, profile, now),
        spaces: fleet.settings.mounts.required_of(person.groups, &ask.profile),
        reference: other_version(&fleet.settings, person, ask, now),
        ..bare_need(profile, ask)
    }
}

/// The version of the image that this person gets, where it is not the one of today.
fn other_version(
    settings: &Settings,
    person: Person<'_>,
    ask: &Ask,
    now: Timestamp,
) -> Option<String> {
    let given = settings.reference(&ask.image, person.name, person.groups, now)?;
    let today = settings.images.get(&ask.image).map(|image| image.reference.as_str());
    (today != Some(given)).then(|| given.to_owned())
}

/// What a request needs, whoever asks.
fn bare_need(profile: &Profile, ask: &Ask) -> Need {
    let gpus = profile.gpus.as_ref();
    Need {
        pool: profile.pool.clone(),
        overflow: profile.overflow.clone(),
        limit: ask.memory,
        cpu_milli: ask.cpu_milli,
        gpus: ask.gpus,
        gpu_milli: ask.gpu_milli,
        models: match &ask.gpu_model {
            Some(model) => vec![model.clone()],
            None => profile.gpu_models().to_vec(),
        },
        gpu_memory: gpus.map_or(ByteCount::ZERO, |gpus| gpus.memory),
        image: ask.image.clone(),
        farm_ports: profile.farm_ports,
        ..Need::default()
    }
}

/// What the site offers to everybody, one need for each profile and amount: what may be asked for
/// before anybody has asked.
pub fn offered(fleet: &Fleet) -> impl Iterator<Item = Need> {
    fleet.settings.profiles.iter().flat_map(move |(name, profile)| {
        profile.memory_choices.iter().map(move |memory| {
            let gpus = profile.gpus.as_ref();
            let ask = Ask {
                profile: name.clone(),
                memory: *memory,
                image: profile.images.first().cloned().unwrap_or_default(),
                gpus: gpus.map_or(0, |gpus| gpus.default),
                gpu_milli: gpus.map_or(0, |gpus| gpus.share_milli),
                gpu_model: None,
                cpu_milli: profile.cpu_milli,
                rehearsal: false,
            };
            Need { peak: fleet.usual_peak(&ask), ..bare_need(profile, &ask) }
        })
    })
}

/// Until when a server may live at least, as far as drains care: whole minutes, so that equal
/// requests have equal needs; `None` when no host is being emptied.
fn stays_until(fleet: &Fleet, profile: &Profile, now: Timestamp) -> Option<Timestamp> {
    /// Without an idle limit a server may live for months; a day is what people plan with.
    const DAY: Seconds = Seconds(86_400);
    if !fleet.any_drains() {
        return None;
    }
    let until = now.plus(profile.idle_limit.unwrap_or(DAY));
    Some(Timestamp(until.0 - until.0.rem_euclid(60_000_000)))
}

type Hosts = Arc<BTreeSet<HostId>>;

/// The hosts that placement rules prefer and require; every rule that names the person counts.
pub(crate) fn special_hosts(
    settings: &Settings,
    person: Person<'_>,
    profile: &str,
) -> (Hosts, Hosts) {
    let concerns = |rule: &&Place| {
        let same = rule.profile.as_deref().is_none_or(|name| name == profile);
        same && rule.people.names(person.name, person.groups).is_some()
    };
    let rules = || settings.access.place.iter().filter(concerns);
    (joined(rules().map(|rule| &rule.prefer)), joined(rules().map(|rule| &rule.require)))
}

/// All hosts of several rules; the set of a single rule is shared, since most needs have that one.
fn joined<'a>(sets: impl Iterator<Item = &'a Hosts>) -> Hosts {
    let joined = sets
        .filter(|set| !set.is_empty())
        .cloned()
        .reduce(|a, b| Arc::new(a.union(&b).cloned().collect()));
    joined.unwrap_or_default()
}

/// The rules as they are tried.
#[derive(Debug, Default)]
struct Notes {
    rules: Vec<Rule>,
    refusal: Option<Refusal>,
}

impl Notes {
    fn add(&mut self, looked: Looked, fails: Option<(Reason, String)>, cite: Option<&Cite>) {
        self.add_until(looked, fails, None, cite);
    }

    /// Notes a rule; `from`: when time alone lets it pass.
    fn add_until(
        &mut self,
        looked: Looked,
        fails: Option<(Reason, String)>,
        from: Option<Timestamp>,
        cite: Option<&Cite>,
    ) {
        let reason = fails.as_ref().map(|(reason, _)| *reason);
        // What is built in stands in no file.
        let cite = cite.filter(|cite| !cite.file.is_empty()).cloned();
        self.rules.push(Rule::new(looked, reason, cite));
        match (&mut self.refusal, fails) {
            (None, Some((reason, detail))) => self.refusal = Some(Refusal { reason, detail, from }),
            // Time helps only if it lets all pass.
            (Some(refusal), Some(_)) => {
                refusal.from = refusal.from.zip(from).map(|(a, b)| a.max(b))
            }
            (_, None) => {}
        }
    }

    fn into_checked(self, ask: Ask, passed: Option<Passed>) -> Checked {
        let Self { rules, refusal } = self;
        let nothing = Refusal { reason: Reason::RefusedProfile, detail: String::new(), from: None };
        let verdict = match refusal {
            Some(refusal) => Err(refusal),
            None => passed.ok_or(nothing),
        };
        Checked { ask, rules, verdict }
    }
}

/// The servers of a person that count against their quota.
fn counted<'a>(
    fleet: &'a Fleet,
    name: &'a Username,
    without: Option<&'a ServerId>,
) -> impl Iterator<Item = &'a Arc<Server>> {
    fleet.servers_of(name).filter(move |server| {
        server.is_active() && !server.is_rehearsal() && Some(&server.id) != without
    })
}
