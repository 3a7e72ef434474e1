//! The API: JupyterHub's, and our own under `/hub/api/berth`.

use std::time::Duration;

use berth_common::{ServerName, Username};
use berth_core::Fleet;
use berth_store::User;

use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::error::ApiError;

pub mod activity;
pub mod berth;
pub mod body;
pub mod groups;
pub mod hub;
pub mod lay_down;
pub mod model;
pub mod new_users;
pub mod oauth;
pub mod options;
pub mod page;
pub mod path;
pub mod progress;
pub mod servers;
pub mod services;
pub mod sharing;
pub mod shutdown;
pub mod tokens;
pub mod users;
pub mod whoami;

/// How long a start or stop is waited for before the answer is "not yet": JupyterHub's own.
pub const SLOW: Duration = Duration::from_secs(10);

/// The person of this name; a malformed name is nobody's.
fn find_user(hub: &Hub, name: &str) -> Result<Option<User>, StorageError> {
    let Ok(name) = name.to_lowercase().parse::<Username>() else { return Ok(None) };
    hub.storage.read(|reader| reader.user(&name))
}

/// A server's name of a path.
fn server_name(text: &str) -> Result<ServerName, ApiError> {
    text.parse().map_err(|error| {
        let shown: String = text.chars().take(40).collect();
        ApiError::bad_request(format!("Invalid server_name: '{shown}': {error}"))
    })
}

/// Looks at the fleet, now and after each change, until something is found or the time is over.
pub async fn until<T>(
    hub: &Hub,
    limit: Duration,
    mut look: impl FnMut(&Fleet) -> Option<T>,
) -> Option<T> {
    let mut published = hub.fleet.watch();
    let mut routed = hub.routed.subscribe();
    let deadline = tokio::time::sleep(limit);
    tokio::pin!(deadline);
    loop {
        routed.mark_unchanged();
        let fleet = published.borrow_and_update().clone();
        if let Some(found) = look(&fleet) {
            return Some(found);
        }
        tokio::select! {
            changed = published.changed() => changed.ok()?,
            changed = routed.changed() => changed.ok()?,
            () = &mut deadline => return None,
        }
    }
}
