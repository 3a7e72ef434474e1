//! Who gets which place on other hosts, and who must have it early.
//!
//! Room elsewhere only grows until the deadline, so a server that must leave early fits if it fits
//! at its last quiet moment. Taken in the order of these moments, each needs only to be compared
//! with the room at its own; that makes the exact search short.

use berth_common::{Resources, Timestamp};

use super::{AtDeadline, Occupant, Opening, Request, Span, left_alone};
use crate::drain::single::End;
use crate::drain::size;

/// How many placements are tried before the best found so far is taken. A host has some dozen
/// servers; the first way down is best fit, and most searches end there. Eight servers never need
/// more (tested against all ways there are).
const MOST_TRIES: u32 = 20_000;

/// The place of one server's next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The opening, if it has one.
    pub opening: Option<usize>,
    /// When it moves there, if before it would leave anyway.
    pub restart_at: Option<Timestamp>,
}

/// What is lost, in order of importance.
type Loss = [u32; 3];
const INTERRUPTED: Loss = [1, 0, 0];
/// It runs until the deadline and has no place then.
const NO_PLACE: Loss = [0, 1, 0];
/// It ends before by itself; should its owner return, there is no place.
const NO_PLACE_LATER: Loss = [0, 0, 1];

/// A place for each server, so that the loss is least.
pub fn assign(request: &Request) -> Vec<Seat> {
    let queue = queue(request);
    let mut search = Search {
        request,
        unavoidable: unavoidable(request, &queue),
        queue,
        seats: vec![None; request.servers.len()],
        used: vec![Resources::default(); request.openings.len()],
        best: None,
        tries: 0,
    };
    search.next(0, [0; 3]);
    let seats = search.best.map_or_else(Vec::new, |(_, seats)| seats);
    with_moments(request, &seats)
}

/// One question of the search: a place for a server by a moment, or this loss.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    server: usize,
    by: Timestamp,
    early: bool,
    loss: Loss,
}

/// Those who must leave early, in the order of their last quiet moments; then those who run until
/// the deadline, then those who end before; the large ones first.
fn queue(request: &Request) -> Vec<Wanted> {
    let deadline = request.deadline.unwrap_or(Timestamp(i64::MAX));
    let mut queue = Vec::new();
    for (server, occupant) in request.servers.iter().enumerate() {
        let end = left_alone(request, occupant);
        let last = last_quiet(request, occupant);
        if let (End::Interrupted(_), Some(by)) = (end, last) {
            queue.push(Wanted { server, by, early: true, loss: INTERRUPTED });
        }
        let loss = if matches!(end, End::Idle(_)) { NO_PLACE_LATER } else { NO_PLACE };
        queue.push(Wanted { server, by: deadline, early: false, loss });
    }
    queue.sort_by_key(|wanted| {
        let large_first = std::cmp::Reverse(size(&request.servers[wanted.server].need));
        let moment = if wanted.early { wanted.by } else { deadline };
        (!wanted.early, std::cmp::Reverse(wanted.loss), moment, large_first, wanted.server)
    });
    queue
}

/// For each position of the queue, what is lost from there on because even an unused fleet has no
/// room. One more than there are questions.
fn unavoidable(request: &Request, queue: &[Wanted]) -> Vec<Loss> {
    let mut from_here = vec![[0; 3]; queue.len() + 1];
    for (position, wanted) in queue.iter().enumerate().rev() {
        let server = &request.servers[wanted.server];
        let fits_somewhere = request.openings.iter().any(|opening| {
            opening.takes.contains(&server.kind) && server.need.fits(&room_at(opening, wanted.by))
        });
        let lost = if fits_somewhere { [0; 3] } else { wanted.loss };
        from_here[position] = sum(from_here[position + 1], lost);
    }
    from_here
}

fn sum(one: Loss, other: Loss) -> Loss {
    std::array::from_fn(|kind| one[kind] + other[kind])
}

/// The last moment before the deadline at which a server may be restarted and rests.
fn last_quiet(request: &Request, server: &Occupant) -> Option<Timestamp> {
    Some(Timestamp(quiet_spans(request, server).last()?.until.0 - 1))
}

/// When a server may be restarted: it rests, and its owner was told.
fn quiet_spans(request: &Request, server: &Occupant) -> Vec<Span> {
    let (first, deadline) = (request.first_restart(), request.deadline);
    let Some(deadline) =
        deadline.filter(|_| server.may_restart && request.at_deadline == AtDeadline::Stop)
    else {
        return Vec::new();
    };
    let clipped = server
        .quiet(request.now)
        .into_iter()
        .map(|span| Span { from: span.from.max(first), until: span.until.min(deadline) });
    clipped.filter(|span| span.from < span.until).collect()
}

/// For each server the opening, and whether it goes there early.
type Seats = Vec<Option<(usize, bool)>>;

