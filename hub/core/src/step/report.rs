//! A heartbeat: what a host says is compared with what should be. The only place where a server
//! becomes ready, is found ended, or is released.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_common::link::{GpuUse, HostFacts, Kill, Observed, ObservedState, Report};
use berth_common::{
    ByteCount, GpuId, GpuPart, HostId, Reason, Resources, Revision, ServerId, Timestamp,
};

use crate::event::{Effect, Row};
use crate::fleet::restored::limit_of;
use crate::fleet::{Ask, End, Fleet, Heard, Host, Phase, Placement, Server};
use crate::life::{Evidence, Use};
use crate::memory::Peaks;
use crate::reconcile::leftovers;
use crate::settings::Terminal;
use crate::step::stop::order_stop;
use crate::step::{loan, release, resize, restored, save_and_show};

/// Takes a heartbeat in.
pub fn reported(
    fleet: &mut Fleet,
    now: Timestamp,
    host: &HostId,
    session: u64,
    report: Report,
    out: &mut Vec<Effect>,
) {
    if !is_current(fleet, now, host, session, &report, out) {
        return;
    }
    if is_other_boot(fleet, host, &report) {
        end_former_boot(fleet, now, host, &report, out);
    }
    let before = leftovers_on(fleet, host);
    let engine_knows = report.engine.is_ok();
    let applied = report.applied;
    let fetching = fetching_on(fleet, host);
    hear(fleet, now, host, report);
    // Who waits for an image should see that at once, and when it is there.
    let fetches = fetching_on(fleet, host);
    out.extend(fetching.symmetric_difference(&fetches).cloned().map(Effect::Changed));
    if engine_knows {
        observe(fleet, now, host, out);
        settle_absent(fleet, now, host, applied, out);
        restored::settle(fleet, host, out);
        note_use(fleet, now, host, out);
        loan::look(fleet, now, host, out);
    }
    if leftovers_on(fleet, host) != before {
        fleet.bump(host);
    }
    // Always answered: the answer is also the host's proof that the hub lives.
    out.push(Effect::Tell(host.clone()));
}

/// Whether the report comes over the host's newest session, and was not overtaken there by a later
/// one of the same process: what that one no longer shows must not come back. An older session that
/// still speaks with another agent's voice means that two machines share a name (rule H6).
fn is_current(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &HostId,
    session: u64,
    report: &Report,
    out: &mut Vec<Effect>,
) -> bool {
    let host = fleet.hosts.entry(id.clone()).or_insert_with(|| Arc::new(Host::new(id.clone())));
    if session >= host.session {
        if session > host.session {
            Arc::make_mut(host).session = session;
        }
        let overtaken = host.heard.as_ref().is_some_and(|heard| {
            heard.incarnation == report.incarnation && report.applied < heard.applied
        });
        return !overtaken;
    }
    // A dead agent's last words may arrive behind its successor's first; they are older.
    let other = host
        .heard
        .as_ref()
        .is_some_and(|heard| heard.incarnation != report.incarnation && report.sent > heard.sent);
    if other {
        if host.doubled_at.is_none() {
            out.push(Effect::Alarm(format!(
                "two agents report as host {id}: it takes no new servers"
            )));
        }
        Arc::make_mut(host).doubled_at = Some(now);
    }
    false
}

fn is_other_boot(fleet: &Fleet, host: &HostId, report: &Report) -> bool {
    fleet.hosts.get(host).is_some_and(|host| host.boot_id.as_ref() != Some(&report.boot_id))
}

/// Another boot proves that nothing of the former runs: containers are never restarted by the
/// engine. Servers that had begun to run there have ended; those not yet begun go on.
fn end_former_boot(
    fleet: &mut Fleet,
    now: Timestamp,
    id: &HostId,
    report: &Report,
    out: &mut Vec<Effect>,
) {
    let Some(host) = fleet.hosts.get_mut(id) else { return };
    let first_contact = host.boot_id.is_none();
    Arc::make_mut(host).boot_id = Some(report.boot_id.clone());
    out.push(Effect::Save(Row::Host(Arc::clone(host))));
    // A hub that was restored remembers a boot of before: what it knows may have begun in this one,
    // and the host tells by itself what is there.
    if first_contact || restored::is_open(fleet, id) {
        return;
    }
    let begun: Vec<ServerId> = fleet
        .placed_on(id)
        .filter(|(_, placement)| placement.ready_at.is_some() || placement.stop.is_some())
        .map(|(server, _)| server.id.clone())
        .collect();
    for server in begun {
        let end = End {
            reason: Reason::StoppedHostRestarted,
            detail: format!("{id} was restarted."),
            at: now,
        };
        order_stop(fleet, &server, end, out);
        release(fleet, now, &server, out);
    }
}

