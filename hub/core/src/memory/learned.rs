//! What to expect of a server before it has shown anything: the past peaks of its owner, of its
//! image, of its profile.

use std::collections::{BTreeMap, VecDeque};

use berth_common::{ByteCount, Username};
use serde::{Deserialize, Serialize};

/// Past peaks kept of one kind: enough for a 95th percentile, few enough for every pair of owner
/// and image of a large site.
const KEPT: usize = 64;
/// So many servers of one owner and image say what the next one will do.
const ENOUGH_OF_OWNER: usize = 5;
/// So many servers of many owners do.
const ENOUGH_OF_MANY: usize = 20;

/// What is expected of a server of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Floor(ByteCount);

/// The newest peaks of one kind of server, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Past(VecDeque<ByteCount>);

/// The peaks of the servers that have ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    owners: BTreeMap<(Username, String), Past>,
    images: BTreeMap<String, Past>,
    profiles: BTreeMap<String, Past>,
}

impl Floor {
    /// At least this much; never nothing, since an unknown server is not an empty one.
    pub fn new(bytes: ByteCount) -> Self {
        Self(bytes.max(ByteCount(1)))
    }

    /// The amount.
    pub fn bytes(self) -> ByteCount {
        self.0
    }
}

impl Default for Floor {
    /// 1 GB: three times an empty JupyterLab with one kernel, and the least that section 4.3 of
    /// the scheduler's design allows.
    fn default() -> Self {
        Self(ByteCount(1 << 30))
    }
}

impl Past {
    /// One server more.
    fn add(&mut self, peak: ByteCount) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(peak);
    }

    /// The smallest peak that 95 of 100 did not pass, if there are enough of them.
    fn usual(&self, enough: usize) -> Option<ByteCount> {
        if self.0.len() < enough {
            return None;
        }
        let mut peaks: Vec<_> = self.0.iter().copied().collect();
        peaks.sort_unstable();
        peaks.get((peaks.len() * 95).div_ceil(100) - 1).copied()
    }
}

impl History {
    /// A server has ended.
    pub fn add(&mut self, owner: &Username, image: &str, profile: &str, peak: ByteCount) {
        self.owners.entry((owner.clone(), image.to_owned())).or_default().add(peak);
        self.images.entry(image.to_owned()).or_default().add(peak);
        self.profiles.entry(profile.to_owned()).or_default().add(peak);
    }

    /// What of this tells of servers of one owner with these images and profiles.
    pub(crate) fn of(&self, owner: &Username, images: [&str; 2], profiles: [&str; 2]) -> Self {
        let mut part = Self::default();
        for image in images {
            let of_owner = (owner.clone(), image.to_owned());
            if let Some(past) = self.owners.get(&of_owner) {
                part.owners.insert(of_owner, past.clone());
            }
            if let Some(past) = self.images.get(image) {
                part.images.insert(image.to_owned(), past.clone());
            }
        }
        for profile in profiles {
            if let Some(past) = self.profiles.get(profile) {
                part.profiles.insert(profile.to_owned(), past.clone());
            }
        }
        part
    }

    /// What to expect of a server of this owner, image and profile: the first kind of which
    /// enough is known, else the floor. Never nothing, and at most the limit.
    pub fn expected(
        &self,
        owner: &Username,
        image: &str,
        profile: &str,
        floor: Floor,
        limit: ByteCount,
    ) -> ByteCount {
        let own = self.owners.get(&(owner.clone(), image.to_owned()));
        match own.and_then(|past| past.usual(ENOUGH_OF_OWNER)) {
            Some(usual) => usual.max(ByteCount(1)).min(limit),
            None => self.usual(image, profile, floor, limit),
        }
    }

    /// What 95 of 100 servers of this owner and image did not pass, if there were enough of them.
    pub fn of_owner(&self, owner: &Username, image: &str) -> Option<ByteCount> {
        self.owners.get(&(owner.clone(), image.to_owned()))?.usual(ENOUGH_OF_OWNER)
    }

    /// Whether what is expected of such a server comes from enough servers before it: then it is
    /// not the stranger that a floor stands for.
    pub fn knows(&self, owner: &Username, image: &str, profile: &str) -> bool {
        let enough = |past: Option<&Past>, enough| past.is_some_and(|past| past.0.len() >= enough);
        enough(self.owners.get(&(owner.clone(), image.to_owned())), ENOUGH_OF_OWNER)
            || enough(self.images.get(image), ENOUGH_OF_MANY)
            || enough(self.profiles.get(profile), ENOUGH_OF_MANY)
    }

    /// The same for an owner of whom too little is known.
    pub fn usual(&self, image: &str, profile: &str, floor: Floor, limit: ByteCount) -> ByteCount {
        let of_image = || self.images.get(image)?.usual(ENOUGH_OF_MANY);
        let of_profile = || self.profiles.get(profile)?.usual(ENOUGH_OF_MANY);
        let usual = of_image().or_else(of_profile).unwrap_or(floor.bytes());
        usual.max(ByteCount(1)).min(limit)
    }
}
