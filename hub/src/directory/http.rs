//! A web service that knows accounts, such as a site's identity management: one JSON document an
//! account.

use berth_common::Username;
use berth_store::Entry;
use futures::future::BoxFuture;
use http::StatusCode;
use serde_json::Value;

use super::{Source, SourceError, groups_of};
use crate::auth::next::escape;
use crate::config::directory::{Fields, Http};
use crate::outgoing::Client;

/// The service.
#[derive(Debug)]
pub struct Service {
    config: Http,
    client: Result<Client, SourceError>,
}

impl Service {
    /// A service as the site's files describe it.
    pub fn new(config: Http) -> Self {
        let client =
            Client::new(config.ca.as_deref()).map_err(|error| SourceError(error.to_string()));
        Self { config, client }
    }
}

impl Source for Service {
    fn find<'a>(&'a self, name: &'a Username) -> BoxFuture<'a, Result<Option<Entry>, SourceError>> {
        Box::pin(async move {
            let client = self.client.as_ref().map_err(Clone::clone)?;
            let url = self.config.url.replace("{user}", &escape(name.as_str()));
            let bearer =
                self.config.token.as_ref().map(|token| format!("Bearer {}", token.reveal()));
            let (status, body) = client
                .get(&url, bearer.as_deref())
                .await
                .map_err(|error| SourceError(error.to_string()))?;
            match status {
                StatusCode::NOT_FOUND => Ok(None),
                status if status.is_success() => read(&self.config, &body).map(Some),
                status => Err(SourceError(format!("it answers {status}"))),
            }
        })
    }
}

fn read(config: &Http, body: &Value) -> Result<Entry, SourceError> {
    if !body.is_object() {
        return Err(SourceError("its answer is no JSON object".into()));
    }
    let Fields { valid, why, uid, gid, home, groups } = &config.fields;
    let number = |path: &str| match find(body, path) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| SourceError(format!("its field {path} is no user or group number"))),
    };
    let text = |path: &str| find(body, path).and_then(Value::as_str).map(str::to_owned);
    let valid = match find(body, valid) {
        None | Some(Value::Null) => None,
        Some(Value::Bool(valid)) => Some(*valid),
        Some(Value::String(word)) if !config.valid_if.is_empty() => {
            Some(config.valid_if.contains(word))
        }
        Some(_) => {
            let message = format!(
                "its field {valid} is neither true nor false; name the words \
                                   that mean yes in valid_if"
            );
            return Err(SourceError(message));
        }
    };
    Ok(Entry {
        valid,
        why: text(why).unwrap_or_default().chars().take(200).collect(),
        uid: number(uid)?,
        gid: number(gid)?,
        home: text(home),
        groups: find(body, groups).map(groups_of),
    })
}

/// A field; a dot leads into an object.
fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, part| value.get(part))
}
