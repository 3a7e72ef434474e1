//! A value over time, drawn as SVG. What it shows is said in words beside it.

use askama::Template;
use berth_common::{Seconds, Timestamp};

use crate::samples::{Course, Point};
use crate::web::pages::words::Moment;
use crate::web::say;

/// The picture's size in its own units.
const WIDTH: i64 = 1000;
const HEIGHT: u64 = 120;

/// A drawn chart.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "chart.html")]
pub struct Chart {
    title: String,
    /// Its values in words.
    words: String,
    /// The value's area and its upper edge.
    area: String,
    edge: String,
    /// The limit's line; empty: there is none.
    limit: String,
    from: Moment,
    to: Moment,
}

/// The charts of a server; none before there are two points.
pub fn of_course(course: &Course) -> Vec<Chart> {
    let mut charts = Vec::new();
    let most = course.points.iter().map(|it| it.memory().max(it.limit())).max().unwrap_or_default();
    let highest = course.points.iter().map(Point::memory).max().unwrap_or_default();
    let said = say::t("chart-memory").with("highest", highest).with("limit", most);
    let (memory, limit) = (|it: &Point| Some(it.memory().0), |it: &Point| Some(it.limit().0));
    charts.extend(draw(course, say::t("memory"), said, most.0, memory, Some(&limit)));

    let cpu = |it: &Point| Some(u64::from(it.cpu_milli));
    let most = course.points.iter().filter_map(cpu).max().unwrap_or_default();
    let said = say::t("chart-cpu").with("highest", format!("{:.1}", most as f64 / 1000.0));
    let whole = most.max(1).div_ceil(1000).saturating_mul(1000);
    charts.extend(draw(course, say::t("chart-cpu-title"), said, whole, cpu, None));

    let gpu = |it: &Point| it.gpu.map(u64::from);
    if let Some(most) = course.points.iter().filter_map(gpu).max() {
        let said = say::t("chart-gpu").with("highest", most);
        charts.extend(draw(course, say::t("gpu"), said, 100, gpu, None));
    }
    charts
}

fn draw(
    course: &Course,
    title: say::Said,
    words: say::Said,
    most: u64,
    value: impl Fn(&Point) -> Option<u64>,
    limit: Option<&dyn Fn(&Point) -> Option<u64>>,
) -> Option<Chart> {
    let (first, last) = (course.points.first()?.at, course.points.last()?.at);
    if first == last {
        return None;
    }
    let frame = Frame { first, last, every: course.every, most };
    let (edge, area) = frame.line(&course.points, value);
    let limit = limit.map(|limit| frame.line(&course.points, limit).0).unwrap_or_default();
    Some(Chart {
        title: title.to_string(),
        words: words.to_string(),
        area,
        edge,
        limit,
        from: Moment::from(first),
        to: Moment::from(last),
    })
}

/// From when to when, and from nothing to how much.
struct Frame {
    first: Timestamp,
    last: Timestamp,
    every: Seconds,
    most: u64,
}

impl Frame {
    fn x(&self, at: Timestamp) -> i64 {
        let whole = self.last.0.saturating_sub(self.first.0).max(1);
        at.0.saturating_sub(self.first.0).saturating_mul(WIDTH) / whole
    }

    fn y(&self, value: u64) -> u64 {
        let up = u128::from(value) * u128::from(HEIGHT) / u128::from(self.most.max(1));
        HEIGHT.saturating_sub(u64::try_from(up).unwrap_or(HEIGHT))
    }

    /// The edge, and the area below it. Where nothing was heard for two spans there is a gap.
    fn line(&self, points: &[Point], value: impl Fn(&Point) -> Option<u64>) -> (String, String) {
        use std::fmt::Write as _;
        let (mut edge, mut area) = (String::new(), String::new());
        let mut before: Option<&Point> = None;
        let gap = Seconds(self.every.0.saturating_mul(3));
        for point in points {
            let Some(value) = value(point) else { continue };
            let (x, y) = (self.x(point.at), self.y(value));
            // Writing into memory cannot fail.
            let _ = match before.filter(|before| point.at < before.at.plus(gap)) {
                Some(_) => write!(edge, "L{x} {y}").and(write!(area, "L{x} {y}")),
                None => {
                    if let Some(before) = before {
                        let _ = write!(area, "L{} {HEIGHT}z", self.x(before.at));
                    }
                    write!(edge, "M{x} {y}").and(write!(area, "M{x} {HEIGHT}L{x} {y}"))
                }
            };
            before = Some(point);
        }
        if let Some(before) = before {
            let _ = write!(area, "L{} {HEIGHT}z", self.x(before.at));
        }
        (edge, area)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_in_time_is_a_gap_in_the_line() {
        let at = |second: i64| Timestamp(second * 1_000_000);
        let frame = Frame { first: at(0), last: at(100), every: Seconds(10), most: 100 };
        let points = [0, 10, 90, 100].map(|second| Point { at: at(second), ..Point::default() });
        let (edge, area) = frame.line(&points, |_| Some(50));
        assert_eq!(edge, "M0 60L100 60M900 60L1000 60");
        assert_eq!(area, "M0 120L0 60L100 60L100 120zM900 120L900 60L1000 60L1000 120z");
    }
}
