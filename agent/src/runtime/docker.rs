//! The Docker Engine, through its socket. The only file that names bollard.
//!
//! Every call has its own limit. Only an answer of the engine itself counts as one: a broken
//! connection or a passed limit leaves the call unsettled, since the engine may go on with it.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_common::link::{Ending, Origin};
use berth_common::{ByteCount, HostId, Reason};
use berth_process::crash_point;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum,
    HostConfig, HostConfigLogConfig, Mount, MountBindOptions, MountBindOptionsPropagationEnum,
    MountType, NetworkCreateRequest, NetworkInspect, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, InspectContainerOptions,
    InspectNetworkOptions, ListContainersOptionsBuilder, ListImagesOptions,
    ListNetworksOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker as Client};
use futures::StreamExt;

use super::{Bind, EngineFacts, Network, PIDS_LIMIT, Plan, Runtime};
use crate::config::Give;
use crate::reconcile::{Container, ContainerState, Outcome, Remains};

mod gpus;

use gpus::Form;

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
const LOG_LINES: &str = "20";
const LOG_BYTES: usize = 4_000;

/// Size of a container's log on the host, and how many old ones are kept.
const LOG_FILE: (&str, &str) = ("10m", "2");

/// bollard's own limit, in seconds: above all of ours, so that it never decides.
const NEVER_S: u64 = 3_600;

const HOST: &str = "berth.host";
const ICC: &str = "com.docker.network.bridge.enable_icc";

/// The engine behind one socket, as one host's agent sees it.
#[derive(Debug, Clone)]
pub struct Docker {
    host: HostId,
    socket: PathBuf,
    client: Arc<Mutex<Option<Client>>>,
    /// Held while the network is looked up or made: the engine would make two of one name.
    network: Arc<tokio::sync::Mutex<()>>,
    give: Give,
}

