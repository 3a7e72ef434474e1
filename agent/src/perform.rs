//! Carries a step out: asks the host's own rules, then the engine. Makes no choices.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_common::link::{Account, Ending, RunSpec, Space, StartStep};
use berth_common::{BootId, Epoch, Reason, ServerId};
use berth_process::crash_point;

use crate::account::{self, Resolved};
use crate::config::{Config, CreateHome};
use crate::driver::Input;
use crate::farm;
use crate::gpu::{self, Gpus};
use crate::helper::Helper;
use crate::images;
use crate::mounts::{Mounted, Question, home};
use crate::policy;
use crate::reconcile::{Act, Operation, Outcome, Step};
use crate::resize;
use crate::runtime::{Bind, Plan, Runtime};

/// The host's name service and file servers may hang for ever; a start waits this long.
const HOST_LIMIT: Duration = Duration::from_secs(5);

/// What all steps need.
#[derive(Debug)]
pub struct Workplace<R> {
    /// The engine.
    pub runtime: R,
    /// This host.
    pub config: Arc<Config>,
    /// The kernel's boot.
    pub boot: BootId,
    /// The host's GPUs.
    pub gpus: Gpus,
    /// Whom the host's folders are asked through.
    pub helper: Helper,
    /// Where milestones are told.
    pub inputs: tokio::sync::mpsc::Sender<Input>,
}

/// Carries a step out and says what became of it.
pub async fn perform<R: Runtime>(work: Arc<Workplace<R>>, step: Step) -> Outcome {
    match step.act {
        Act::Create { epoch, spec } => match create(&work, &step.operation, epoch, &spec).await {
            Ok(outcome) => outcome,
            Err(NotMade::Refused(ending)) => Outcome::Failed(ending),
            Err(NotMade::Unknown(trouble)) => {
                tracing::warn!("{}: {trouble}", step.operation.server);
                Outcome::TimedOut
            }
        },
        Act::Resize { container, limit } => resize::resize(&work, &container, limit).await,
        // Once more who is on its GPUs, as late as possible.
        Act::Start { container } => match work.gpus.check_promised(&container).await {
            Ok(()) => work.runtime.start(&container).await,
            Err(ending) => Outcome::Failed(ending),
        },
        Act::Stop { container, grace_s } => work.runtime.stop(&container, grace_s).await,
        Act::Remove { container } => {
            let outcome = work.runtime.remove(&container).await;
            if matches!(outcome, Outcome::Removed | Outcome::Gone) {
                work.gpus.forget(&container);
                // Only text files for names; what stays is overwritten by the next start.
                let _ = std::fs::remove_dir_all(names_folder(&work.config, &step.operation.server));
            }
            outcome
        }
        Act::Examine { container } => work.runtime.examine(&container).await,
    }
}

/// Why no container was made.
enum NotMade {
    /// For a reason that people can act on.
    Refused(Ending),
    /// The engine did not answer.
    Unknown(String),
}

/// An image as it is to be run, and the engine's id of it.
struct Image {
    name: String,
    id: String,
}

/// The image exactly as it was decided; fetched if it is not here. Its name was allowed before.
async fn image_here<R: Runtime>(
    work: &Workplace<R>,
    operation: &Operation,
    spec: &RunSpec,
) -> Result<Image, NotMade> {
    let RunSpec { image, build, .. } = spec;
    if images::is_local(build) {
        // By the name: only that was allowed, and an id could be that of anything here.
        let id = work.runtime.image_id(image).await.map_err(NotMade::Unknown)?;
        return match id {
            Some(id) if id == *build => Ok(Image { name: build.clone(), id }),
            Some(other) => {
                let detail = format!(
                    "the image {image} of this host is another one now than when the host was \
                     chosen ({other}, not {build}): start again"
                );
                Err(refused(Reason::FailedImage, detail))
            }
            None => Err(absent(image, "")),
        };
    }
    let wanted = if build.is_empty() { image } else { build };
    let here = || async { work.runtime.image_id(wanted).await.map_err(NotMade::Unknown) };
    let id = match here().await? {
        Some(id) => id,
        None => {
            fetch(work, operation, image, wanted).await?;
            here().await?.ok_or_else(|| absent(wanted, " any more"))?
        }
    };
    // Fetched by its digest it has no name, by this agent or one that died then: the hub would not
    // know that it is here.
    if wanted != image && matches!(work.runtime.image_id(image).await, Ok(None)) {
        if let Err(trouble) = work.runtime.name_image(wanted, image).await {
            tracing::warn!("{wanted} is here without its name {image}: {trouble}");
        }
        // A closed channel means that the agent is ending.
        let _ = work.inputs.send(Input::Facts(work.runtime.facts().await)).await;
    }
    Ok(Image { name: wanted.clone(), id })
}

