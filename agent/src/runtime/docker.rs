//! The Docker Engine, through its socket. Nothing outside this folder names bollard.
//!
//! Every call has its own limit. Only an answer of the engine itself counts as one: a broken
//! connection or a passed limit leaves the call unsettled, since the engine may go on with it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_common::link::Ending;
use berth_common::{ByteCount, HostId, Reason};
use berth_process::crash_point;
use berth_proto::link::LogLine;
use bollard::Docker as Client;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerUpdateBody};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, InspectContainerOptions,
    ListContainersOptionsBuilder, ListImagesOptions, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use futures::StreamExt;

use super::{EngineFacts, Network, Plan, Runtime};
use crate::config::Give;
use crate::firewall::{Bridge, Wall};
use crate::reconcile::{Container, Outcome, Remains};

mod gpus;
mod layers;
mod make;
mod network;
mod podman;
mod pull;
mod read;
mod transport;
mod trouble;

use gpus::Form;
use make::{body, container_name, differs};
use read::{address_of, container, log_line, printable};
use transport::torn;
use trouble::{Trouble, gone_or_failed, refused, settled, slow, start_refused, within};

/// The firewall is looked at so often, and before each start.
const WALL_EVERY: Duration = Duration::from_secs(60);

/// Questions answer in milliseconds; an engine that needs longer than this is in trouble.
const QUESTION: Duration = Duration::from_secs(10);

/// Create and start do real work on slow disks. Less than the time a start has to answer.
const WORK: Duration = Duration::from_secs(30);

/// A removal waits behind a hung start and for the storage driver.
const REMOVAL: Duration = Duration::from_secs(60);

/// What stop may take beyond the grace.
const STOP_MARGIN: Duration = Duration::from_secs(15);

/// After the stream of events broke: the engine restarts, or is away.
const EVENTS_AGAIN: Duration = Duration::from_millis(500);

/// Lines and bytes of a log that go into a report.
const LOG_LINES: u32 = 20;
const LOG_BYTES: usize = 4_000;

const HOST: &str = "berth.host";
const LEFT_OUT: &str = "berth.left_out";

/// The engine behind one socket, as one host's agent sees it.
#[derive(Debug, Clone)]
pub struct Docker {
    host: HostId,
    socket: PathBuf,
    client: Arc<Mutex<Option<Client>>>,
    /// The id of the network that was given out last. Held while it is looked up or made: the
    /// engine would make two of one name.
    network: Arc<tokio::sync::Mutex<Option<String>>>,
    give: Give,
    /// Where logins to registries stand.
    registries: Option<PathBuf>,
    /// What containers cannot reach, and the bridge it is for, once that is known.
    wall: Option<Arc<Wall>>,
    bridge: Arc<Mutex<Option<Bridge>>>,
}

impl Docker {
    /// Names the socket and the host whose containers are seen. Connects with the first call.
    pub fn new(host: HostId, socket: &Path) -> Self {
        Self {
            host,
            socket: socket.to_owned(),
            client: Arc::default(),
            network: Arc::default(),
            give: Give::Auto,
            registries: None,
            wall: None,
            bridge: Arc::default(),
        }
    }

    /// Logs in to registries as this file says.
    #[must_use]
    pub fn logging_in_with(self, registries: Option<PathBuf>) -> Self {
        Self { registries, ..self }
    }

    /// Puts a wall around the containers.
    #[must_use]
    pub fn walled(self, wall: Wall) -> Self {
        Self { wall: Some(Arc::new(wall)), ..self }
    }

    /// Keeps the wall as it should be, for ever: whoever reloads the host's own rules may take it
    /// away.
    pub async fn keep_wall(self) {
        let mut tick = tokio::time::interval(WALL_EVERY);
        let mut said = String::new();
        loop {
            tick.tick().await;
            let trouble = match self.try_network().await {
                Ok(_) => self.walled_in().await.err().unwrap_or_default(),
                // The engine's own trouble is told elsewhere.
                Err(_) => continue,
            };
            if trouble != said && !trouble.is_empty() {
                tracing::warn!("the firewall: {trouble}");
            }
            said = trouble;
        }
    }

    /// Makes sure that the wall stands.
    async fn walled_in(&self) -> Result<(), String> {
        let bridge = self.bridge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (&self.wall, bridge) {
            (Some(wall), Some(bridge)) => wall.ensure(&bridge).await.map(drop),
            (Some(wall), None) if wall.is_required() => Err("its bridge is not known".into()),
            _ => Ok(()),
        }
    }

