//! Orders about images beside what the files say: fetched ahead, given to everybody, taken back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::fleet::Order;
use crate::settings::{Settings, Stage};

/// An order about one version of an image. It holds for as long as the files name that version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageOrder {
    /// The image's name.
    pub image: String,
    /// The version, as the engine knows it.
    pub reference: String,
    /// What is to be done.
    pub wish: ImageWish,
    /// Who, why and when.
    pub order: Order,
}

/// What somebody wants with a version of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageWish {
    /// The hosts of these pools fetch it before anybody needs it.
    Pull {
        /// The pools' names.
        pools: BTreeSet<String>,
    },
    /// Everybody starts with it.
    Promote,
    /// Everybody starts with the version before.
    Revert,
}

impl ImageWish {
    /// The act, as the audit has it.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Pull { .. } => "image-pull",
            Self::Promote => "image-promote",
            Self::Revert => "image-revert",
        }
    }
}

impl ImageOrder {
    /// Whether the files still name the version that it is about.
    pub fn holds(&self, settings: &Settings) -> bool {
        settings.images.get(&self.image).is_some_and(|image| image.reference == self.reference)
    }

    /// Changes the settings as if the files said so.
    pub fn apply(&self, settings: &mut Settings) {
        if !self.holds(settings) {
            return;
        }
        let stage = match &self.wish {
            ImageWish::Pull { pools } => {
                for pool in pools.iter().filter(|pool| settings.pools.contains_key(*pool)) {
                    let of_pool = settings.prepull.entry(pool.clone()).or_default();
                    of_pool.insert(self.reference.clone());
                }
                return;
            }
            ImageWish::Promote => Stage::Everybody,
            ImageWish::Revert => Stage::TakenBack,
        };
        if let Some(rollout) = settings.rollouts.get_mut(&self.image) {
            rollout.stage = stage;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Image, People, Pool, Rollout};

    fn order(wish: ImageWish) -> ImageOrder {
        ImageOrder {
            image: "base".into(),
            reference: "img:2".into(),
            wish,
            order: Order { reason: "tested".into(), who: "erin".into(), at: Default::default() },
        }
    }

    fn settings(reference: &str) -> Settings {
        let image = Image {
            reference: reference.into(),
            title: "Base".into(),
            shm: None,
            cite: Default::default(),
        };
        let stage = Stage::Canary { people: People::default(), until: None };
        Settings {
            images: [("base".to_owned(), image)].into(),
            rollouts: [("base".to_owned(), Rollout { previous: "img:1".into(), stage })].into(),
            pools: [("cpu".to_owned(), Pool::default())].into(),
            ..Settings::default()
        }
    }

    fn given(settings: &Settings, orders: &[ImageOrder]) -> String {
        let mut settings = settings.clone();
        orders.iter().for_each(|order| order.apply(&mut settings));
        let user = "alice".parse().unwrap();
        settings.reference("base", &user, &[], Default::default()).unwrap().to_owned()
    }

    #[test]
    fn the_last_order_counts_while_the_files_name_that_version() {
        let (promote, revert) = (order(ImageWish::Promote), order(ImageWish::Revert));
        let now = settings("img:2");
        assert_eq!(given(&now, &[]), "img:1", "a canary is not everybody's");
        assert_eq!(given(&now, std::slice::from_ref(&promote)), "img:2");
        assert_eq!(given(&now, &[promote.clone(), revert.clone()]), "img:1");
        assert_eq!(given(&now, &[revert.clone(), promote.clone()]), "img:2");
        assert_eq!(given(&settings("img:3"), &[promote]), "img:1", "a later version is another");
        let mut everybody = settings("img:3");
        everybody.rollouts.get_mut("base").unwrap().stage = Stage::Everybody;
        assert_eq!(given(&everybody, &[revert]), "img:3");
    }

    #[test]
    fn hosts_of_the_named_pools_fetch_it() {
        let mut settings = settings("img:2");
        let pools = ["cpu".to_owned(), "gone".to_owned()].into();
        order(ImageWish::Pull { pools }).apply(&mut settings);
        assert!(settings.fetched_ahead("cpu", Default::default()).contains("img:2"));
        assert_eq!(settings.prepull.len(), 1, "a pool that is gone is none");
    }
}
