//! Fetching an image from its registry.

use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;

use super::Docker;
use super::trouble::Trouble;
use crate::registries;
use crate::runtime::Runtime;

/// A registry that says nothing for so long is away.
const SILENCE: Duration = Duration::from_secs(120);

impl Docker {
    /// Fetches an image, logged in where the host has a login for its registry, and looks whether it is there.
    pub(super) async fn try_pull(&self, image: &str) -> Result<(), String> {
        let words = |trouble: Trouble| trouble.to_string();
        let client = self.client().await.map_err(words)?;
        let options = CreateImageOptionsBuilder::new().from_image(image).build();
        let login = registries::login(self.registries.as_deref(), image)?;
        let login = login.map(|(registry, login)| DockerCredentials {
            username: Some(login.user),
            password: Some(login.password.0),
            serveraddress: Some(registry),
            ..DockerCredentials::default()
        });
        let mut told = client.create_image(Some(options), None, login);
        let trouble = loop {
            match tokio::time::timeout(SILENCE, told.next()).await {
                Ok(Some(Ok(step))) => {
                    if let Some(detail) = step.error_detail.and_then(|detail| detail.message) {
                        break detail;
                    }
                }
                Ok(Some(Err(error))) => break error.to_string(),
                Ok(None) => break "the engine says no more".to_owned(),
                Err(_) => break format!("nothing came for {} s", SILENCE.as_secs()),
            }
        };
        // Only the image itself proves anything: such streams end with spurious errors, too.
        match self.image_id(image).await? {
            Some(_) => Ok(()),
            None => Err(trouble),
        }
    }
}
