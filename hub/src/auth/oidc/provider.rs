//! What is known of the provider: its document, its keys, and whether it answers.

use std::sync::{Arc, PoisonError, RwLock};

use berth_common::{Seconds, Timestamp};
use berth_process::clock::now;
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::token::{self, BadToken, Expected, IdToken, LogoutToken};
use crate::config::login::Oidc;
use crate::outgoing::{CallError, Client};

/// The document is read again after this time.
const FRESH: Seconds = Seconds(3_600);
/// Tokens with unknown keys make us ask for new keys this often in a row, ...
const KEYS_BURST: u32 = 5;
/// ... and then as often as one try comes back: anybody can send us such tokens.
const KEYS_EVERY: Seconds = Seconds(10);
/// After a failure the next try comes after one second, then two, up to this.
const LONGEST_WAIT: u64 = 60;

/// The provider cannot be used at the moment. The message is for administrators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It did not answer.
    #[error("the provider does not answer: {0}")]
    Call(#[from] CallError),
    /// It was asked a moment ago and did not answer.
    #[error("the provider did not answer; it is asked again in {0} s")]
    Waiting(u64),
    /// It answered something that cannot be.
    #[error("the provider's answer cannot be used: {0}")]
    Answer(String),
}

/// The provider's own description: OpenID Connect Discovery 1.0, section 3.
#[derive(Debug, Clone, Deserialize)]
pub struct Document {
    issuer: String,
    /// Where people log in.
    pub authorization_endpoint: String,
    /// Where codes become tokens.
    pub token_endpoint: String,
    jwks_uri: String,
    /// Where more claims are.
    pub userinfo_endpoint: Option<String>,
    /// Where people log out.
    pub end_session_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether each answer names the provider: RFC 9207.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl Document {
    /// Whether the secret goes into the form, for providers that do not read the header.
    pub fn secret_in_form(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.is_some_and(|methods| {
            let has = |name: &str| methods.iter().any(|method| method == name);
            has("client_secret_post") && !has("client_secret_basic")
        })
    }
}

#[derive(Debug)]
struct Known {
    document: Arc<Document>,
    keys: Arc<JwkSet>,
    read: Timestamp,
}

#[derive(Debug, Default)]
struct Tries {
    failures: u32,
    next: Timestamp,
    /// How often new keys were asked for, less what time has forgiven.
    keys: u32,
    keys_at: Timestamp,
}

impl Tries {
    /// Takes a try for new keys, if there is one.
    fn take_keys(&mut self, at: Timestamp) -> bool {
        let forgiven = at.millis_since(self.keys_at) / (KEYS_EVERY.0 * 1_000);
        if forgiven > 0 {
            self.keys = self.keys.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
            self.keys_at = at;
        }
        let has_one = self.keys < KEYS_BURST;
        self.keys = self.keys.saturating_add(u32::from(has_one));
        has_one
    }
}

/// The provider of this site.
#[derive(Debug)]
pub struct Provider {
    /// What the site's files say of it.
    pub config: Oidc,
    /// The way to it.
    pub client: Client,
    known: RwLock<Option<Known>>,
    /// Held by the one who asks; the others wait for that answer.
    tries: Mutex<Tries>,
}

impl Provider {
    /// A provider of which nothing is known yet.
    ///
    /// # Errors
    /// When the site's certificates cannot be used.
    pub fn new(config: Oidc) -> Result<Self, CallError> {
        let client = Client::new(config.ca.as_deref())?;
        Ok(Self { config, client, known: RwLock::default(), tries: Mutex::default() })
    }

    /// The provider's document. One that was read once serves on while the provider is away.
    ///
    /// # Errors
    /// When it was never read and the provider does not answer.
    pub async fn document(&self) -> Result<Arc<Document>, ProviderError> {
        if let Some(fresh) = self.look(|known| is_fresh(known, now())).flatten() {
            return Ok(fresh);
        }
        let mut tries = self.tries.lock().await;
        if let Some(fresh) = self.look(|known| is_fresh(known, now())).flatten() {
            return Ok(fresh);
        }
        let old = self.look(|known| Arc::clone(&known.document));
        let at = now();
        if at < tries.next {
            let wait = tries.next.millis_since(at).div_ceil(1_000);
            return old.ok_or(ProviderError::Waiting(wait.max(1)));
        }
        match self.read().await {
            Ok(document) => {
                (tries.failures, tries.next) = (0, Timestamp(0));
                Ok(document)
            }
            Err(error) => {
                tries.failures = tries.failures.saturating_add(1);
                let wait = 1_u64 << tries.failures.saturating_sub(1).min(6);
                tries.next = now().plus(Seconds(wait.min(LONGEST_WAIT)));
                tracing::warn!(issuer = self.config.issuer, %error, "the identity provider");
                old.ok_or(error)
            }
        }
    }

    /// The document as last read, without asking for it.
    pub fn known_document(&self) -> Option<Arc<Document>> {
        self.look(|known| Arc::clone(&known.document))
    }

