//! Style, script and logo, carried in the program. Their URLs hold a hash of the content, so a
//! browser may keep them for ever and a new hub is seen at once.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static [u8],
}

/// Everything there is.
static ASSETS: [Asset; 6] = [
    Asset {
        name: "berth.css",
        kind: "text/css; charset=utf-8",
        body: include_bytes!("../../assets/berth.css"),
    },
    Asset {
        name: "stream.js",
        kind: "text/javascript; charset=utf-8",
        body: include_bytes!("../../assets/stream.js"),
    },
    Asset {
        name: "live.js",
        kind: "text/javascript; charset=utf-8",
        body: include_bytes!("../../assets/live.js"),
    },
    Asset {
        name: "floor.css",
        kind: "text/css; charset=utf-8",
        body: include_bytes!("../../assets/floor.css"),
    },
    Asset {
        name: "floor.js",
        kind: "text/javascript; charset=utf-8",
        body: include_bytes!("../../assets/floor.js"),
    },
    Asset {
        name: "logo.svg",
        kind: "image/svg+xml",
        body: include_bytes!("../../assets/logo.svg"),
    },
];

/// The content hashes, in the order of `ASSETS`. Eight bytes tell any two versions apart.
static HASHES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let hash = |asset: &Asset| {
        let digest = Sha256::digest(asset.body);
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    };
    ASSETS.iter().map(hash).collect()
});

/// Long enough for "for ever": browsers cap it anyway.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Without the right hash in its URL, an asset is asked for again.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The URL of an asset, e.g. `/hub/static/berth.css?v=0123456789abcdef`.
pub fn url(name: &str) -> String {
    match ASSETS.iter().zip(HASHES.iter()).find(|(asset, _)| asset.name == name) {
        Some((_, hash)) => format!("/hub/static/{name}?v={hash}"),
        None => format!("/hub/static/{name}"),
    }
}

/// `GET /hub/static/{file}`
pub async fn file(Path(name): Path<String>, uri: axum::http::Uri, headers: HeaderMap) -> Response {
    answer(&name, uri.query().unwrap_or_default(), &headers)
}

/// `GET /hub/logo` and `/favicon.ico`
pub async fn logo(headers: HeaderMap) -> Response {
    answer("logo.svg", "", &headers)
}

fn answer(name: &str, query: &str, headers: &HeaderMap) -> Response {
    let found = ASSETS.iter().zip(HASHES.iter()).find(|(asset, _)| asset.name == name);
    let Some((asset, hash)) = found else {
        return (StatusCode::NOT_FOUND, "no such file").into_response();
    };
    let tag = format!("\"{hash}\"");
    let asked = query.strip_prefix("v=");
    let keep = if asked == Some(hash.as_str()) { FOR_EVER } else { ASK_AGAIN };
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    if known {
        return (StatusCode::NOT_MODIFIED, [(CACHE_CONTROL, keep)], [(ETAG, tag)]).into_response();
    }
    let kind = HeaderValue::from_static(asset.kind);
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, keep)], [(ETAG, tag)], asset.body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_may_keep_what_has_its_hash_in_the_url() {
        let url = url("berth.css");
        let (path, query) = url.split_once('?').unwrap();
        assert_eq!(path, "/hub/static/berth.css");
        let fresh = answer("berth.css", query, &HeaderMap::new());
        assert_eq!(fresh.status(), StatusCode::OK);
        assert_eq!(fresh.headers()[CACHE_CONTROL], FOR_EVER);
        assert_eq!(fresh.headers()[CONTENT_TYPE], "text/css; charset=utf-8");
        let stale = answer("berth.css", "v=0", &HeaderMap::new());
        assert_eq!(stale.headers()[CACHE_CONTROL], ASK_AGAIN);
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, fresh.headers()[ETAG].clone());
        assert_eq!(answer("berth.css", query, &headers).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(answer("../Cargo.toml", "", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn nothing_is_loaded_from_another_site() {
        for asset in &ASSETS {
            let text = std::str::from_utf8(asset.body).unwrap();
            let foreign = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!foreign.contains("://"), "{} names another site", asset.name);
        }
    }
}
