//! Fetching an image from its registry.

use std::time::Duration;

use berth_process::crash_point;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{CreateImageOptionsBuilder, TagImageOptionsBuilder};
use futures::StreamExt;

use super::layers::Layers;
use super::transport::torn;
use super::trouble::{Trouble, within};
use super::{Docker, QUESTION};
use crate::runtime::Runtime;
use crate::{images, registries};

/// A registry that says nothing for so long is away.
const SILENCE: Duration = Duration::from_secs(120);

impl Docker {
    /// Fetches an image, logged in where the host has a login for its registry, and looks whether it is there.
    pub(super) async fn try_pull(
        &self,
        image: &str,
        told: &(dyn Fn(u32) + Sync),
    ) -> Result<(), String> {
        let words = |trouble: Trouble| trouble.to_string();
        let client = self.client().await.map_err(words)?;
        let options = CreateImageOptionsBuilder::new().from_image(image).build();
        let login = self.login(image)?;
        crash_point!("engine.pull.before");
        let client = torn!(client, "engine.pull.inside", "engine.pull.sent");
        let mut said = client.create_image(Some(options), None, login);
        let mut layers = Layers::default();
        let trouble = loop {
            match tokio::time::timeout(SILENCE, said.next()).await {
                Ok(Some(Ok(step))) => {
                    layers.hear(&step).into_iter().for_each(told);
                    if let Some(detail) = step.error_detail.and_then(|detail| detail.message) {
                        break detail;
                    }
                }
                Ok(Some(Err(error))) => break error.to_string(),
                Ok(None) => break "the engine says no more".to_owned(),
                Err(_) => break format!("nothing came for {} s", SILENCE.as_secs()),
            }
        };
        crash_point!("engine.pull.after");
        // Only the image itself proves anything: such streams end with spurious errors, too.
        match self.image_id(image).await? {
            Some(_) => Ok(()),
            None => Err(trouble),
        }
    }

    /// Asks an image's registry, logged in likewise, what it gives under that name.
    pub(super) async fn try_offered(&self, image: &str) -> Result<String, String> {
        let words = |trouble: Trouble| trouble.to_string();
        let client = self.client().await.map_err(words)?;
        let asked = client.inspect_registry_image(image, self.login(image)?);
        let found = within(SILENCE, asked).await.map_err(words)?;
        let digest = found.descriptor.digest.ok_or("the registry names no digest")?;
        Ok(format!("{}@{digest}", images::repository(image)))
    }

    /// Gives an image a name of a registry.
    pub(super) async fn try_name(&self, image: &str, name: &str) -> Result<(), String> {
        let words = |trouble: Trouble| trouble.to_string();
        let client = self.client().await.map_err(words)?;
        let repository = images::repository(name);
        let tag = name.strip_prefix(repository).and_then(|rest| rest.strip_prefix(':'));
        let options = TagImageOptionsBuilder::new().repo(repository);
        let options = options.tag(tag.unwrap_or("latest")).build();
        crash_point!("engine.tag.before");
        let client = torn!(client, "engine.tag.inside", "engine.tag.sent");
        let named = within(QUESTION, client.tag_image(image, Some(options))).await;
        crash_point!("engine.tag.after");
        named.map_err(words)
    }

    fn login(&self, image: &str) -> Result<Option<DockerCredentials>, String> {
        let login = registries::login(self.registries.as_deref(), image)?;
        Ok(login.map(|(registry, login)| DockerCredentials {
            username: Some(login.user),
            password: Some(login.password.0),
            serveraddress: Some(registry),
            ..DockerCredentials::default()
        }))
    }
}
