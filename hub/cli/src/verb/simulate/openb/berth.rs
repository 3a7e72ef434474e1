//! The product's own policy: the hub's packing, given the trace's hosts, and its tasks as history.

use berth_core::packing::{Devices, Gpu, Group, Groups, Kind, Mix, Prices, Rows, Shape};

use super::policy::Policy;
use super::trace::{Node, Task, Trace};

/// The hosts.
#[derive(Debug)]
pub struct Fleet(Rows);

impl Fleet {
    /// Empty hosts in this order. Of the tasks only how many there are of each kind is used.
    pub fn new(trace: &Trace, order: &[usize]) -> Self {
        let mix: Mix = trace.tasks.iter().map(kind).collect();
        let shapes: Vec<Shape> = order.iter().map(|node| shape(&trace.nodes[*node])).collect();
        Self(Rows::new(Prices::of(1, &mix, shapes.iter()), shapes))
    }
}

impl Policy for Fleet {
    fn place(&mut self, task: &Task) -> bool {
        let kind = kind(task);
        let choice = self.0.best(&kind, |_| true);
        choice.is_some_and(|choice| self.0.place(choice.host, &kind, choice.used))
    }
}

/// What a node has. The reading has checked the bounds of its numbers.
fn shape(node: &Node) -> Shape {
    Shape {
        group: group(node.model),
        cpu_total_milli: node.cpu_milli,
        memory_total_mib: node.memory_mib,
        cpu_milli: node.cpu_milli,
        memory_mib: node.memory_mib,
        devices: Devices::free(node.gpus).expect("as many devices as the reading admits"),
    }
}

fn kind(task: &Task) -> Kind {
    let gpu = match task.gpus {
        0 => Some(Gpu::NONE),
        _ if task.is_whole() => Gpu::whole(task.gpus),
        _ => Gpu::share(task.gpu_milli),
    };
    let models = (0..Group::MOST).filter(|model| task.models >> model & 1 == 1);
    let groups = match task.models {
        u64::MAX => Groups::ALL,
        _ => models.fold(Groups::NONE, |groups, model| groups.with(group(model))),
    };
    Kind {
        gpu: gpu.expect("devices as the reading admits"),
        cpu_milli: task.cpu_milli,
        memory_mib: task.memory_mib,
        groups,
    }
}

fn group(model: u8) -> Group {
    Group::new(model).expect("as many models as the reading admits")
}
