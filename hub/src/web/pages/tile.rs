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
use crate::web::pages::card::image_title;
use crate::web::pages::forecast::forecast;
use crate::web::pages::off::refused;
use crate::web::pages::spawn::{Choices, outcome_class};
use crate::web::pages::usual;
use crate::web::pages::words::{self, Moment};
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

impl Asking<'_> {
    fn groups(&self) -> Vec<&str> {
        self.account.groups.iter().map(|group| group.name.as_str()).collect()
    }
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
    /// The amounts in between, where there are any.
    pub own: Option<Own>,
    /// What the person's own servers used at most, and the choice that would do.
    pub suggestion: Option<(ByteCount, ByteCount)>,
    /// Its numbers of GPUs.
    pub gpus: Vec<Gpus>,
    /// The models of GPUs to choose of, any one first; none where there is no choice.
    pub models: Vec<Model>,
    /// Its images.
    pub images: Vec<Image>,
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

/// Any amount within the person's limits, in GB as a field for numbers takes them.
#[derive(Debug, Clone)]
pub struct Own {
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
    /// What stands there at first: the amount that is chosen.
    pub value: f64,
    /// What would come of it.
    pub verdict: Verdict,
}

/// Amounts in between are offered in halves of a GB.
const HALF: u64 = 1 << 29;

impl Own {
    fn of(chosen: &Memory, most: ByteCount) -> Option<Self> {
        let halves = |amount: ByteCount| (amount.0 / HALF) as f64 / 2.0;
        let (least, most) = (0.5, halves(most));
        let value = halves(chosen.label).clamp(least, most.max(least));
        let verdict = chosen.verdict.clone();
        (most > least).then_some(Self { least, most, value, verdict })
    }
}

/// A number of GPUs to choose.
#[derive(Debug, Clone)]
pub struct Gpus {
    /// How many.
    pub count: u32,
    /// Whether it is chosen at first.
    pub checked: bool,
}

/// A model of GPU to choose.
#[derive(Debug, Clone)]
pub struct Model {
    /// As the form sends it, and as people read it; empty: any.
    pub name: String,
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
    /// The page that explains it.
    pub why: String,
}

/// The verdicts.
#[derive(Debug, Clone)]
pub enum Kind {
    /// It would start.
    Now {
        /// Where.
        host: String,
        /// How long such a start usually takes, if enough of them are known.
        usual: Option<String>,
        /// With whom, for how long, and what is left then.
        forecast: String,
    },
    /// It would wait.
    Waits {
        /// From 1.
        place: u32,
        /// Why.
        cause: String,
        /// What would start now.
        nearest: Option<ByteCount>,
        /// Half of such waits end within this span.
        between: Option<(String, String)>,
    },
    /// It is given to other people.
    NotYours {
        /// To whom.
        whose: String,
        /// The person had it until then.
        ended: Option<Moment>,
        /// Where to ask for it.
        ask: Option<String>,
        /// What to do where no such place is known.
        remedy: String,
    },
    /// It is closed now.
    Closed {
        /// Until then, if it ever opens for this person.
        until: Option<Moment>,
        /// Why, and what opens it.
        cause: String,
    },
    /// It would not be accepted.
    Refused {
        /// Why.
        cause: String,
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
    /// The page that explains it.
    pub why: String,
}

impl Verdict {
    /// Of a dry run.
    pub fn of(fleet: &Fleet, decision: &Decision) -> Self {
        let kind = match &decision.outcome {
            Outcome::Placed { host, .. } => {
                let usual = usual::start(fleet, &decision.ask);
                let forecast = forecast(fleet, decision, host);
                Kind::Now { host: host.to_string(), usual, forecast }
            }
            Outcome::Waits { reason, ahead, .. } => Kind::Waits {
                place: ahead.saturating_add(1),
                cause: say::reason(*reason),
                nearest: decision.nearest_memory(),
                between: words::between(decision),
            },
            Outcome::Refused { reason, detail } => refused(fleet, decision, *reason, detail),
        };
        let class = match &kind {
            Kind::NotYours { .. } | Kind::Closed { .. } => "off",
            Kind::Now { .. } | Kind::Waits { .. } | Kind::Refused { .. } => {
                outcome_class(&decision.outcome)
            }
        };
        let path = words::server_path(&decision.user, &decision.name);
        let choices = choices_of(&decision.ask);
        Self { class, kind, why: format!("/hub/foreseen/{path}?{choices}") }
    }