struct Search<'a> {
    request: &'a Request,
    queue: Vec<Wanted>,
    /// For each position, what is lost from there on even if nobody took another's place.
    unavoidable: Vec<Loss>,
    seats: Seats,
    used: Vec<Resources>,
    best: Option<(Loss, Seats)>,
    tries: u32,
}

impl Search<'_> {
    /// Answers the question at this position and all after it.
    fn next(&mut self, position: usize, loss: Loss) {
        let at_least = sum(loss, self.unavoidable[position]);
        if self.best.as_ref().is_some_and(|(least, _)| *least <= at_least) {
            return;
        }
        let Some(&wanted) = self.queue.get(position) else {
            self.best = Some((loss, self.seats.clone()));
            return;
        };
        if self.seats[wanted.server].is_some() {
            return self.next(position + 1, loss);
        }
        for opening in self.possible(wanted) {
            self.tries += 1;
            if self.tries > MOST_TRIES {
                return;
            }
            let before = self.used[opening];
            self.used[opening] = before.plus(&self.request.servers[wanted.server].need);
            self.seats[wanted.server] = Some((opening, wanted.early));
            self.next(position + 1, loss);
            self.seats[wanted.server] = None;
            self.used[opening] = before;
        }
        self.next(position + 1, sum(loss, wanted.loss));
    }

    /// Openings with room by the moment, the fullest first; of equal ones the first.
    fn possible(&self, wanted: Wanted) -> Vec<usize> {
        let server = &self.request.servers[wanted.server];
        let left = |opening: usize| {
            room_at(&self.request.openings[opening], wanted.by).minus(&self.used[opening])
        };
        let mut possible: Vec<usize> = (0..self.used.len())
            .filter(|&index| {
                let opening = &self.request.openings[index];
                let total = self.used[index].plus(&server.need);
                opening.takes.contains(&server.kind) && total.fits(&room_at(opening, wanted.by))
            })
            .collect();
        possible.sort_by_key(|&opening| (size(&left(opening)), opening));
        // Two openings that are alike are one choice.
        possible.dedup_by(|a, b| {
            self.used[*a] == self.used[*b] && self.request.openings[*a] == self.request.openings[*b]
        });
        possible
    }
}

/// What an opening holds at a moment, the seats given there not counted.
fn room_at(opening: &Opening, at: Timestamp) -> Resources {
    let later = opening.later.iter().take_while(|(moment, _)| *moment <= at);
    later.fold(opening.free, |room, (_, more)| room.plus(more))
}

/// The early ones leave at their first quiet moment with room, since a quiet moment in the hand is
/// worth more than one that is only expected.
fn with_moments(request: &Request, seats: &[Option<(usize, bool)>]) -> Vec<Seat> {
    let mut moments: Vec<Option<Timestamp>> = vec![None; seats.len()];
    let mut early: Vec<(Timestamp, usize, usize)> = seats
        .iter()
        .enumerate()
        .filter_map(|(server, seat)| match seat {
            Some((opening, true)) => {
                Some((last_quiet(request, &request.servers[server])?, server, *opening))
            }
            _ => None,
        })
        .collect();
    early.sort();
    for &(last, server, opening) in &early {
        let settled: Vec<(Timestamp, Resources)> = early
            .iter()
            .filter(|(_, _, other)| *other == opening)
            .filter_map(|&(_, other, _)| Some((moments[other]?, request.servers[other].need)))
            .collect();
        moments[server] = Some(first_moment(request, server, opening, &settled).unwrap_or(last));
    }
    let seats = seats.iter().zip(moments);
    seats
        .map(|(seat, restart_at)| Seat { opening: seat.map(|(opening, _)| opening), restart_at })
        .collect()
}

/// The first quiet moment at which a server has room in an opening, without taking it from those
/// who are settled there for later.
fn first_moment(
    request: &Request,
    server: usize,
    opening: usize,
    settled: &[(Timestamp, Resources)],
) -> Option<Timestamp> {
    let occupant = &request.servers[server];
    let opening = &request.openings[opening];
    let fits = |at: Timestamp| {
        let used = settled.iter().filter(|(moment, _)| *moment <= at);
        let used = used.fold(occupant.need, |sum, (_, need)| sum.plus(need));
        used.fits(&room_at(opening, at))
    };
    quiet_spans(request, occupant).into_iter().find_map(|span| {
        let changes = opening.later.iter().map(|(moment, _)| *moment);
        let mut candidates: Vec<Timestamp> =
            changes.filter(|&at| span.from < at && at < span.until).chain([span.from]).collect();
        candidates.sort();
        candidates.into_iter().find(|&at| {
            let later = settled.iter().map(|(moment, _)| *moment).filter(|moment| *moment > at);
            fits(at) && later.into_iter().all(fits)
        })
    })
}
