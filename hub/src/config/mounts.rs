//! `mounts.toml`: the folders that servers are given beside HOME, as templates, and how hosts watch
//! them.

use std::collections::BTreeMap;

use berth_core::settings::{HOME, Health, Mount};
use serde::Deserialize;
use toml::Spanned;

use super::draft::{Draft, Once};
use super::sources::{File, Place, Version};
use super::value::Written;

/// The names that stand for something of the person's.
const NAMES: [&str; 4] = ["user", "home", "group", "main_group"];

/// What the hub and the agent put into the environment.
const RESERVED: [&str; 13] = [
    "HOME",
    "USER",
    "LOGNAME",
    "NB_USER",
    "SHELL",
    "MEM_LIMIT",
    "MEM_GUARANTEE",
    "CPU_LIMIT",
    "CPU_GUARANTEE",
    "JPY_API_TOKEN",
    "BERTH_FARM_ADDRESS",
    "BERTH_FARM_PORTS",
    "NVIDIA_VISIBLE_DEVICES",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MountsToml {
    #[serde(rename = "version")]
    _version: Version,
    health: Option<Spanned<HealthToml>>,
    #[serde(default)]
    mount: Vec<Spanned<MountToml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthToml {
    every: Option<Spanned<Written>>,
    stat_timeout: Option<Spanned<Written>>,
    sick_after: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MountToml {
    name: Spanned<String>,
    source: Spanned<String>,
    target: Option<Spanned<String>>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    propagation: Propagation,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    only_if_exists: bool,
    for_each: Option<ForEach>,
    #[serde(default)]
    env: BTreeMap<Spanned<String>, Spanned<String>>,
    show_in_file_browser: Option<Spanned<String>>,
    probe: Option<Spanned<String>>,
    #[serde(default)]
    profiles: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Rw,
    Ro,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Propagation {
    #[default]
    Rprivate,
    Rslave,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ForEach {
    Group,
}

/// Reads all of them.
pub fn take(draft: &mut Draft) {
    let mut health = Once::default();
    for (file, toml) in draft.sources.all::<MountsToml>("mounts") {
        if let Some(toml) = toml.health
            && health.is_first(&mut draft.sources, &file.at(&toml), "health")
        {
            draft.settings.mounts.health = take_health(draft, file, toml.get_ref());
        }
        for toml in toml.mount {
            let place = file.at(&toml);
            take_mount(draft, file, &place, toml.into_inner());
        }
    }
}

fn take_health(draft: &mut Draft, file: File, toml: &HealthToml) -> Health {
    let usual = Health::default();
    let mut seconds = |text: &Option<Spanned<Written>>, usual: u64, most: u64| {
        let Some(written) = text else { return usual };
        match draft.sources.duration(file, written).map(|span| span.0) {
            Some(span) if (1..=most).contains(&span) => span,
            Some(_) => {
                let message = format!("write a time from \"1s\" to \"{most}s\"");
                draft.sources.bad_value(&file.at(written), message);
                usual
            }
            None => usual,
        }
    };
    let every_s = seconds(&toml.every, usual.every_s, 3_600);
    let timeout_s = seconds(&toml.stat_timeout, usual.timeout_s, 60);
    let sick_after = match &toml.sick_after {
        Some(count) if *count.get_ref() == 0 => {
            let message = "at least 1, or every space would be sick".to_owned();
            draft.sources.bad_value(&file.at(count), message);
            usual.sick_after
        }
        Some(count) => *count.get_ref(),
        None => usual.sick_after,
    };
    Health { every_s, timeout_s, sick_after }
}

fn take_mount(draft: &mut Draft, file: File, place: &Place, toml: MountToml) {
    let name = toml.name.get_ref().clone();
    if let Some(first) = draft.settings.mounts.mounts.iter().find(|mount| mount.name == name) {
        let first = first.cite.clone();
        return draft.sources.duplicate(&file.at(&toml.name), &format!("mount \"{name}\""), &first);
    }
    let each = toml.for_each.is_some();
    let target = toml.target.as_ref().unwrap_or(&toml.source);
    let is_home = toml.source.get_ref() == HOME;
    path(draft, file, &toml.source, each);
    if let Some(target) = &toml.target {
        path(draft, file, target, each);
    }
    if is_home && (target.get_ref() != HOME || toml.mode == Mode::Ro || each) {
        let message = "HOME is mounted for everybody at its own path, to be written: leave out \
                       target, mode and for_each";
        draft.sources.bad_value(place, message.into());
    }
    if toml.required && toml.only_if_exists {
        let message = "required and only_if_exists exclude each other: leave one out";
        draft.sources.bad_value(place, message.into());
    }
    for (variable, value) in &toml.env {
        variables(draft, file, variable, value, each);
    }
    if let Some(shown) = &toml.show_in_file_browser {
        shown_name(draft, file, shown, each);
    }
    for profile in &toml.profiles {
        draft.sources.expect_name("profile", profile.get_ref(), file.at(profile));
    }
    let probe = match &toml.probe {
        Some(probe) => {
            if probe.get_ref().contains(['{', '}']) || !is_plain(probe.get_ref()) {
                let message = "an absolute path without names in braces: every host looks at the \
                               same one";
                draft.sources.bad_value(&file.at(probe), message.into());
            }
            Some(probe.get_ref().clone())
        }
        None => common_part(toml.source.get_ref()),
    };
    if toml.required && probe.is_none() {
        let message = format!(
            "no host watches {name}, since its path is another for each person: add probe = \
             \"/...\", a folder of the same file server"
        );
        draft.sources.warn(place, "config.warning.not_watched", message);
    }
    let mount = Mount {
        source: toml.source.get_ref().clone(),
        target: target.get_ref().clone(),
        read_only: toml.mode == Mode::Ro,
        follows: toml.propagation == Propagation::Rslave,
        required: toml.required,
        only_if_exists: toml.only_if_exists,
        for_each_group: each,
        env: toml
            .env
            .into_iter()
            .map(|(name, value)| (name.into_inner(), value.into_inner()))
            .collect(),
        shown: toml.show_in_file_browser.map(Spanned::into_inner),
        probe,
        profiles: toml.profiles.into_iter().map(Spanned::into_inner).collect(),
        cite: draft.sources.cite(place),
        name,
    };
    draft.settings.mounts.mounts.push(mount);
}

/// What of a template is the same for everybody: the folder above the first name.
fn common_part(source: &str) -> Option<String> {
    let Some((before, _)) = source.split_once('{') else { return Some(source.to_owned()) };
    let (folder, _) = before.rsplit_once('/')?;
    (!folder.is_empty()).then(|| folder.to_owned())
}

/// A path with names in it: absolute, and without `..`.
fn path(draft: &mut Draft, file: File, text: &Spanned<String>, each: bool) {
    let place = file.at(text);
    names(draft, &place, text.get_ref(), each, true);
    // HOME is an absolute path itself.
    let path = match text.get_ref().strip_prefix(HOME) {
        Some(rest) => format!("/home{rest}"),
        None => text.get_ref().clone(),
    };
    if !is_plain(&path) {
        draft.sources.bad_value(&place, "a path must begin with / and have no .. in it".into());
    }
}

fn is_plain(path: &str) -> bool {
    use std::path::{Component, Path};
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    path.starts_with('/')
        && path != "/"
        && !path.chars().any(char::is_control)
        && Path::new(path).components().all(plain)
}

/// The names in braces: known ones, and `{group}` where there is one for each group.
fn names(draft: &mut Draft, place: &Place, text: &str, each: bool, needs_group: bool) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else {
            return draft.sources.bad_value(place, "a { without its }".into());
        };
        if !NAMES.contains(&name) {
            let known = NAMES.map(|name| format!("{{{name}}}")).join(", ");
            let message = format!("{{{name}}} stands for nothing; there are {known}");
            draft.sources.bad_value(place, message);
        }
        rest = behind;
    }
    match (each, text.contains("{group}")) {
        (true, false) if needs_group => {
            let message = "with for_each = \"group\" it must hold {group}, or all groups share one";
            draft.sources.bad_value(place, message.into());
        }
        (false, true) => {
            let message = "{group} needs for_each = \"group\"; for the main one write {main_group}";
            draft.sources.bad_value(place, message.into());
        }
        _ => {}
    }
}

fn variables(
    draft: &mut Draft,
    file: File,
    name: &Spanned<String>,
    value: &Spanned<String>,
    each: bool,
) {
    names(draft, &file.at(value), value.get_ref(), each, false);
    variable(draft, file, name);
}

/// The name of something in the environment that Berth does not set itself.
pub(super) fn variable(draft: &mut Draft, file: File, name: &Spanned<String>) {
    let text = name.get_ref();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let place = file.at(name);
    if text.is_empty() || !text.chars().all(plain) || text.starts_with(|c: char| c.is_ascii_digit())
    {
        let message = format!("\"{text}\" is no name of a variable: letters, digits and _");
        draft.sources.bad_value(&place, message);
    } else if RESERVED.contains(&text.as_str()) || text.starts_with("JUPYTERHUB_") {
        draft.sources.bad_value(&place, format!("{text} is set by Berth itself; choose another"));
    }
}

/// A name in the file browser: relative, and not the link to HOME.
fn shown_name(draft: &mut Draft, file: File, shown: &Spanned<String>, each: bool) {
    let place = file.at(shown);
    let text = shown.get_ref();
    names(draft, &place, text, each, true);
    if !is_plain(&format!("/{text}")) || text.starts_with('/') || text == "home" {
        let message = "a name, or names with / between: not absolute, without .., and not \"home\"";
        draft.sources.bad_value(&place, message.into());
    }
}
