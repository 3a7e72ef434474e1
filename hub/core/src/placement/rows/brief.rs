//! What a search over all hosts asks each of them first, kept beside the rows: so most of ten
//! thousand hosts are passed by without comparing names, sizes or sums again.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_common::HostId;

use super::Rows;
use crate::placement::need::Need;
use crate::placement::room::{Ask, fits_empty};
use crate::placement::row::Row;

/// One host in two numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brief {
    /// Which of the sizes it has: hosts of one size are the same when empty.
    size: usize,
    /// More memory than this, in MiB, no rule promises to a newcomer now.
    pub open_mib: u32,
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
        let Some(size) = self.rows.sizes.get(brief.size) else { return false };
        let Some(known) = self.known.get_mut(brief.size) else { return false };
        *known.get_or_insert_with(|| fits_empty(size, self.ask))
    }
}

impl Rows {
    /// A row in brief. `before`: the same host's until now, whose size it mostly keeps.
    pub(super) fn brief(&mut self, row: &Row, before: Option<Brief>) -> Brief {
        let same = |number: &usize| self.sizes.get(*number).is_some_and(|it| it.is_same_empty(row));
        let kept = before.map(|before| before.size).filter(same);
        let size = kept.or_else(|| (0..self.sizes.len()).find(same)).unwrap_or_else(|| {
            self.sizes.push(row.clone());
            self.sizes.len() - 1
        });
        let takes = row.pool.is_some() && row.obstacle.is_none();
        let unused = u128::from(row.memory.usable().0).saturating_sub(row.memory.sums.lately) >> 20;
        let open_mib = if takes { u32::try_from(unused).unwrap_or(u32::MAX) } else { 0 };
        Brief { size, open_mib }
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
