//! What a pool had when it was decided: whether all of it was full or one host, what was asked or
//! used too much and by how much, and how large the largest free piece was.

use berth_common::ByteCount;
use serde::Deserialize;

use super::Decision;
use crate::print::Cell;
use crate::text::plural;

/// The room in a pool.
#[derive(Debug, Clone, Deserialize)]
pub struct Room {
    pool: String,
    hosts: u64,
    ready: u64,
    free_by_limits: ByteCount,
    free_by_used: ByteCount,
    #[serde(default)]
    free_gpus: u64,
    largest_piece: Option<Piece>,
    missing: Option<Missing>,
}

#[derive(Debug, Clone, Deserialize)]
struct Piece {
    /// Told to administrators only.
    host: Option<String>,
    memory: ByteCount,
}

#[derive(Debug, Clone, Deserialize)]
struct Missing {
    host: Option<String>,
    memory: ByteCount,
    #[serde(default)]
    gpus: u64,
    because_of: String,
}

/// The answers, one a line; none for a request that started or was refused before.
pub fn sentences(decision: &Decision) -> Vec<Cell> {
    let Some(room) = decision.room.as_ref().filter(|_| decision.outcome != "placed") else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let excluded = &decision.excluded_hosts;
    if decision.possible_hosts == 0 && !excluded.is_empty() {
        let all: u64 = excluded.iter().map(|group| group.hosts).sum();
        let groups = excluded.iter().map(|group| format!("{} {}", group.hosts, group.reason.code));
        let groups = groups.collect::<Vec<_>>().join(", ");
        lines.push(format!("none of {all} hosts: {groups}"));
    }
    let Room { pool, hosts, ready, free_by_limits, free_by_used, free_gpus, .. } = room;
    let gpus = match (decision.ask.gpus, free_gpus) {
        (0, _) => String::new(),
        (_, count) => format!(", {count} GPU{} free", plural(*count as usize)),
    };
    lines.push(format!(
        "pool {pool}: {ready} of {hosts} hosts ready, {free_by_limits} not promised, {free_by_used} not used{gpus}"
    ));
    let on = |host: &Option<String>| {
        host.as_ref().map_or(" on one host".to_owned(), |host| format!(" on {host}"))
    };
    if let Some(piece) = &room.largest_piece {
        lines.push(format!("largest piece for one server: {}{}", piece.memory, on(&piece.host)));
    }
    if let Some(Missing { host, memory, gpus, because_of }) = &room.missing {
        let mut parts = Vec::new();
        if *gpus > 0 {
            parts.push(format!("{gpus} GPU{}", plural(*gpus as usize)));
        }
        if memory.0 > 0 {
            let why = match because_of.as_str() {
                "used" => "too much is used there",
                _ => "too much is promised there, or asked",
            };
            parts.push(format!("{memory} ({why})"));
        }
        if !parts.is_empty() {
            lines.push(format!("least is missing{}: {}", on(host), parts.join(" and ")));
        }
    }
    lines.into_iter().map(Cell::text).collect()
}
