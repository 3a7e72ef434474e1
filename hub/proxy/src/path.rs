//! A request's path: split, then decoded, for matching only. The bytes that go up are those
//! received, so a path that two programs could read differently is refused here.

use std::borrow::Cow;

/// Why a path is refused; for the log, never for the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Such as `*` or `host:port`.
    #[error("the path does not start with /")]
    NotAbsolute,
    /// `//host/…` is a path here and an authority elsewhere.
    #[error("the path starts with //")]
    LooksLikeAuthority,
    /// Browsers resolve them, so only a tampered request holds one.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// Some programs take `\` for `/`.
    #[error("the path holds a backslash")]
    Backslash,
    /// `%` without two hexadecimal digits.
    #[error("the path holds a bad escape")]
    BadEscape,
    /// NUL, CR or LF, escaped or not.
    #[error("the path holds a control byte")]
    Control,
}

/// The decoded segments of a path, without its leading `/`: `/user/a%40b/` is `user`, `a@b`, ``.
pub type Segments<'a> = Vec<Cow<'a, [u8]>>;

/// Splits a path (without query) into decoded segments, or refuses it.
///
/// # Errors
/// Names the rule that the path breaks.
pub fn segments(path: &str) -> Result<Segments<'_>, BadPath> {
    let rest = path.strip_prefix('/').ok_or(BadPath::NotAbsolute)?;
    if rest.starts_with('/') {
        return Err(BadPath::LooksLikeAuthority);
    }
    if rest.contains('\\') {
        return Err(BadPath::Backslash);
    }
    let segments: Segments<'_> = rest.split('/').map(decode).collect::<Result<_, _>>()?;
    for segment in &segments {
        if matches!(segment.as_ref(), b"." | b"..") {
            return Err(BadPath::DotSegment);
        }
        if segment.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            return Err(BadPath::Control);
        }
    }
    // A file's name may hold a backslash; only in front can it be read as a host's `//`.
    if segments.first().is_some_and(|first| first.contains(&b'\\')) {
        return Err(BadPath::Backslash);
    }
    Ok(segments)
}

/// What a path is matched by: its decoded segments, up to the first that no key can hold. Mostly it
/// is the path itself.
///
/// # Errors
/// Names the rule that the path breaks.
pub fn matched(path: &str) -> Result<Cow<'_, str>, BadPath> {
    let plain = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['%', '\\'])
        && !path.contains("/.");
    if plain { Ok(Cow::Borrowed(path)) } else { Ok(Cow::Owned(joined(&segments(path)?))) }
}

/// The same for the policy `chp`, which takes whatever the segments hold. A leading `//` is an empty
/// segment.
///
/// # Errors
/// When an escape is bad or the path is none.
pub fn leniently_matched(path: &str) -> Result<Cow<'_, str>, BadPath> {
    let rest = path.strip_prefix('/').ok_or(BadPath::NotAbsolute)?;
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let segments: Segments<'_> = rest.split('/').map(decode).collect::<Result<_, _>>()?;
    Ok(Cow::Owned(joined(&segments)))
}

/// A key's segment is text without a slash, so nothing behind another kind of segment can match.
fn joined(segments: &[Cow<'_, [u8]>]) -> String {
    let mut joined = String::new();
    for segment in segments {
        match std::str::from_utf8(segment) {
            Ok(segment) if !segment.contains('/') => {
                joined.push('/');
                joined.push_str(segment);
            }
            _ => break,
        }
    }
    joined
}

/// The path as a browser would have sent it: dot segments resolved, `\\` as `/`. `None` when it
/// stands so already.
pub fn normalised(path: &str) -> Option<String> {
    let dots = |segment: &str| match segment.to_ascii_lowercase().as_str() {
        "." | "%2e" => 1,
        ".." | ".%2e" | "%2e." | "%2e%2e" => 2,
        _ => 0,
    };
    if !path.contains('\\') && path.split('/').all(|segment| dots(segment) == 0) {
        return None;
    }
    let path = path.replace('\\', "/");
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = segments.next() {
        let dots = dots(segment);
        if dots == 0 {
            kept.push(segment);
            continue;
        }
        if dots == 2 {
            kept.pop();
        }
        if segments.peek().is_none() {
            kept.push("");
        }
    }
    Some(format!("/{}", kept.join("/")))
}

/// Decodes the percent escapes of one segment, or of a query's value.
///
/// # Errors
/// When an escape is not two hexadecimal digits.
pub fn decode(text: &str) -> Result<Cow<'_, [u8]>, BadPath> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            decoded.push(byte);
            rest = tail;
            continue;
        }
        let [high, low, ..] = tail else { return Err(BadPath::BadEscape) };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
            return Err(BadPath::BadEscape);
        };
        decoded.push(high << 4 | low);
        rest = tail.get(2..).unwrap_or_default();
    }
    Ok(Cow::Owned(decoded))
}

