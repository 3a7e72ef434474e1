//! Dask Gateway's own API, asked in the name of the clusters' owner.

use berth_common::{ByteCount, Username};
use http::StatusCode;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use super::Cluster;
use super::errands::Errand;
use crate::auth::next::escape;
use crate::auth::scopes::Scopes;
use crate::config::Config;
use crate::outgoing::{CallError, Client};
use crate::site::Hub;

/// What may stand in a path.
const SEGMENTS: &AsciiSet = &CONTROLS.add(b' ').add(b'?').add(b'#').add(b'%').add(b'"');
/// The option of a cluster that holds the mark of the server which began it.
const MARK: &str = "server";

/// The gateway of the site.
#[derive(Debug, Clone)]
pub struct Gateway {
    service: String,
    /// Scheme, host and port.
    origin: String,
    /// Where its paths begin.
    base: String,
    client: Client,
}

impl Gateway {
    /// The gateway that the files name, if they name one that can be asked.
    pub fn of(config: &Config) -> Option<Self> {
        let service = config.services.0.get(config.farm.gateway.as_ref()?)?;
        let origin = service.url.as_ref()?.origin().ascii_serialization();
        let base = format!("{origin}{}", service.prefix());
        let client = Client::new(None).ok()?;
        Some(Self { service: service.name.clone(), origin, base, client })
    }

    /// Its service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The path of a cluster's dashboard at this site: the hub lets its owner in, and nobody else.
    pub fn dashboard_of(&self, cluster: &str) -> String {
        format!("/hub/dask/{}/clusters/{}/status", self.service, escape(cluster))
    }

    /// Where the gateway has a part of a cluster's dashboard.
    pub fn dashboard_path(&self, cluster: &str, rest: &str, query: Option<&str>) -> String {
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        let rest = utf8_percent_encode(rest, SEGMENTS);
        format!("/services/{}/clusters/{}/{rest}{query}", self.service, escape(cluster))
    }

    /// Whether somebody may use it.
    pub fn may_use(&self, hub: &Hub, person: &Username) -> bool {
        let user = hub.storage.read(|reader| reader.user(person)).ok().flatten();
        user.is_some_and(|user| {
            let scopes = Scopes::of_user(&user, &hub.config().people.roles);
            scopes.reach_service("access:services", &self.service)
        })
    }

    /// The clusters of the errand's person that have not ended, each with the mark of its server.
    ///
    /// # Errors
    /// Why the gateway did not say, for people.
    pub async fn clusters(
        &self,
        errand: &Errand,
    ) -> Result<Vec<(Option<String>, Cluster)>, String> {
        let mut all = Vec::new();
        for (name, said) in self.list(errand).await? {
            let mark = said["options"][MARK].as_str().map(str::to_owned);
            let state = said["status"].as_str().unwrap_or("unknown").to_lowercase();
            let runs = state == "running";
            let scheduler = if runs { self.scheduler(&name).await } else { None };
            let (counts, identity) = scheduler.unwrap_or_default();
            all.push((
                mark,
                Cluster {
                    state,
                    workers: counts["workers"].as_u64(),
                    cores: counts["cores"].as_u64(),
                    memory: identity["total_memory"].as_u64().map(ByteCount),
                    busy: counts["processing"].as_u64().map(|tasks| tasks > 0),
                    dashboard: runs.then(|| self.dashboard_of(&name)),
                    name,
                },
            ));
        }
        Ok(all)
    }

    /// What a person's clusters may take by what was said when they were made: cores and memory.
    ///
    /// # Errors
    /// Those of [`Self::clusters`].
    pub async fn reserved(&self, errand: &Errand) -> Result<Vec<(u64, ByteCount)>, String> {
        let all = self.list(errand).await?.into_iter();
        let amount = |said: &Value, name: &str| said["options"][name].as_u64().unwrap_or(0);
        Ok(all
            .map(|(_, said)| (amount(&said, "cores"), ByteCount(amount(&said, "memory"))))
            .collect())
    }

    /// Whether a cluster is the errand's person's.
    pub async fn owns(&self, errand: &Errand, cluster: &str) -> bool {
        let path = format!("api/v1/clusters/{}", escape(cluster));
        matches!(self.get(errand, &path).await, Ok((StatusCode::OK, _)))
    }

    /// Ends a cluster of the errand's person.
    ///
    /// # Errors
    /// Those of [`Self::clusters`].
    pub async fn end(&self, errand: &Errand, cluster: &str) -> Result<(), String> {
        let url = format!("{}api/v1/clusters/{}", self.base, escape(cluster));
        match self.client.delete(&url, Some(&authorization(errand))).await {
            Ok(status) if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            Ok(status) => Err(format!("Dask Gateway answers {status}")),
            Err(error) => Err(silent(&error)),
        }
    }

    async fn list(&self, errand: &Errand) -> Result<Vec<(String, Value)>, String> {
        let path = "api/v1/clusters/?status=pending,running,stopping";
        match self.get(errand, path).await {
            Ok((StatusCode::OK, Value::Object(all))) => Ok(all.into_iter().collect()),
            Ok((status, _)) => Err(format!("Dask Gateway answers {status}")),
            Err(error) => Err(silent(&error)),
        }
    }

    /// What a scheduler tells of itself; it may be gone already.
    async fn scheduler(&self, cluster: &str) -> Option<(Value, Value)> {
        let page =
            |name: &str| format!("{}clusters/{}/json/{name}.json", self.base, escape(cluster));
        let (counts, identity) = (page("counts"), page("identity"));
        let (counts, identity) =
            tokio::join!(self.client.get(&counts, None), self.client.get(&identity, None));
        Some((counts.ok()?.1, identity.ok()?.1))
    }

    async fn get(&self, errand: &Errand, path: &str) -> Result<(StatusCode, Value), CallError> {
        self.client.get(&format!("{}{path}", self.base), Some(&authorization(errand))).await
    }
}

/// As `dask_gateway.auth.JupyterHubAuth` writes it.
fn authorization(errand: &Errand) -> String {
    format!("jupyterhub {}", errand.token())
}

fn silent(error: &CallError) -> String {
    format!("Dask Gateway does not answer: {error}")
}