/// Fetches an image: one of a registry, and known to be the same on every host.
async fn fetch<R: Runtime>(
    work: &Workplace<R>,
    operation: &Operation,
    image: &str,
    wanted: &str,
) -> Result<(), NotMade> {
    if !images::has_registry(wanted) {
        return Err(absent(wanted, ""));
    }
    if wanted == image && !image.contains('@') {
        // Fetched by its name alone it could become another one here than elsewhere.
        let why = ", and no host could tell yet which build of it its registry gives: start again \
                   in a moment, and tell the administrators if it stays so";
        return Err(absent(wanted, why));
    }
    reached(work, operation, StartStep::Fetch).await;
    let told = |percent| {
        // What finds no room is left out: the next one says more.
        let _ = work.inputs.try_send(Input::Fetched(operation.clone(), percent));
    };
    let fetched = work.runtime.pull(wanted, &told).await;
    fetched.map_err(|why| absent(wanted, &format!(", and was not fetched: {why}")))
}

fn absent(image: &str, why: &str) -> NotMade {
    refused(Reason::FailedImage, format!("the image {image} is not on this host{why}"))
}

async fn create<R: Runtime>(
    work: &Workplace<R>,
    operation: &Operation,
    epoch: Epoch,
    spec: &RunSpec,
) -> Result<Outcome, NotMade> {
    let limits = work.config.limits.clone();
    // Without limits nothing is even looked up; the check below says why.
    let resolved = match &limits {
        Some(limits) => account_here(limits.clone(), spec.account.clone()).await?,
        None => Resolved {
            account: spec.account.clone(),
            primary: String::new(),
            denied: Default::default(),
        },
    };
    policy::check(limits.as_ref(), spec, &resolved.account, &resolved.denied)
        .map_err(|refusal| refused(Reason::FailedPolicy, refusal.to_string()))?;
    let published = farm::published(work.config.farm.as_ref(), &spec.farm_ports)
        .map_err(|refusal| refused(Reason::FailedPolicy, refusal.to_string()))?;
    work.gpus.check(&spec.origin.gpus).await.map_err(NotMade::Refused)?;
    let image = image_here(work, operation, spec).await?;
    reached(work, operation, StartStep::Image).await;
    let roots = limits.map(|limits| limits.mount_sources).unwrap_or_default();
    let home = home_here(work, resolved.account.clone(), roots.clone()).await?;
    let (spaces, mut left_out) = spaces_here(work, &spec.spaces, roots.clone()).await?;
    left_out.extend(kernels_here(work, &resolved.account, &spec.spaces, &spaces, roots).await);
    let names = write_names(work, &operation.server, &resolved)?;
    let links = write_links(work, &operation.server, &resolved.account.home, &spec.shown)?;
    reached(work, operation, StartStep::Spaces).await;
    let network = work.runtime.network().await.map_err(NotMade::Unknown)?;
    let gateway = network.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
    let target = resolved.account.home.clone();
    let mut binds = vec![Bind { source: home, target, read_only: false, follows: false }];
    binds.extend(spaces);
    binds.extend(names);
    binds.extend(links);
    let mut env = environment(spec, work.config.agent.api_url.as_deref(), &gateway);
    if let Some(farm) = work.config.farm.as_ref().filter(|_| published.is_some()) {
        farm::tell(&mut env, farm, &spec.farm_ports);
        let folder = names_folder(&work.config, &operation.server);
        binds.push(farm::dask_file(&folder, farm, &spec.farm_ports).map_err(|error| {
            let detail = format!("cannot write below {}: {error}", folder.display());
            refused(Reason::FailedContainer, detail)
        })?);
    }
    let plan = Plan {
        server: operation.server.clone(),
        generation: operation.generation,
        epoch,
        boot: work.boot.clone(),
        origin: spec.origin.clone(),
        pool: spec.pool.clone(),
        image: image.name,
        image_id: image.id,
        command: spec.command.clone(),
        env,
        uid: resolved.account.uid,
        gid: resolved.account.gid,
        groups: resolved.account.groups.iter().map(|group| group.gid).collect(),
        home: resolved.account.home.clone(),
        left_out,
        binds,
        network: network.id,
        prefix: spec.prefix.clone(),
        port: spec.port,
        published,
        shm: spec.shm,
        cpu: spec.cpu,
    };
    let outcome = work.runtime.create(&plan).await;
    if let Outcome::Created { container } = &outcome {
        work.gpus.promise(container, &spec.origin.gpus);
    }
    Ok(outcome)
}

