//! All rows of the floor under the site's rules, brought up to date host by host.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use berth_common::{GpuPart, HostId};

use crate::floor::{Floor, FloorHost};
use crate::packing::{self, Gpu, Group, Groups, Kind, Numbering, Prices, Shape};
use crate::placement::need::Need;
use crate::placement::room::Ask;
use crate::placement::row::Row;
use crate::settings::{MemoryRule, Settings};

mod answers;
mod brief;
mod what_if;

use answers::Answers;
use brief::{Allowed, Brief};

/// The hosts that a rule requires, and which positions those are.
type Required = (Arc<BTreeSet<HostId>>, Arc<[bool]>);

/// A host that is kept for who waits, as its position; others do not get it.
pub type Kept = Option<usize>;

/// The rows, and the answers that are known.
#[derive(Debug, Default)]
pub struct Rows {
    hosts: Arc<Vec<HostId>>,
    rows: Vec<Row>,
    briefs: Vec<Brief>,
    /// One host of each size.
    sizes: Vec<Row>,
    /// The hosts of each rule that requires some.
    required: Vec<Required>,
    models: Vec<String>,
    /// Pool and model of the hosts of each group, as packing tells them apart.
    groups: Vec<(Option<u16>, u16)>,
    shapes: Vec<Shape>,
    prices: Arc<Prices>,
    packing: Option<packing::Rows>,
    settings: Arc<Settings>,
    /// Positions of the hosts that changed, newest last, and how many changes were forgotten.
    changes: VecDeque<u32>,
    forgotten: u64,
    answers: Vec<Arc<Answers>>,
}

/// Memory of kinds is looked at in steps of this size.
const KIND_GRAIN: u64 = 256 << 20;

/// A host that packing has no words for.
const NOTHING: Shape = Shape::nothing();

impl Clone for Rows {
    /// A snapshot is read a few times only, and asked about what was asked before: it has the
    /// answers that were known, of which no copy is made before one of the two changes.
    fn clone(&self) -> Self {
        Self {
            hosts: Arc::clone(&self.hosts),
            rows: self.rows.clone(),
            briefs: self.briefs.clone(),
            sizes: self.sizes.clone(),
            required: self.required.clone(),
            models: self.models.clone(),
            groups: self.groups.clone(),
            shapes: self.shapes.clone(),
            prices: Arc::clone(&self.prices),
            packing: self.packing.clone(),
            settings: Arc::clone(&self.settings),
            changes: self.changes.clone(),
            forgotten: self.forgotten,
            answers: self.answers.clone(),
        }
    }
}

impl Rows {
    /// The rows of a floor under the site's rules, with these prices.
    pub fn of(floor: &Floor, settings: &Arc<Settings>, prices: &Arc<Prices>) -> Self {
        let mut rows = Self {
            settings: Arc::clone(settings),
            prices: Arc::clone(prices),
            models: prices.numbering.models.clone(),
            groups: prices.numbering.groups.clone(),
            ..Self::default()
        };
        for host in &floor.hosts {
            let row = rows.row_of(host);
            let shape = rows.shape_of(host, &row);
            let brief = rows.brief(&row, None);
            Arc::make_mut(&mut rows.hosts).push(host.host.clone());
            rows.briefs.push(brief);
            rows.rows.push(row);
            rows.shapes.push(shape);
        }
        rows.mark_required();
        rows.packing = Some(packing::Rows::new((**prices).clone(), rows.shapes.iter().copied()));
        rows
    }

    /// Takes other prices.
    ///
    /// What is kept is answered anew at once, off the path of decisions, a millisecond for a need
    /// and ten thousand hosts.
    pub fn set_prices(&mut self, prices: &Arc<Prices>) {
        self.prices = Arc::clone(prices);
        self.packing = Some(packing::Rows::new((**prices).clone(), self.shapes.iter().copied()));
        self.answer_anew();
    }

    /// What the numbers of groups stand for: prices made from these rows carry it, so that rows
    /// made anew later read them in the same way.
    pub fn numbering(&self) -> Numbering {
        Numbering { models: self.models.clone(), groups: self.groups.clone() }
    }

    /// What every host has left, for prices.
    pub fn shapes(&self) -> impl Iterator<Item = &Shape> {
        self.shapes.iter()
    }

    /// Takes in a changed host.
    pub fn update(&mut self, position: usize, host: &FloorHost) {
        let row = self.row_of(host);
        let shape = self.shape_of(host, &row);
        let brief = self.brief(&row, self.briefs.get(position).copied());
        if let Some(known) = self.briefs.get_mut(position) {
            *known = brief;
        }
        let (Some(old), Some(known)) = (self.rows.get_mut(position), self.shapes.get_mut(position))
        else {
            return;
        };
        if *old == row {
            return;
        }
        *old = row;
        if *known != shape {
            *known = shape;
            if let Some(packing) = &mut self.packing {
                packing.set(position, shape);
            }
        }
        self.changes.push_back(u32::try_from(position).unwrap_or(u32::MAX));
        // Beyond one change a host, looking at all of them again is cheaper.
        if self.changes.len() > self.rows.len().max(64) {
            self.changes.pop_front();
            self.forgotten = self.forgotten.saturating_add(1);
        }
    }

