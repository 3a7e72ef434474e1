//! Drains as people name them: by their number, or by the hosts that are emptied.

use std::collections::BTreeMap;
use std::str::FromStr;

use berth_common::{HostId, Timestamp};
use berth_core::fleet::DrainId;
use serde::Deserialize;
use serde_json::Value;

use crate::api;
use crate::args::Hosts;
use crate::connection::Connection;
use crate::problem::{Exit, Problem};
use crate::text;

/// A drain, or hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// This drain.
    Drain(DrainId),
    /// Whatever empties these hosts.
    Hosts(Hosts),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(id) => Ok(Self::Drain(id)),
            Err(_) => text.parse().map(Self::Hosts),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Drain {
    host: HostId,
    #[serde(default)]
    left: Option<usize>,
    #[serde(default, deserialize_with = "api::moment")]
    ended: Option<Timestamp>,
}

/// The hosts that are meant; where a drain was named, with its number.
///
/// # Errors
/// When a drain is over, or there is none of that number. `what` completes "cannot ...".
pub async fn hosts(
    hub: &Connection,
    what: &str,
    named: &[Named],
) -> Result<BTreeMap<HostId, Option<DrainId>>, Problem> {
    let mut all = BTreeMap::new();
    for name in named {
        let id = match name {
            Named::Hosts(Hosts(hosts)) => {
                all.extend(hosts.iter().map(|host| (host.clone(), None)));
                continue;
            }
            Named::Drain(id) => id,
        };
        let path = api::path(&["berth", "drains", &id.to_string()]);
        let answer = api::get(hub, &format!("{what} {id}"), &path).await?;
        let drain: Drain = api::read(what, answer.body.get("drain").unwrap_or(&Value::Null))?;
        if let Some(ended) = drain.ended {
            let left = match drain.left {
                None | Some(0) => "when the host was empty".to_owned(),
                Some(left) => format!("with {left} left"),
            };
            let at = text::local(ended, answer.now);
            let why = format!("It emptied {} and ended {at}, {left}.", drain.host);
            let advice = "'berth drain' lists those that are under way.";
            return Err(Problem::new(Exit::Failed, format!("cannot {what} {id}"), why, advice));
        }
        all.insert(drain.host, Some(*id));
    }
    Ok(all)
}
