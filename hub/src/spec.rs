//! From orders to desired sets: adds to the planner's verdicts what only the edge knows, such as
//! the server's token and the environment that `jupyterhub-singleuser` reads.

use std::collections::BTreeMap;

use berth_common::link::{CpuShare, Desired, DesiredSet, Origin, RunSpec, Verdict, Watch};
use berth_common::{HostId, Revision, ServerId, Timestamp};
use berth_core::reconcile::{Order, What, orders};
use berth_core::settings::Health;
use berth_core::{Fleet, Server};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::HubConfig;
use crate::farm;
use crate::keys::Keys;

/// Between SIGTERM and SIGKILL when a server is stopped: JupyterLab saves within a second or two.
const STOP_GRACE_S: u32 = 10;
/// Where a server listens inside its container.
const PORT: u16 = 8888;
/// Where the file browser's root is inside, if spaces are shown beside HOME.
const FILES: &str = "/files";
/// Stands in a profile's environment for what marks a server's work on the compute farm.
const MARK: &str = "{BERTH_MARK}";
/// What Python's `quote(safe="")` leaves alone.
const UNQUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The desired set of a host, answering its newest heartbeat; `None` before the first.
pub fn desired_set(
    fleet: &Fleet,
    host: &HostId,
    config: &HubConfig,
    keys: &Keys,
    now: Timestamp,
) -> Option<DesiredSet> {
    let record = fleet.hosts.get(host)?;
    let heard = record.heard.as_ref()?;
    let servers = orders(fleet, host).into_iter().filter_map(|(server, order)| {
        Some((server.clone(), desired(fleet, &server, order, config, keys)?))
    });
    Some(DesiredSet {
        revision: Revision { epoch: fleet.epoch, seq: record.seq },
        incarnation: heard.incarnation,
        echo: heard.sent,
        servers: servers.collect(),
        watch: watch(fleet, host, now),
    })
}

/// The spaces that each host looks at, and the images that it fetches before they are needed.
fn watch(fleet: &Fleet, host: &HostId, now: Timestamp) -> Watch {
    let pool = fleet.settings.hosts.get(host).map(|declared| &declared.pool);
    let images = pool.map(|pool| fleet.settings.fetched_ahead(pool, now)).unwrap_or_default();
    let images = images.iter().map(|name| fleet.builds.to_fetch(name).to_owned()).collect();
    let mounts = &fleet.settings.mounts;
    let Health { every_s, timeout_s, sick_after } = mounts.health;
    let unknown = fleet.builds.unknown(fleet.settings.references());
    Watch { every_s, timeout_s, sick_after, paths: mounts.watched(), images, unknown }
}

fn desired(
    fleet: &Fleet,
    id: &ServerId,
    order: Order,
    config: &HubConfig,
    keys: &Keys,
) -> Option<Desired> {
    let what = match order.what {
        What::Stop => Verdict::Stop { grace_s: STOP_GRACE_S },
        What::Keep => Verdict::Keep,
        What::Run => Verdict::Run(Box::new(run_spec(fleet, fleet.servers.get(id)?, config, keys)?)),
    };
    Some(Desired { generation: order.generation, what, limit: order.limit })
}

