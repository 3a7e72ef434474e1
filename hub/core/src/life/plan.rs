//! The stop that a server is heading for.

use berth_common::{Reason, Seconds, Timestamp};

use super::schedule::{Schedule, schedule};
use super::{Evidence, Life};
use crate::fleet::{Placement, Server};
use crate::settings::{GpuAction, GpuRule, IfBusy, Lifecycle, Settings};

/// What the files say about one server.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Without activity for this long it stops.
    pub idle: Option<Seconds>,
    /// It becomes at most this old.
    pub age: Option<Seconds>,
    /// The rule about its GPUs, if it has any.
    pub gpu: Option<&'a GpuRule>,
}

/// A stop that is coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Why.
    pub reason: Reason,
    /// The limit that is running out.
    pub limit: Seconds,
    /// When it would come by itself.
    pub natural: Timestamp,
    /// The same, but not before what the owner was promised.
    pub target: Timestamp,
    /// When it comes, and the next warning.
    pub schedule: Schedule,
}

/// What the files say about a server now.
pub fn limits<'a>(settings: &'a Settings, server: &Server) -> Limits<'a> {
    let rules = &settings.lifecycle;
    let profile = server.ask.profile.as_str();
    let pool = settings.profiles.get(profile).map_or("", |profile| profile.pool.as_str());
    let groups = server.groups();
    let owner = Some((&server.owner, groups.as_slice()));
    let has_gpus = server.placement().is_some_and(|placement| !placement.gpus.is_empty());
    Limits {
        idle: rules.idle_rule(pool, profile, owner).and_then(|rule| rule.stop_after),
        age: rules.max_age.of(profile),
        gpu: rules.gpu_rule(pool, profile, owner).filter(|_| has_gpus),
    }
}

/// The stop that comes next, if any.
pub fn plan(
    settings: &Settings,
    server: &Server,
    placement: &Placement,
    now: Timestamp,
) -> Option<Plan> {
    // A rehearsal ends its servers itself.
    if server.is_rehearsal() {
        return None;
    }
    let rules = &settings.lifecycle;
    let life = &placement.life;
    let gpu = limits(settings, server).gpu.and_then(|rule| gpu_stop(rule, life, now));
    let over = training_stop(settings, server);
    let natural = [idle_stop(rules, life), age_stop(placement), gpu, over].into_iter().flatten();
    let (natural, reason, limit) = natural.min_by_key(|(at, ..)| *at)?;
    let target = life.kept_until.map_or(natural, |kept| natural.max(kept));
    let schedule = schedule(target, limit, life.told_of(target), &rules.warn, now);
    Some(Plan { reason, limit, natural, target, schedule })
}

type Natural = (Timestamp, Reason, Seconds);

fn idle_stop(rules: &Lifecycle, life: &Life) -> Option<Natural> {
    let clock = life.idle?;
    let from = last_sign(rules, life).map_or(clock.since, |(_, at)| at.max(clock.since));
    Some((from.plus(clock.limit), Reason::StoppedIdle, clock.limit))
}

fn age_stop(placement: &Placement) -> Option<Natural> {
    let clock = placement.life.age?;
    Some((clock.since.plus(clock.limit), Reason::StoppedAge, clock.limit))
}

/// A training's servers go on for a while after its last hour.
fn training_stop(settings: &Settings, server: &Server) -> Option<Natural> {
    let profile = settings.profiles.get(&server.ask.profile)?;
    let training = settings.trainings.get(profile.training.as_deref()?)?;
    let after = training.stop_after;
    Some((training.ends()?.plus(after), Reason::StoppedTraining, after))
}

/// The end of the time in which an owner may answer the question about a GPU. A kernel that is
/// busy, or of which nobody has said whether it is, is not stopped unless the site says so.
fn gpu_stop(rule: &GpuRule, life: &Life, now: Timestamp) -> Option<Natural> {
    let limit = rule.then_stop_after.filter(|_| rule.action == GpuAction::OfferCpu)?;
    let asked = life.gpu.asked?;
    let rests = life.kernel_busy == Some(false) || rule.if_kernel_busy == IfBusy::Stop;
    let unused = unused_since(life).is_some_and(|since| since.plus(rule.after) <= now);
    (rests && unused).then(|| (asked.at.plus(limit), Reason::StoppedGpuUnused, limit))
}

/// Since when its GPUs are known to be unused.
pub fn unused_since(life: &Life) -> Option<Timestamp> {
    let used = life.signs.get(&Evidence::Gpu).copied();
    life.gpu.since.map(|since| used.map_or(since, |used| used.max(since)))
}

/// The newest sign that counts.
pub fn last_sign(rules: &Lifecycle, life: &Life) -> Option<(Evidence, Timestamp)> {
    let signs = life.signs.iter().filter(|(kind, _)| rules.activity.counts(**kind));
    signs.map(|(kind, at)| (*kind, *at)).max_by_key(|(_, at)| *at)
}
