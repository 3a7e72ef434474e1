//! Which cookies reach a container, and which cookies a container may set. On one domain every
//! notebook page shares the browser's cookie jar with the hub, so the proxy keeps them apart.

use hyper::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

/// The container behind a route, as far as cookies care.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The route's path, such as `/user/alice`.
    pub prefix: &'a str,
    /// The owner's name; `None` for a service.
    pub user: Option<&'a str>,
    /// The server's name; empty for the default one.
    pub server_name: &'a str,
}

/// Removes the hub's cookies and those of other servers from a request to a container.
pub fn strip_request(headers: &mut HeaderMap, owner: Owner<'_>) {
    if !headers.contains_key(COOKIE) {
        return;
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    for value in headers.get_all(COOKIE) {
        kept.extend(
            value
                .as_bytes()
                .split(|byte| *byte == b';')
                .filter(|pair| !pair.trim_ascii().is_empty() && may_pass(name_of(pair), owner)),
        );
    }
    // Browsers send one field; several are joined as HTTP/2 asks for (RFC 9113 8.2.3).
    let joined =
        kept.iter().map(|pair| pair.trim_ascii()).collect::<Vec<_>>().join(b"; ".as_slice());
    headers.remove(COOKIE);
    if let Ok(value) = HeaderValue::from_bytes(&joined)
        && !joined.is_empty()
    {
        headers.insert(COOKIE, value);
    }
}

/// Drops the cookies that a container may not set: the hub's names, another path, a whole domain.
/// Returns how many were dropped.
pub fn strip_response(headers: &mut HeaderMap, owner: Owner<'_>) -> usize {
    let all: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    let before = all.len();
    let kept: Vec<HeaderValue> =
        all.into_iter().filter(|value| may_set(value.as_bytes(), owner)).collect();
    let dropped = before.saturating_sub(kept.len());
    if dropped > 0 {
        headers.remove(SET_COOKIE);
        for value in kept {
            headers.append(SET_COOKIE, value);
        }
    }
    dropped
}

/// The values of the hub's own session cookies in a request.
pub fn sessions(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let value =
                pair.get(pair.iter().position(|byte| *byte == b'=')?.saturating_add(1)..)?;
            is_session(name_of(pair)).then_some(value.trim_ascii())
        })
}

fn is_session(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"__Host-berth") || name.eq_ignore_ascii_case(b"berth-session")
}

fn may_pass(name: &[u8], owner: Owner<'_>) -> bool {
    if is_hubs(name) {
        return false;
    }
    // With JupyterHub's cookie_host_prefix_enabled the names carry the prefix.
    let name = strip_prefix_ignoring_case(name, b"__Host-").unwrap_or(name);
    match strip_prefix_ignoring_case(name, b"jupyterhub-user-") {
        None => true,
        Some(rest) => owner.user.is_some_and(|user| {
            let own = if owner.server_name.is_empty() {
                user.to_owned()
            } else {
                format!("{user}-{}", owner.server_name)
            };
            // The state of a login under way has the name of the login cookie in front.
            rest.strip_prefix(own.as_bytes())
                .is_some_and(|tail| tail.is_empty() || tail.starts_with(b"-oauth-state"))
        }),
    }
}

fn is_hubs(name: &[u8]) -> bool {
    let bare = strip_prefix_ignoring_case(name, b"__Host-").unwrap_or(name);
    bare.eq_ignore_ascii_case(b"berth")
        || bare.eq_ignore_ascii_case(b"jupyterhub-hub-login")
        || strip_prefix_ignoring_case(bare, b"berth-session").is_some()
}

fn may_set(value: &[u8], owner: Owner<'_>) -> bool {
    let mut parts = value.split(|byte| *byte == b';');
    let name = name_of(parts.next().unwrap_or_default());
    if is_hubs(name) || strip_prefix_ignoring_case(name, b"__Host-").is_some() {
        return false;
    }
    if strip_prefix_ignoring_case(name, b"jupyterhub-user-").is_some() && !may_pass(name, owner) {
        return false;
    }
    parts.all(|attribute| {
        let attribute = attribute.trim_ascii();
        let name = name_of(attribute);
        if name.eq_ignore_ascii_case(b"domain") {
            return false;
        }
        if name.eq_ignore_ascii_case(b"path") {
            let path = attribute.get(name.len()..).unwrap_or_default().trim_ascii_start();
            let path = path.strip_prefix(b"=").unwrap_or(path).trim_ascii();
            return within(path, owner.prefix.as_bytes());
        }
        true
    })
}

