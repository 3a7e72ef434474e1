//! Virtual time: what happens next, in the order of moments and, within one, of asking.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use berth_common::Timestamp;

/// Noon of 1 January 2026: any fixed moment will do.
const BEGINNING: Timestamp = Timestamp(1_767_268_800_000_000);

/// What is still to happen.
#[derive(Debug)]
pub struct Schedule<T> {
    now: Timestamp,
    number: u64,
    heap: BinaryHeap<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    at: Timestamp,
    number: u64,
    what: T,
}

impl<T> Schedule<T> {
    /// Nothing is to happen yet.
    pub fn new() -> Self {
        Self { now: BEGINNING, number: 0, heap: BinaryHeap::new() }
    }

    /// The moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Milliseconds since the world began.
    pub fn elapsed_ms(&self) -> u64 {
        self.now.millis_since(BEGINNING)
    }

    /// Lets something happen so many microseconds from now.
    pub fn after_us(&mut self, micros: u64, what: T) {
        self.at(later(self.now, micros), what);
    }

    /// Lets something happen so many milliseconds from now.
    pub fn after_ms(&mut self, millis: u64, what: T) {
        self.after_us(millis.saturating_mul(1000), what);
    }

    /// Lets something happen at a moment, or now if that has passed.
    pub fn at(&mut self, at: Timestamp, what: T) {
        self.number += 1;
        self.heap.push(Entry { at: at.max(self.now), number: self.number, what });
    }

    /// Goes to what happens next.
    pub fn next(&mut self) -> Option<T> {
        let entry = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.what)
    }

    /// When the first of those happens that this is true of.
    pub fn first_at(&self, is: impl Fn(&T) -> bool) -> Option<Timestamp> {
        self.heap.iter().filter(|entry| is(&entry.what)).map(|entry| entry.at).min()
    }

    /// So many microseconds pass in which nothing happens: what moves with time comes that much
    /// later, and the rest when it would have come.
    pub fn skip(&mut self, micros: u64, moves: impl Fn(&T) -> bool) {
        self.now = later(self.now, micros);
        let now = self.now;
        let entries = std::mem::take(&mut self.heap).into_iter();
        let moved = entries.map(|mut entry| {
            if moves(&entry.what) {
                entry.at = later(entry.at, micros);
            }
            entry.at = entry.at.max(now);
            entry
        });
        self.heap = moved.collect();
    }

    /// When that will be.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.heap.peek().map(|entry| entry.at)
    }
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A moment and so many microseconds.
pub fn later(at: Timestamp, micros: u64) -> Timestamp {
    Timestamp(at.0.saturating_add(i64::try_from(micros).unwrap_or(i64::MAX)))
}

impl<T> Ord for Entry<T> {
    /// The heap gives the greatest first, so the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}