fn environment(
    spec: &RunSpec,
    configured: Option<&str>,
    gateway: &str,
) -> std::collections::BTreeMap<String, String> {
    let api_url = configured.unwrap_or(&spec.api_url).replace("{gateway}", gateway);
    let api_url = api_url.trim_end_matches('/');
    let user = &spec.account.name;
    let mut env = spec.env.clone();
    env.entry("HOME".into()).or_insert_with(|| spec.account.home.clone());
    env.entry("USER".into()).or_insert_with(|| user.to_string());
    // A name is only of letters that need no escape in a URL.
    env.insert("JUPYTERHUB_ACTIVITY_URL".into(), format!("{api_url}/users/{user}/activity"));
    env.insert("JUPYTERHUB_API_URL".into(), api_url.to_owned());
    // Whatever image and user say: no GPU but a granted one, which the engine adds.
    gpu::environment::none(&mut env);
    env
}

async fn account_here(limits: crate::config::Limits, wanted: Account) -> Result<Resolved, NotMade> {
    let name = wanted.name.clone();
    let silent = move || {
        let detail = format!("the host's name service does not answer about {name}");
        refused(Reason::FailedAccount, detail)
    };
    limited(move || account::resolve(&limits, &wanted), silent).await
}

async fn home_here<R: Runtime>(
    work: &Workplace<R>,
    account: Account,
    roots: Vec<PathBuf>,
) -> Result<PathBuf, NotMade> {
    let question = Question::Home { account: account.clone(), roots: roots.clone() };
    let unanswered = question.unanswered();
    match work.helper.ask(question, HOST_LIMIT).await.map_err(NotMade::Refused)? {
        Some(home) => Ok(home),
        None if work.config.home.create == CreateHome::Never => {
            Err(NotMade::Refused(home::missing(&account)))
        }
        // Its file server has just answered that nothing is there.
        None => {
            limited(move || home::make(&account, &roots), || NotMade::Refused(unanswered)).await
        }
    }
}

/// The folders beside HOME, and the optional ones that are left out. All are asked at the same time.
async fn spaces_here<R: Runtime>(
    work: &Workplace<R>,
    spaces: &[Space],
    roots: Vec<PathBuf>,
) -> Result<(Vec<Bind>, Vec<String>), NotMade> {
    let asked = spaces.iter().map(|space| {
        let question = Question::Space { space: space.clone(), roots: roots.clone() };
        work.helper.ask(question, HOST_LIMIT)
    });
    let (mut binds, mut left_out) = (Vec::new(), Vec::new());
    for (space, answer) in spaces.iter().zip(futures::future::join_all(asked).await) {
        let Space { target, read_only, follows, .. } = space.clone();
        match answer {
            Ok(Some(source)) => binds.push(Bind { source, target, read_only, follows }),
            Ok(None) => {}
            Err(ending) if space.required => return Err(NotMade::Refused(ending)),
            Err(ending) => left_out.push(ending.detail),
        }
    }
    Ok((binds, left_out))
}

