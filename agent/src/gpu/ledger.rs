//! What is known of each GPU over time, and what follows for its health. Pure: rounds, events and
//! the time come in, a [`Picture`] comes out.

use std::collections::BTreeMap;

use berth_common::{BootId, ByteCount, GpuId, Timestamp};
use berth_process::clock;

use super::memo::{Mark, Marked, Memo};
use super::owner::Owner;
use super::picture::{Gpu, Picture, User};
use super::reading::{Absence, Fault, Found, Process, Reading, Round};
use super::xid::{self, Class};

/// How long a *suspect* stays set aside by itself.
const SUSPECT_MS: u64 = 24 * 3600 * 1000;

/// Retired pages from which a GPU has failed (DCGM's limit; 64 is all there is room for).
const RETIRED_MAX: u32 = 63;

/// Heat, or a slowed clock, for longer than this is worth a warning.
const HOT_MS: u64 = 5 * 60 * 1000;

/// After the library was opened an idle K80 shows up to 100 % use: the driver scrubs its memory.
const SETTLING_MS: u64 = 30_000;

/// Memory without a visible process: so much is the driver's own, and so long may a process
/// take to disappear.
const LEFT_MIN: ByteCount = ByteCount(100 << 20);
const LEFT_ABOVE_BASE: ByteCount = ByteCount(64 << 20);
const LEFT_MS: u64 = 60_000;

/// More than this is never taken for what the driver itself needs.
const BASE_MAX: ByteCount = ByteCount(1 << 30);

/// The moment of something: two clocks, since spans must not jump and dates must be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Never jumps.
    pub steady: Timestamp,
    /// The date.
    pub date: Timestamp,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self { steady: clock::steady(), date: clock::now() }
    }
}

/// All GPUs of a host.
#[derive(Debug)]
pub struct Ledger {
    boot: BootId,
    driver: String,
    absence: Option<Absence>,
    /// When the library last answered anew after it had not.
    opened: Option<Timestamp>,
    /// GPUs that never told their names, in words.
    unnamed: Vec<String>,
    entries: BTreeMap<GpuId, Entry>,
    rounds: u64,
    looked: Timestamp,
}

#[derive(Debug)]
struct Entry {
    memo: Memo,
    /// The memo differs from what is on disk.
    dirty: bool,
    presence: Presence,
    found: Option<Found>,
    users: Vec<User>,
    /// Least memory seen in use while no process was there.
    base: Option<ByteCount>,
    left_since: Option<Timestamp>,
    hot_since: Option<Timestamp>,
    last_xid: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Presence {
    Unseen,
    Here,
    Gone(Fault),
    Vanished,
}

impl Ledger {
    /// What an agent knows when it begins: what an earlier one remembered.
    pub fn new(boot: BootId, memos: BTreeMap<GpuId, Memo>, now: Moment) -> Self {
        let entries = memos.into_iter().map(|(gpu, memo)| (gpu, Entry::new(memo)));
        Self {
            boot,
            driver: String::new(),
            absence: None,
            opened: None,
            unnamed: Vec::new(),
            entries: entries.collect(),
            rounds: 0,
            looked: now.steady,
        }
    }

    /// Takes what a round found. `owner` tells whose a process is.
    pub fn round(
        &mut self,
        answer: Result<Round, Absence>,
        owner: impl Fn(u32) -> Option<Owner>,
        now: Moment,
    ) {
        self.rounds = self.rounds.saturating_add(1);
        self.looked = now.steady;
        self.unnamed.clear();
        let round = match answer {
            Ok(round) => round,
            Err(absence) => {
                self.opened = None;
                self.absence = Some(absence);
                return;
            }
        };
        self.absence = None;
        self.opened.get_or_insert(now.steady);
        self.driver = round.driver;
        let mut named = Vec::new();
        for place in round.places {
            let Some(gpu) = place.gpu else {
                let why = place.found.err().unwrap_or(Fault::Lost);
                self.unnamed.push(format!("GPU number {} tells no name: {why}", place.index));
                continue;
            };
            named.push(gpu.clone());
            match place.found {
                Ok(found) => self.here(&gpu, found, &owner, now),
                Err(fault) => self.gone(&gpu, fault, now),
            }
        }
        for (gpu, entry) in &mut self.entries {
            if !named.contains(gpu) {
                entry.presence = Presence::Vanished;
                entry.users.clear();
            }
        }
    }

