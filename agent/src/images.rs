//! Images that this host is to have: those of its pool are fetched before anybody needs them, any
//! other when the first server needs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_common::link::Watch;
use tokio::sync::watch::Receiver;

use crate::driver::Input;
use crate::perform::Workplace;
use crate::policy;
use crate::runtime::Runtime;

/// Before an image that could not be fetched is tried again, and between two looks whether
/// somebody has removed one.
const AGAIN: Duration = Duration::from_secs(300);

/// What a registry gives is asked again so often, while no host has the image.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Whether a name says from which registry it comes. Without that it is an image of this host:
/// Docker would look for it at Docker's own registry, where anybody may have that name.
pub fn has_registry(image: &str) -> bool {
    let first = image.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| first.contains(['.', ':']) || first == "localhost")
}

/// What a name stands for on an engine that knows this image by these digests and this id: the
/// digest in the name's own repository, which any host can fetch, else the id.
pub fn build_of(name: &str, digests: &[String], id: &str) -> String {
    let of_name = |digest: &&String| digest.split('@').next() == Some(repository(name));
    digests.iter().find(of_name).map_or(id, String::as_str).to_owned()
}

/// A name without its tag or digest. A colon before a slash belongs to the registry's address.
pub fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// Whether a build is one that only the engine that has it knows.
pub fn is_local(build: &str) -> bool {
    build.starts_with("sha256:")
}

/// Does what the hub asks about images, for ever.
pub async fn keep<R: Runtime>(work: Arc<Workplace<R>>, watch: Receiver<Watch>) {
    tokio::join!(fetch(work.clone(), watch.clone()), ask(work, watch));
}

/// Asks registries what they give for the names that no host has, so that what a server is to run
/// is decided with its host. A fetch may take long, so that is another task's.
async fn ask<R: Runtime>(work: Arc<Workplace<R>>, mut watch: Receiver<Watch>) {
    loop {
        let unknown = watch.borrow_and_update().unknown.clone();
        let mut offered = BTreeMap::new();
        for image in unknown.iter().filter(|image| is_allowed(&work, image)) {
            match work.runtime.offered(image).await {
                Ok(build) => {
                    offered.insert(image.clone(), build);
                }
                Err(trouble) => tracing::warn!("{image}: its registry does not say: {trouble}"),
            }
        }
        if work.inputs.send(Input::Offered(offered)).await.is_err() {
            return; // the driver is gone
        }
        let changed = watch.wait_for(|now| now.unknown != unknown);
        if let Ok(Err(_)) = tokio::time::timeout(ASK_AGAIN, changed).await {
            return;
        }
    }
}

/// Whether an image comes from a registry, and this host may run it.
fn is_allowed<R>(work: &Workplace<R>, image: &str) -> bool {
    let limits = work.config.limits.as_ref();
    has_registry(image) && limits.is_some_and(|it| policy::allows_image(it, image))
}

/// Fetches what is wanted and missing, one after the other, for ever.
async fn fetch<R: Runtime>(work: Arc<Workplace<R>>, mut watch: Receiver<Watch>) {
    loop {
        let wanted = watch.borrow_and_update().images.clone();
        for image in wanted.iter().filter(|image| is_allowed(&work, image)) {
            if !matches!(work.runtime.image_id(image).await, Ok(None)) {
                continue;
            }
            tracing::info!("fetching {image}");
            match work.runtime.pull(image, &|_| ()).await {
                Ok(()) => {
                    tracing::info!("{image} is here");
                    let facts = work.runtime.facts().await;
                    let _ = work.inputs.send(Input::Facts(facts)).await;
                }
                Err(trouble) => tracing::warn!("{image} was not fetched: {trouble}"),
            }
        }
        let changed = watch.wait_for(|now| now.images != wanted);
        if let Ok(Err(_)) = tokio::time::timeout(AGAIN, changed).await {
            return; // the driver is gone
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_a_digest_of_the_names_own_repository_or_the_id() {
        let digests = ["other/nb@sha256:1".to_owned(), "r.example.org:5000/nb@sha256:2".to_owned()];
        let build = |name| build_of(name, &digests, "sha256:3");
        assert_eq!(build("r.example.org:5000/nb:6"), "r.example.org:5000/nb@sha256:2");
        assert_eq!(build("berth/nb:6"), "sha256:3");
        assert_eq!(repository("r.example.org:5000/nb"), "r.example.org:5000/nb");
        assert_eq!(repository("nb:6@sha256:1"), "nb");
    }

    #[test]
    fn a_name_without_a_registry_is_an_image_of_this_host() {
        for remote in ["registry.example.org/nb:1", "localhost/nb", "10.0.0.1:5000/a/nb@sha256:0"] {
            assert!(has_registry(remote), "{remote}");
        }
        for local in ["berth/notebook:6", "notebook", "notebook:6", "a/b/c"] {
            assert!(!has_registry(local), "{local}");
        }
    }
}
