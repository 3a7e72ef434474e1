//! What a service finds in its environment: the names of JupyterHub's `Service.start`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::HubConfig;
use crate::config::services::Service;

/// What a service keeps of the hub's own environment, as in JupyterHub: where programs are and how
/// people write. Nothing else of it is a service's business.
const KEPT: [&str; 7] = ["PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "CONDA_ROOT", "VIRTUAL_ENV"];

/// The environment of a service: what the site has written, then what the hub says.
pub fn environment(service: &Service, token: &str, config: &HubConfig) -> BTreeMap<String, String> {
    let kept = KEPT.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let written = service.environment.clone();
    let prefix = service.prefix();
    let access = list(&["access:services".to_owned(), service.access_scope()]);
    let url = service.url.as_ref().map_or("", url::Url::as_str);
    let pairs = [
        ("JUPYTERHUB_SERVICE_NAME", service.name.clone()),
        ("JUPYTERHUB_SERVICE_PREFIX", prefix.clone()),
        ("JUPYTERHUB_SERVICE_URL", url.trim_end_matches('/').to_owned()),
        ("JUPYTERHUB_API_TOKEN", token.to_owned()),
        ("JPY_API_TOKEN", token.to_owned()),
        ("JUPYTERHUB_API_URL", format!("http://{}/hub/api", reachable(config.listen))),
        ("JUPYTERHUB_BASE_URL", "/".into()),
        ("JUPYTERHUB_HOST", String::new()),
        ("JUPYTERHUB_CLIENT_ID", service.client_id.clone()),
        ("JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED", "0".into()),
        ("JUPYTERHUB_OAUTH_CALLBACK_URL", service.redirect.clone()),
        ("JUPYTERHUB_OAUTH_SCOPES", access.clone()),
        ("JUPYTERHUB_OAUTH_ACCESS_SCOPES", access),
        ("JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES", list(&service.visitor_scopes)),
        ("JUPYTERHUB_PUBLIC_URL", format!("{}{prefix}", config.public_url)),
        ("JUPYTERHUB_PUBLIC_HUB_URL", format!("{}/hub/", config.public_url)),
    ];
    let said = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
    kept.chain(written).chain(said).collect()
}

fn list(scopes: &[String]) -> String {
    serde_json::to_string(scopes).unwrap_or_default()
}

/// The hub's own address for a program on the same machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