/// The key of a route from the path behind `/api/routes`: decoded, one leading `/`, one trailing
/// `/` cut. `None` when the segments cannot be a key: an escaped `/` would be read as a separator.
pub fn key(path: &str) -> Option<String> {
    join(trimmed(path).split('/').map(|segment| {
        let decoded = decode(segment).ok()?.into_owned();
        String::from_utf8(decoded).ok().filter(|decoded| !decoded.contains('/'))
    }))
}

/// The key of a route from a path without escapes, as the table shows it.
pub fn plain_key(path: &str) -> Option<String> {
    join(trimmed(path).split('/').map(|segment| Some(segment.to_owned())))
}

fn trimmed(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path)
}

fn join(segments: impl Iterator<Item = Option<String>>) -> Option<String> {
    let mut key = String::new();
    for segment in segments {
        let segment = segment?;
        if segment.contains(['\0', '\r', '\n']) || segment == "." || segment == ".." {
            return None;
        }
        key.push('/');
        key.push_str(&segment);
    }
    Some(key)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_then_decoded_and_doubtful_ones_refused() {
        let check = |path: &str| match segments(path) {
            Ok(segments) => segments
                .iter()
                .map(|segment| String::from_utf8_lossy(segment).into_owned())
                .collect::<Vec<_>>()
                .join("|"),
            Err(refusal) => format!("{refusal:?}"),
        };
        for (path, expected) in [
            ("/", ""),
            ("/user/alice/", "user|alice|"),
            ("/user/alice", "user|alice"),
            ("/user/a%40b/x", "user|a@b|x"),
            ("/user/%E7%A7%80%E6%A8%B9/", "user|秀樹|"),
            ("/user/a%2Fb/x", "user|a/b|x"),
            ("/user//alice", "user||alice"),
            ("/constructor", "constructor"),
            ("/user/alice/a%5Cb", "user|alice|a\\b"),
            ("/user/...", "user|..."),
            ("//x/user/alice", "LooksLikeAuthority"),
            ("/user/../alice", "DotSegment"),
            ("/user/%2e%2E/alice", "DotSegment"),
            ("/user/.%2e", "DotSegment"),
            ("/user/./alice", "DotSegment"),
            ("/user\\alice", "Backslash"),
            ("/%5Cevil.example", "Backslash"),
            ("/%", "BadEscape"),
            ("/a%2", "BadEscape"),
            ("/a%zz", "BadEscape"),
            ("/a%+1", "BadEscape"),
            ("/a%00", "Control"),
            ("/a%0d%0aSet-Cookie:x", "Control"),
            ("*", "NotAbsolute"),
            ("example.org:443", "NotAbsolute"),
        ] {
            assert_eq!(check(path), expected, "{path}");
        }
    }

    #[test]
    fn dot_segments_are_resolved_as_browsers_do() {
        for (path, expected) in [
            ("/a/b", None),
            ("/a/..b/.c/d.", None),
            ("//a//", None),
            ("/a/../b", Some("/b")),
            ("/a/%2E%2e/b/.", Some("/b/")),
            ("/a/b/..", Some("/a/")),
            ("/../../a", Some("/a")),
            ("/a//../b", Some("/a/b")),
            ("/..", Some("/")),
            ("/a\\b", Some("/a/b")),
        ] {
            assert_eq!(normalised(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn keys_are_as_configurable_http_proxy_writes_them() {
        for (path, expected) in [
            ("", Some("/")),
            ("/", Some("/")),
            ("/user/alice/", Some("/user/alice")),
            ("/user/alice", Some("/user/alice")),
            ("/user/%E7%A7%80%E6%A8%B9/", Some("/user/秀樹")),
            ("/user/has@/x", Some("/user/has@/x")),
            ("/user/a%2Fb", None),
            ("/user/%zz", None),
            ("/user/%ff", None),
            ("/user/..", None),
        ] {
            assert_eq!(key(path).as_deref(), expected, "{path}");
        }
    }
}
