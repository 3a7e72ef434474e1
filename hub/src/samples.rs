//! What running servers used over their life, for the charts of their pages. Kept in memory only,
//! and bounded: a course that is full is halved, so that it always reaches back to its beginning,
//! the older the server the coarser.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_common::{ByteCount, Generation, Seconds, ServerId, Timestamp};
use berth_core::{Fleet, Server};
use berth_process::clock::now;

use crate::site::Hub;

/// Looks this often; young servers are drawn that fine.
const EVERY: Seconds = Seconds(10);
/// A course has at most so many points, and at least half of them once it was full.
const MOST: usize = 120;
/// Memory is kept in mebibytes: there may be thousands of courses.
const UNIT: u64 = 1 << 20;

/// The highest values of a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Point {
    /// When the span began.
    pub at: Timestamp,
    pub(crate) memory_mib: u32,
    pub(crate) limit_mib: u32,
    /// Thousandths of a processor.
    pub cpu_milli: u32,
    /// How busy its GPUs were, in percent; `None`: it has none, or that is not known.
    pub gpu: Option<u8>,
}

impl Point {
    /// Memory used.
    pub fn memory(&self) -> ByteCount {
        ByteCount(u64::from(self.memory_mib) * UNIT)
    }

    /// The limit.
    pub fn limit(&self) -> ByteCount {
        ByteCount(u64::from(self.limit_mib) * UNIT)
    }
}

fn mebibytes(amount: ByteCount) -> u32 {
    u32::try_from(amount.0 / UNIT).unwrap_or(u32::MAX)
}

/// One start of a server, from the moment that this hub saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    generation: Generation,
    /// The length of a span.
    pub every: Seconds,
    /// In the order of time; a span of which nothing was heard has none.
    pub points: Vec<Point>,
}

/// The courses of all running servers.
#[derive(Debug, Default)]
pub struct Samples {
    courses: Mutex<BTreeMap<ServerId, Arc<Course>>>,
}

impl Course {
    fn new(generation: Generation) -> Self {
        Self { generation, every: EVERY, points: Vec::new() }
    }

    /// Adds what was seen: to the span that it falls in.
    fn add(&mut self, seen: Point) {
        if self.points.len() >= MOST {
            self.every = Seconds(self.every.0.saturating_mul(2));
            for point in std::mem::take(&mut self.points) {
                self.put(point);
            }
        }
        self.put(seen);
    }

    fn put(&mut self, seen: Point) {
        let span = i64::try_from(self.every.0.saturating_mul(1_000_000)).unwrap_or(i64::MAX).max(1);
        let at = Timestamp(seen.at.0.saturating_sub(seen.at.0.rem_euclid(span)));
        match self.points.last_mut().filter(|last| last.at == at) {
            Some(last) => {
                last.memory_mib = last.memory_mib.max(seen.memory_mib);
                last.limit_mib = last.limit_mib.max(seen.limit_mib);
                last.cpu_milli = last.cpu_milli.max(seen.cpu_milli);
                last.gpu = last.gpu.max(seen.gpu);
            }
            None => self.points.push(Point { at, ..seen }),
        }
    }
}

impl Samples {
    /// What is known of a server's present start.
    pub fn course(&self, server: &Server) -> Option<Arc<Course>> {
        let courses = self.courses.lock().unwrap_or_else(PoisonError::into_inner);
        let course = courses.get(&server.id)?;
        (course.generation == server.generation).then(|| Arc::clone(course))
    }

    /// Looks at all servers, and forgets those that are no longer placed.
    pub fn look(&self, fleet: &Fleet, now: Timestamp) {
        let mut courses = self.courses.lock().unwrap_or_else(PoisonError::into_inner);
        courses.retain(|id, _| fleet.servers.get(id).is_some_and(|it| it.placement().is_some()));
        for server in fleet.servers.values() {
            let Some(seen) = seen(fleet, server, now) else { continue };
            let course = courses
                .entry(server.id.clone())
                .or_insert_with(|| Arc::new(Course::new(server.generation)));
            let course = Arc::make_mut(course);
            if course.generation != server.generation {
                *course = Course::new(server.generation);
            }
            course.add(seen);
        }
    }
}

/// A server as its host last saw it. A silent host says nothing of the present.
fn seen(fleet: &Fleet, server: &Server, now: Timestamp) -> Option<Point> {
    let placement = server.placement().filter(|_| server.is_ready())?;
    let heard = fleet.hosts.get(&placement.host)?.heard.as_ref()?;
    if heard.at.plus(Seconds(30)) < now {
        return None;
    }
    let seen = heard.observed.get(&server.id)?;
    if seen.generation != server.generation {
        return None;
    }
    let used = &heard.facts.gpus.used;
    let busy = placement.gpus.iter().filter_map(|part| {
        let seen = used.iter().find(|seen| seen.gpu == part.gpu)?;
        seen.busy.map(|busy| u8::try_from(busy).unwrap_or(100))
    });
    Some(Point {
        at: now,
        memory_mib: mebibytes(seen.memory_used),
        limit_mib: mebibytes(placement.reservation.memory),
        cpu_milli: seen.usage.cpu_milli,
        gpu: busy.max(),
    })
}

/// Looks as long as the hub lives.
pub async fn keep(hub: Arc<Hub>) {
    let mut every = tokio::time::interval(Duration::from_secs(EVERY.0));
    loop {
        every.tick().await;
        hub.samples.look(&hub.fleet.fleet(), now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(second: i64, memory_mib: u32) -> Point {
        Point {
            at: Timestamp(second * 1_000_000),
            memory_mib,
            limit_mib: 100,
            cpu_milli: 0,
            gpu: None,
        }
    }

    #[test]
    fn a_course_is_bounded_keeps_its_beginning_and_every_highest_value() {
        let mut course = Course::new(Generation(1));
        for second in (0..400_000).step_by(10) {
            course.add(point(second, if second == 70_000 { 99 } else { 7 }));
            assert!(course.points.len() <= MOST);
        }
        assert!(course.points.len() >= MOST / 2, "{}", course.points.len());
        assert_eq!(course.points.first().unwrap().at, Timestamp(0));
        assert_eq!(course.points.iter().map(|it| it.memory_mib).max(), Some(99));
        assert!(course.points.windows(2).all(|pair| pair[0].at < pair[1].at));
    }
}
