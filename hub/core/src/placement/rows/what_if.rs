//! What it would take for a host to answer otherwise.

use berth_common::{ByteCount, HostId, Reason, Seconds};

use super::brief::{Allowed, Brief, Fits};
use super::{Kept, Rows, number_of};
use crate::floor::FloorHost;
use crate::placement::need::Need;
use crate::placement::room::{Ask, Fail, all_fails, first_fail, first_other_fail, suits};
use crate::placement::row::Row;

impl Rows {
    /// The largest memory limit, in whole MiB and up to what is asked, with which some host would
    /// take a need now, and the first such host.
    pub fn largest_limit(&self, need: &Need, kept: Kept) -> Option<(HostId, ByteCount)> {
        let ask = self.ask(need);
        let allowed = self.allowed(need);
        // Most hosts are passed by what they have open, before anything else is asked of them.
        let may = |position: usize, brief: &Brief| {
            brief.pool == ask.pool && Some(position) != kept && allowed.at(position)
        };
        // The one that is most open gives much: begun with what it gives, the others are few.
        let mut widest: Option<(usize, u32)> = None;
        for (position, brief) in self.briefs.iter().enumerate() {
            let wider = widest.is_none_or(|(_, open_mib)| brief.open_mib > open_mib);
            if wider && may(position, brief) {
                widest = Some((position, brief.open_mib));
            }
        }
        let mut asked = ask.clone();
        let widest = self.largest_above(0, widest?.0, &mut asked).unwrap_or_default();
        let (mut best, mut at) = (widest.saturating_sub(1), None);
        for (position, brief) in self.briefs.iter().enumerate() {
            if u64::from(brief.open_mib) > best
                && may(position, brief)
                && let Some(limit) = self.largest_above(best, position, &mut asked)
            {
                (best, at) = (limit, self.hosts.get(position));
            }
        }
        Some((at?.clone(), ByteCount(best << 20)))
    }

    /// The largest limit above this one, in whole MiB and up to what is asked, with which a host
    /// would take a need.
    fn largest_above(&self, best: u64, position: usize, ask: &mut Ask) -> Option<u64> {
        let (row, brief) = self.rows.get(position).zip(self.briefs.get(position))?;
        let (limit, peak) = (ask.limit, ask.peak);
        // Most hosts are passed by this; and nobody gets more than they ask for.
        if u64::from(brief.open_mib) <= best || limit.mebibytes() <= best {
            return None;
        }
        let mut takes = |mib: u64| {
            ask.limit = ByteCount(mib << 20);
            ask.peak = peak.min(ask.limit);
            let takes = first_fail(row, ask, true).is_none();
            (ask.limit, ask.peak) = (limit, peak);
            takes
        };
        // Most hosts give no more than the best so far: one question tells.
        if !takes(best + 1) {
            return None;
        }
        let (mut least, mut most) = (best + 1, limit.mebibytes());
        while least < most {
            let middle = least + (most - least).div_ceil(2);
            if takes(middle) { least = middle } else { most = middle - 1 }
        }
        Some(least)
    }

    /// The first host that would take a need if its state let it.
    ///
    /// `can` says whether that state is all that keeps it away.
    pub fn if_it_were_back(
        &self,
        need: &Need,
        can: impl Fn(&HostId, Reason) -> bool,
    ) -> Option<(HostId, Reason)> {
        let ask = self.ask(need);
        let (allowed, mut fits) = (self.allowed(need), self.fits(&ask));
        self.briefs.iter().enumerate().find_map(|(position, brief)| {
            let away = !brief.is_up() && brief.pool == ask.pool;
            if !away || !allowed.at(position) || !fits.at(position) {
                return None;
            }
            let (row, host) = self.rows.get(position).zip(self.hosts.get(position))?;
            let reason = row.obstacle?;
            let speaks = row.memory.host.report.is_some_and(|report| report.age == Seconds(0));
            let takes = if speaks {
                first_other_fail(row, &ask, true).is_none()
            } else {
                let heard = row.with_memory(row.memory.heard_now());
                first_other_fail(&heard, &ask, true).is_none()
            };
            (takes && can(host, reason)).then(|| (host.clone(), reason))
        })
    }

