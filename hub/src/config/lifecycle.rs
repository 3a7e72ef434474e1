//! `lifecycle.toml`: how long servers live, and how their owners are told of the end.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{ByteCount, Seconds, Username};
use berth_core::drain::single::AtDeadline;
use berth_core::settings::{ByProfile, Cite, GpuAction, GpuRule, IdleRule, IfBusy, Rescue, Whose};
use serde::Deserialize;
use toml::Spanned;

use super::draft::{Draft, Once};
use super::sources::{File, Place, Version};
use super::value::{Thousandths, Written};

mod activity;
mod warn;

/// Where nobody has said otherwise: without activity for this long a server stops, "to get it back
/// on Monday"; one that holds a GPU earlier.
const IDLE: Seconds = Seconds(3 * 86_400);
const IDLE_WITH_GPU: Seconds = Seconds(86_400);
/// Shorter limits are slips: nobody could be warned.
const SHORTEST: Seconds = Seconds(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LifecycleToml {
    #[serde(rename = "version")]
    _version: Version,
    extend: Option<Spanned<ExtendToml>>,
    max_age: Option<Spanned<BTreeMap<Spanned<String>, Spanned<Written>>>>,
    drain: Option<Spanned<DrainToml>>,
    #[serde(default)]
    idle: Vec<Spanned<IdleToml>>,
    #[serde(default)]
    gpu_unused: Vec<Spanned<GpuToml>>,
    memory: Option<Spanned<MemoryToml>>,
    activity: Option<Spanned<activity::ActivityToml>>,
    warn: Option<Spanned<warn::WarnToml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtendToml {
    step: Option<Spanned<Written>>,
    max_times: Option<BTreeMap<Spanned<String>, u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainToml {
    leads: Option<Vec<Spanned<Written>>>,
    at_deadline: Option<AtDeadline>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdleToml {
    pool: Option<Spanned<String>>,
    profile: Option<Spanned<String>>,
    #[serde(default)]
    users: BTreeSet<Username>,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    except_users: BTreeSet<Username>,
    stop_after: Spanned<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuToml {
    pool: Option<Spanned<String>>,
    profile: Option<Spanned<String>>,
    #[serde(default)]
    users: BTreeSet<Username>,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default)]
    except_users: BTreeSet<Username>,
    after: Spanned<Written>,
    action: Spanned<GpuAction>,
    then_stop_after: Option<Spanned<Written>>,
    if_kernel_busy: Option<IfBusy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryToml {
    live_resize: Option<bool>,
    warn_at: Option<Spanned<Thousandths>>,
    oom_report: Option<bool>,
    rescue: Option<RescueToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RescueToml {
    at: Spanned<Thousandths>,
    lend: Spanned<Written>,
    during: Spanned<Written>,
    only_if_host_free: Option<Spanned<Written>>,
}

/// What only one file may say.
#[derive(Default)]
struct Said {
    extend: Once,
    max_age: Once,
    drain: Once,
    memory: Once,
    activity: Once,
    warn: Once,
}

/// Reads all of it, and gives every profile its idle limit.
pub fn take(draft: &mut Draft) {
    let mut said = Said::default();
    let mut leads = Vec::new();
    for (file, toml) in draft.sources.all::<LifecycleToml>("lifecycle") {
        let first = |once: &mut Once, draft: &mut Draft, place: Place, key: &str| {
            once.is_first(&mut draft.sources, &place, key)
        };
        if let Some(toml) = toml.extend
            && first(&mut said.extend, draft, file.at(&toml), "extend")
        {
            take_extend(draft, file, &toml);
        }
        if let Some(toml) = toml.max_age
            && first(&mut said.max_age, draft, file.at(&toml), "max_age")
        {
            take_max_age(draft, file, toml.get_ref());
        }
        if let Some(toml) = toml.drain
            && first(&mut said.drain, draft, file.at(&toml), "drain")
        {
            take_drain(draft, file, toml.get_ref());
        }
        if let Some(toml) = toml.memory
            && first(&mut said.memory, draft, file.at(&toml), "memory")
        {
            take_memory(draft, file, toml.get_ref());
        }
        if let Some(toml) = toml.activity
            && first(&mut said.activity, draft, file.at(&toml), "activity")
        {
            activity::take(draft, file, toml.get_ref());
        }
        if let Some(toml) = toml.warn
            && first(&mut said.warn, draft, file.at(&toml), "warn")
        {
            leads = warn::take(draft, file, toml.get_ref());
        }
        for entry in toml.idle {
            take_idle(draft, file, entry);
        }
        for entry in toml.gpu_unused {
            take_gpu(draft, file, entry);
        }
    }
    if draft.settings.lifecycle.idle.is_empty() {
        draft.settings.lifecycle.idle = usual(draft);
    }
    fill_in(draft);
    warn::of_leads(draft, &leads);
}

/// The rules of a site that has written none.
fn usual(draft: &Draft) -> Vec<IdleRule> {
    let rule = |profile: Option<&String>, limit| IdleRule {
        whose: Whose { profile: profile.cloned(), ..Whose::default() },
        stop_after: Some(limit),
        cite: Cite::default(),
    };
    let with_gpus = draft.settings.profiles.iter().filter(|(_, profile)| profile.gpus.is_some());
    let mut rules: Vec<_> = with_gpus.map(|(name, _)| rule(Some(name), IDLE_WITH_GPU)).collect();
    rules.push(rule(None, IDLE));
    rules
}

/// What a profile's servers have when nothing is known of their owner: placement plans with it.
fn fill_in(draft: &mut Draft) {
    let lifecycle = &draft.settings.lifecycle;
    let mut without = Vec::new();
    for (name, profile) in &mut draft.settings.profiles {
        let rule = lifecycle.idle_rule(&profile.pool, name, None);
        profile.idle_limit = rule.and_then(|rule| rule.stop_after);
        if rule.is_none() {
            without.push((name.clone(), profile.cite.clone()));
        }
    }
    for (name, cite) in without {
        if let Some(place) = draft.sources.cited(&cite) {
            let message = format!(
                "no idle rule in lifecycle.toml is for everybody's servers of profile \"{name}\": \
                 they may live for ever"
            );
            draft.sources.warn(&place, "config.warning.idle", message);
        }
    }
}

fn take_extend(draft: &mut Draft, file: File, toml: &Spanned<ExtendToml>) {
    let ExtendToml { step, max_times } = toml.get_ref();
    if let Some(step) = step
        && let Some(step) = limit(draft, file, step)
    {
        draft.settings.lifecycle.extend.step = step;
    }
    if let Some(times) = max_times {
        let times = times.iter().map(|(name, times)| (name, *times));
        draft.settings.lifecycle.extend.max_times = by_profile(draft, file, times, 3);
    }
}

fn take_max_age(draft: &mut Draft, file: File, toml: &BTreeMap<Spanned<String>, Spanned<Written>>) {
    let ages: Vec<_> =
        toml.iter().map(|(name, text)| (name, limit_or_none(draft, file, text))).collect();
    draft.settings.lifecycle.max_age = by_profile(draft, file, ages.into_iter(), None);
}

/// Values under names of profiles, with `default` for the others.
fn by_profile<'a, T: Copy>(
    draft: &mut Draft,
    file: File,
    values: impl Iterator<Item = (&'a Spanned<String>, T)>,
    default: T,
) -> ByProfile<T> {
    let mut all = ByProfile { default, profiles: BTreeMap::new() };
    for (name, value) in values {
        if name.get_ref() == "default" {
            all.default = value;
        } else {
            draft.sources.expect_name("profile", name.get_ref(), file.at(name));
            all.profiles.insert(name.get_ref().clone(), value);
        }
    }
    all
}

fn take_drain(draft: &mut Draft, file: File, toml: &DrainToml) {
    if let Some(leads) = &toml.leads {
        // People are told at once anyway; the word says it for the reader.
        let spans = leads.iter().filter(|lead| lead.get_ref().0 != "now");
        let spans: Vec<_> = spans.filter_map(|lead| draft.sources.duration(file, lead)).collect();
        draft.settings.lifecycle.drain.leads = longest_first(spans);
    }
    if let Some(at_deadline) = toml.at_deadline {
        draft.settings.lifecycle.drain.at_deadline = at_deadline;
    }
}

fn take_idle(draft: &mut Draft, file: File, entry: Spanned<IdleToml>) {
    let cite = draft.sources.cite(&file.at(&entry));
    let toml = entry.into_inner();
    let people = (toml.users, toml.groups, toml.except_users);
    let whose = whose(draft, file, toml.pool.as_ref(), toml.profile.as_ref(), people);
    let stop_after = limit_or_none(draft, file, &toml.stop_after);
    draft.settings.lifecycle.idle.push(IdleRule { whose, stop_after, cite });
}

fn take_gpu(draft: &mut Draft, file: File, entry: Spanned<GpuToml>) {
    let cite = draft.sources.cite(&file.at(&entry));
    let toml = entry.into_inner();
    let people = (toml.users, toml.groups, toml.except_users);
    let whose = whose(draft, file, toml.pool.as_ref(), toml.profile.as_ref(), people);
    let after = limit(draft, file, &toml.after);
    let then_stop_after = toml.then_stop_after.as_ref().and_then(|text| limit(draft, file, text));
    let action = *toml.action.get_ref();
    if let (GpuAction::Report, Some(text)) = (action, &toml.then_stop_after) {
        let message = "action = \"report\" stops nothing: leave then_stop_after out, or write \
                       action = \"offer-cpu\"";
        draft.sources.bad_value(&file.at(text), message.to_owned());
    }
    let Some(after) = after else { return };
    let if_kernel_busy = toml.if_kernel_busy.unwrap_or(IfBusy::Report);
    let rule = GpuRule { whose, after, action, then_stop_after, if_kernel_busy, cite };
    draft.settings.lifecycle.gpu_unused.push(rule);
}

type Names = (BTreeSet<Username>, BTreeSet<String>, BTreeSet<Username>);

fn whose(
    draft: &mut Draft,
    file: File,
    pool: Option<&Spanned<String>>,
    profile: Option<&Spanned<String>>,
    (users, groups, except_users): Names,
) -> Whose {
    if let Some(pool) = pool {
        draft.sources.expect_name("pool", pool.get_ref(), file.at(pool));
    }
    let profile = profile.filter(|profile| profile.get_ref() != "*");
    if let Some(profile) = profile {
        draft.sources.expect_name("profile", profile.get_ref(), file.at(profile));
    }
    let nobody = users.is_empty() && groups.is_empty() && except_users.is_empty();
    // Who is left out is left out of everybody.
    let groups =
        if users.is_empty() && groups.is_empty() { ["*".to_owned()].into() } else { groups };
    let people = berth_core::settings::People { users, groups, except_users };
    Whose {
        pool: pool.map(|pool| pool.get_ref().clone()),
        profile: profile.map(|profile| profile.get_ref().clone()),
        people: (!nobody).then_some(people),
    }
}

fn take_memory(draft: &mut Draft, file: File, toml: &MemoryToml) {
    let warn_at = toml.warn_at.as_ref().and_then(|part| part_of_limit(draft, file, part));
    let rescue = toml.rescue.as_ref().and_then(|rescue| take_rescue(draft, file, rescue));
    let memory = &mut draft.settings.lifecycle.memory;
    memory.live_resize = toml.live_resize.unwrap_or(memory.live_resize);
    memory.warn_at_milli = warn_at.unwrap_or(memory.warn_at_milli);
    memory.oom_report = toml.oom_report.unwrap_or(memory.oom_report);
    memory.rescue = rescue;
}

fn take_rescue(draft: &mut Draft, file: File, toml: &RescueToml) -> Option<Rescue> {
    let at = part_of_limit(draft, file, &toml.at);
    let lend = draft.sources.bytes(file, &toml.lend);
    let during = limit(draft, file, &toml.during);
    let only_if_host_free = match &toml.only_if_host_free {
        Some(text) => draft.sources.bytes(file, text)?,
        None => ByteCount::ZERO,
    };
    Some(Rescue { at_milli: at?, lend: lend?, during: during?, only_if_host_free })
}

fn part_of_limit(draft: &mut Draft, file: File, part: &Spanned<Thousandths>) -> Option<u32> {
    let milli = part.get_ref().0;
    if (1..=1000).contains(&milli) {
        return Some(milli);
    }
    let message = "a part of the limit, above 0 and at most 1, e.g. 0.95".to_owned();
    draft.sources.bad_value(&file.at(part), message);
    None
}

fn longest_first(mut spans: Vec<Seconds>) -> Vec<Seconds> {
    spans.sort_unstable_by(|a, b| b.cmp(a));
    spans.dedup();
    spans
}

/// A span that a person can live with.
fn limit(draft: &mut Draft, file: File, text: &Spanned<Written>) -> Option<Seconds> {
    let span = draft.sources.duration(file, text)?;
    if span < SHORTEST {
        draft.sources.bad_value(&file.at(text), format!("at least {SHORTEST} is needed"));
        return None;
    }
    Some(span)
}

/// The same, or the word for no limit.
fn limit_or_none(draft: &mut Draft, file: File, text: &Spanned<Written>) -> Option<Seconds> {
    if text.get_ref().0 == "none" { None } else { limit(draft, file, text) }
}