    /// Whether the request would be accepted.
    fn is_accepted(&self) -> bool {
        matches!(self.kind, Kind::Now { .. } | Kind::Waits { .. })
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
        let (fleet, wished) = (asking.fleet, asking.choices);
        let last = asking.last.filter(|last| last.profile == *key);
        let asked = wished.amount().parse().ok();
        let chosen = asked
            .or_else(|| last.map(|last| last.memory))
            .filter(|memory| *memory <= profile.memory_max && memory.0 > 0)
            .unwrap_or(profile.memory_default);
        let image = [Some(&wished.image), last.map(|last| &last.image), profile.images.first()]
            .into_iter()
            .flatten()
            .find(|image| profile.images.contains(image))
            .cloned();
        let gpus = gpus(asking, profile, last);
        let count = gpus.iter().find(|gpus| gpus.checked).map(|gpus| gpus.count);
        let models = models(asking, profile, last);
        let model = models.iter().find(|model| model.checked).map(|model| model.name.clone());
        let model = model.filter(|name| !name.is_empty());
        let verdict = |memory| {
            let (profile, memory) = (Some(key.to_owned()), Some(memory));
            let wish = Wish {
                profile,
                memory,
                image: image.clone(),
                gpus: count,
                gpu_model: model.clone(),
                ..Wish::default()
            };
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
        let images = profile.images.iter().map(|key| Image {
            key: key.clone(),
            title: image_title(fleet, key),
            checked: Some(key) == image.as_ref(),
        });
        let memory: Vec<_> = memory.collect();
        let most = most(asking, profile).filter(|_| memory.len() > 1);
        let checked = memory.iter().find(|memory| memory.checked);
        Self {
            key: key.to_owned(),
            title: words::written(&fleet.settings, &profile.title),
            use_case: words::written(&fleet.settings, &profile.use_case),
            own: checked.zip(most).and_then(|(chosen, most)| Own::of(chosen, most)),
            most,
            suggestion: image.as_ref().and_then(|image| suggestion(asking, image, &amounts)),
            memory,
            gpus,
            models,
            images: images.collect(),
            alone: false,
            link: format!(
                "/hub/spawn?{}",
                choices(key, chosen, image.as_deref(), (count, model.as_deref()))
            ),
        }
    }

    /// Whether no choice of it would be accepted.
    pub fn is_closed(&self) -> bool {
        !self.memory.iter().any(|memory| memory.verdict.is_accepted())
    }

    /// Whether nothing is left to choose.
    pub fn is_plain(&self) -> bool {
        self.memory.len() == 1
            && self.images.len() <= 1
            && self.gpus.len() <= 1
            && self.models.is_empty()
    }
}

/// The most memory that the person can ask for: of the profile, and of what the quota has left.
fn most(asking: &Asking<'_>, profile: &Profile) -> Option<ByteCount> {
    let groups = asking.groups();
    let person = Person { name: &asking.account.name, groups: &groups };
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

/// The numbers of GPUs that the person can ask for: of the profile, and of what the quota has left.
/// One stands there in any case, with the verdict that says why not.
fn gpus(asking: &Asking<'_>, profile: &Profile, last: Option<&Ask>) -> Vec<Gpus> {
    let Some(choice) = &profile.gpus else { return Vec::new() };
    let groups = asking.groups();
    let person = Person { name: &asking.account.name, groups: &groups };
    let left = rules::gpus_left(asking.fleet, person, profile, asking.own, now());
    let most = left.map_or(choice.max, |left| left.min(choice.max)).max(1);
    let fits = |count: &u32| (1..=most).contains(count);
    let asked = asking.choices.gpus.parse().ok().filter(fits);
    let chosen = asked
        .or_else(|| last.map(|last| last.gpus).filter(fits))
        .unwrap_or(choice.default.clamp(1, most));
    (1..=most).map(|count| Gpus { count, checked: count == chosen }).collect()
}

/// What was asked for, as choices of a link.
pub fn choices_of(ask: &Ask) -> String {
    let gpus = Some(ask.gpus).filter(|gpus| *gpus > 0);
    let image = Some(ask.image.as_str()).filter(|image| !image.is_empty());
    choices(&ask.profile, ask.memory, image, (gpus, ask.gpu_model.as_deref()))
}

/// The models that the profile offers, where they are more than one. At first none is chosen, or the
/// one of the link or of the last start.
fn models(asking: &Asking<'_>, profile: &Profile, last: Option<&Ask>) -> Vec<Model> {
    let offered = profile.gpu_models();
    if offered.len() < 2 {
        return Vec::new();
    }
    let wished = Some(&asking.choices.gpu_model).filter(|name| !name.is_empty());
    let chosen = wished.or_else(|| last.and_then(|last| last.gpu_model.as_ref()));
    let chosen = chosen.filter(|name| offered.contains(name));
    let any = Model { name: String::new(), checked: chosen.is_none() };
    let model = |name: &String| Model { name: name.clone(), checked: chosen == Some(name) };
    std::iter::once(any).chain(offered.iter().map(model)).collect()
}

/// Choices as a link has them; of GPUs their number and model.
fn choices(
    profile: &str,
    memory: ByteCount,
    image: Option<&str>,
    (gpus, model): (Option<u32>, Option<&str>),
) -> String {
    let memory = words::form_amount(memory);
    let mut choices = format!("opt-profile={}&opt-memory={memory}", escape(profile));
    if let Some(image) = image {
        choices.push_str(&format!("&opt-image={}", escape(image)));
    }
    if let Some(gpus) = gpus {
        choices.push_str(&format!("&opt-gpus={gpus}"));
    }
    if let Some(model) = model {
        choices.push_str(&format!("&opt-gpu-model={}", escape(model)));
    }
    choices
}