fn run_spec(fleet: &Fleet, server: &Server, config: &HubConfig, keys: &Keys) -> Option<RunSpec> {
    let mut account = server.account.clone()?;
    // What has no number is no group on the hosts.
    account.groups.retain(|group| group.gid != 0);
    let (image, build) = match server.placement().and_then(|placement| placement.image.as_deref()) {
        Some(pin) => (pin.name.clone(), pin.build.clone()),
        // Placed by a hub that did not note it.
        None => (fleet.settings.images.get(&server.ask.image)?.reference.clone(), String::new()),
    };
    let profile = fleet.settings.profiles.get(&server.ask.profile)?;
    let token = keys.server_token(&server.id, server.generation);
    let mut env = environment(server, &account.home, &image, &token, config);
    let given = fleet.settings.mounts.given(&account, &server.ask.profile);
    let mark = farm::mark(&server.id, server.generation);
    for (name, value) in profile.environment.clone().into_iter().chain(given.env) {
        env.entry(name).or_insert_with(|| value.replace(MARK, &mark));
    }
    if !given.shown.is_empty() {
        // Links to HOME and to what is shown beside it, in a folder that the agent makes.
        env.insert("JUPYTERHUB_ROOT_DIR".into(), FILES.into());
        env.insert("JUPYTERHUB_DEFAULT_URL".into(), "/lab/tree/home".into());
    }
    for (name, milli) in [
        ("CPU_GUARANTEE", Some(profile.cpu_milli).filter(|milli| *milli > 0)),
        ("CPU_LIMIT", profile.cpu_limit_milli),
    ] {
        env.extend(milli.map(|milli| (name.to_owned(), processors(milli))));
    }
    // It counts as memory, so more than that would never be there.
    let shm = fleet.settings.images.get(&server.ask.image).and_then(|image| image.shm);
    let shm = shm.map(|size| size.min(server.ask.memory));
    if let Some(url) = &profile.start_url {
        env.insert("JUPYTERHUB_DEFAULT_URL".into(), url.clone());
    }
    Some(RunSpec {
        origin: Origin {
            user: server.owner.clone(),
            server_name: server.name.clone(),
            profile: server.ask.profile.clone(),
            memory: server.ask.memory,
            gpus: server.placement().map_or_else(Vec::new, |it| it.gpus.clone()),
            decision: server.decision.clone(),
        },
        pool: profile.pool.clone(),
        env,
        spaces: given.spaces,
        shown: given.shown,
        image,
        build,
        // The single-user server's own command: an image with another default still serves.
        command: vec!["jupyterhub-singleuser".into()],
        api_url: config.api_url.clone(),
        prefix: server.prefix(),
        port: PORT,
        farm_ports: server.placement().map_or_else(Vec::new, |it| it.farm_ports.clone()),
        shm,
        cpu: CpuShare {
            weight_milli: Some(profile.cpu_milli).filter(|milli| *milli > 0),
            limit_milli: profile.cpu_limit_milli,
        },
        account,
    })
}

/// The environment of `jupyterhub-singleuser`, as JupyterHub's `Spawner.get_env` makes it; the
/// two addresses of the API are the agent's to add.
fn environment(
    server: &Server,
    home: &str,
    image: &str,
    token: &str,
    config: &HubConfig,
) -> BTreeMap<String, String> {
    let (user, name) = (&server.owner, &server.name);
    let prefix = server.prefix();
    let scopes = access_scopes(server);
    let pairs = [
        ("JUPYTERHUB_API_TOKEN", token.to_owned()),
        ("JPY_API_TOKEN", token.to_owned()),
        ("JUPYTERHUB_CLIENT_ID", client_id(server)),
        ("JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED", "0".into()),
        ("JUPYTERHUB_HOST", String::new()),
        ("JUPYTERHUB_OAUTH_CALLBACK_URL", callback_url(server)),
        ("JUPYTERHUB_OAUTH_SCOPES", scopes.clone()),
        ("JUPYTERHUB_OAUTH_ACCESS_SCOPES", scopes),
        ("JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES", "[]".into()),
        ("JUPYTERHUB_USER", user.to_string()),
        ("JUPYTERHUB_SERVER_NAME", name.to_string()),
        ("JUPYTERHUB_BASE_URL", "/".into()),
        ("JUPYTERHUB_SERVICE_PREFIX", prefix.clone()),
        ("JUPYTERHUB_SERVICE_URL", format!("http://0.0.0.0:{PORT}{prefix}")),
        ("JUPYTERHUB_PUBLIC_URL", format!("{}{prefix}", config.public_url)),
        ("JUPYTERHUB_PUBLIC_HUB_URL", format!("{}/hub/", config.public_url)),
        ("MEM_LIMIT", server.ask.memory.0.to_string()),
        ("MEM_GUARANTEE", server.ask.memory.0.to_string()),
        ("JUPYTER_IMAGE_SPEC", image.to_owned()),
        ("USER", user.to_string()),
        ("LOGNAME", user.to_string()),
        ("NB_USER", user.to_string()),
        ("HOME", home.to_owned()),
        ("SHELL", "/bin/bash".into()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Processors as JupyterHub writes them: `2.0`, `1.5`.
fn processors(milli: u32) -> String {
    format!("{:?}", f64::from(milli) / 1000.0)
}

/// The OAuth client of a server: `jupyterhub-user-NAME[-SERVER]`.
pub fn client_id(server: &Server) -> String {
    let user = utf8_percent_encode(server.owner.as_str(), UNQUOTED);
    if server.name.is_default() {
        format!("jupyterhub-user-{user}")
    } else {
        format!("jupyterhub-user-{user}-{}", utf8_percent_encode(server.name.as_str(), UNQUOTED))
    }
}

/// The one redirect URI of a server's OAuth client.
pub fn callback_url(server: &Server) -> String {
    format!("{}oauth_callback", server.prefix())
}

/// The scopes that open a server, as a JSON list.
fn access_scopes(server: &Server) -> String {
    let (user, name) = (&server.owner, &server.name);
    format!(r#"["access:servers!server={user}/{name}", "access:servers!user={user}"]"#)
}
