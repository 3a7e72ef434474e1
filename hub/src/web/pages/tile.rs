//! One profile on the form: its choices, and the verdict on each for this person.

use askama::Template;
use berth_common::link::Account;
use berth_common::{ByteCount, ServerId};
use berth_core::event::Wish;
use berth_core::fleet::Ask;
use berth_core::rules::{self, Person};
use berth_core::settings::Profile;
use berth_core::{Decision, Fleet, Outcome};
use berth_process::clock::now;

use crate::auth::next::escape;
use crate::web::pages::forecast::forecast;
use crate::web::pages::spawn::{Choices, outcome_class};
use crate::web::pages::words;
use crate::web::say;

/// Who asks for which server, and what would come of a wish.
pub struct Asking<'a> {
    /// The fleet as it is.
    pub fleet: &'a Fleet,
    /// The identity of the future owner.
    pub account: &'a Account,
    /// What a link or a form that came back has chosen.
    pub choices: &'a Choices,
    /// What was last asked for under this name.
    pub last: Option<&'a Ask>,
    /// The server of this name, if there was one before: it counts as stopped.
    pub own: Option<&'a ServerId>,
    /// What would come of a wish now.
    pub dry_run: &'a dyn Fn(Wish) -> Decision,
}

/// A profile's tile.
#[derive(Debug, Clone)]
pub struct Tile {
    /// The profile's name in the files.
    pub key: String,
    /// What people read.
    pub title: String,
    /// What it is good for.
    pub use_case: String,
    /// Its memory amounts.
    pub memory: Vec<Memory>,
    /// The most that this person can ask for now.
    pub most: Option<ByteCount>,
    /// What the person's own servers used at most, and the choice that would do.
    pub suggestion: Option<(ByteCount, ByteCount)>,
    /// Its numbers of GPUs.
    pub gpus: Vec<Gpus>,
    /// Its images.
    pub images: Vec<Image>,
    /// Where access can be asked for.
    pub ask_access: Option<String>,
    /// A link that fills in the form with what is chosen at first.
    pub link: String,
    /// Whether it is all that there is to choose: one button.
    pub alone: bool,
}

/// An amount of memory to choose.
#[derive(Debug, Clone)]
pub struct Memory {
    /// As the form sends it.
    pub value: String,
    /// As people read it.
    pub label: ByteCount,
    /// Whether it is chosen at first.
    pub checked: bool,
    /// What would come of it.
    pub verdict: Verdict,
}

/// A number of GPUs to choose.
#[derive(Debug, Clone)]
pub struct Gpus {
    /// How many.
    pub count: u32,
    /// Whether it is chosen at first.
    pub checked: bool,
}

/// An image to choose.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its name in the files.
    pub key: String,
    /// What people read.
    pub title: String,
    /// Whether it is chosen at first.
    pub checked: bool,
}

/// What would come of a request.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Its colour.
    pub class: &'static str,
    /// In words.
    pub kind: Kind,
}

/// The three verdicts.
#[derive(Debug, Clone)]
pub enum Kind {
    /// It would start.
    Now {
        /// Where.
        host: String,
        /// With whom, for how long, and what is left then.
        forecast: String,
    },
    /// It would wait.
    Waits {
        /// From 1.
        place: u32,
        /// Why.
        why: String,
        /// What would start now.
        nearest: Option<ByteCount>,
        /// Half of such waits end within this span.
        between: Option<(String, String)>,
    },
    /// It would not be accepted.
    Refused {
        /// Why.
        why: String,
        /// With the numbers of the case, as recorded.
        detail: String,
        /// What to do.
        remedy: String,
    },
}

/// A verdict alone, for the form that asks again after each change.
#[derive(Template)]
#[template(path = "verdict.html")]
pub struct VerdictPart {
    /// The verdict.
    pub verdict: Kind,
}

impl Verdict {
    /// Of a dry run.
    pub fn of(fleet: &Fleet, decision: &Decision) -> Self {
        let class = outcome_class(&decision.outcome);
        let kind = match &decision.outcome {
            Outcome::Placed { host, .. } => {
                Kind::Now { host: host.to_string(), forecast: forecast(fleet, decision, host) }
            }
            Outcome::Waits { reason, ahead, .. } => Kind::Waits {
                place: ahead.saturating_add(1),
                why: say::reason(*reason),
                nearest: decision.nearest_memory(),
                between: words::between(decision),
            },
            Outcome::Refused { reason, detail } => {
                let (why, detail) = words::told(*reason, detail);
                Kind::Refused { why, detail, remedy: say::remedy(*reason) }
            }
        };
        Self { class, kind }
    }
}

impl Tile {
    /// All profiles, the wished one first, then the default one.
    pub fn all(asking: &Asking<'_>) -> Vec<Self> {
        let mut profiles: Vec<_> = asking.fleet.settings.profiles.iter().collect();
        let wished = match (asking.choices.profile.as_str(), asking.last) {
            ("", Some(last)) => last.profile.as_str(),
            (profile, _) => profile,
        };
        profiles.sort_by_key(|(key, profile)| (*key != wished, !profile.default));
        profiles.into_iter().map(|(key, profile)| Self::of(asking, key, profile)).collect()
    }