fn leftovers_on(fleet: &Fleet, host: &HostId) -> Vec<(ServerId, berth_common::Generation)> {
    fleet.hosts.get(host).map(|host| leftovers(fleet, host)).unwrap_or_default()
}

/// The servers whose image the host is fetching.
fn fetching_on(fleet: &Fleet, host: &HostId) -> BTreeSet<ServerId> {
    let pending = fleet.hosts.get(host).and_then(|host| host.heard.as_ref());
    let pending = pending.into_iter().flat_map(|heard| &heard.pending);
    pending.filter(|it| it.operation == "fetch").map(|it| it.server.clone()).collect()
}

/// Notes the report. While the engine is in trouble the last known containers stay: unknown is
/// not absent.
fn hear(fleet: &mut Fleet, now: Timestamp, id: &HostId, report: Report) {
    let Some(host) = fleet.hosts.get(id) else { return };
    let none = HostFacts::default();
    let told = host.heard.as_ref().map_or(&none, |heard| &heard.facts);
    if told.builds != report.facts.builds || told.offered != report.facts.offered {
        Arc::make_mut(&mut fleet.builds).change(told, &report.facts);
    }
    let images = fleet.builds.present(&fleet.settings, &report.facts);
    let Some(host) = fleet.hosts.get_mut(id) else { return };
    let host = Arc::make_mut(host);
    let before = host.heard.take();
    let images = match &before {
        Some(heard) if *heard.images == images => Arc::clone(&heard.images),
        _ => Arc::new(images),
    };
    // A clone of a list is a pointer, and the same pointer is the same list.
    let gpus = match &before {
        Some(heard) if *heard.gpus == report.gpus => Arc::clone(&heard.gpus),
        _ => Arc::new(report.gpus),
    };
    let known = || before.as_ref().map(|heard| heard.observed.clone());
    let (observed, engine_trouble) = match report.engine {
        Ok(seen) => (seen.into_iter().map(|o| (o.server.clone(), o)).collect(), None),
        Err(trouble) => (known().unwrap_or_default(), Some(trouble)),
    };
    let heard = Heard {
        at: now,
        sent: report.sent,
        incarnation: report.incarnation,
        applied: report.applied,
        observed,
        pending: report.pending,
        engine_trouble,
        capacity: report.capacity,
        gpus,
        spaces: report.spaces,
        images,
        facts: report.facts,
    };
    host.heard = Some(Arc::new(heard));
    fleet.heard(id);
    note_peaks(fleet, now, id);
}

/// Notes what each server there uses.
fn note_peaks(fleet: &mut Fleet, now: Timestamp, id: &HostId) {
    let heard = fleet.hosts.get(id).and_then(|host| host.heard.clone());
    for seen in heard.iter().flat_map(|heard| heard.observed.values()) {
        let Some(server) = fleet.servers.get(&seen.server) else { continue };
        if server.generation != seen.generation {
            continue;
        }
        let mut peaks = server.peaks.clone();
        if let Some(peaks) = &mut peaks {
            peaks.record(now, seen.memory_used);
            peaks.record_peak(now, seen.usage.memory_lately);
        }
        let due = server.placement().is_some_and(|placement| placement.used.is_due(now));
        // Most reports of an idle server change nothing: no copy for those.
        if (server.peaks != peaks || due)
            && let Some(server) = fleet.server_mut(&seen.server)
        {
            server.peaks = peaks;
            if let Some(placement) = server.placement_mut().filter(|_| due) {
                let gpus = heard.as_ref().map_or(&[][..], |heard| &heard.facts.gpus.used);
                let at_work = gpus_at_work(gpus, &placement.gpus, &seen.server);
                placement.used.add(seen.memory_used, at_work, now);
            }
        }
    }
}