/// What is wrong with the kernels that the person has made. That holds up no start.
async fn kernels_here<R: Runtime>(
    work: &Workplace<R>,
    account: &Account,
    spaces: &[Space],
    binds: &[Bind],
    roots: Vec<PathBuf>,
) -> Vec<String> {
    let mounted = spaces.iter().map(|space| {
        let bind = binds.iter().find(|bind| bind.target == space.target);
        let source = bind.map(|bind| bind.source.clone());
        Mounted { target: space.target.clone().into(), source }
    });
    // What lies in HOME is there, whatever else HOME's own root holds.
    let inside = |root: &PathBuf| std::path::Path::new(&account.home).starts_with(root);
    let roots = roots.into_iter().filter(|root| !inside(root)).collect();
    let question =
        Question::Kernels { account: account.clone(), mounted: mounted.collect(), roots };
    match work.helper.ask(question, HOST_LIMIT).await {
        Err(found) if found.reason == Reason::FailedMount => {
            found.detail.lines().map(str::to_owned).collect()
        }
        // Nobody answered, or the person could not be asked for: nothing is known.
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// Where the file browser's links are inside.
pub const FILES: &str = "/files";

/// Makes the folder of links that is the file browser's root, if anything is shown beside HOME. It
/// lies beside the names: nothing is ever made in HOME.
fn write_links<R>(
    work: &Workplace<R>,
    server: &ServerId,
    home: &str,
    shown: &BTreeMap<String, String>,
) -> Result<Option<Bind>, NotMade> {
    if shown.is_empty() {
        return Ok(None);
    }
    let folder = names_folder(&work.config, server).join("files");
    let failed = |error: std::io::Error| {
        let detail = format!("cannot write below {}: {error}", folder.display());
        refused(Reason::FailedContainer, detail)
    };
    let make = |path: &std::path::Path| {
        std::fs::create_dir_all(path)?;
        // The user must read it, whatever the agent's umask is.
        std::fs::set_permissions(path, Permissions::from_mode(0o755))
    };
    let _ = std::fs::remove_dir_all(&folder);
    make(&folder).map_err(failed)?;
    for (name, target) in [("home", home)]
        .into_iter()
        .chain(shown.iter().map(|(name, target)| (name.as_str(), target.as_str())))
    {
        let link = folder.join(name);
        for parent in link.ancestors().skip(1).take_while(|parent| *parent != folder) {
            make(parent).map_err(failed)?;
        }
        std::os::unix::fs::symlink(target, link).map_err(failed)?;
    }
    Ok(Some(Bind { source: folder, target: FILES.into(), read_only: true, follows: false }))
}

/// Asks the host on a thread that may hang, and waits no longer than the limit.
async fn limited<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, Ending> + Send + 'static,
    silent: impl FnOnce() -> NotMade,
) -> Result<T, NotMade> {
    match tokio::time::timeout(HOST_LIMIT, tokio::task::spawn_blocking(ask)).await {
        Ok(Ok(answer)) => answer.map_err(NotMade::Refused),
        Ok(Err(_)) | Err(_) => Err(silent()),
    }
}

/// Where a server's passwd and group files lie.
fn names_folder(config: &Config, server: &ServerId) -> PathBuf {
    config.agent.run.join("servers").join(server.as_str())
}

fn write_names<R>(
    work: &Workplace<R>,
    server: &ServerId,
    resolved: &Resolved,
) -> Result<[Bind; 2], NotMade> {
    let folder = names_folder(&work.config, server);
    let failed = |error: std::io::Error| {
        let detail = format!("cannot write below {}: {error}", folder.display());
        refused(Reason::FailedContainer, detail)
    };
    // To be entered, whatever the agent's umask is: an engine whose users are others looks in it as
    // one of them.
    for folder in folder.parent().into_iter().chain([folder.as_path()]) {
        std::fs::create_dir_all(folder).map_err(failed)?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o711)).map_err(failed)?;
    }
    crash_point!("names.write.before");
    let write = |name: &str, text: String| {
        let source = folder.join(name);
        std::fs::write(&source, text).map_err(failed)?;
        // The user must read it, whatever the agent's umask is.
        std::fs::set_permissions(&source, Permissions::from_mode(0o644)).map_err(failed)?;
        Ok(Bind { source, target: format!("/etc/{name}"), read_only: true, follows: false })
    };
    let passwd = write("passwd", account::passwd_file(resolved))?;
    let group = write("group", account::group_file(resolved))?;
    crash_point!("names.write.after");
    Ok([passwd, group])
}

async fn reached<R>(work: &Workplace<R>, operation: &Operation, step: StartStep) {
    // A closed channel means that the agent is ending.
    let _ = work.inputs.send(Input::Milestone(operation.clone(), step)).await;
}

fn refused(reason: Reason, detail: String) -> NotMade {
    NotMade::Refused(Ending { reason, detail })
}