    /// What a host has left, as packing sees it. One that packing has no words for has nothing.
    fn shape_of(&mut self, host: &FloorHost, row: &Row) -> Shape {
        let model = row.gpus.first().map_or(u16::MAX, |gpu| gpu.model);
        let known = self.groups.iter().position(|group| *group == (row.pool, model));
        let number = known.unwrap_or_else(|| {
            self.groups.push((row.pool, model));
            self.groups.len() - 1
        });
        let group = u8::try_from(number).ok().and_then(Group::new);
        row.shape(group, host.gpus.len()).unwrap_or(NOTHING)
    }

    /// A need in the terms of packing; `None` if it has no words for it.
    pub fn kind(&self, need: &Need) -> Option<Kind> {
        let ask = self.ask(need);
        let pool = self.settings.pools.get(&need.pool)?;
        let suits =
            |model: u16| ask.gpus == 0 || ask.models.is_empty() || ask.models.contains(&model);
        let mut groups = Groups::NONE;
        for (number, (serves, model)) in self.groups.iter().enumerate() {
            let group = u8::try_from(number).ok().and_then(Group::new);
            if let Some(group) =
                group.filter(|_| serves.is_some() && *serves == ask.pool && suits(*model))
            {
                groups = groups.with(group);
            }
        }
        let share = u16::try_from(ask.gpu_milli).ok()?;
        let gpu = match ask.gpus {
            0 => Gpu::NONE,
            1 if ask.gpu_milli < 1000 => Gpu::share(share)?,
            count => Gpu::whole(u8::try_from(count).ok()?)?,
        };
        let memory = match pool.memory_rule {
            MemoryRule::Limits => ask.limit,
            MemoryRule::Peaks => ask.peak,
        };
        // In steps: each kind has its own prices, and a few hundred of them are enough.
        let memory_mib = u32::try_from(memory.0.div_ceil(KIND_GRAIN) * (KIND_GRAIN >> 20)).ok()?;
        Some(Kind { gpu, cpu_milli: ask.cpu_milli, memory_mib, groups })
    }

    fn row_of(&mut self, host: &FloorHost) -> Row {
        let settings = Arc::clone(&self.settings);
        let models = &mut self.models;
        Row::of(host, &settings, &mut |model| number_of(models, model))
    }

    /// The hosts' names, by position.
    pub fn hosts(&self) -> &[HostId] {
        &self.hosts
    }

    /// A host's row.
    pub fn row(&self, position: usize) -> Option<&Row> {
        self.rows.get(position)
    }

    /// A need in the numbers of the rows.
    pub fn ask(&self, need: &Need) -> Ask {
        let pool = self.settings.pools.keys().position(|name| *name == need.pool);
        let mut models: Vec<u16> = Vec::new();
        for name in &need.models {
            let known = self.models.iter().position(|model| model == name);
            // A model that no host has is a number that none has.
            models.push(known.and_then(|number| u16::try_from(number).ok()).unwrap_or(u16::MAX));
        }
        Ask {
            pool: pool.and_then(|number| u16::try_from(number).ok()),
            limit: need.limit,
            peak: need.peak,
            peak_known: need.peak_known,
            cpu_milli: need.cpu_milli,
            gpus: need.gpus,
            gpu_milli: need.gpu_milli,
            models,
            gpu_memory: need.gpu_memory,
            farm_ports: need.farm_ports,
            spaces: self.settings.mounts.numbers(|name| need.spaces.iter().any(|it| it == name)),
        }
    }

    /// The number of a need's image among those that rows know.
    pub fn image(&self, need: &Need) -> Option<usize> {
        let today = || Some(self.settings.images.get(&need.image)?.reference.as_str());
        let wanted = need.reference.as_deref().or_else(today)?;
        self.settings.references().take(64).position(|name| name == wanted)
    }
}

/// The number of a model; a new one is added.
fn number_of(models: &mut Vec<String>, model: &str) -> u16 {
    let known = models.iter().position(|name| name == model);
    let number = known.unwrap_or_else(|| {
        models.push(model.to_owned());
        models.len() - 1
    });
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// The parts of a host's devices that these indices stand for.
pub fn parts(host: &FloorHost, indices: &[u16], milli: u32) -> Vec<GpuPart> {
    let device = |index: &u16| host.gpus.get(usize::from(*index));
    indices
        .iter()
        .filter_map(device)
        .map(|device| GpuPart { gpu: device.gpu.clone(), milli })
        .collect()
}
