//! What a search over all hosts asks each of them first, kept beside the rows: so most of ten
//! thousand hosts are passed by without comparing names, sizes or sums again.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_common::{HostId, Reason};

use super::{Kept, Rows};
use crate::placement::need::Need;
use crate::placement::room::{Ask, Fail, first_fail, fits_empty};
use crate::placement::row::Row;

/// One host in a few numbers: none of them says yes, each may say no.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brief {
    /// Which of the sizes it has: hosts of one size are the same when empty.
    size: u32,
    /// The pool that it serves.
    pub pool: Option<u16>,
    /// Why it takes nothing new.
    obstacle: Option<Reason>,
    /// Devices with something left.
    gpus_any: u16,
    /// Devices that nobody uses.
    gpus_whole: u16,
    cpu_left: u32,
    /// No newcomer with more memory than this, in MiB, is taken now.
    pub open_mib: u32,
    /// Which spaces do not answer there.
    pub sick: u64,
    /// What nobody was promised of its memory, in bytes.
    pub left: i128,
}

/// The hosts that the rules of placement leave to a need, by position.
#[derive(Debug, Clone)]
pub enum Allowed {
    /// All of them.
    All,
    /// Those that are marked.
    Marked(Arc<[bool]>),
}

/// Which sizes of hosts could take a request when empty: found once for each.
#[derive(Debug)]
pub struct Fits<'a> {
    rows: &'a Rows,
    ask: &'a Ask,
    known: Vec<Option<bool>>,
}

impl Brief {
    /// Whether nothing about its state keeps servers away.
    pub fn is_up(&self) -> bool {
        self.obstacle.is_none()
    }

    /// The first rule that excludes the host, if it is one of the first three: most hosts that take
    /// nothing are known by these.
    pub fn first_fail(&self, ask: &Ask, allowed: bool) -> Option<Fail> {
        if self.pool.is_none() || self.pool != ask.pool {
            return Some(Fail::NotInPool);
        }
        let state = self.obstacle.map(Fail::State);
        state.or_else(|| (!allowed).then_some(Fail::NotAllowed))
    }

    /// Whether nothing of what is known here keeps a request away.
    fn may_take(&self, ask: &Ask) -> bool {
        let devices = if ask.gpu_milli >= 1000 { self.gpus_whole } else { self.gpus_any };
        self.is_up()
            && self.pool == ask.pool
            && u64::from(self.open_mib) >= ask.limit.mebibytes()
            && self.cpu_left >= ask.cpu_milli
            && u32::from(devices) >= ask.gpus
            && self.sick & ask.spaces == 0
    }
}

impl Allowed {
    /// Whether the host at this position is left.
    pub fn at(&self, position: usize) -> bool {
        match self {
            Self::All => true,
            Self::Marked(marks) => marks.get(position).copied().unwrap_or_default(),
        }
    }
}

impl Fits<'_> {
    /// Whether the host at this position could take it, if nothing were there.
    pub fn at(&mut self, position: usize) -> bool {
        let Some(brief) = self.rows.briefs.get(position) else { return false };
        let number = brief.size as usize;
        let Some(size) = self.rows.sizes.get(number) else { return false };
        let Some(known) = self.known.get_mut(number) else { return false };
        *known.get_or_insert_with(|| fits_empty(size, self.ask))
    }
}

impl Rows {
    /// A row in brief. `before`: the same host's until now, whose size it mostly keeps.
    pub(super) fn brief(&mut self, row: &Row, before: Option<Brief>) -> Brief {
        let same = |number: &usize| self.sizes.get(*number).is_some_and(|it| it.is_same_empty(row));
        let kept = before.map(|before| before.size as usize).filter(same);
        let size = kept.or_else(|| (0..self.sizes.len()).find(same)).unwrap_or_else(|| {
            self.sizes.push(row.clone());
            self.sizes.len() - 1
        });
        let devices = |least: u32| {
            let left = row.gpus.iter().filter(|gpu| gpu.left_milli >= least);
            u16::try_from(left.count()).unwrap_or(u16::MAX)
        };
        let up = row.obstacle.is_none();
        let open_mib = u32::try_from(row.standing.open().mebibytes()).unwrap_or(u32::MAX);
        Brief {
            size: u32::try_from(size).unwrap_or(u32::MAX),
            pool: row.pool,
            obstacle: row.obstacle,
            gpus_any: devices(1),
            gpus_whole: devices(1000),
            cpu_left: row.cpu_left,
            open_mib: if up && row.pool.is_some() { open_mib } else { 0 },
            sick: row.sick,
            left: row.standing.left(row.memory.rule.kind),
        }
    }

    /// Whether some host would take a need now, but for the one that is kept.
    pub fn takes(&self, need: &Need, kept: Kept) -> bool {
        let ask = self.ask(need);
        let (allowed, mut fits) = (self.allowed(need), self.fits(&ask));
        self.briefs.iter().enumerate().any(|(position, brief)| {
            brief.may_take(&ask)
                && Some(position) != kept
                && allowed.at(position)
                && fits.at(position)
                && self.rows.get(position).is_some_and(|row| first_fail(row, &ask, true).is_none())
        })
    }

    /// Marks the hosts of each rule of the site that requires some.
    pub(super) fn mark_required(&mut self) {
        let places = self.settings.access.place.iter().map(|place| &place.require);
        let sets = places.filter(|set| !set.is_empty());
        self.required = sets.map(|set| (Arc::clone(set), marked(&self.hosts, set))).collect();
    }

    /// The hosts that the rules leave to a need.
    pub fn allowed(&self, need: &Need) -> Allowed {
        if need.require.is_empty() {
            return Allowed::All;
        }
        // Nearly every need has the very set of one rule.
        let known = self.required.iter().find(|(set, _)| Arc::ptr_eq(set, &need.require));
        let marks = known.map(|(_, marks)| Arc::clone(marks));
        Allowed::Marked(marks.unwrap_or_else(|| marked(&self.hosts, &need.require)))
    }

    /// Which sizes of hosts could take a request.
    pub fn fits<'a>(&'a self, ask: &'a Ask) -> Fits<'a> {
        Fits { rows: self, ask, known: vec![None; self.sizes.len()] }
    }
}

/// Which of these hosts are in a set. Both are in the order of names, so one pass is enough.
fn marked(hosts: &[HostId], set: &BTreeSet<HostId>) -> Arc<[bool]> {
    let mut wanted = set.iter().peekable();
    let is_in = |host: &HostId| {
        while wanted.next_if(|name| *name < host).is_some() {}
        wanted.peek() == Some(&host)
    };
    hosts.iter().map(is_in).collect()
}
