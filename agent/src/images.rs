//! Images that this host is to have: those of its pool are fetched before anybody needs them, any
//! other when the first server needs it.

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

/// Whether a name says from which registry it comes. Without that it is an image of this host:
/// Docker would look for it at Docker's own registry, where anybody may have that name.
pub fn has_registry(image: &str) -> bool {
    let first = image.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| first.contains(['.', ':']) || first == "localhost")
}

/// Fetches what is wanted and missing, one after the other, for ever.
pub async fn keep<R: Runtime>(work: Arc<Workplace<R>>, mut watch: Receiver<Watch>) {
    loop {
        let wanted = watch.borrow_and_update().images.clone();
        let limits = work.config.limits.as_ref();
        let allowed = |image: &&String| {
            has_registry(image) && limits.is_some_and(|it| policy::allows_image(it, image))
        };
        for image in wanted.iter().filter(allowed) {
            if !matches!(work.runtime.has_image(image).await, Ok(false)) {
                continue;
            }
            tracing::info!("fetching {image}");
            match work.runtime.pull(image).await {
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
    fn a_name_without_a_registry_is_an_image_of_this_host() {
        for remote in ["registry.example.org/nb:1", "localhost/nb", "10.0.0.1:5000/a/nb@sha256:0"] {
            assert!(has_registry(remote), "{remote}");
        }
        for local in ["berth/notebook:6", "notebook", "notebook:6", "a/b/c"] {
            assert!(!has_registry(local), "{local}");
        }
    }
}
