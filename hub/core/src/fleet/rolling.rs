//! A rolling reboot: many hosts emptied and rebooted one after the other, as one plan.

use berth_common::{HostId, Seconds};
use serde::{Deserialize, Serialize};

use super::{Fleet, Order};
use crate::drain::intent::{Goal, Intent as Plan, State};
use crate::drain::single::AtDeadline;

/// The plan, how far it is, and whose it is. It outlives the hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rolling {
    /// Who, why and since when.
    pub order: Order,
    /// The hosts in their order, and how far each is.
    pub plan: Plan,
}

impl Rolling {
    /// A plan of which nothing is done yet: hosts in the order in which they are rebooted, and how
    /// long each may take to become empty.
    pub fn new(
        order: Order,
        hosts: impl IntoIterator<Item = HostId>,
        each: Option<Seconds>,
        at_deadline: AtDeadline,
    ) -> Self {
        // Owners are told by the drain of each host, when its turn comes.
        Self { order, plan: Plan::new(Goal::Reboot { each }, hosts, Vec::new(), at_deadline, 1) }
    }

    /// Whether a host's turn is still to come: whoever is placed there is stopped once more.
    pub fn awaits(&self, host: &HostId) -> bool {
        matches!(self.plan.state(host), Some(State::Waiting))
    }
}

impl Fleet {
    /// The rolling reboot that is under way or done.
    pub fn rolling(&self) -> Option<&Rolling> {
        self.rolling.as_deref()
    }
}
