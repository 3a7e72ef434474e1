//! The openb trace as it is read: hosts ("nodes") and tasks ("pods"), in the words of its files.

use std::path::Path;

use berth_core::packing::{DEVICES_MOST, Group};

use super::Random;
use crate::problem::Problem;
use crate::verb::simulate::table::{Row, Table};

/// More CPU or memory than any host or task has; less than what sums could overflow with.
const MOST: u32 = 1_000_000_000;

/// The columns that a list of nodes must have.
pub const NODE_COLUMNS: [&str; 5] = ["sn", "cpu_milli", "memory_mib", "gpu", "model"];

/// The columns that a list of tasks must have.
pub const POD_COLUMNS: [&str; 5] = ["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"];

/// The trace.
#[derive(Debug)]
pub struct Trace {
    /// The hosts.
    pub nodes: Vec<Node>,
    /// The tasks, in the order of the file.
    pub tasks: Vec<Task>,
}

/// A host.
#[derive(Debug, Clone)]
pub struct Node {
    pub cpu_milli: u32,
    pub memory_mib: u32,
    pub gpus: u8,
    /// The number of its model.
    pub model: u8,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub cpu_milli: u32,
    pub memory_mib: u32,
    pub gpus: u8,
    /// Of each device.
    pub gpu_milli: u16,
    /// The permitted models as written; empty: any.
    pub spec: String,
    /// The permitted models, a bit each.
    pub models: u64,
}

impl Trace {
    /// Reads both files.
    pub fn read(nodes: &Path, pods: &Path) -> Result<Self, Problem> {
        let nodes = Table::read(nodes, &NODE_COLUMNS)?;
        let pods = Table::read(pods, &POD_COLUMNS)?;
        Self::of(&nodes, &pods)
    }

    /// Of the two tables.
    pub fn of(nodes: &Table, pods: &Table) -> Result<Self, Problem> {
        let mut models: Vec<String> = Vec::new();
        let hosts =
            nodes.rows().map(|row| node(&row, &mut models)).collect::<Result<Vec<_>, _>>()?;
        if hosts.iter().all(|node| node.gpus == 0) {
            return Err(nodes.wrong("No node has a GPU.", "Give a list of nodes with GPUs."));
        }
        let tasks = pods.rows().map(|row| task(&row, &models)).collect::<Result<Vec<_>, _>>()?;
        if tasks.is_empty() {
            return Err(pods.wrong("It has no tasks.", "Give a list with at least one task."));
        }
        let trace = Self { nodes: hosts, tasks };
        if trace.tasks.iter().all(|task| task.gpus == 0) {
            return Err(
                pods.wrong("No task asks for a GPU.", "Give a list of tasks that ask for GPUs.")
            );
        }
        Ok(trace)
    }

    /// All GPUs, in thousandths.
    pub fn capacity_milli(&self) -> u64 {
        self.nodes.iter().map(|node| 1000 * u64::from(node.gpus)).sum()
    }

    /// The tasks in random order, then more of them, drawn until the next would pass 1.3 times
    /// the capacity.
    pub fn arrivals(&self, random: &mut Random) -> Vec<Task> {
        let mut arrivals = self.tasks.clone();
        random.shuffle(&mut arrivals);
        let mut asked: u64 = self.tasks.iter().map(Task::gpu_total_milli).sum();
        loop {
            let task = &self.tasks[random.below(self.tasks.len())];
            // The published protocol tests one device of the task, and then counts all of them.
            if 10 * (asked + u64::from(task.gpu_milli)) > 13 * self.capacity_milli() {
                return arrivals;
            }
            asked += task.gpu_total_milli();
            arrivals.push(task.clone());
        }
    }
}

impl Task {
    /// What it asks of GPUs, in thousandths.
    pub fn gpu_total_milli(&self) -> u64 {
        u64::from(self.gpus) * u64::from(self.gpu_milli)
    }

    /// Whether it takes whole devices.
    pub fn is_whole(&self) -> bool {
        self.gpus >= 2 || self.gpu_milli == 1000
    }
}

fn node(row: &Row, models: &mut Vec<String>) -> Result<Node, Problem> {
    let name = row.text("model");
    let gpus = row.number("gpu", 0..=DEVICES_MOST as u8)?;
    if gpus > 0 && (name.is_empty() || name.contains('|')) {
        return Err(row.wrong("model", "the model of its GPUs, without \"|\""));
    }
    let model = models.iter().position(|model| model == name).unwrap_or_else(|| {
        models.push(name.to_owned());
        models.len() - 1
    });
    if model >= usize::from(Group::MOST) {
        return Err(row.wrong("model", format_args!("at most {} different models", Group::MOST)));
    }
    Ok(Node {
        cpu_milli: row.number("cpu_milli", 0..=MOST)?,
        memory_mib: row.number("memory_mib", 0..=MOST)?,
        gpus,
        model: model as u8,
    })
}

fn task(row: &Row, models: &[String]) -> Result<Task, Problem> {
    let gpus: u8 = row.number("num_gpu", 0..=DEVICES_MOST as u8)?;
    let gpu_milli = row.number(
        "gpu_milli",
        match gpus {
            0 => 0..=0,
            1 => 1..=1000,
            _ => 1000..=1000,
        },
    )?;
    let spec = if gpus == 0 { "" } else { row.text("gpu_spec") };
    let mut permitted = if spec.is_empty() { u64::MAX } else { 0 };
    // A model may be named twice.
    for name in spec.split('|').filter(|_| !spec.is_empty()) {
        let Some(model) = models.iter().position(|model| model == name && !name.is_empty()) else {
            return Err(row.wrong(
                "gpu_spec",
                format_args!(
                    "models of the nodes ({}), joined by \"|\"",
                    models
                        .iter()
                        .filter(|model| !model.is_empty())
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            ));
        };
        permitted |= 1 << model;
    }
    Ok(Task {
        cpu_milli: row.number("cpu_milli", 0..=MOST)?,
        memory_mib: row.number("memory_mib", 0..=MOST)?,
        gpus,
        gpu_milli,
        spec: spec.to_owned(),
        models: permitted,
    })
}