    fn here(
        &mut self,
        gpu: &GpuId,
        found: Found,
        owner: &impl Fn(u32) -> Option<Owner>,
        now: Moment,
    ) {
        let device = &found.device;
        let (model, memory) = (device.model.clone(), device.memory.total);
        let entry = self.entries.entry(gpu.clone()).or_insert_with(|| Entry {
            dirty: true,
            ..Entry::new(Memo { model: model.clone(), memory, mark: None })
        });
        if (&entry.memo.model, entry.memo.memory) != (&model, memory) {
            entry.memo = Memo { model, memory, mark: entry.memo.mark.take() };
            entry.dirty = true;
        }
        entry.presence = Presence::Here;
        entry.see(found, owner, now);
        if let Some(mark) = &entry.memo.mark {
            let is_over =
                mark.state == Marked::Suspect && now.date.millis_since(mark.since) >= SUSPECT_MS;
            // A reboot is the cure; what is still wrong marks it again.
            if is_over || mark.boot != self.boot {
                entry.memo.mark = None;
                entry.dirty = true;
            }
        }
    }

    fn gone(&mut self, gpu: &GpuId, fault: Fault, now: Moment) {
        let boot = self.boot.clone();
        let Some(entry) = self.entries.get_mut(gpu) else {
            self.unnamed.push(format!("{gpu}: {fault}"));
            return;
        };
        if fault == Fault::Lost {
            entry.mark(Marked::Failed, fault.to_string(), &boot, now);
        }
        entry.presence = Presence::Gone(fault);
        entry.users.clear();
    }

    /// Takes an XID error. Without a GPU's name nobody can be blamed: a round tells who is lost.
    pub fn xid(&mut self, gpu: Option<&GpuId>, xid: u64, now: Moment) {
        let boot = self.boot.clone();
        let Some(entry) = gpu.and_then(|gpu| self.entries.get_mut(gpu)) else { return };
        entry.last_xid = Some(xid);
        let state = match xid::class(xid) {
            Class::Application => return,
            Class::Suspect => Marked::Suspect,
            Class::Failed => Marked::Failed,
        };
        entry.mark(state, format!("XID {xid}: {}", xid::words(xid)), &boot, now);
    }

    /// The GPU at a place on the bus, as the kernel's log writes it.
    pub fn at(&self, bus: &str) -> Option<GpuId> {
        let is_there = |entry: &&Entry| {
            entry.found.as_ref().is_some_and(|found| xid::same_place(bus, &found.device.bus))
        };
        let all = self.entries.values().filter(is_there);
        all.filter_map(|entry| Some(entry.found.as_ref()?.device.gpu.clone())).next()
    }

    /// What is to be written down since the last call.
    pub fn unsaved(&mut self) -> Vec<(GpuId, Memo)> {
        let unsaved = self.entries.iter_mut().filter(|(_, entry)| entry.dirty);
        let taken = unsaved.map(|(gpu, entry)| {
            entry.dirty = false;
            (gpu.clone(), entry.memo.clone())
        });
        taken.collect()
    }

    /// It could not be written down: the next call tells it again. A file that is missing for
    /// that reason must not pass for one that an administrator has removed.
    pub fn still_unsaved(&mut self, gpu: &GpuId) {
        if let Some(entry) = self.entries.get_mut(gpu) {
            entry.dirty = true;
        }
    }