/// Takes in what each server there used: a silent computation is not idle.
fn note_use(fleet: &mut Fleet, now: Timestamp, id: &HostId, out: &mut Vec<Effect>) {
    let Some(heard) = fleet.hosts.get(id).and_then(|host| host.heard.clone()) else { return };
    let terminals = fleet.settings.lifecycle.activity.terminal;
    for seen in heard.observed.values().filter(|seen| seen.state == ObservedState::Ready) {
        let held = seen.origin.gpus.iter().map(|part| &part.gpu);
        let busiest = held.filter_map(|gpu| busy(&heard.facts.gpus.used, gpu)).max();
        let used = Use {
            // No time at all is no measurement: a container that answers has used some.
            cpu_milli: (seen.usage.cpu_us > 0).then_some(seen.usage.cpu_milli),
            gpu_percent: busiest,
            network_bytes_s: seen.usage.network_bytes_s,
            kernel_busy: seen.usage.kernels.map(|kernels| kernels.busy > 0),
            terminal_works: seen.usage.terminals.map(|found| match terminals {
                Terminal::Any => found.open > 0,
                Terminal::Working | Terminal::Ignore => found.working > 0,
            }),
        };
        note_kernel(fleet, now, seen, out);
        if used != Use::default() {
            super::life::measured(fleet, now, &seen.server, seen.generation, used, out);
        }
    }
}

