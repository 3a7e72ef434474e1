//! The configuration while it is read: what the files have said so far, and what readers share.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{ByteCount, Seconds, Timestamp, Username};
use berth_core::settings::{Cite, People, Quota, Quotas, Settings};
use jiff::tz::TimeZone;
use toml::Spanned;

use super::services::Services;
use super::sources::{File, Place, Sources};
use super::value::{Moment, Text};

/// Silence for three heartbeats.
const LOST_AFTER: Seconds = Seconds(15);
/// So long before somebody's right ends, that is said.
const NEAR: Seconds = Seconds(14 * 86_400);
/// Servers that a person may have at a time where no quota is said.
const SERVERS_PER_PERSON: u32 = 5;

/// The configuration while it is read.
pub struct Draft {
    /// The files, with what is wrong in them.
    pub sources: Sources,
    /// What they have said so far.
    pub settings: Settings,
    /// Programs beside the notebooks.
    pub services: Services,
    /// Where hours without an offset are meant.
    pub zone: TimeZone,
    /// The moment at which they are read.
    pub now: Timestamp,
    /// Every amount that people can pick, for the check that it fits somewhere.
    pub offers: Vec<Offer>,
}

/// An amount that people can pick.
pub struct Offer {
    /// The profile that offers it.
    pub profile: String,
    /// Its memory.
    pub memory: ByteCount,
    /// Its GPUs.
    pub gpus: u32,
    /// Whether it is on a button: then it must fit. A limit that nobody reaches only looks wrong.
    pub is_button: bool,
    /// Where its memory is written.
    pub place: Place,
    /// Where its GPUs are written.
    pub gpus_place: Option<Place>,
}

/// A key that only one file of a subject may say.
#[derive(Default)]
pub struct Once {
    first: Option<Cite>,
}

impl Draft {
    /// Nothing is said yet.
    pub fn new(sources: Sources, now: Timestamp) -> Self {
        let settings = Settings {
            lost_after: LOST_AFTER,
            quotas: Quotas {
                default: Quota { servers: Some(SERVERS_PER_PERSON), ..Quota::default() },
                ..Quotas::default()
            },
            ..Settings::default()
        };
        Self {
            sources,
            settings,
            zone: TimeZone::system(),
            now,
            offers: Vec::new(),
            services: Services::default(),
        }
    }

    /// A text in English, which names it everywhere; its French is kept for pages. Equal texts have
    /// one French: the last one that is said.
    pub fn text(&mut self, text: Text) -> String {
        let Text { en, fr } = text;
        self.settings.french.extend(fr.map(|fr| (en.clone(), fr)));
        en
    }

    /// The first moment at which somebody's right ends. That it is near is worth a warning, while
    /// there is time to ask whether it should.
    pub fn until(&mut self, file: File, until: Option<&Spanned<Moment>>) -> Option<Timestamp> {
        let (written, end) = (until?, self.end(file, until)?);
        if self.now < end && end <= self.now.plus(NEAR) {
            let days = end.millis_since(self.now).div_ceil(86_400_000);
            let plural = if days == 1 { "" } else { "s" };
            let message = format!(
                "this ends in {days} day{plural}: give it another date if these people still need it"
            );
            self.sources.warn(&file.at(written), "config.warning.until_near", message);
        }
        Some(end)
    }

    /// The first moment at which a rule no longer holds. One that has passed is worth a warning:
    /// the rule can go, or its date is a slip.
    pub fn end(&mut self, file: File, until: Option<&Spanned<Moment>>) -> Option<Timestamp> {
        let written = until?;
        let place = file.at(written);
        let end = match written.get_ref().end(&self.zone) {
            Ok(end) => end,
            Err(why) => {
                self.sources.bad_value(&place, why);
                return None;
            }
        };
        if end <= self.now {
            let message = "this has passed, so that the rule no longer holds: remove it, or give \
                           it another date";
            self.sources.warn(&place, "config.warning.until", message.into());
        }
        Some(end)
    }

    /// A set of people that somebody can belong to.
    pub fn people(
        &mut self,
        entry: &Place,
        users: BTreeSet<Username>,
        groups: BTreeSet<String>,
        except_users: BTreeSet<Username>,
    ) -> People {
        if users.is_empty() && groups.is_empty() {
            let message = "names nobody: write users = [...], or groups = [...], where \"*\" is \
                           everybody";
            self.sources.bad_value(entry, message.into());
        }
        People { users, groups, except_users }
    }

    /// Reports the names that no file defines.
    pub fn check_names(&mut self) {
        fn keys<T>(map: &BTreeMap<String, T>) -> BTreeSet<String> {
            map.keys().cloned().collect()
        }
        let settings = &self.settings;
        let hosts = settings.hosts.keys().map(ToString::to_string).collect();
        self.sources.check_names(&BTreeMap::from([
            ("pool", (&["pools"][..], keys(&settings.pools))),
            ("image", (&["images"], keys(&settings.images))),
            ("profile", (&["profiles", "trainings"], keys(&settings.profiles))),
            ("host", (&["hosts"], hosts)),
            ("service", (&["services"], self.services.0.keys().cloned().collect())),
        ]));
    }
}

impl Once {
    /// Whether this is the first file that says it; a second one is reported.
    pub fn is_first(&mut self, sources: &mut Sources, place: &Place, key: &str) -> bool {
        if let Some(first) = &self.first {
            sources.duplicate(place, key, first);
            return false;
        }
        self.first = Some(sources.cite(place));
        true
    }
}
