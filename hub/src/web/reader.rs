//! How a person reads: the language and the theme. Found once a request, from the cookies that the
//! switches in the footer set, else from what the browser says, and the same for all that the
//! request makes, error pages included.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE, REFERER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;

use crate::auth::Next;
use crate::auth::form::query_value;
use crate::auth::visitor::found;
use crate::site::Hub;
use crate::web::say::{self, Said};

/// The cookie that keeps the language.
const LANGUAGE: &str = "berth-language";
/// The cookie that keeps the theme.
const THEME: &str = "berth-theme";
/// A year: a choice of this kind is made once.
const KEPT_S: u32 = 31_536_000;

tokio::task_local! {
    static READER: Reader;
}

/// A language of the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// French.
    French,
}

/// Colours on a light or a dark ground.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the reader's system is set.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// The language and the theme of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reader {
    /// The language of all texts.
    pub language: Language,
    /// The theme.
    pub theme: Theme,
}

impl Language {
    /// Every language there is.
    pub const ALL: [Self; 2] = [Self::English, Self::French];

    /// Its tag, as HTML and browsers write it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    /// What it calls itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::French => "Français",
        }
    }

    fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|it| it.tag().eq_ignore_ascii_case(primary))
    }

    /// The most wanted of those that there are.
    fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for part in header.split(',') {
            let (tag, rest) = part.trim().split_once(';').unwrap_or((part.trim(), ""));
            let weight = rest.trim().strip_prefix("q=").and_then(|it| it.parse().ok());
            let weight = weight.unwrap_or(1.0_f32);
            if let Some(language) = Self::of_tag(tag)
                && weight > best.map_or(0.0, |(best, _)| best)
            {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language)
    }
}

impl Theme {
    /// Every theme there is.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// As cookie and page say it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// What its switch says.
    pub fn name(self) -> Said {
        match self {
            Self::System => say::t("theme-system"),
            Self::Light => say::t("theme-light"),
            Self::Dark => say::t("theme-dark"),
        }
    }

    fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.tag() == tag)
    }
}

impl Reader {
    /// The reader of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let chosen = cookie(headers, LANGUAGE).and_then(Language::of_tag);
        let accepted = || {
            let header = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
            Language::accepted(header)
        };
        Self {
            language: chosen.or_else(accepted).unwrap_or_default(),
            theme: cookie(headers, THEME).and_then(Theme::of_tag).unwrap_or_default(),
        }
    }

    /// The reader of what is being made now; the usual one outside of requests.
    pub fn now() -> Self {
        READER.try_with(|reader| *reader).unwrap_or_default()
    }

    /// Does something for this reader.
    pub async fn served<F: Future>(self, work: F) -> F::Output {
        READER.scope(self, work).await
    }

    /// The same for what is made at once.
    pub fn shown<T>(self, work: impl FnOnce() -> T) -> T {
        READER.sync_scope(self, work)
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        all.flat_map(|value| value.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// `GET /hub/reader?language=fr` or `?theme=dark`: keeps the choice, and goes back to the page.
pub async fn choose(State(hub): State<Arc<Hub>>, headers: HeaderMap, uri: Uri) -> Response {
    let back = headers.get(REFERER).and_then(|page| page.to_str().ok());
    let back = back.and_then(|page| Next::parse(page, &hub.config().hub.public_url));
    let mut response = found(back.as_ref().map_or("/hub/home", Next::as_str));
    let language = query_value(&uri, "language").and_then(|tag| Language::of_tag(&tag));
    let theme = query_value(&uri, "theme").and_then(|tag| Theme::of_tag(&tag));
    let chosen = [(LANGUAGE, language.map(Language::tag)), (THEME, theme.map(Theme::tag))];
    let secure = if hub.config().hub.is_https() { "; Secure" } else { "" };
    for (name, tag) in chosen {
        let Some(tag) = tag else { continue };
        let text =
            format!("{name}={tag}; Path=/hub; Max-Age={KEPT_S}; SameSite=Lax; HttpOnly{secure}");
        if let Ok(cookie) = HeaderValue::from_str(&text) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(pairs: &[(&str, &str)]) -> Reader {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        Reader::of(&headers)
    }

    #[test]
    fn a_choice_beats_the_browser_and_the_browser_the_default() {
        let accepts = ("accept-language", "de, fr-CH;q=0.9, en;q=0.8");
        assert_eq!(reader(&[]).language, Language::English);
        assert_eq!(reader(&[accepts]).language, Language::French);
        assert_eq!(
            reader(&[accepts, ("cookie", "x=1; berth-language=en")]).language,
            Language::English
        );
        assert_eq!(reader(&[accepts, ("cookie", "berth-language=xx")]).language, Language::French);
        assert_eq!(reader(&[("accept-language", "fr;q=0, de")]).language, Language::English);
        assert_eq!(reader(&[("cookie", "berth-theme=dark")]).theme, Theme::Dark);
        assert_eq!(reader(&[("cookie", "berth-theme=\"><b>")]).theme, Theme::System);
    }
}
