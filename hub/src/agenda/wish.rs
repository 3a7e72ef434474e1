//! What people write into the calendar, checked: by the API and by the pages alike.

use std::collections::BTreeSet;

use berth_common::{HostId, Seconds, Timestamp};
use berth_core::agenda::{Audience, Level, Maintenance, Notice, Progress};
use berth_core::fleet::{Fleet, Order};
use berth_core::settings::Window;

use crate::web::error::cut;

/// Notices are a few sentences.
pub const LONGEST_TEXT: usize = 1_000;
/// A notice is shown so long where no end is said.
const USUAL: Seconds = Seconds(86_400);
/// Drains begin so long before, if the site's first warning does not come earlier.
const USUAL_AHEAD: Seconds = Seconds(86_400);

/// Why a wish cannot be an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It would reach nobody.
    #[error("to: there is no {0}")]
    NoAudience(Audience),
    /// It says nothing.
    #[error("en: say what people should know, in English")]
    NoText,
    /// It says too much, in this language.
    #[error("{0}: {LONGEST_TEXT} letters at most")]
    TooLong(&'static str),
    /// It ends before it begins, or has ended.
    #[error("{0}: it must lie ahead, and after from")]
    Ends(&'static str),
    /// It is about no host.
    #[error("hosts: name at least one")]
    NoHosts,
    /// Its host is none.
    #[error("hosts: there is no {0}")]
    NoHost(HostId),
    /// Nobody would know why.
    #[error("reason: say why; people whose servers are there read it")]
    NoReason,
}

/// A notice that somebody writes.
#[derive(Debug, Clone)]
pub struct NoticeWish {
    /// Who reads it.
    pub audience: Audience,
    /// How urgent it is.
    pub level: Level,
    /// From when on; now if nothing is said.
    pub from: Option<Timestamp>,
    /// Until when; a day if nothing is said.
    pub until: Option<Timestamp>,
    /// In English.
    pub en: String,
    /// In French, or empty.
    pub fr: String,
    /// Whether whom it is for is to say that they have read it.
    pub must_read: bool,
}

impl NoticeWish {
    /// The notice.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn checked(self, fleet: &Fleet, who: String, at: Timestamp) -> Result<Notice, Wrong> {
        let settings = &fleet.settings;
        let known = match &self.audience {
            Audience::All | Audience::Group(_) | Audience::Users(_) => true,
            Audience::Pool(name) => settings.pools.contains_key(name),
            Audience::Host(host) => settings.hosts.contains_key(host),
            Audience::Training(name) => settings.trainings.contains_key(name),
        };
        if !known {
            return Err(Wrong::NoAudience(self.audience));
        }
        let from = self.from.unwrap_or(at);
        let to = self.until.unwrap_or_else(|| from.plus(USUAL));
        if to <= from || to <= at {
            return Err(Wrong::Ends("until"));
        }
        let text = |name, text: &str| match text.trim() {
            text if text.chars().count() > LONGEST_TEXT => Err(Wrong::TooLong(name)),
            text => Ok(text.to_owned()),
        };
        let (en, fr) = (text("en", &self.en)?, text("fr", &self.fr)?);
        if en.is_empty() {
            return Err(Wrong::NoText);
        }
        let Self { audience, level, must_read, .. } = self;
        Ok(Notice { audience, level, window: Window { from, to }, en, fr, must_read, who, at })
    }
}

/// Maintenance that somebody plans.
#[derive(Debug, Clone)]
pub struct MaintenanceWish {
    /// Of which hosts.
    pub hosts: BTreeSet<HostId>,
    /// When they are to be empty.
    pub window: Window,
    /// Why.
    pub reason: String,
    /// How long before their drains begin; as the site warns if nothing is said.
    pub ahead: Option<Seconds>,
}

impl MaintenanceWish {
    /// The maintenance.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn checked(self, fleet: &Fleet, who: String, at: Timestamp) -> Result<Maintenance, Wrong> {
        let window = self.window;
        if self.hosts.is_empty() {
            return Err(Wrong::NoHosts);
        }
        if window.to <= window.from || window.to <= at {
            return Err(Wrong::Ends("to"));
        }
        let reason = self.reason.trim();
        if reason.is_empty() {
            return Err(Wrong::NoReason);
        }
        if let Some(unknown) = self.hosts.iter().find(|host| !fleet.hosts.contains_key(*host)) {
            return Err(Wrong::NoHost(unknown.clone()));
        }
        let ahead = self.ahead.unwrap_or_else(|| {
            let leads = fleet.settings.lifecycle.drain.leads.iter().copied();
            leads.max().unwrap_or_default().max(USUAL_AHEAD)
        });
        let back = i64::try_from(ahead.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        Ok(Maintenance {
            hosts: self.hosts,
            window,
            drain_at: Timestamp(window.from.0.saturating_sub(back)).max(at),
            order: Order { reason: cut(reason), who, at },
            state: Progress::Planned,
        })
    }
}
