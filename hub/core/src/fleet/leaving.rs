//! A server on a host that is being emptied, as its owner is told of it.

use berth_common::{HostId, Timestamp};

use super::{Fleet, Intent, Order, Server};
use crate::drain::intent::Told;
use crate::drain::single::AtDeadline;

/// A server that is to leave its host.
#[derive(Debug, Clone, Copy)]
pub struct Leaving<'a> {
    /// The host.
    pub host: &'a HostId,
    /// Who wants it empty, and why.
    pub order: &'a Order,
    /// When it is to be empty; `None`: whenever its servers have ended.
    pub by: Option<Timestamp>,
    /// What happens then to who is left.
    pub at_deadline: AtDeadline,
    /// What its owner reads in place of the reason.
    pub message: Option<&'a str>,
    /// What its owner was told of it.
    pub told: &'a Told,
}

impl<'a> Leaving<'a> {
    /// Why, for its owner.
    pub fn why(&self) -> &'a str {
        self.message.unwrap_or(&self.order.reason)
    }

    /// When it is stopped if it does not end before.
    pub fn stops_at(&self) -> Option<Timestamp> {
        self.by.filter(|_| self.at_deadline == AtDeadline::Stop)
    }

    /// What its owner reads, with a moment in the reader's words.
    pub fn sentence(&self, moment: impl Fn(Timestamp) -> String) -> String {
        let host = self.host;
        let reason = self.why().trim_end_matches('.');
        match (self.by, self.stops_at()) {
            (_, Some(stop)) => {
                format!(
                    "{host} is to be empty by {}: {reason}. What runs there then is stopped.",
                    moment(stop)
                )
            }
            (Some(by), None) => {
                format!(
                    "{host} is to be empty by {}: {reason}. Nothing is stopped by force.",
                    moment(by)
                )
            }
            (None, None) => {
                format!("{host} is being emptied: {reason}. Nothing is stopped by force.")
            }
        }
    }
}

/// What an owner can do about it.
pub const WHAT_TO_DO: &str = "Save your work, then stop the server and start it again when it suits you: it will run on another host.";

impl Fleet {
    /// Why and when a server is to leave its host, once its owner was told.
    pub fn leaving<'a>(&'a self, server: &'a Server) -> Option<Leaving<'a>> {
        let placement = server.placement().filter(|placement| placement.stop.is_none())?;
        let Intent::Draining { order, by, plan } = &self.hosts.get(&placement.host)?.intent else {
            return None;
        };
        let told = plan.told.get(&server.id).filter(|told| told.host == placement.host)?;
        let (host, at_deadline) = (&placement.host, plan.at_deadline);
        let message = plan.message.as_deref();
        Some(Leaving { host, order, by: *by, at_deadline, message, told })
    }
}
