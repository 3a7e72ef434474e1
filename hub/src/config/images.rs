//! `images.toml`: what people can run.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{ByteCount, Username};
use berth_core::settings::{Image, Rollout, Stage};
use serde::Deserialize;
use toml::Spanned;

use super::draft::Draft;
use super::sources::{File, Version};
use super::value::{Moment, Text, Written};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImagesToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    image: BTreeMap<Spanned<String>, ImageToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageToml {
    #[serde(rename = "ref")]
    reference: Spanned<String>,
    title: Option<Text>,
    /// Size of `/dev/shm`.
    shm: Option<Spanned<Written>>,
    /// Pools whose hosts fetch it before anybody needs it.
    #[serde(default)]
    prepull: Vec<Spanned<String>>,
    /// The version before, for who does not get this one yet, or for everybody once it is taken
    /// back.
    previous: Option<Spanned<String>>,
    /// Who gets this one first.
    canary: Option<Spanned<CanaryToml>>,
    /// Whether everybody gets the version before again.
    #[serde(default)]
    taken_back: Option<Spanned<bool>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CanaryToml {
    #[serde(default)]
    users: BTreeSet<Username>,
    #[serde(default)]
    groups: BTreeSet<String>,
    /// The last day on which only they do.
    until: Option<Spanned<Moment>>,
}

/// Reads all images.
pub fn take(draft: &mut Draft) {
    for (file, toml) in draft.sources.all::<ImagesToml>("images") {
        for (name, image) in toml.image {
            let place = file.at(&name);
            let name = name.into_inner();
            if let Some(first) = draft.settings.images.get(&name) {
                draft.sources.duplicate(&place, &format!("image \"{name}\""), &first.cite);
                continue;
            }
            let rollout = rollout(draft, file, &image);
            let shm = image.shm.as_ref().and_then(|size| shm(draft, file, size));
            warn_of_moving_tag(draft, file, &image.reference);
            let ImageToml { reference, title, prepull, .. } = image;
            let reference = reference.into_inner();
            for pool in prepull {
                draft.sources.expect_name("pool", pool.get_ref(), file.at(&pool));
                let of_pool = draft.settings.prepull.entry(pool.into_inner()).or_default();
                of_pool.insert(reference.clone());
                of_pool.extend(rollout.iter().map(|rollout| rollout.previous.clone()));
            }
            let title = title.map_or_else(|| name.clone(), |title| draft.text(title));
            let image = Image { reference, title, shm, cite: draft.sources.cite(&place) };
            draft.settings.rollouts.extend(rollout.map(|rollout| (name.clone(), rollout)));
            draft.settings.images.insert(name, image);
        }
    }
}

/// What a name without a tag stands for changes whenever somebody builds it anew: servers of one
/// day run another image than those of the day before, and nobody can go back.
fn warn_of_moving_tag(draft: &mut Draft, file: File, reference: &Spanned<String>) {
    let name = reference.get_ref();
    let last = name.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map(|(_, tag)| tag);
    if !name.contains("@sha256:") && tag.is_none_or(|tag| tag == "latest") {
        let message = "this name stands for another image after each build: write a tag that is \
                       never moved, e.g. \":2026.05\", or a digest, \"@sha256:...\"";
        draft.sources.warn(&file.at(reference), "config.warning.tag", message.into());
    }
}

/// The size of `/dev/shm`: at least the 64 MB that the engine gives by itself.
fn shm(draft: &mut Draft, file: File, text: &Spanned<Written>) -> Option<ByteCount> {
    const ENGINES_OWN: ByteCount = ByteCount(64 << 20);
    let size = draft.sources.bytes(file, text)?;
    if size < ENGINES_OWN {
        let message = format!("without shm it is {ENGINES_OWN}: write more, or leave it out");
        draft.sources.bad_value(&file.at(text), message);
    }
    Some(size)
}

/// How a new version comes to people, if the version before is named.
fn rollout(draft: &mut Draft, file: File, image: &ImageToml) -> Option<Rollout> {
    let taken_back = image.taken_back.as_ref().filter(|it| *it.get_ref());
    let Some(previous) = &image.previous else {
        let places = image.canary.as_ref().map(|it| file.at(it));
        if let Some(place) = places.or_else(|| taken_back.map(|it| file.at(it))) {
            draft.sources.bad_value(&place, "add previous = \"...\", the version before".into());
        }
        return None;
    };
    let stage = match (&image.canary, taken_back) {
        (Some(_), Some(both)) => {
            let message = "nobody gets a version that is taken back: remove canary, or this";
            draft.sources.bad_value(&file.at(both), message.into());
            Stage::TakenBack
        }
        (None, Some(_)) => Stage::TakenBack,
        (None, None) => Stage::Everybody,
        (Some(canary), None) => {
            let CanaryToml { users, groups, until } = canary.get_ref();
            let (users, groups) = (users.clone(), groups.clone());
            let people = draft.people(&file.at(canary), users, groups, BTreeSet::new());
            let until = draft.end(file, until.as_ref());
            Stage::Canary { people, until }
        }
    };
    Some(Rollout { previous: previous.get_ref().clone(), stage })
}
