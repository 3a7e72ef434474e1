//! Where to go after a login or a start: a path of this site and nothing else.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Longer targets than this are no link of ours.
const LONGEST: usize = 4_096;

/// What a query value may hold unescaped.
const QUERY_VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A redirect target that cannot leave the site: one leading slash, then no character that a
/// browser could read as another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next(String);

impl Next {
    /// Reads a target; `None` is anything that could leave the site. An absolute URL of the site
    /// itself is reduced to its path.
    pub fn parse(text: &str, public_url: &str) -> Option<Self> {
        let path = match text.strip_prefix(public_url) {
            Some(rest) if rest.starts_with('/') => rest,
            _ => text,
        };
        let safe = path.len() <= LONGEST
            && path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        safe.then(|| Self(path.to_owned()))
    }

    /// The target itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The target as the value of a query argument.
    pub fn escaped(&self) -> String {
        escape(&self.0)
    }

    /// The login page that leads to this target.
    pub fn login_url(&self) -> String {
        format!("/hub/login?next={}", self.escaped())
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Escapes a query value.
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, QUERY_VALUE).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_never_leaves_the_site() {
        let site = "https://nb.example.org";
        let read = |text: &str| Next::parse(text, site).map(|next| next.to_string());
        for (text, path) in [
            ("/user/alice/lab?x=1#y", "/user/alice/lab?x=1#y"),
            ("/hub/home", "/hub/home"),
            ("/", "/"),
            ("https://nb.example.org/hub/home", "/hub/home"),
        ] {
            assert_eq!(read(text).as_deref(), Some(path), "{text}");
        }
        let long = format!("/{}", "a".repeat(LONGEST));
        for bad in [
            "",
            "hub/home",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "\\\\evil.example",
            "/\\evil.example",
            "/a\\b",
            "https://evil.example/",
            "https://nb.example.org.evil.example/",
            "https://nb.example.org@evil.example/",
            "https://nb.example.org//evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "/a b",
            "/\u{2028}",
            &long,
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_target_survives_the_login_page() {
        let next = Next::parse("/user/alice/lab?a=1&b=%20#c", "https://x").unwrap();
        assert_eq!(next.login_url(), "/hub/login?next=/user/alice/lab%3Fa%3D1%26b%3D%2520%23c");
    }
}
