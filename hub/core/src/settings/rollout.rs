//! A new version of an image on its way to everybody, and the way back.

use berth_common::{Timestamp, Username};
use serde::{Deserialize, Serialize};

use super::{People, Settings};

/// Two versions of one image: the one that its name stands for, and the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The version before, as the engine knows it.
    pub previous: String,
    /// How far the new one has come.
    pub stage: Stage,
}

/// Who starts with the new version. Running servers keep what they were started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// These people.
    Canary {
        /// Who.
        people: People,
        /// From when on everybody does; `None`: until the files say otherwise.
        until: Option<Timestamp>,
    },
    /// Everybody.
    Everybody,
    /// Nobody: it was taken back.
    TakenBack,
}

impl Settings {
    /// What an image stands for when this person starts a server at this moment.
    pub fn reference(
        &self,
        image: &str,
        user: &Username,
        groups: &[&str],
        now: Timestamp,
    ) -> Option<&str> {
        let image_now = self.images.get(image)?.reference.as_str();
        let Some(rollout) = self.rollouts.get(image) else { return Some(image_now) };
        let is_new = match &rollout.stage {
            Stage::Everybody => true,
            Stage::TakenBack => false,
            Stage::Canary { people, until } => {
                until.is_some_and(|until| now >= until) || people.names(user, groups).is_some()
            }
        };
        Some(if is_new { image_now } else { &rollout.previous })
    }

    /// The image of the files that an engine knows by this name, now or before.
    pub fn image_of(&self, reference: &str) -> Option<&str> {
        let today = self.images.iter().map(|(name, image)| (name, &image.reference));
        let before = self.rollouts.iter().map(|(name, rollout)| (name, &rollout.previous));
        today.chain(before).find(|(_, known)| *known == reference).map(|(name, _)| name.as_str())
    }

    /// The names of all images as the engines know them: those of today, then those before.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let today = self.images.values().map(|image| image.reference.as_str());
        today.chain(self.rollouts.values().map(|rollout| rollout.previous.as_str()))
    }
}