/// Takes in when a kernel last said something: a cell of ten hours that ends now was idle for no
/// time.
fn note_kernel(fleet: &mut Fleet, now: Timestamp, seen: &Observed, out: &mut Vec<Effect>) {
    /// The way from host to hub takes now longer and now shorter; that is no news.
    const NEWS_MS: u64 = 1_000;
    let Some(quiet_ms) = seen.usage.kernels.and_then(|kernels| kernels.quiet_ms) else { return };
    let quiet_us = i64::try_from(quiet_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
    let at = Timestamp(now.0.saturating_sub(quiet_us));
    let server = fleet.servers.get(&seen.server);
    let server = server.filter(|server| server.generation == seen.generation);
    let Some(placement) = server.and_then(|server| server.placement()) else { return };
    // What it said before this start of the server is somebody else's word.
    let known = placement.life.signs.get(&Evidence::Kernel).copied().or(placement.ready_at);
    if known.is_some_and(|known| at.millis_since(known) >= NEWS_MS) {
        super::life::sign(fleet, now, &seen.server, Evidence::Kernel, at, out);
    }
}

/// How much of its GPUs a server has at work, in thousandths of one. What is not told counts as
/// nothing, and a board that several share as the part of whoever has a process on it.
fn gpus_at_work(used: &[GpuUse], held: &[GpuPart], server: &ServerId) -> u64 {
    const WHOLE: u32 = 1000;
    let at_work = |part: &GpuPart| {
        let seen = used.iter().find(|used| used.gpu == part.gpu)?;
        let is_there = seen.processes.iter().any(|it| it.server.as_ref() == Some(server));
        let busy = busy(used, &part.gpu).filter(|_| part.milli >= WHOLE || is_there)?;
        Some(u64::from(part.milli) * u64::from(busy.min(100)) / 100)
    };
    held.iter().filter_map(at_work).sum()
}

/// How busy a GPU is, in per cent. Without a process the driver's number is noise.
fn busy(used: &[GpuUse], gpu: &GpuId) -> Option<u32> {
    let used = used.iter().find(|used| used.gpu == *gpu)?;
    if used.processes.is_empty() { used.busy.map(|_| 0) } else { used.busy }
}

/// Goes through the containers that the host shows.
fn observe(fleet: &mut Fleet, now: Timestamp, host: &HostId, out: &mut Vec<Effect>) {
    let heard = fleet.hosts.get(host).and_then(|host| host.heard.clone());
    let Some(heard) = heard else { return };
    for seen in heard.observed.values() {
        let Some(server) = fleet.servers.get(&seen.server) else {
            if runs(&seen.state) {
                restored::give_up_name(fleet, host, seen, out);
            }
            adopt(fleet, now, host, seen, out);
            continue;
        };
        if seen.generation > server.generation {
            readopt(fleet, now, host, seen, out);
            continue;
        }
        let here = server.placement().is_some_and(|placement| placement.host == *host);
        if here && seen.generation == server.generation {
            restored::correct(fleet, host, seen, out);
            note_kills(fleet, seen, out);
            resize::follow(fleet, now, host, heard.applied, seen, out);
            follow(fleet, now, seen, out);
        }
    }
}

/// Kills of one start that are kept: the newest say what matters.
const KILLS_KEPT: usize = 5;

/// Notes processes that were killed for want of memory, once each: the kernel counts them.
fn note_kills(fleet: &mut Fleet, seen: &Observed, out: &mut Vec<Effect>) {
    let Some(server) = fleet.servers.get(&seen.server) else { return };
    let heard = server.kills.last().map_or(0, |kill| kill.number);
    let new: Vec<Kill> = seen.kills.iter().filter(|kill| kill.number > heard).cloned().collect();
    if new.is_empty() {
        return;
    }
    for kill in &new {
        let (owner, said) = (&server.owner, kill.sentence());
        out.push(Effect::Alarm(format!("out of memory, server {} of {owner}: {said}", server.id)));
    }
    let Some(server) = fleet.server_mut(&seen.server) else { return };
    server.kills.extend(new);
    let surplus = server.kills.len().saturating_sub(KILLS_KEPT);
    server.kills.drain(..surplus);
    save_and_show(fleet, &seen.server, out);
}

/// Brings a server in line with its container.
fn follow(fleet: &mut Fleet, now: Timestamp, seen: &Observed, out: &mut Vec<Effect>) {
    match &seen.state {
        ObservedState::Exited(ending) | ObservedState::Failed(ending) => {
            let was_ready = fleet
                .servers
                .get(&seen.server)
                .and_then(|server| server.placement())
                .is_some_and(|placement| placement.ready_at.is_some());
            // Ending while it should start is a failed start, whatever the exit code says.
            let reason = match ending.reason {
                Reason::StoppedCrash if !was_ready => Reason::FailedExited,
                reason => reason,
            };
            let end = End { reason, detail: ending.detail.clone(), at: now };
            return order_stop(fleet, &seen.server, end, out);
        }
        ObservedState::Created
        | ObservedState::Running
        | ObservedState::Ready
        | ObservedState::Stopping => {}
    }
    let Some(server) = fleet.servers.get_mut(&seen.server) else { return };
    let Some(placement) = server.placement() else { return };
    let becomes_ready = seen.state == ObservedState::Ready
        && placement.ready_at.is_none()
        && placement.stop.is_none();
    if !becomes_ready && placement.steps.len() >= seen.steps.len() {
        return;
    }
    let host = placement.host.clone();
    // The order changes from run to keep. Only a report that has applied that is later than this
    // answer: an older one, overtaken on its way, proves no end.
    let said = becomes_ready.then(|| fleet.bump(&host));
    let Some(server) = fleet.servers.get_mut(&seen.server) else { return };
    if let Some(placement) = Arc::make_mut(server).placement_mut() {
        placement.steps.clone_from(&seen.steps);
        if let Some(said) = said {
            placement.ready_at = Some(now);
            placement.said = said;
        }
    }
    if becomes_ready {
        fleet.look_at_life(&seen.server, now);
        out.push(Effect::RoutesChanged);
        save_and_show(fleet, &seen.server, out);
    } else {
        // Progress is for people who watch; a restart asks the host again.
        out.push(Effect::Changed(seen.server.clone()));
    }
}

/// Goes through the servers that should be on the host and are not in its report.
fn settle_absent(
    fleet: &mut Fleet,
    now: Timestamp,
    host: &HostId,
    applied: Revision,
    out: &mut Vec<Effect>,
) {
    let Some(record) = fleet.hosts.get(host).cloned() else { return };
    let Some(heard) = &record.heard else { return };
    let absent: Vec<ServerId> = fleet
        .placed_on(host)
        .filter(|(server, _)| {
            let same = heard
                .observed
                .get(&server.id)
                .is_some_and(|seen| seen.generation == server.generation);
            !same && !record.is_pending(&server.id)
        })
        .map(|(server, _)| server.id.clone())
        .collect();
    for id in absent {
        let Some(server) = fleet.servers.get(&id) else { continue };
        let Some(placement) = server.placement() else { continue };
        match &placement.stop {
            // H3: absent, nothing pending, and the host has taken over the set that said stop.
            Some(stop) if applied >= stop.said && applied.epoch == fleet.epoch => {
                release(fleet, now, &id, out)
            }
            Some(_) => {}
            // It had answered or was adopted, and is gone without a word: somebody removed it by
            // hand. It is not made anew, since its owner's kernels are lost.
            None if server.is_kept()
                && applied >= placement.said
                && applied.epoch == fleet.epoch =>
            {
                let detail = "Its container vanished from the host.".to_owned();
                order_stop(fleet, &id, End { reason: Reason::StoppedCrash, detail, at: now }, out);
            }
            None => {}
        }
    }
}

/// Takes in a container of a server that the store does not know: after the loss of the store, or
/// its restore from a backup, what runs goes on.
fn adopt(fleet: &mut Fleet, now: Timestamp, host: &HostId, seen: &Observed, out: &mut Vec<Effect>) {
    let name_taken = fleet.find(&seen.origin.user, &seen.origin.server_name).is_some();
    if name_taken || fleet.removed.contains(&seen.server) || !runs(&seen.state) {
        return;
    }
    out.push(Effect::Alarm(format!(
        "adopted server {} of {} on {host}, which the store did not know",
        seen.server, seen.origin.user
    )));
    let said = fleet.bump(host);
    let window = fleet.peak_window(host);
    fleet.insert(Server {
        id: seen.server.clone(),
        owner: seen.origin.user.clone(),
        name: seen.origin.server_name.clone(),
        generation: seen.generation,
        phase: Phase::Placed(placement(host, seen, now, said)),
        ask: Ask {
            profile: seen.origin.profile.clone(),
            memory: seen.origin.memory,
            gpus: u32::try_from(seen.origin.gpus.len()).unwrap_or(u32::MAX),
            gpu_milli: seen.origin.gpus.first().map_or(0, |part| part.milli),
            ..Ask::default()
        },
        user_options: "{}".into(),
        account: None,
        decision: None,
        created: now,
        last_activity: now,
        peaks: Some(Peaks::begin(now, window)),
        last_host: None,
        gpu_turn: None,
        last_end: None,
        last_start: None,
        kills: Vec::new(),
        activity_saved: Timestamp::default(),
    });
    follow(fleet, now, seen, out);
    save_and_show(fleet, &seen.server, out);
}

/// Takes in a later start than the store knows, if the server is idle or was placed here.
fn readopt(
    fleet: &mut Fleet,
    now: Timestamp,
    host: &HostId,
    seen: &Observed,
    out: &mut Vec<Effect>,
) {
    let Some(server) = fleet.servers.get(&seen.server) else { return };
    let elsewhere = server.placement().is_some_and(|placement| placement.host != *host);
    if elsewhere || !runs(&seen.state) {
        return;
    }
    out.push(Effect::Alarm(format!(
        "{host} runs start {} of server {}, the store knows {} only: adopted",
        seen.generation, seen.server, server.generation
    )));
    let outlived = fleet.ahead_of(server);
    let said = fleet.bump(host);
    for other in outlived.into_iter().filter(|other| other != host) {
        fleet.bump(&other);
        out.push(Effect::Tell(other));
    }
    let window = fleet.peak_window(host);
    let Some(server) = fleet.server_mut(&seen.server) else { return };
    server.peaks = Some(Peaks::begin(now, window));
    server.generation = seen.generation;
    server.account = None;
    fleet.set_phase(&seen.server, Phase::Placed(placement(host, seen, now, said)));
    follow(fleet, now, seen, out);
    save_and_show(fleet, &seen.server, out);
}

/// Whether there is something to adopt. What a late call has made is not: its agent removes it,
/// and a server that was forgotten meanwhile must not come back for that.
fn runs(state: &ObservedState) -> bool {
    matches!(state, ObservedState::Running | ObservedState::Ready)
}

fn placement(host: &HostId, seen: &Observed, now: Timestamp, said: Revision) -> Placement {
    let origin = &seen.origin;
    // Its limit may have been changed since it was made.
    let memory = limit_of(seen);
    Placement {
        host: host.clone(),
        reservation: Resources { memory, cpu_milli: 0 },
        gpus: origin.gpus.clone(),
        farm_ports: Vec::new(),
        expected: ByteCount::ZERO,
        expected_known: false,
        placed_at: now,
        said,
        image: None,
        ready_at: None,
        steps: Vec::new(),
        life: Box::default(),
        asked_to_leave: None,
        held_since: None,
        used: Default::default(),
        resize: None,
        loan: None,
        stop: None,
    }
}
