//! A shut gate in one sentence: who holds what, how much would be needed, how much there is.

use berth_common::ByteCount;

use super::gate::{Bound, Distrust, Refusal, Usable};
use super::sums::Member;

impl Refusal {
    /// In one sentence, for the host of this name with these servers.
    pub fn sentence<'a>(
        &self,
        host: &str,
        newcomer: &Member,
        holders: impl IntoIterator<Item = (&'a str, &'a Member)>,
    ) -> String {
        let largest = Largest::of(holders);
        match self {
            Self::OneGrows { lately, growth, newcomer: it, usable } => {
                let need = lately.plus(*growth);
                let beside = largest.beside();
                let who = if *it {
                    format!("this server grew to its {}{beside}", newcomer.limit)
                } else {
                    format!("{} grew to its limit", largest.grower)
                };
                let outside = outside(usable, host);
                format!("if {who}, {host} would need {need} of {}{outside}", usable.bytes)
            }
            Self::AllReturn { doubled, usable } => format!(
                "if all servers there grew to twice their highest use, {host} would need {doubled} of {}{}",
                usable.bytes,
                outside(usable, host)
            ),
            Self::TooManyYoung { limits, squares, allowed, usable } => format!(
                "servers of which nothing is known yet could take {limits} of {host}'s {}, a risk of {} where {} is allowed",
                usable.bytes,
                f64::from(squares.0) / 1000.0,
                f64::from(allowed.0) / 1000.0
            ),
            Self::Limits { limits, usable, distrust } => {
                let why =
                    distrust.map_or(String::new(), |distrust| format!(": {}", word(distrust)));
                let outside = outside(usable, host);
                format!("limits on {host} would be {limits} of {}{outside}{why}", usable.bytes)
            }
            Self::Oversubscribed { limits, allowed } => {
                format!("limits on {host} would be {limits}, its pool allows {allowed}")
            }
            Self::UsedCeiling { used, peak, allowed } => format!(
                "{used} of {host} are used now and {peak} are expected of this server, its pool allows {allowed}"
            ),
            Self::Alarm(alarm) => format!(
                "{host} admits nobody: its servers use {} now, and if {} grew to its limit they would need {} of {}",
                alarm.used, largest.grower_now, alarm.need, alarm.usable
            ),
        }
    }
}

/// The servers worth naming.
struct Largest<'a> {
    holder: Option<(&'a str, ByteCount)>,
    grower: &'a str,
    grower_now: &'a str,
}

impl<'a> Largest<'a> {
    /// Of several equal ones the first by name, so that a sentence is the same every time.
    fn of(holders: impl IntoIterator<Item = (&'a str, &'a Member)>) -> Self {
        let mut holders: Vec<_> = holders.into_iter().collect();
        holders.sort_by_key(|(name, _)| std::cmp::Reverse(*name));
        let most = |value: fn(&Member) -> ByteCount| {
            holders.iter().max_by_key(|(_, member)| value(member)).copied()
        };
        let name =
            |found: Option<(&'a str, &Member)>| found.map_or("one of them", |(name, _)| name);
        Self {
            holder: most(|member| member.lately).map(|(name, member)| (name, member.lately)),
            grower: name(most(|member| member.limit.minus(member.lately))),
            grower_now: name(most(|member| member.limit.minus(member.used))),
        }
    }

    fn beside(&self) -> String {
        self.holder.map_or(String::new(), |(name, held)| format!(" beside {name}'s {held}"))
    }
}

fn outside(usable: &Usable, host: &str) -> String {
    match usable.bound {
        Bound::Live { outside } => {
            format!("; something outside the servers holds {outside} of {host}")
        }
        _ => String::new(),
    }
}

fn word(distrust: Distrust) -> String {
    match distrust {
        Distrust::Silent => "it has not reported yet".to_owned(),
        Distrust::Old { age } => format!("its last report is {age} old"),
        Distrust::NoFree => "it does not report its free memory".to_owned(),
        Distrust::TooMuch { used, free, total } => {
            format!("it reports {used} used and {free} free of {total}")
        }
        Distrust::AboveLimit => "it reports a server with more than its limit".to_owned(),
    }
}