    fn look<T>(&self, look: impl FnOnce(&Known) -> T) -> Option<T> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    async fn read(&self) -> Result<Arc<Document>, ProviderError> {
        let url = self.config.issuer.trim_end_matches('/');
        let url = format!("{url}/.well-known/openid-configuration");
        let document: Document = self.fetch(&url).await?;
        if document.issuer != self.config.issuer {
            let found: String = document.issuer.chars().take(200).collect();
            let message = format!("it calls itself \"{found}\", not \"{}\"", self.config.issuer);
            return Err(ProviderError::Answer(message));
        }
        let endpoints =
            [&document.authorization_endpoint, &document.token_endpoint, &document.jwks_uri];
        let others = [&document.userinfo_endpoint, &document.end_session_endpoint];
        for url in endpoints.into_iter().chain(others.into_iter().flatten()) {
            self.check_endpoint(url)?;
        }
        let keys = self.keys(&document).await?;
        let document = Arc::new(document);
        let known = Known { document: Arc::clone(&document), keys: keys.into(), read: now() };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(document)
    }

    /// An endpoint is encrypted where the provider's own address is.
    fn check_endpoint(&self, url: &str) -> Result<(), ProviderError> {
        let parsed = url::Url::parse(url).ok();
        let good = parsed.is_some_and(|parsed| match parsed.scheme() {
            "https" => true,
            "http" => self.config.issuer.starts_with("http://"),
            _ => false,
        });
        let shown: String = url.chars().take(200).collect();
        good.then_some(())
            .ok_or_else(|| ProviderError::Answer(format!("its endpoint \"{shown}\" is not safe")))
    }

    /// The provider's keys; one of a kind that nobody knows spoils only itself.
    async fn keys(&self, document: &Document) -> Result<JwkSet, ProviderError> {
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<Value>,
        }
        let found: Keys = self.fetch(&document.jwks_uri).await?;
        let keys = found.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(JwkSet { keys: keys.collect() })
    }

    async fn fetch<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, ProviderError> {
        let (status, body) = self.client.get(url, None).await?;
        if !status.is_success() {
            return Err(ProviderError::Answer(format!("{url} answers {status}")));
        }
        serde_json::from_value::<T>(body)
            .map_err(|error| ProviderError::Answer(format!("{url}: {error}")))
    }

    /// Reads an ID token. A key that is not known makes us ask for the provider's keys again, once.
    ///
    /// # Errors
    /// Why it is not believed, or that the keys cannot be had.
    pub async fn id_token(
        &self,
        text: &str,
        access_token: Option<&str>,
        nonce: &str,
    ) -> Result<Result<IdToken, BadToken>, ProviderError> {
        self.by_keys(|keys, expected| token::id_token(text, access_token, nonce, keys, expected))
            .await
    }

    /// Reads a logout token, in the same way.
    ///
    /// # Errors
    /// Why it is not believed, or that the keys cannot be had.
    pub async fn logout_token(
        &self,
        text: &str,
    ) -> Result<Result<LogoutToken, BadToken>, ProviderError> {
        self.by_keys(|keys, expected| token::logout_token(text, keys, expected)).await
    }

    async fn by_keys<T>(
        &self,
        read: impl Fn(&JwkSet, Expected<'_>) -> Result<T, BadToken> + Send + Sync,
    ) -> Result<Result<T, BadToken>, ProviderError> {
        let document = self.document().await?;
        let read = |keys: &JwkSet| {
            let (issuer, client) = (&self.config.issuer, &self.config.client_id);
            read(keys, Expected { issuer, client, now: now() })
        };
        let keys = self.look(|known| Arc::clone(&known.keys)).unwrap_or_else(empty);
        match read(&keys) {
            Err(BadToken::UnknownKey) => {
                let keys = self.newer_keys(&document, &keys).await?;
                Ok(read(&keys))
            }
            result => Ok(result),
        }
    }

    async fn newer_keys(
        &self,
        document: &Document,
        tried: &Arc<JwkSet>,
    ) -> Result<Arc<JwkSet>, ProviderError> {
        let mut tries = self.tries.lock().await;
        let keys = self.look(|known| Arc::clone(&known.keys));
        // Somebody else has just asked, or nobody may.
        if let Some(keys) = keys
            && (!Arc::ptr_eq(&keys, tried) || !tries.take_keys(now()))
        {
            return Ok(keys);
        }
        let keys = Arc::new(self.keys(document).await?);
        if let Some(known) = self.known.write().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.keys = Arc::clone(&keys);
        }
        Ok(keys)
    }

    /// Claims that the ID token does not have, from the provider's own page for them.
    ///
    /// # Errors
    /// When it cannot be read, or speaks of somebody else.
    pub async fn more_claims(
        &self,
        document: &Document,
        access_token: &str,
        subject: &str,
    ) -> Result<serde_json::Map<String, Value>, ProviderError> {
        let Some(url) = &document.userinfo_endpoint else { return Ok(serde_json::Map::new()) };
        let bearer = format!("Bearer {access_token}");
        let (status, body) = self.client.get(url, Some(&bearer)).await?;
        match body {
            Value::Object(claims) if status.is_success() => {
                if claims.get("sub").and_then(Value::as_str) == Some(subject) {
                    Ok(claims)
                } else {
                    Err(ProviderError::Answer("userinfo speaks of somebody else".into()))
                }
            }
            _ => Err(ProviderError::Answer(format!("userinfo answers {status}"))),
        }
    }
}

fn is_fresh(known: &Known, at: Timestamp) -> Option<Arc<Document>> {
    (at < known.read.plus(FRESH)).then(|| Arc::clone(&known.document))
}

fn empty() -> Arc<JwkSet> {
    Arc::new(JwkSet { keys: Vec::new() })
}
