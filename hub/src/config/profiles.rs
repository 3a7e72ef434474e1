//! `profiles.toml`: what people can pick.

use std::collections::BTreeMap;

use berth_common::ByteCount;
use berth_core::settings::{GpuChoice, Profile};
use serde::Deserialize;
use toml::Spanned;

use crate::auth::scopes;

use super::draft::{Draft, Offer};
use super::mounts;
use super::sources::{File, Version};
use super::value::{Text, Thousandths, Written};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfilesToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    profile: BTreeMap<Spanned<String>, ProfileToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileToml {
    title: Option<Text>,
    #[serde(rename = "use")]
    use_case: Option<Text>,
    pool: Spanned<String>,
    memory: MemoryToml,
    cpu: Option<Thousandths>,
    cpu_limit: Option<Spanned<Thousandths>>,
    gpus: Option<Spanned<GpusToml>>,
    images: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    default: bool,
    ask_access: Option<String>,
    #[serde(default)]
    server_scopes: Vec<Spanned<String>>,
    #[serde(default)]
    environment: BTreeMap<Spanned<String>, String>,
    farm_ports: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryToml {
    default: Spanned<Written>,
    #[serde(default)]
    choices: Vec<Spanned<Written>>,
    max: Option<Spanned<Written>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpusToml {
    default: Option<u32>,
    max: Option<u32>,
    share: Option<Spanned<u32>>,
    #[serde(default)]
    models: Vec<String>,
    memory: Option<Spanned<Written>>,
}

/// A scheduler and its dashboard take two; nobody needs many.
const FARM_PORTS_MAX: u32 = 16;

/// The least limit, in thousandths of a core: with it a notebook server starts in a minute.
const CPU_LIMIT_MIN: u32 = 100;

/// What a profile says of its memory.
struct Memory {
    default: ByteCount,
    choices: Vec<ByteCount>,
    max: ByteCount,
}

/// Reads all profiles.
pub fn take(draft: &mut Draft) {
    for (file, toml) in draft.sources.all::<ProfilesToml>("profiles") {
        for (name, toml) in toml.profile {
            let place = file.at(&name);
            let Some(profile) = take_profile(draft, file, &name, toml) else { continue };
            let name = name.into_inner();
            if let Some(first) = draft.settings.profiles.get(&name) {
                draft.sources.duplicate(&place, &format!("profile \"{name}\""), &first.cite);
            } else {
                draft.settings.profiles.insert(name, profile);
            }
        }
    }
}

fn take_profile(
    draft: &mut Draft,
    file: File,
    name: &Spanned<String>,
    toml: ProfileToml,
) -> Option<Profile> {
    if toml.images.get_ref().is_empty() {
        let message = "a profile needs at least one image".to_owned();
        draft.sources.bad_value(&file.at(&toml.images), message);
    }
    for image in toml.images.get_ref() {
        draft.sources.expect_name("image", image.get_ref(), file.at(image));
    }
    draft.sources.expect_name("pool", toml.pool.get_ref(), file.at(&toml.pool));
    let gpus = toml.gpus.as_ref().and_then(|gpus| take_gpus(draft, file, gpus));
    let memory = take_memory(draft, file, &toml.memory)?;
    offer(draft, file, name.get_ref(), &toml, &memory, gpus.as_ref());
    take_rights(draft, file, &toml);
    check_cpu_limit(draft, file, &toml);
    for variable in toml.environment.keys() {
        mounts::variable(draft, file, variable);
    }
    if let Some(ports) = toml.farm_ports.as_ref().filter(|it| *it.get_ref() > FARM_PORTS_MAX) {
        let message = format!("a server has at most {FARM_PORTS_MAX} farm ports");
        draft.sources.bad_value(&file.at(ports), message);
    }
    Some(Profile {
        title: toml.title.map_or_else(|| name.get_ref().clone(), |title| draft.text(title)),
        use_case: toml.use_case.map_or_else(String::new, |text| draft.text(text)),
        pool: toml.pool.into_inner(),
        memory_default: memory.default,
        memory_choices: memory.choices,
        memory_max: memory.max,
        cpu_milli: toml.cpu.map_or(0, |cores| cores.0),
        cpu_limit_milli: toml.cpu_limit.map(|cores| cores.get_ref().0),
        gpus,
        images: toml.images.into_inner().into_iter().map(Spanned::into_inner).collect(),
        default: toml.default,
        ask_access: toml.ask_access,
        server_scopes: toml.server_scopes.into_iter().map(Spanned::into_inner).collect(),
        environment: toml
            .environment
            .into_iter()
            .map(|(name, value)| (name.into_inner(), value))
            .collect(),
        farm_ports: toml.farm_ports.map_or(0, Spanned::into_inner),
        cite: draft.sources.cite(&file.at(name)),
        ..Profile::default()
    })
}

/// Enough to start with, and no less than what is counted for a server.
fn check_cpu_limit(draft: &mut Draft, file: File, toml: &ProfileToml) {
    let Some(limit) = &toml.cpu_limit else { return };
    let counted = toml.cpu.map_or(0, |cores| cores.0);
    if limit.get_ref().0 < counted {
        let message = "cpu_limit is less than cpu, which is kept for each server".to_owned();
        draft.sources.bad_value(&file.at(limit), message);
    } else if limit.get_ref().0 < CPU_LIMIT_MIN {
        let message = "a tenth of a processor at least, or no server would start: write e.g. 2";
        draft.sources.bad_value(&file.at(limit), message.into());
    }
}

/// What its servers may do: known scopes, and services that exist.
fn take_rights(draft: &mut Draft, file: File, toml: &ProfileToml) {
    for scope in &toml.server_scopes {
        let (place, text) = (file.at(scope), scope.get_ref());
        if let Err(error) = scopes::check_text(text) {
            draft.sources.bad_value(&place, error.to_string());
        } else if let Some((_, service)) = text.split_once("!service=") {
            draft.sources.expect_name("service", service, place);
        }
    }
}

fn take_memory(draft: &mut Draft, file: File, toml: &MemoryToml) -> Option<Memory> {
    let default = amount(draft, file, &toml.default);
    let max = match &toml.max {
        Some(max) => amount(draft, file, max),
        None => default,
    };
    let choices: Vec<_> = toml.choices.iter().map(|text| amount(draft, file, text)).collect();
    let (default, max) = (default?, max?);
    if default > max {
        let message = format!("the default is more than max = \"{max}\"");
        draft.sources.bad_value(&file.at(&toml.default), message);
    }
    for (text, choice) in toml.choices.iter().zip(&choices) {
        if choice.is_some_and(|choice| choice > max) {
            draft.sources.bad_value(&file.at(text), format!("more than max = \"{max}\""));
        }
    }
    let mut choices: Vec<_> = choices.into_iter().flatten().collect();
    if choices.is_empty() {
        choices.push(default);
    }
    Some(Memory { default, choices, max })
}

/// An amount that a server can run with.
pub fn amount(draft: &mut Draft, file: File, text: &Spanned<Written>) -> Option<ByteCount> {
    let bytes = draft.sources.bytes(file, text)?;
    if bytes == ByteCount::ZERO {
        let message = "a server needs more than no memory, write e.g. \"4 GB\"".to_owned();
        draft.sources.bad_value(&file.at(text), message);
    }
    Some(bytes)
}

fn take_gpus(draft: &mut Draft, file: File, toml: &Spanned<GpusToml>) -> Option<GpuChoice> {
    let gpus = toml.get_ref();
    let default = gpus.default.unwrap_or(1);
    let max = gpus.max.unwrap_or(default);
    if max == 0 || default > max {
        let message = "gpus: max is at least 1, and at least the default".to_owned();
        draft.sources.bad_value(&file.at(toml), message);
    }
    if let Some(share) = &gpus.share
        && !(1..=1000).contains(share.get_ref())
    {
        let message = "share is in thousandths of a GPU, from 1 to 1000 (a whole one)".to_owned();
        draft.sources.bad_value(&file.at(share), message);
    }
    let memory = match &gpus.memory {
        Some(text) => draft.sources.bytes(file, text)?,
        None => ByteCount::ZERO,
    };
    let share_milli = gpus.share.as_ref().map_or(1000, |share| *share.get_ref());
    Some(GpuChoice { default, max, share_milli, models: gpus.models.clone(), memory })
}

/// Notes what people can pick, for the check that it fits somewhere.
fn offer(
    draft: &mut Draft,
    file: File,
    profile: &str,
    toml: &ProfileToml,
    memory: &Memory,
    gpus: Option<&GpuChoice>,
) {
    let least = memory.choices.iter().copied().min().unwrap_or(memory.default);
    let (default_gpus, max_gpus) = gpus.map_or((0, 0), |gpus| (gpus.default, gpus.max));
    let mut add = |memory, gpus, is_button, place| {
        let gpus_place = toml.gpus.as_ref().map(|gpus| file.at(gpus));
        let profile = profile.to_owned();
        draft.offers.push(Offer { profile, memory, gpus, is_button, place, gpus_place });
    };
    add(memory.default, default_gpus, true, file.at(&toml.memory.default));
    for (text, choice) in toml.memory.choices.iter().zip(&memory.choices) {
        add(*choice, default_gpus, true, file.at(text));
    }
    if let Some(text) = &toml.memory.max {
        add(memory.max, default_gpus, false, file.at(text));
    }
    if let Some(toml) = &toml.gpus
        && max_gpus > default_gpus
    {
        add(least, max_gpus, true, file.at(toml));
    }
}