/// Whether a cookie's path lies within the prefix, by whole segments. The browser's rule compares
/// bytes, so an escaped path is held against the escaped prefix by the browser, not here: a path
/// with an escape is let pass only where the browser would not send it anywhere else.
fn within(path: &[u8], prefix: &[u8]) -> bool {
    let decoded = std::str::from_utf8(path).ok().and_then(|path| crate::path::decode(path).ok());
    let Some(path) = decoded else { return false };
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|tail| tail.is_empty() || tail.starts_with(b"/"))
        && !path.windows(3).any(|window| window == b"/..")
}

fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

fn strip_prefix_ignoring_case<'a>(name: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = name.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALICE: Owner<'_> = Owner { prefix: "/user/alice", user: Some("alice"), server_name: "" };
    const NAMED: Owner<'_> =
        Owner { prefix: "/user/alice/gpu", user: Some("alice"), server_name: "gpu" };
    const SERVICE: Owner<'_> = Owner { prefix: "/services/x", user: None, server_name: "" };

    #[test]
    fn containers_get_their_own_cookies_and_nobody_elses() {
        let check = |cookies: &[&str], owner| {
            let mut headers = HeaderMap::new();
            for line in cookies {
                headers.append(COOKIE, line.parse().unwrap());
            }
            strip_request(&mut headers, owner);
            assert!(headers.get_all(COOKIE).iter().count() <= 1);
            headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let login = "__Host-berth=1; berth=1; berth-session=2; berth-session-9=2; \
                     jupyterhub-hub-login=3; __Host-jupyterhub-hub-login=4; __Host-berth-session=5";
        for (cookies, owner, expected) in [
            (vec![login], ALICE, ""),
            (vec!["a=1; __host-BERTH=2;b=3"], ALICE, "a=1; b=3"),
            (vec!["_xsrf=x; jupyterhub-session-id=y"], ALICE, "_xsrf=x; jupyterhub-session-id=y"),
            (
                vec!["jupyterhub-user-alice=1; jupyterhub-user-bob=2; jupyterhub-user-alice-gpu=3"],
                ALICE,
                "jupyterhub-user-alice=1",
            ),
            (
                vec!["jupyterhub-user-alice=1; jupyterhub-user-alice-gpu=3"],
                NAMED,
                "jupyterhub-user-alice-gpu=3",
            ),
            (
                vec!["jupyterhub-user-alice-oauth-state-ab12=1; jupyterhub-user-bob-oauth-state=2"],
                ALICE,
                "jupyterhub-user-alice-oauth-state-ab12=1",
            ),
            (vec!["jupyterhub-user-alice=1; z=2"], SERVICE, "z=2"),
            (vec!["a=1", "jupyterhub-hub-login=2", "b=3=4"], ALICE, "a=1; b=3=4"),
            (vec!["berthing=1; ; x"], ALICE, "berthing=1; x"),
        ] {
            assert_eq!(check(&cookies, owner), expected, "{cookies:?}");
        }
    }

    #[test]
    fn containers_set_cookies_for_their_own_path_only() {
        for (cookie, expected) in [
            ("jupyterhub-user-alice=1; Path=/user/alice/; HttpOnly", true),
            ("_xsrf=1; Path=/user/alice/", true),
            ("x=1", true),
            ("x=1; path = /user/alice", true),
            ("x=1; Path=/", false),
            ("x=1; Path=/user/alice2/", false),
            ("x=1; Path=/user/alice/../bob", false),
            ("x=1; Path=", false),
            ("x=1; Path=/user/alice/; Domain=example.org", false),
            ("x=1; Domain=", false),
            ("__Host-x=1; Path=/user/alice/", false),
            ("jupyterhub-hub-login=1; Path=/user/alice/", false),
            ("berth-session=1", false),
            ("jupyterhub-user-bob=1; Path=/user/alice/", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, cookie.parse().unwrap());
            headers.append(SET_COOKIE, "kept=1".parse().unwrap());
            let dropped = strip_response(&mut headers, ALICE);
            assert_eq!(dropped == 0, expected, "{cookie}");
            assert_eq!(headers.get_all(SET_COOKIE).iter().count(), 2 - dropped, "{cookie}");
        }
    }
}