    /// Says how containers get their GPUs.
    #[must_use]
    pub fn giving(self, give: Give) -> Self {
        Self { give, ..self }
    }

    /// How a container gets its GPUs.
    async fn form(&self, client: &Client, plan: &Plan) -> Form {
        let gpus = &plan.origin.gpus;
        match self.give {
            _ if gpus.is_empty() => Form::Nothing,
            Give::Request => Form::Request,
            Give::Cdi => Form::Cdi,
            Give::Runtime => Form::Runtime,
            Give::Auto => {
                // An engine that cannot tell has no CDI, or is too old for it.
                let info = within(QUESTION, client.info()).await;
                if info.is_ok_and(|info| gpus::known_by_cdi(&info, gpus)) {
                    Form::Cdi
                } else {
                    Form::Request
                }
            }
        }
    }

    /// The name of this host's network, and the beginning of its containers' names.
    fn network_name(&self) -> String {
        format!("berth-{}", self.host)
    }

    /// The versions of the engine and of what it runs, by the names that it gives them.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn programs(&self) -> Result<BTreeMap<String, String>, String> {
        let words = |trouble: Trouble| trouble.to_string();
        let client = self.client().await.map_err(words)?;
        let version = within(QUESTION, client.version()).await.map_err(words)?;
        let all = version.components.into_iter().flatten();
        Ok(all.map(|component| (component.name, component.version)).collect())
    }

    /// A client that speaks the engine's own version of the API.
    async fn client(&self) -> Result<Client, Trouble> {
        let known = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(client) = known {
            return Ok(client);
        }
        let away = |error: Error| {
            Trouble::Unknown(format!(
                "the Docker Engine at {} does not answer: {error}",
                self.socket.display()
            ))
        };
        let client = transport::client(&self.socket).map_err(away)?;
        let client = match tokio::time::timeout(QUESTION, client.negotiate_version()).await {
            Ok(client) => client.map_err(away)?,
            Err(_) => return Err(slow(QUESTION)),
        };
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
        Ok(client)
    }

    /// The next call connects anew: the engine may have been replaced by another version.
    fn forget_client(&self) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn inspect(&self, container: &str) -> Result<ContainerInspectResponse, Trouble> {
        let client = self.client().await?;
        within(QUESTION, client.inspect_container(container, None::<InspectContainerOptions>)).await
    }

    async fn try_list(&self) -> Result<Vec<Container>, Trouble> {
        let client = self.client().await?;
        let filters = HashMap::from([("label", vec![format!("{HOST}={}", self.host)])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let found = within(QUESTION, client.list_containers(Some(options))).await?;
        Ok(found.iter().filter_map(|summary| container(&self.host, summary)).collect())
    }

    async fn try_create(&self, plan: &Plan) -> Result<Outcome, Trouble> {
        if let Err(trouble) = self.walled_in().await
            && self.wall.as_ref().is_some_and(|wall| wall.is_required())
        {
            let detail = format!("This host's firewall is not in place: {trouble}.");
            return Ok(Outcome::Failed(Ending { reason: Reason::FailedPolicy, detail }));
        }
        let client = self.client().await?;
        let name = container_name(&self.host, plan);
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let form = self.form(&client, plan).await;
        // Since version 1.44 of the API.
        let version = client.client_version();
        let recursive = (version.major_version, version.minor_version) >= (1, 44);
        let body = body(&self.host, plan, form, recursive);
        crash_point!("engine.create.before");
        let torn = torn!(client, "engine.create.inside", "engine.create.sent");
        let made = within(WORK, torn.create_container(Some(options), body)).await;
        crash_point!("engine.create.after");
        let id = match made {
            Ok(made) => made.id,
            Err(Trouble::Refused(409, text)) if text.contains("already in use") => {
                return Ok(Outcome::Conflict);
            }
            Err(Trouble::Refused(status, text)) => {
                return Ok(Outcome::Failed(refused(status, &text, plan)));
            }
            Err(unknown) => return Err(unknown),
        };
        // Not started before it was looked at: an engine, or a plug-in of it, may have changed it.
        let found = self.inspect(&id).await?;
        crash_point!("engine.inspect.after");
        Ok(match differs(plan, form, &found) {
            None => Outcome::Created { container: id },
            Some(what) => Outcome::Spoiled {
                container: id,
                ending: Ending {
                    reason: Reason::FailedPolicy,
                    detail: format!("the engine made another container than asked for: {what}"),
                },
            },
        })
    }

    async fn try_start(&self, container: &str) -> Result<Outcome, Trouble> {
        let client = self.client().await?;
        let started = match start(&client, container).await {
            // A second network of the name came after the container was made.
            Err(Trouble::Refused(_, text)) if text.contains("is ambiguous") => {
                self.try_network().await?;
                start(&client, container).await
            }
            started => started,
        };
        match started {
            Ok(()) => {}
            Err(Trouble::Refused(404, _)) => return Ok(Outcome::Gone),
            Err(Trouble::Refused(_, text)) => return Ok(Outcome::Failed(start_refused(&text))),
            Err(unknown) => return Err(unknown),
        }
        let found = self.inspect(container).await?;
        Ok(Outcome::Started { address: address_of(&found) })
    }

    async fn try_examine(&self, container: &str) -> Result<Outcome, Trouble> {
        let found = self.inspect(container).await?;
        let state = found.state.unwrap_or_default();
        // A log that cannot be read explains less, but keeps nobody from the exit code.
        let log = self.tail(container, LOG_LINES, false).await.unwrap_or_default();
        let from = log.len().saturating_sub(LOG_BYTES);
        let log = String::from_utf8_lossy(log.get(from..).unwrap_or_default());
        Ok(Outcome::Examined(Remains {
            code: state.exit_code.unwrap_or_default(),
            oom: state.oom_killed.unwrap_or_default(),
            kill: None,
            again: runs(&state),
            log: printable(&log),
        }))
    }

    /// The last lines of a log, as far as they came in time.
    async fn tail(&self, container: &str, lines: u32, stamped: bool) -> Result<Vec<u8>, Trouble> {
        let client = self.client().await?;
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(stamped);
        let mut parts = client.logs(container, Some(options.tail(&lines.to_string()).build()));
        let mut log = Vec::new();
        let read = async {
            while let Some(part) = parts.next().await {
                log.extend_from_slice(&part?.into_bytes());
            }
            Ok(())
        };
        let read = within(QUESTION, read).await;
        if log.is_empty() { read.map(|()| log) } else { Ok(log) }
    }
}

impl Runtime for Docker {
    async fn list(&self) -> Result<Vec<Container>, String> {
        self.try_list().await.map_err(|trouble| {
            self.forget_client();
            trouble.to_string()
        })
    }

    async fn image_id(&self, image: &str) -> Result<Option<String>, String> {
        let client = self.client().await.map_err(|trouble| trouble.to_string())?;
        match within(QUESTION, client.inspect_image(image)).await {
            Ok(found) => Ok(found.id),
            Err(Trouble::Refused(404, _)) => Ok(None),
            Err(trouble) => Err(trouble.to_string()),
        }
    }

    async fn pull(&self, image: &str, told: &(dyn Fn(u32) + Sync)) -> Result<(), String> {
        self.try_pull(image, told).await
    }

    async fn offered(&self, image: &str) -> Result<String, String> {
        self.try_offered(image).await
    }

    async fn name_image(&self, image: &str, name: &str) -> Result<(), String> {
        self.try_name(image, name).await
    }

    async fn network(&self) -> Result<Network, String> {
        self.try_network().await.map_err(|trouble| trouble.to_string())
    }

    async fn create(&self, plan: &Plan) -> Outcome {
        settled(self.try_create(plan).await, |status, text| {
            Outcome::Failed(refused(status, &text, plan))
        })
    }

    async fn start(&self, container: &str) -> Outcome {
        // What fails after the start itself, the question for its address, settles nothing.
        self.try_start(container).await.unwrap_or(Outcome::TimedOut)
    }

    async fn resize(&self, container: &str, memory: ByteCount) -> Outcome {
        let amount = i64::try_from(memory.0).ok();
        // Always together: one alone is compared with what is stored of the other, and refused.
        let body =
            ContainerUpdateBody { memory: amount, memory_swap: amount, ..Default::default() };
        let call = async {
            let client = self.client().await?;
            crash_point!("engine.resize.before");
            let client = torn!(client, "engine.resize.inside", "engine.resize.sent");
            within(WORK, client.update_container(container, body)).await
        };
        let resized = call.await;
        crash_point!("engine.resize.after");
        settled(resized.map(|_| Outcome::Resized), gone_or_failed)
    }

    async fn stop(&self, container: &str, grace_s: u32) -> Outcome {
        let limit = Duration::from_secs(grace_s.into()).saturating_add(STOP_MARGIN);
        let grace = i32::try_from(grace_s).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(grace).build();
        let call = async {
            let client = self.client().await?;
            crash_point!("engine.stop.before");
            let client = torn!(client, "engine.stop.inside", "engine.stop.sent");
            within(limit, client.stop_container(container, Some(options))).await
        };
        let stopped = call.await;
        crash_point!("engine.stop.after");
        settled(stopped.map(|()| Outcome::Stopped), gone_or_failed)
    }

    async fn remove(&self, container: &str) -> Outcome {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let call = async {
            let client = self.client().await?;
            crash_point!("engine.remove.before");
            let client = torn!(client, "engine.remove.inside", "engine.remove.sent");
            within(REMOVAL, client.remove_container(container, Some(options))).await
        };
        let removed = call.await;
        crash_point!("engine.remove.after");
        settled(removed.map(|()| Outcome::Removed), gone_or_failed)
    }

    async fn examine(&self, container: &str) -> Outcome {
        settled(self.try_examine(container).await, gone_or_failed)
    }

    async fn log(&self, container: &str, lines: u32) -> Result<Vec<LogLine>, String> {
        let log = self.tail(container, lines, true).await.map_err(|trouble| trouble.to_string())?;
        Ok(String::from_utf8_lossy(&log).lines().map(log_line).collect())
    }

    async fn process(&self, container: &str) -> Option<u32> {
        let pid = self.inspect(container).await.ok()?.state?.pid?;
        u32::try_from(pid).ok().filter(|pid| *pid != 0)
    }

    async fn token(&self, container: &str) -> Option<String> {
        let environment = self.inspect(container).await.ok()?.config?.env?;
        let mut lines = environment.iter();
        lines.find_map(|line| line.strip_prefix("JUPYTERHUB_API_TOKEN=")).map(str::to_owned)
    }

    async fn facts(&self) -> Result<EngineFacts, String> {
        let words = |trouble: Trouble| trouble.to_string();
        let client = self.client().await.map_err(words)?;
        let version = within(QUESTION, client.version()).await.map_err(words)?;
        if let Some(podman) = podman::of(&version) {
            return Err(podman);
        }
        let images = within(QUESTION, client.list_images(None::<ListImagesOptions>)).await;
        let (mut names, mut builds) = (Vec::new(), BTreeMap::new());
        for image in images.map_err(words)? {
            let is_name = |name: &&String| !name.contains("<none>");
            for name in image.repo_tags.iter().filter(is_name) {
                let build = crate::images::build_of(name, &image.repo_digests, &image.id);
                builds.insert(name.clone(), build);
            }
            names
                .extend(image.repo_tags.iter().chain(&image.repo_digests).filter(is_name).cloned());
        }
        names.sort();
        Ok(EngineFacts { version: version.version.unwrap_or_default(), images: names, builds })
    }

    async fn changes(&self, wake: impl Fn() + Send + Sync) {
        let filters = HashMap::from([
            ("label", vec![format!("{HOST}={}", self.host)]),
            ("type", vec!["container".to_owned()]),
        ]);
        loop {
            if let Ok(client) = self.client().await {
                let options = EventsOptionsBuilder::new().filters(&filters).build();
                let mut events = client.events(Some(options));
                // What happened between the last stream and this one shows in a list.
                wake();
                while let Some(Ok(_)) = events.next().await {
                    wake();
                }
            }
            // The engine restarts or is away: say so at once, and soon ask again.
            wake();
            tokio::time::sleep(EVENTS_AGAIN).await;
        }
    }
}

async fn start(client: &Client, container: &str) -> Result<(), Trouble> {
    crash_point!("engine.start.before");
    let client = torn!(client, "engine.start.inside", "engine.start.sent");
    let started =
        within(WORK, client.start_container(container, None::<StartContainerOptions>)).await;
    crash_point!("engine.start.after");
    started
}

/// Whether its main process is there: the engine may not have noticed its end yet.
fn runs(state: &ContainerState) -> bool {
    let pid = state.pid.filter(|pid| *pid > 0 && state.running == Some(true));
    pid.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists())
}