/// Why a call has no result.
#[derive(Debug)]
enum Trouble {
    /// The engine refused: its status and its words.
    Refused(u16, String),
    /// Nobody knows what became of it.
    Unknown(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(_, text) | Self::Unknown(text) => f.write_str(text),
        }
    }
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
        let client =
            Client::connect_with_unix(&self.socket.to_string_lossy(), NEVER_S, API_DEFAULT_VERSION)
                .map_err(away)?;
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

    async fn try_network(&self) -> Result<Network, Trouble> {
        let _one_at_a_time = self.network.lock().await;
        let client = self.client().await?;
        let name = self.network_name();
        let filters = HashMap::from([("name", vec![name.clone()])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let found = within(QUESTION, client.list_networks(Some(options))).await?;
        // Names are not unique and the filter finds parts of them: the smallest id of the exact
        // name is the same for everybody who asks.
        let exact = found.into_iter().filter(|network| network.name.as_ref() == Some(&name));
        let mut ids: Vec<String> = exact.filter_map(|network| network.id).collect();
        ids.sort_unstable();
        for twin in ids.iter().skip(1) {
            // An agent that died while it made one leaves a second behind, and the engine starts
            // nothing in a network whose name is ambiguous. One in use refuses to go.
            let _ = within(QUESTION, client.remove_network(twin)).await;
        }
        let id = match ids.into_iter().next() {
            Some(id) => id,
            None => {
                crash_point!("engine.network.before");
                let request = NetworkCreateRequest {
                    name: name.clone(),
                    driver: Some("bridge".into()),
                    options: Some(HashMap::from([(ICC.to_owned(), "false".to_owned())])),
                    labels: Some(HashMap::from([(HOST.to_owned(), self.host.to_string())])),
                    ..NetworkCreateRequest::default()
                };
                let made = within(WORK, client.create_network(request)).await?;
                crash_point!("engine.network.after");
                made.id
            }
        };
        let network =
            within(QUESTION, client.inspect_network(&id, None::<InspectNetworkOptions>)).await?;
        usable(&name, &network).map_err(Trouble::Unknown)?;
        let config = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        let gateway = config.into_iter().find_map(|config| config.gateway?.parse().ok());
        Ok(Network { id, gateway })
    }

    async fn try_create(&self, plan: &Plan) -> Result<Outcome, Trouble> {
        let client = self.client().await?;
        let name = container_name(&self.host, plan);
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let form = self.form(&client, plan).await;
        let body = body(&self.host, plan, form);
        crash_point!("engine.create.before");
        let made = within(WORK, client.create_container(Some(options), body)).await;
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
        crash_point!("engine.start.before");
        let started =
            within(WORK, client.start_container(container, None::<StartContainerOptions>)).await;
        crash_point!("engine.start.after");
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
        let client = self.client().await?;
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(LOG_LINES).build();
        let mut lines = client.logs(container, Some(options));
        let mut log = Vec::new();
        let read = async {
            while let Some(Ok(line)) = lines.next().await {
                log.extend_from_slice(&line.into_bytes());
            }
        };
        // A log that cannot be read explains less, but keeps nobody from the exit code.
        let _ = tokio::time::timeout(QUESTION, read).await;
        let from = log.len().saturating_sub(LOG_BYTES);
        let log = String::from_utf8_lossy(log.get(from..).unwrap_or_default());
        Ok(Outcome::Examined(Remains {
            code: state.exit_code.unwrap_or_default(),
            oom: state.oom_killed.unwrap_or_default(),
            log: printable(&log),
        }))
    }
}

impl Runtime for Docker {
    async fn list(&self) -> Result<Vec<Container>, String> {
        self.try_list().await.map_err(|trouble| {
            self.forget_client();
            trouble.to_string()
        })
    }

    async fn has_image(&self, image: &str) -> Result<bool, String> {
        let client = self.client().await.map_err(|trouble| trouble.to_string())?;
        match within(QUESTION, client.inspect_image(image)).await {
            Ok(_) => Ok(true),
            Err(Trouble::Refused(404, _)) => Ok(false),
            Err(trouble) => Err(trouble.to_string()),
        }
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

    async fn stop(&self, container: &str, grace_s: u32) -> Outcome {
        let limit = Duration::from_secs(grace_s.into()).saturating_add(STOP_MARGIN);
        let grace = i32::try_from(grace_s).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(grace).build();
        let call = async {
            let client = self.client().await?;
            crash_point!("engine.stop.before");
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
            within(REMOVAL, client.remove_container(container, Some(options))).await
        };
        let removed = call.await;
        crash_point!("engine.remove.after");
        settled(removed.map(|()| Outcome::Removed), gone_or_failed)
    }

    async fn examine(&self, container: &str) -> Outcome {
        settled(self.try_examine(container).await, gone_or_failed)
    }

    async fn process(&self, container: &str) -> Option<u32> {
        let pid = self.inspect(container).await.ok()?.state?.pid?;
        u32::try_from(pid).ok().filter(|pid| *pid != 0)
    }

    async fn facts(&self) -> Result<EngineFacts, String> {
        let words = |trouble: Trouble| trouble.to_string();
        let client = self.client().await.map_err(words)?;
        let version = within(QUESTION, client.version()).await.map_err(words)?;
        let images = within(QUESTION, client.list_images(None::<ListImagesOptions>)).await;
        let names = images.map_err(words)?.into_iter().flat_map(|image| image.repo_tags);
        let mut images: Vec<_> = names.filter(|name| name != "<none>:<none>").collect();
        images.sort();
        Ok(EngineFacts { version: version.version.unwrap_or_default(), images })
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

/// Runs a call within a limit.
async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(Error::DockerResponseServerError { status_code, message })) => {
            Err(Trouble::Refused(status_code, message))
        }
        Ok(Err(other)) => Err(Trouble::Unknown(format!("the Docker Engine: {other}"))),
        Err(_) => Err(slow(limit)),
    }
}

fn slow(limit: Duration) -> Trouble {
    Trouble::Unknown(format!("the Docker Engine did not answer within {} s", limit.as_secs()))
}

fn settled(
    result: Result<Outcome, Trouble>,
    refused: impl FnOnce(u16, String) -> Outcome,
) -> Outcome {
    match result {
        Ok(outcome) => outcome,
        Err(Trouble::Refused(status, text)) => refused(status, text),
        Err(Trouble::Unknown(text)) => {
            tracing::warn!("a call is unsettled: {text}");
            Outcome::TimedOut
        }
    }
}

fn gone_or_failed(status: u16, text: String) -> Outcome {
    match status {
        404 => Outcome::Gone,
        _ => Outcome::Failed(Ending { reason: Reason::FailedContainer, detail: text }),
    }
}

/// What an engine's refusal of a create means to people.
fn refused(status: u16, text: &str, plan: &Plan) -> Ending {
    let (reason, detail) = if status == 404 && text.contains("No such image") {
        (Reason::FailedImage, format!("the image {} is not on this host", plan.image))
    } else if let Some((_, path)) = text.split_once("bind source path does not exist: ") {
        let path = path.trim();
        (Reason::FailedMount, format!("{path} is not on this host; tell the administrators"))
    } else {
        (gpus::refusal(text).unwrap_or(Reason::FailedContainer), text.to_owned())
    };
    Ending { reason, detail }
}

/// What an engine's refusal of a start means: it tells by text only.
fn start_refused(text: &str) -> Ending {
    let mount = ["error mounting", "error while creating mount source path", "to rootfs at"];
    let reason = if mount.iter().any(|words| text.contains(words)) {
        Reason::FailedMount
    } else {
        gpus::refusal(text).unwrap_or(Reason::FailedContainer)
    };
    Ending { reason, detail: text.to_owned() }
}

/// The network must keep servers from one another, whoever made it.
fn usable(name: &str, network: &NetworkInspect) -> Result<(), String> {
    let icc = network.options.as_ref().and_then(|options| options.get(ICC));
    let closed = icc.is_some_and(|value| value == "false");
    if network.driver.as_deref() == Some("bridge") && closed {
        return Ok(());
    }
    Err(format!(
        "the Docker network {name} exists but is not a bridge with {ICC}=false; \
         remove it (docker network rm {name}), the agent makes a right one"
    ))
}

fn container_name(host: &HostId, plan: &Plan) -> String {
    format!("berth.{host}.{}", plan.server)
}

/// Labels from which everything is known again after the agent's own restart. No secrets.
fn labels(host: &HostId, plan: &Plan) -> HashMap<String, String> {
    let origin = &plan.origin;
    let pairs = [
        (HOST, host.to_string()),
        ("berth.server", plan.server.to_string()),
        ("berth.generation", plan.generation.to_string()),
        ("berth.epoch", plan.epoch.to_string()),
        ("berth.boot", plan.boot.to_string()),
        ("berth.user", origin.user.to_string()),
        ("berth.server_name", origin.server_name.to_string()),
        ("berth.profile", origin.profile.clone()),
        ("berth.pool", plan.pool.clone()),
        ("berth.decision", origin.decision.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("berth.memory", origin.memory.0.to_string()),
        ("berth.prefix", plan.prefix.clone()),
        ("berth.port", plan.port.to_string()),
        (gpus::LABEL, gpus::label(&origin.gpus)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Reads a container of ours from the engine's list. `None` for one whose name or labels are not
/// ours: a copy made by hand must not pass for the server.
fn container(host: &HostId, summary: &ContainerSummary) -> Option<Container> {
    let labels = summary.labels.as_ref()?;
    let label = |name: &str| labels.get(name).map(String::as_str);
    let server = label("berth.server")?;
    let name = format!("/berth.{host}.{server}");
    if !summary.names.iter().flatten().any(|found| *found == name) {
        return None;
    }
    let number = |name: &str| label(name)?.parse::<u64>().ok();
    let networks = summary.network_settings.as_ref().and_then(|found| found.networks.as_ref());
    let ip: Option<IpAddr> = networks
        .into_iter()
        .flat_map(HashMap::values)
        .find_map(|endpoint| endpoint.ip_address.as_ref()?.parse().ok());
    let port: u16 = label("berth.port")?.parse().ok()?;
    let state = match summary.state? {
        ContainerSummaryStateEnum::CREATED => ContainerState::Created,
        ContainerSummaryStateEnum::RUNNING
        | ContainerSummaryStateEnum::PAUSED
        | ContainerSummaryStateEnum::RESTARTING
        | ContainerSummaryStateEnum::STOPPING => {
            ContainerState::Running { address: ip.map(|ip| SocketAddr::new(ip, port)) }
        }
        ContainerSummaryStateEnum::EXITED => {
            ContainerState::Exited { code: exit_code(summary.status.as_deref()) }
        }
        _ => ContainerState::Dead,
    };
    Some(Container {
        id: summary.id.clone()?,
        server: server.parse().ok()?,
        generation: berth_common::Generation(number("berth.generation")?),
        epoch: berth_common::Epoch(number("berth.epoch")?),
        boot: label("berth.boot")?.parse().ok()?,
        origin: Origin {
            user: label("berth.user")?.parse().ok()?,
            server_name: label("berth.server_name")?.parse().ok()?,
            profile: label("berth.profile")?.to_owned(),
            memory: ByteCount(number("berth.memory")?),
            gpus: gpus::from_label(label(gpus::LABEL).unwrap_or_default())?,
            decision: label("berth.decision")?.parse().ok(),
        },
        prefix: label("berth.prefix")?.to_owned(),
        state,
    })
}

/// The code in `Exited (137) 2 seconds ago`.
fn exit_code(status: Option<&str>) -> i64 {
    let code = status.and_then(|text| text.split_once('(')?.1.split_once(')')?.0.parse().ok());
    code.unwrap_or_default()
}

fn address_of(found: &ContainerInspectResponse) -> Option<SocketAddr> {
    let networks = found.network_settings.as_ref()?.networks.as_ref()?;
    let ip = networks.values().find_map(|endpoint| endpoint.ip_address.as_ref()?.parse().ok())?;
    let labels = found.config.as_ref()?.labels.as_ref()?;
    Some(SocketAddr::new(ip, labels.get("berth.port")?.parse().ok()?))
}

/// The container in the engine's words. What is not configurable is fixed here.
fn body(host: &HostId, plan: &Plan, form: Form) -> ContainerCreateBody {
    let words = |list: &[&str]| Some(list.iter().map(|word| (*word).to_owned()).collect());
    let memory = i64::try_from(plan.memory().0).ok();
    let (size, files) = LOG_FILE;
    let log = [("max-size", size), ("max-file", files)];
    let host_config = HostConfig {
        memory,
        memory_swap: memory,
        pids_limit: Some(PIDS_LIMIT),
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("core".into()),
            soft: Some(0),
            hard: Some(0),
        }]),
        init: Some(true),
        network_mode: Some(plan.network.clone()),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        mounts: Some(plan.binds.iter().map(mount).collect()),
        cap_drop: words(&["ALL"]),
        group_add: Some(plan.groups.iter().map(ToString::to_string).collect()),
        ipc_mode: Some("private".into()),
        privileged: Some(false),
        security_opt: words(&["no-new-privileges"]),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(log.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        }),
        device_requests: gpus::requests(form, &plan.origin.gpus),
        runtime: gpus::runtime(form),
        ..HostConfig::default()
    };
    let env = gpus::environment(form, &plan.origin.gpus, plan.env.clone());
    let command = (!plan.command.is_empty()).then(|| plan.command.clone());
    ContainerCreateBody {
        user: Some(format!("{}:{}", plan.uid, plan.gid)),
        env: Some(env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: command,
        image: Some(plan.image.clone()),
        working_dir: Some(plan.home.clone()),
        labels: Some(labels(host, plan)),
        stop_signal: Some("SIGTERM".into()),
        stop_timeout: Some(30),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    }
}

fn mount(bind: &Bind) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(bind.source.to_string_lossy().into_owned()),
        target: Some(bind.target.clone()),
        read_only: Some(bind.read_only),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

/// What about a made container is not as asked; `None` when all is.
fn differs(plan: &Plan, form: Form, found: &ContainerInspectResponse) -> Option<&'static str> {
    let (Some(config), Some(host)) = (&found.config, &found.host_config) else {
        return Some("it cannot be inspected");
    };
    let empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    let memory = i64::try_from(plan.memory().0).ok();
    let mut asked = plan.binds.clone();
    asked.sort();
    let mut got: Vec<Bind> = host
        .mounts
        .iter()
        .flatten()
        .map(|mount| Bind {
            source: mount.source.clone().unwrap_or_default().into(),
            target: mount.target.clone().unwrap_or_default(),
            read_only: mount.read_only.unwrap_or_default(),
        })
        .collect();
    got.sort();
    let groups: Vec<String> = plan.groups.iter().map(ToString::to_string).collect();
    let has =
        |list: &Option<Vec<String>>, word: &str| list.iter().flatten().any(|found| found == word);
    let restart = host.restart_policy.as_ref().and_then(|policy| policy.name);
    let own =
        |mode: &Option<String>| mode.as_deref().is_none_or(|mode| matches!(mode, "" | "private"));
    let rules = [
        (config.user.as_deref() == Some(&format!("{}:{}", plan.uid, plan.gid)), "user"),
        (config.image.as_deref() == Some(&plan.image), "image"),
        (host.group_add.clone().unwrap_or_default() == groups, "groups"),
        (host.privileged != Some(true), "privileges"),
        (has(&host.cap_drop, "ALL") && empty(&host.cap_add), "capabilities"),
        (has(&host.security_opt, "no-new-privileges"), "security options"),
        (got == asked && empty(&host.binds) && empty(&host.volumes_from), "mounts"),
        (host.devices.as_ref().is_none_or(Vec::is_empty), "devices"),
        (gpus::are_as_asked(form, &plan.origin.gpus, config, host), "GPUs"),
        (host.network_mode.as_deref() == Some(&plan.network), "network"),
        (host.port_bindings.as_ref().is_none_or(HashMap::is_empty), "published ports"),
        (own(&host.ipc_mode) && own(&host.pid_mode) && own(&host.uts_mode), "namespaces"),
        (own(&host.userns_mode), "namespaces"),
        (host.memory == memory && host.memory_swap == memory, "memory"),
        (host.pids_limit == Some(PIDS_LIMIT), "number of processes"),
        (
            matches!(
                restart,
                None | Some(RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO)
            ),
            "restart policy",
        ),
    ];
    rules.into_iter().find_map(|(holds, what)| (!holds).then_some(what))
}

/// A log as people can read it: no control characters of terminals.
fn printable(log: &str) -> String {
    let mut plain = String::with_capacity(log.len());
    let mut chars = log.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // ESC [ … letter: colours and cursor movements.
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                while chars.next_if(|c| !c.is_ascii_alphabetic()).is_some() {}
                chars.next();
            }
            '\n' | '\t' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}