    /// GPUs that are set aside or away: an administrator may clear them.
    pub fn clearable(&self) -> Vec<GpuId> {
        let of = |entry: &Entry| {
            !entry.dirty && (entry.memo.mark.is_some() || entry.presence != Presence::Here)
        };
        self.entries.iter().filter(|(_, entry)| of(entry)).map(|(gpu, _)| gpu.clone()).collect()
    }

    /// An administrator has cleared a GPU: well until it proves otherwise, or forgotten.
    pub fn clear(&mut self, gpu: &GpuId) {
        let Some(entry) = self.entries.get_mut(gpu) else { return };
        if entry.presence == Presence::Here {
            entry.memo.mark = None;
            entry.dirty = true;
        } else {
            self.entries.remove(gpu);
        }
    }

    /// All that others may know.
    pub fn picture(&self) -> Picture {
        let settled =
            self.opened.is_some_and(|opened| self.looked.millis_since(opened) >= SETTLING_MS);
        let mut gpus = BTreeMap::new();
        for (gpu, entry) in &self.entries {
            entry.show(gpu, settled, self.looked, &mut gpus);
        }
        Picture {
            round: self.rounds,
            looked: self.looked,
            driver: self.driver.clone(),
            absence: self.absence.clone(),
            unnamed: self.unnamed.clone(),
            gpus,
        }
    }
}

impl Entry {
    fn new(memo: Memo) -> Self {
        Self {
            memo,
            dirty: false,
            presence: Presence::Unseen,
            found: None,
            users: Vec::new(),
            base: None,
            left_since: None,
            hot_since: None,
            last_xid: None,
        }
    }

    /// Marks it, unless it is marked worse already.
    fn mark(&mut self, state: Marked, why: String, boot: &BootId, now: Moment) {
        if self.memo.mark.as_ref().is_none_or(|mark| mark.state < state || mark.boot != *boot) {
            self.memo.mark = Some(Mark { state, why, since: now.date, boot: boot.clone() });
            self.dirty = true;
        }
    }

    fn see(&mut self, found: Found, owner: &impl Fn(u32) -> Option<Owner>, now: Moment) {
        let device = &found.device;
        let parts = found.instances.iter().flatten();
        let lists = std::iter::once(device).chain(parts);
        let processes = lists.flat_map(|part| part.processes.iter().map(|it| (&part.gpu, *it)));
        let known = std::mem::take(&mut self.users);
        self.users = processes
            .filter_map(|(gpu, process)| user(gpu, process, owner(process.pid)?, &known, now))
            .collect();

        let used = device.memory.used();
        let is_alone = self.users.is_empty() && found.instances.is_none();
        if is_alone {
            self.base = Some(self.base.map_or(used, |base| base.min(used)).min(BASE_MAX));
        }
        let most = LEFT_MIN.max(self.base.unwrap_or_default().plus(LEFT_ABOVE_BASE));
        let is_left = is_alone && used > most;
        self.left_since = is_left.then(|| self.left_since.unwrap_or(now.steady));

        let heat = device.temperature.zip(device.slowdown_at);
        let is_hot = device.slowed_down || heat.is_some_and(|(now, limit)| now >= limit);
        self.hot_since = is_hot.then(|| self.hot_since.unwrap_or(now.steady));
        self.found = Some(found);
    }

