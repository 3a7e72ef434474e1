//! What a rule looked at, as data: in English here, in other languages by the pages.

use std::fmt;

use berth_common::{ByteCount, Seconds, Timestamp, Username};
use serde::{Deserialize, Serialize};

use crate::settings::Metered;

/// What one rule looked at, with its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Looked {
    /// Whether the account is one that may start servers.
    Account,
    /// Whether all hosts have told what they run, after a restore.
    HostsTold,
    /// Whether there is such a profile.
    Profile {
        /// Its name.
        name: String,
    },
    /// Whether the person is denied something.
    Denied {
        /// Who.
        person: Username,
    },
    /// A profile without a whitelist.
    Open {
        /// Its name.
        profile: String,
    },
    /// A profile's whitelist, and what of it names the person.
    Whitelist {
        /// The profile's name.
        profile: String,
        /// How, if it names them.
        by: Option<By>,
    },
    /// Whether the pool is open outside trainings.
    Pool {
        /// Its name.
        name: String,
    },
    /// Whether the person takes part in a training.
    TakesPart {
        /// Its title.
        title: String,
    },
    /// The person teaches the training.
    Teaches,
    /// Whether the training is on.
    Training {
        /// Its title.
        title: String,
        /// Until when, if it is.
        until: Option<Timestamp>,
    },
    /// Memory that the profile gives.
    Memory {
        /// Asked for.
        asked: ByteCount,
        /// The most there is.
        most: ByteCount,
    },
    /// GPUs that the profile gives.
    Gpus {
        /// Asked for.
        asked: u32,
        /// The most there are.
        most: u32,
    },
    /// Whether the profile offers the model of GPU.
    GpuModel {
        /// Its name.
        name: String,
    },
    /// Whether the profile offers the image.
    Image {
        /// Its name.
        name: String,
    },
    /// The number of servers in the person's quota.
    QuotaServers {
        /// In use.
        held: u32,
        /// The quota.
        limit: u32,
    },
    /// Memory in the person's quota.
    QuotaMemory {
        /// In use.
        held: ByteCount,
        /// Asked for beside it.
        asked: ByteCount,
        /// The quota.
        limit: ByteCount,
    },
    /// GPUs in the person's quota.
    QuotaGpus {
        /// In use.
        held: u32,
        /// Asked for beside them.
        asked: u32,
        /// The quota.
        limit: u32,
    },
    /// A budget over time.
    Budget {
        /// Used hours.
        used: u64,
        /// Hours that it gives.
        limit: u64,
        /// Hours of what.
        of: Metered,
        /// Within which time.
        window: Seconds,
        /// It is used up, and its people are served when nobody else waits.
        last: bool,
    },
    /// The turn has come.
    Turn {
        /// After how long a wait.
        after: Seconds,
    },
}

/// What in a whitelist names a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A group of theirs.
    Group(String),
    /// Their own name.
    Name,
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => write!(f, "the account is valid"),
            Self::HostsTold => write!(f, "every host has told what it runs"),
            Self::Profile { name } => write!(f, "profile \"{name}\" exists"),
            Self::Denied { person } => write!(f, "{person} is not denied"),
            Self::Open { profile } => write!(f, "profile {profile} is open to everybody"),
            Self::Whitelist { profile, by: None } => write!(f, "whitelist of {profile}"),
            Self::Whitelist { profile, by: Some(By::Group(group)) } => {
                write!(f, "whitelist of {profile}: group {group}")
            }
            Self::Whitelist { profile, by: Some(By::Name) } => {
                write!(f, "whitelist of {profile}: by name")
            }
            Self::Pool { name } => write!(f, "pool {name} is open"),
            Self::TakesPart { title } => write!(f, "takes part in {title}"),
            Self::Teaches => write!(f, "teaches the training"),
            Self::Training { title, until: None } => write!(f, "{title} is on"),
            Self::Training { title, until: Some(until) } => {
                write!(f, "{title} is on until {}", until.to_minute())
            }
            Self::Memory { asked, most } => write!(f, "{asked} of at most {most} in this profile"),
            Self::Gpus { asked, most } => {
                write!(f, "{asked} of at most {most} GPUs in this profile")
            }
            Self::GpuModel { name } => write!(f, "GPU model {name} is offered by this profile"),
            Self::Image { name } => write!(f, "image {name} is offered by this profile"),
            Self::QuotaServers { held, limit } => write!(f, "{held} of {limit} servers in use"),
            Self::QuotaMemory { held, asked, limit } => {
                write!(f, "memory: {held} + {asked} of {limit}")
            }
            Self::QuotaGpus { held, asked, limit } => {
                write!(f, "GPUs: {held} + {asked} of {limit}")
            }
            Self::Budget { used, limit, of, window, last } => {
                let unit = match of {
                    Metered::GpuHours => "GPU hours",
                    Metered::GibHours => "GiB hours",
                };
                write!(f, "{used} of {limit} {unit} in {window}")?;
                if *last { write!(f, ": served when nobody else waits") } else { Ok(()) }
            }
            Self::Turn { after } => write!(f, "first in the queue after {after}"),
        }
    }
}
