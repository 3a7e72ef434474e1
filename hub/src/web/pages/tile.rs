//! One profile on the form: its choices, and the verdict on each for this person.

use berth_common::ByteCount;
use berth_core::event::Wish;
use berth_core::fleet::Ask;
use berth_core::settings::{Profile, Settings};
use berth_core::{Decision, Outcome};

use crate::web::pages::spawn::{Choices, outcome_class};
use crate::web::pages::words;

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
    /// Its images.
    pub images: Vec<Image>,
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
    },
    /// It would wait.
    Waits {
        /// From 1.
        place: u32,
        /// Why.
        why: &'static str,
        /// What would start now.
        nearest: Option<ByteCount>,
    },
    /// It would not be accepted.
    Refused {
        /// Why.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl Verdict {
    /// Of a dry run.
    pub fn of(decision: &Decision) -> Self {
        let class = outcome_class(&decision.outcome);
        let kind = match &decision.outcome {
            Outcome::Placed { host, .. } => Kind::Now { host: host.to_string() },
            Outcome::Waits { reason, ahead, .. } => Kind::Waits {
                place: ahead.saturating_add(1),
                why: reason.text(),
                nearest: decision.nearest_memory(),
            },
            Outcome::Refused { reason, detail } => {
                let why = if detail.is_empty() { reason.text() } else { detail };
                Kind::Refused { why: why.to_owned(), remedy: reason.remedy() }
            }
        };
        Self { class, kind }
    }
}

impl Tile {
    /// All profiles, the wished one first, then the default one.
    pub fn all(
        settings: &Settings,
        choices: &Choices,
        last: Option<&Ask>,
        dry_run: &dyn Fn(Wish) -> Decision,
    ) -> Vec<Self> {
        let mut profiles: Vec<_> = settings.profiles.iter().collect();
        let wished = match (choices.profile.as_str(), last) {
            ("", Some(last)) => last.profile.as_str(),
            (profile, _) => profile,
        };
        profiles.sort_by_key(|(key, profile)| (*key != wished, !profile.default));
        let tile = |(key, profile): (&String, &Profile)| {
            let last = last.filter(|last| last.profile == *key);
            Self::of(settings, key, profile, choices, last, dry_run)
        };
        profiles.into_iter().map(tile).collect()
    }

    fn of(
        settings: &Settings,
        key: &str,
        profile: &Profile,
        choices: &Choices,
        last: Option<&Ask>,
        dry_run: &dyn Fn(Wish) -> Decision,
    ) -> Self {
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
        let verdict = |memory| {
            let (profile, memory) = (Some(key.to_owned()), Some(memory));
            let wish = Wish { profile, memory, image: image.clone(), ..Wish::default() };
            Verdict::of(&dry_run(wish))
        };
        let mut amounts = profile.memory_choices.clone();
        amounts.push(chosen);
        amounts.sort_unstable();
        amounts.dedup();
        let memory = amounts.into_iter().map(|memory| Memory {
            value: words::form_amount(memory),
            label: memory,
            checked: memory == chosen,
            verdict: verdict(memory),
        });
        let title = |key: &String| {
            settings.images.get(key).map_or_else(|| key.clone(), |image| image.title.clone())
        };
        let images = profile.images.iter().map(|key| Image {
            key: key.clone(),
            title: title(key),
            checked: Some(key) == image.as_ref(),
        });
        Self {
            key: key.to_owned(),
            title: profile.title.clone(),
            use_case: profile.use_case.clone(),
            memory: memory.collect(),
            images: images.collect(),
        }
    }

    /// Whether no choice of it would be accepted.
    pub fn is_closed(&self) -> bool {
        self.memory.iter().all(|memory| matches!(memory.verdict.kind, Kind::Refused { .. }))
    }

    /// Whether nothing is left to choose.
    pub fn is_plain(&self) -> bool {
        self.memory.len() == 1 && self.images.len() <= 1
    }
}