    fn of(asking: &Asking<'_>, key: &str, profile: &Profile) -> Self {
        let (fleet, choices) = (asking.fleet, asking.choices);
        let last = asking.last.filter(|last| last.profile == *key);
        let asked = choices.memory.parse().ok();
        let chosen = asked
            .or_else(|| last.map(|last| last.memory))
            .filter(|memory| *memory <= profile.memory_max && memory.0 > 0)
            .unwrap_or(profile.memory_default);
        let image = [Some(&choices.image), last.map(|last| &last.image), profile.images.first()]
            .into_iter()
            .flatten()
            .find(|image| profile.images.contains(image))
            .cloned();
        let gpus = gpus(profile, choices, last);
        let count = gpus.iter().find(|gpus| gpus.checked).map(|gpus| gpus.count);
        let verdict = |memory| {
            let (profile, memory) = (Some(key.to_owned()), Some(memory));
            let wish =
                Wish { profile, memory, image: image.clone(), gpus: count, as_before: false };
            Verdict::of(fleet, &(asking.dry_run)(wish))
        };
        let mut amounts = profile.memory_choices.clone();
        amounts.push(chosen);
        amounts.sort_unstable();
        amounts.dedup();
        let memory = amounts.iter().map(|memory| Memory {
            value: words::form_amount(*memory),
            label: *memory,
            checked: *memory == chosen,
            verdict: verdict(*memory),
        });
        let title = |key: &String| {
            fleet.settings.images.get(key).map_or_else(|| key.clone(), |image| image.title.clone())
        };
        let images = profile.images.iter().map(|key| Image {
            key: key.clone(),
            title: title(key),
            checked: Some(key) == image.as_ref(),
        });
        let memory: Vec<_> = memory.collect();
        Self {
            key: key.to_owned(),
            title: profile.title.clone(),
            use_case: profile.use_case.clone(),
            most: most(asking, profile).filter(|_| memory.len() > 1),
            suggestion: image.as_ref().and_then(|image| suggestion(asking, image, &amounts)),
            memory,
            gpus,
            images: images.collect(),
            ask_access: profile.ask_access.clone(),
            alone: false,
            link: link(key, chosen, image.as_deref(), count),
        }
    }

    /// Whether no choice of it would be accepted.
    pub fn is_closed(&self) -> bool {
        self.memory.iter().all(|memory| matches!(memory.verdict.kind, Kind::Refused { .. }))
    }

    /// Whether nothing is left to choose.
    pub fn is_plain(&self) -> bool {
        self.memory.len() == 1 && self.images.len() <= 1 && self.gpus.len() <= 1
    }
}

/// The most memory that the person can ask for: of the profile, and of what the quota has left.
fn most(asking: &Asking<'_>, profile: &Profile) -> Option<ByteCount> {
    let account = asking.account;
    let groups: Vec<_> = account.groups.iter().map(|group| group.name.as_str()).collect();
    let person = Person { name: &account.name, groups: &groups };
    let left = rules::memory_left(asking.fleet, person, profile, asking.own, now());
    Some(left.map_or(profile.memory_max, |left| left.min(profile.memory_max)))
}

/// A quarter more than the person's servers used so far, if that is one of the choices.
fn suggestion(
    asking: &Asking<'_>,
    image: &str,
    amounts: &[ByteCount],
) -> Option<(ByteCount, ByteCount)> {
    let peak = asking.fleet.own_peak(&asking.account.name, image)?;
    let enough = ByteCount(peak.0.saturating_add(peak.0 / 4));
    let amount = amounts.iter().filter(|amount| **amount >= enough).min()?;
    Some((peak, *amount))
}

fn gpus(profile: &Profile, choices: &Choices, last: Option<&Ask>) -> Vec<Gpus> {
    let Some(choice) = &profile.gpus else { return Vec::new() };
    let fits = |count: &u32| (1..=choice.max).contains(count);
    let asked = choices.gpus.parse().ok().filter(fits);
    let chosen =
        asked.or_else(|| last.map(|last| last.gpus).filter(fits)).unwrap_or(choice.default);
    (1..=choice.max).map(|count| Gpus { count, checked: count == chosen }).collect()
}

fn link(profile: &str, memory: ByteCount, image: Option<&str>, gpus: Option<u32>) -> String {
    let memory = words::form_amount(memory);
    let mut link = format!("/hub/spawn?opt-profile={}&opt-memory={memory}", escape(profile));
    if let Some(image) = image {
        link.push_str(&format!("&opt-image={}", escape(image)));
    }
    if let Some(gpus) = gpus {
        link.push_str(&format!("&opt-gpus={gpus}"));
    }
    link
}
