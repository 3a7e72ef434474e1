//! `/hub/dask/{service}/clusters/{cluster}/...`: a cluster's dashboard, for its owner. Dask Gateway
//! itself shows it to whoever knows the cluster's random name, so the proxy does not lead there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use berth_common::Username;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_SECURITY_POLICY, COOKIE, HOST, ORIGIN, SET_COOKIE, UPGRADE,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Gateway;
use crate::auth::{Visitor, xsrf};
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::table::Table;

/// So long the gateway's word is believed that a cluster is somebody's: a page has dozens of parts.
const BELIEVED: Duration = Duration::from_secs(30);
/// A gateway that takes longer to answer is as good as down; a scheduler draws its first page for
/// seconds.
const WITHIN: Duration = Duration::from_secs(30);
/// Bokeh's own scripts and styles stand in its pages. The page is sandboxed from the hub's forms by
/// what it may load and where it may send.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'; \
     form-action 'none'; base-uri 'none'; object-src 'none'",
);

/// Whose clusters the gateway has named lately.
#[derive(Debug, Default)]
struct Owners {
    known: Mutex<BTreeMap<(Username, String), Instant>>,
}

impl Owners {
    fn is_known(&self, key: &(Username, String)) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).is_some_and(|at| at.elapsed() < BELIEVED)
    }

    fn note(&self, key: (Username, String)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, at| at.elapsed() < BELIEVED);
        known.insert(key, Instant::now());
    }
}

/// What answers at the dashboards' path.
pub fn router() -> Router<Arc<Hub>> {
    table().router().layer(Extension(Arc::new(Owners::default())))
}

/// The dashboards' one path. They are no pages of ours: what they show is another program's.
pub fn table() -> Table {
    Table::new().route("/hub/dask/{service}/clusters/{cluster}/{*rest}", get(show))
}

/// Leads to the cluster's dashboard, websockets included.
async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(owners): Extension<Arc<Owners>>,
    visitor: Visitor,
    Path((service, cluster, rest)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, PageError> {
    let gateway = Gateway::of(&hub.config()).filter(|gateway| gateway.service() == service);
    let gateway = gateway.ok_or(PageError::NotFound)?;
    // A websocket is opened by a GET, and other sites' pages can do that with our cookie.
    if request.headers().contains_key(UPGRADE)
        && xsrf::check_origin(request.headers(), &hub.config().hub.public_url).is_err()
    {
        return Err(PageError::NotFound);
    }
    let key = (visitor.user.account.name.clone(), cluster.clone());
    if !gateway.may_use(&hub, &key.0) {
        return Err(PageError::NotFound);
    }
    if !owners.is_known(&key) {
        let errand = hub.farm.errands.begin(&key.0, gateway.service());
        // Somebody else's cluster and one that there never was look alike.
        if !gateway.owns(&errand, &cluster).await {
            return Err(PageError::NotFound);
        }
        owners.note(key);
    }
    let path = gateway.dashboard_path(&cluster, &rest, request.uri().query());
    let answer = tokio::time::timeout(WITHIN, forward(gateway.origin(), &path, request)).await;
    match answer {
        Ok(Ok(response)) => Ok(response),
        _ => Err(PageError::Upstream),
    }
}

async fn forward(
    origin: &str,
    path: &str,
    request: Request,
) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
    let uri: Uri = origin.parse()?;
    let authority = uri.authority().ok_or("the gateway's address has no host")?;
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
    let mut onward = hyper::Request::builder().method(&parts.method).uri(path).body(body)?;
    *onward.headers_mut() = without_secrets(&parts.headers);
    onward.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
    if onward.headers().contains_key(ORIGIN) {
        // What is compared there is the name under which it is asked.
        onward.headers_mut().insert(ORIGIN, HeaderValue::from_str(origin)?);
    }
    let mut answer = sender.send_request(onward).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(upgrade) = upgrade
    {
        let there = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            if let (Ok(here), Ok(there)) = tokio::join!(upgrade, there) {
                let (mut here, mut there) = (TokioIo::new(here), TokioIo::new(there));
                let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            }
        });
    } else {
        answer.headers_mut().remove(CONNECTION);
    }
    answer.headers_mut().remove(SET_COOKIE);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    Ok(answer.map(Body::new))
}

/// The dashboard is a program of the user's: it gets none of the hub's secrets.
fn without_secrets(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove(COOKIE);
    headers.remove(AUTHORIZATION);
    headers
}
