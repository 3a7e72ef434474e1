//! Which of the possible hosts is best. The order of the fields is the policy; the host's name is
//! the last word, so a tie never decides by accident.

use berth_common::{ByteCount, HostId};

use crate::decision::Term;
use crate::fleet::{Fleet, Host, Server};
use crate::placement::filter::Room;
use crate::settings::{Image, Strategy};

/// A host's score for one request: the smallest wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score {
    /// A missing image would make the person wait for it, or fail.
    image_absent: bool,
    /// How full the host is, as its pool's strategy counts it.
    fill: Fill,
    /// The host used last has the warmest caches.
    not_last: bool,
    /// The host's name: a fixed order, so the choice is the same every time.
    host: HostId,
}

/// How full a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fill {
    /// Pack: the least memory left first.
    LeftAfter(ByteCount),
    /// Spread: the smallest reserved part first, in thousandths.
    ReservedPart(u64),
}

impl Score {
    /// The score of a possible host.
    pub fn of(
        fleet: &Fleet,
        host: &Host,
        pool: &str,
        room: &Room,
        image: Option<&Image>,
        server: Option<&Server>,
    ) -> Self {
        let strategy =
            fleet.settings.pools.get(pool).map_or(Strategy::default(), |pool| pool.strategy);
        let fill = match strategy {
            Strategy::Pack => Fill::LeftAfter(room.left.memory),
            Strategy::Spread => {
                let usable = room.usable.memory.0.max(1);
                Fill::ReservedPart(room.reserved.memory.0.saturating_mul(1000) / usable)
            }
        };
        let present = image.is_none_or(|image| {
            host.heard.as_ref().is_some_and(|heard| heard.facts.images.contains(&image.reference))
        });
        let last = server.and_then(|server| server.last_host.as_ref());
        Self {
            image_absent: !present,
            fill,
            not_last: last != Some(&host.id),
            host: host.id.clone(),
        }
    }

    /// The terms in words, in the order in which they decide.
    pub fn terms(&self) -> Vec<Term> {
        let yes = |it: bool| if it { "yes" } else { "no" }.to_owned();
        let fill = match self.fill {
            Fill::LeftAfter(left) => {
                Term { name: "memory left after placing".into(), value: left.to_string() }
            }
            Fill::ReservedPart(part) => Term {
                name: "memory already reserved".into(),
                value: format!("{} %", part as f64 / 10.0),
            },
        };
        vec![
            Term { name: "image present".into(), value: yes(!self.image_absent) },
            fill,
            Term { name: "was there last".into(), value: yes(!self.not_last) },
        ]
    }
}
