//! Calls to other services: the identity provider, the site's directory. Small answers, short
//! waits, no redirects, and TLS by the system's certificates and those that the site names.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// From the call to the last byte of the answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Documents of providers have a few kilobytes; an account with all its groups has less than this.
const LARGEST: usize = 1 << 20;

/// Why a service gave no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It could not be reached, or broke off.
    #[error("{0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("no answer within {} s", WITHIN.as_secs())]
    Late,
    /// The address is none.
    #[error("the address is malformed")]
    Address,
    /// Its answer is too long.
    #[error("the answer is longer than {LARGEST} bytes")]
    TooLong,
    /// Its answer is not JSON.
    #[error("the answer is not JSON")]
    NotJson,
    /// A certificate file of the site cannot be used.
    #[error("{0}")]
    Certificates(String),
}

/// A client, cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields).finish()
}

/// TLS by the system's certificates and those of `ca`.
///
/// # Errors
/// When the file of the site's certificates cannot be used.
pub fn tls(ca: Option<&Path>) -> Result<ClientConfig, CallError> {
    let mut roots = RootCertStore::empty();
    // What the system has and we cannot read is no reason to trust nobody else.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let unusable = |why: String| {
            CallError::Certificates(format!("certificates {}: {why}", path.display()))
        };
        let pem = CertificateDer::pem_file_iter(path).map_err(|e| unusable(e.to_string()))?;
        for certificate in pem {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
    }
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| CallError::Certificates(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl Client {
    /// A client that trusts the system's certificates and those of `ca`.
    ///
    /// # Errors
    /// When the file of the site's certificates cannot be used.
    pub fn new(ca: Option<&Path>) -> Result<Self, CallError> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(ca)?)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { http: Http::builder(TokioExecutor::new()).build(connector) })
    }

    /// Fetches a JSON document.
    ///
    /// # Errors
    /// When there is no answer, or it is not JSON. A status other than 200 is an answer.
    pub async fn get(
        &self,
        url: &str,
        authorization: Option<&str>,
    ) -> Result<(StatusCode, Value), CallError> {
        self.call(Method::GET, url, authorization, Bytes::new()).await
    }

    /// Sends a form and reads the JSON answer.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub async fn post_form(
        &self,
        url: &str,
        authorization: Option<&str>,
        fields: &[(&str, &str)],
    ) -> Result<(StatusCode, Value), CallError> {
        let body = encoded(fields);
        self.call(Method::POST, url, authorization, body.into()).await
    }

    /// Deletes what stands at an address; whatever the answer holds is not read.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn delete(
        &self,
        url: &str,
        authorization: Option<&str>,
    ) -> Result<StatusCode, CallError> {
        let answer = self.call(Method::DELETE, url, authorization, Bytes::new()).await;
        match answer {
            Ok((status, _)) => Ok(status),
            Err(CallError::NotJson) => Ok(StatusCode::OK),
            Err(error) => Err(error),
        }
    }

    async fn call(
        &self,
        method: Method,
        url: &str,
        authorization: Option<&str>,
        body: Bytes,
    ) -> Result<(StatusCode, Value), CallError> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(ACCEPT, "application/json")
            .header("user-agent", concat!("berth/", env!("CARGO_PKG_VERSION")));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body)).map_err(|_| CallError::Address)?;
        let answer = tokio::time::timeout(WITHIN, self.answer(request));
        let (status, body) = answer.await.map_err(|_| CallError::Late)??;
        let json = serde_json::from_slice(&body);
        match json {
            Ok(json) => Ok((status, json)),
            // Error pages are often HTML; what counts of them is the status.
            Err(_) if !status.is_success() => Ok((status, Value::Null)),
            Err(_) => Err(CallError::NotJson),
        }
    }

    async fn answer(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let response = self.http.request(request).await.map_err(|error| {
            // The cause is what people can act on: refused, unknown host, bad certificate.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            CallError::Unreachable(cause.unwrap_or_else(|| error.to_string()))
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                CallError::TooLong
            } else {
                CallError::Unreachable(error.to_string())
            }
        })?;
        Ok((status, body.to_bytes()))
    }
}
