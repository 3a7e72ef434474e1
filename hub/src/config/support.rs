//! `support` in `hub.toml`: where people ask for help, with what a ticket about a server begins with.

use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Where a ticket's subject and its text go in an address.
const SUBJECT: &str = "{subject}";
const BODY: &str = "{body}";

/// An address of mail or of the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Support(String);

impl FromStr for Support {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = ["mailto:", "https://", "http://"].into_iter().find(|it| text.starts_with(it));
        let rest = known.map_or("", |scheme| text.get(scheme.len()..).unwrap_or_default());
        if rest.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("write e.g. \"mailto:help@example.org\" or \
                        \"https://support.example.org/new?subject={subject}&body={body}\"");
        }
        Ok(Self(text.to_owned()))
    }
}

impl Support {
    /// The address alone, for who has no server to ask about.
    pub fn plain(&self) -> String {
        self.0.replace(SUBJECT, "").replace(BODY, "")
    }

    /// The address with a ticket filled in. A mail gets one in any case; a page on the web gets what
    /// its address has a place for.
    pub fn ticket(&self, subject: &str, body: &str) -> String {
        let is_bare_mail = self.0.starts_with("mailto:") && !self.0.contains('?');
        let filled = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let address = match is_bare_mail {
            true => format!("{}?subject={SUBJECT}&body={BODY}", self.0),
            false => self.0.clone(),
        };
        // What was filled in holds no braces, so that nothing is filled in twice.
        address.replace(SUBJECT, &filled(subject)).replace(BODY, &filled(body))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_goes_where_the_address_has_a_place_for_it() {
        let ticket = |address: &str| {
            address.parse::<Support>().unwrap().ticket("a&b {body}", "line 1\nline 2?")
        };
        let filled = "subject=a%26b%20%7Bbody%7D&body=line%201%0Aline%202%3F";
        assert_eq!(ticket("mailto:help@example.org"), format!("mailto:help@example.org?{filled}"));
        assert_eq!(
            ticket("https://example.org/new?queue=3&subject={subject}&body={body}"),
            format!("https://example.org/new?queue=3&{filled}")
        );
        assert_eq!(ticket("https://example.org/help"), "https://example.org/help");
        let plain = "https://example.org/new?body={body}".parse::<Support>().unwrap().plain();
        assert_eq!(plain, "https://example.org/new?body=");
    }

    #[test]
    fn nothing_but_mail_and_the_web() {
        for wrong in ["", "mailto:", "help@example.org", "javascript:alert(1)", "https://a b"] {
            assert!(wrong.parse::<Support>().is_err(), "{wrong}");
        }
    }
}