    /// Why nobody may be given it, whoever is on it.
    fn aside(&self, now: Timestamp) -> Option<String> {
        match &self.presence {
            Presence::Here => {}
            Presence::Unseen => return Some("it was not looked at yet".into()),
            Presence::Vanished => {
                return Some(
                    "it is not in the host any more; if it was taken out, forget it with \
                     berth-agent gpu-clear"
                        .into(),
                );
            }
            Presence::Gone(Fault::Lost) => {
                return Some(format!("lost: {}; reboot the host", Fault::Lost));
            }
            Presence::Gone(fault) => return Some(fault.to_string()),
        }
        if let Some(mark) = &self.memo.mark {
            let (word, cure) = match mark.state {
                Marked::Failed => ("failed", "reboot the host"),
                Marked::Suspect => ("suspect", "look at it; it comes back by itself after a day"),
            };
            return Some(format!("{word}: {}; {cure}, or berth-agent gpu-clear", mark.why));
        }
        let device = &self.found.as_ref()?.device;
        let retired = device.retired.unwrap_or_default();
        let remapped = device.remapped.unwrap_or_default();
        let pages = retired.single_bit.saturating_add(retired.double_bit);
        if remapped.failed {
            return Some("failed: it has no spare memory rows left; replace it".into());
        }
        if pages >= RETIRED_MAX {
            return Some(format!("failed: {pages} memory pages are retired; replace it"));
        }
        if retired.pending || remapped.pending {
            return Some(
                "bad memory waits to be taken out of use: load the driver again or reboot".into(),
            );
        }
        let left = self.left_since.filter(|since| now.millis_since(*since) >= LEFT_MS);
        left.map(|_| {
            "its memory is held, and no process shows: one that hangs, or is hidden in another pid \
             namespace"
                .into()
        })
    }

    fn warning(&self, now: Timestamp) -> Option<String> {
        let device = &self.found.as_ref()?.device;
        let since = self.hot_since.filter(|since| now.millis_since(*since) >= HOT_MS)?;
        let minutes = now.millis_since(since) / 60_000;
        let heat = device.temperature.map_or(String::new(), |heat| format!(", {heat} °C"));
        Some(format!("slowed down by the hardware for {minutes} min{heat}: look at its cooling"))
    }

    /// The GPU as others may know it, or its instances.
    fn show(&self, gpu: &GpuId, settled: bool, now: Timestamp, gpus: &mut BTreeMap<GpuId, Gpu>) {
        let aside = self.aside(now);
        let one = |gpu: &GpuId, reading: Option<&Reading>, aside: Option<String>| Gpu {
            model: reading.map_or_else(|| self.memo.model.clone(), |it| it.model.clone()),
            memory: reading.map_or(self.memo.memory, |it| it.memory.total),
            aside,
            warning: self.warning(now),
            reading: reading.filter(|_| self.presence == Presence::Here).cloned(),
            busy: reading.and_then(|it| {
                // Without a process and without memory, use is noise; so it is at the beginning.
                let has_users = self.users.iter().any(|user| user.gpu == *gpu);
                it.busy
                    .filter(|_| settled || has_users)
                    .map(|busy| if has_users { busy } else { 0 })
            }),
            users: self.users.iter().filter(|user| user.gpu == *gpu).cloned().collect(),
            last_xid: self.last_xid,
        };
        match self.found.as_ref().map(|found| (&found.device, &found.instances)) {
            Some((_, Some(instances))) if !instances.is_empty() => {
                for part in instances {
                    gpus.insert(part.gpu.clone(), one(&part.gpu, Some(part), aside.clone()));
                }
            }
            Some((device, Some(_))) => {
                let empty =
                    || "MIG is on, and it has no instances: make some, or switch it off".into();
                let aside = Some(aside.unwrap_or_else(empty));
                gpus.insert(gpu.clone(), one(gpu, Some(device), aside));
            }
            found => {
                gpus.insert(gpu.clone(), one(gpu, found.map(|(device, _)| device), aside));
            }
        }
    }
}

/// A process and since when it is there; `None` for what belongs to the driver.
fn user(gpu: &GpuId, process: Process, owner: Owner, known: &[User], now: Moment) -> Option<User> {
    if owner.is_of_the_driver() {
        return None;
    }
    let same = |user: &&User| {
        user.gpu == *gpu && user.process.pid == process.pid && user.owner.began == owner.began
    };
    let since = known.iter().find(same).map_or(now.steady, |user| user.since);
    Some(User { gpu: gpu.clone(), process, owner, since })
}

#[cfg(test)]
mod tests;