    /// All rules that exclude a host, in their order.
    pub fn fails(&self, need: &Need, position: usize) -> Vec<Fail> {
        let ask = self.ask(need);
        let allowed = self.allowed(need).at(position);
        self.rows.get(position).map_or_else(Vec::new, |row| all_fails(row, &ask, allowed))
    }

    /// Whether a host would take a need if it looked like this.
    pub fn would_take(&self, need: &Need, position: usize, host: &FloorHost) -> bool {
        self.first_fail_if(need, position, host).is_none()
    }

    /// The first rule that would keep a need from a host if that looked like this.
    pub fn first_fail_if(&self, need: &Need, position: usize, host: &FloorHost) -> Option<Fail> {
        let mut models = self.models.clone();
        let row = Row::of(host, &self.settings, &mut |model| number_of(&mut models, model));
        first_fail(&row, &self.ask(need), self.allowed(need).at(position))
    }

    /// Whether a host could take a need one day: it is up, and large enough when empty.
    pub fn could_take(&self, need: &Need, host: &HostId) -> bool {
        let Ok(position) = self.hosts.binary_search(host) else { return false };
        let (ask, allowed) = (self.ask(need), self.allowed(need));
        self.missing(&ask, position, &allowed, &mut self.fits(&ask)).is_some()
    }

    /// The host that is nearest to taking a need: the fewest devices missing, then the least memory.
    pub fn least_missing(&self, need: &Need) -> Option<HostId> {
        let ask = self.ask(need);
        let (allowed, mut fits) = (self.allowed(need), self.fits(&ask));
        let missing = (0..self.briefs.len()).filter_map(|position| {
            Some((self.missing(&ask, position, &allowed, &mut fits)?, position))
        });
        self.hosts.get(missing.min()?.1).cloned()
    }

    /// What hosts lack to take a need, devices and memory (negative: more than enough), without
    /// those that never will, or are not up; the so many that lack least, the least first.
    pub fn lacking(&self, need: &Need, most: usize) -> Vec<((u32, i128), &HostId)> {
        let ask = self.ask(need);
        let (allowed, mut fits) = (self.allowed(need), self.fits(&ask));
        // Positions are in the order of names, and cheaper to compare.
        let mut lacking: Vec<_> = (0..self.briefs.len())
            .filter_map(|position| {
                Some((self.missing(&ask, position, &allowed, &mut fits)?, position))
            })
            .collect();
        if most < lacking.len() {
            lacking.select_nth_unstable(most);
            lacking.truncate(most);
        }
        lacking.sort_unstable();
        let named = lacking.into_iter();
        named.filter_map(|(lack, position)| Some((lack, self.hosts.get(position)?))).collect()
    }

    /// Whether a host that serves this pool is not ready.
    pub fn has_a_host_down(&self, pool: &str) -> bool {
        let number = self.settings.pools.keys().position(|name| name == pool);
        let number = number.and_then(|number| u16::try_from(number).ok());
        number.is_some() && self.briefs.iter().any(|brief| brief.pool == number && !brief.is_up())
    }

    /// What a host lacks to take a request, devices and memory; `None`: it never will, or is not up.
    fn missing(
        &self,
        ask: &Ask,
        position: usize,
        allowed: &Allowed,
        fits: &mut Fits<'_>,
    ) -> Option<(u32, i128)> {
        let brief = self.briefs.get(position)?;
        // Room on a host whose spaces do not answer is worth nothing, however near it is.
        let up = brief.is_up() && ask.spaces & brief.sick == 0;
        if !up || !allowed.at(position) || !fits.at(position) {
            return None;
        }
        let devices = if ask.gpus == 0 {
            0
        } else {
            let row = self.rows.get(position)?;
            let free = row
                .gpus
                .iter()
                .filter(|gpu| suits(row, ask, gpu) && gpu.left_milli >= ask.gpu_milli);
            ask.gpus.saturating_sub(u32::try_from(free.count()).unwrap_or(u32::MAX))
        };
        // Less used than elsewhere is nearest to having room.
        Some((devices, i128::from(ask.limit.0) - brief.left))
    }
}
