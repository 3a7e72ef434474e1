//! The words of a decision's record in the reader's language. English is the record's own, as API
//! and command line have it.

use berth_core::decision::{By, Looked, Rule, Term};
use berth_core::settings::Metered;

use crate::web::pages::words::{self, Moment};
use crate::web::reader::{Language, Reader};
use crate::web::say::{self, Said};

/// What a rule looked at.
pub fn rule(rule: &Rule) -> String {
    match &rule.looked {
        Some(looked) if !is_english() => looked_at(looked).to_string(),
        _ => rule.text.clone(),
    }
}

/// A term of a host's score: its name and its value.
pub fn term(term: &Term) -> (String, String) {
    let key = TERMS.iter().find(|(name, _)| *name == term.name.trim_start());
    let name = match key {
        Some((_, key)) if !is_english() => say::t(*key).to_string(),
        _ => term.name.clone(),
    };
    let value = match term.value.as_str() {
        "yes" => say::t("yes").to_string(),
        "no" => say::t("no").to_string(),
        value => value.to_owned(),
    };
    (name, value)
}

fn is_english() -> bool {
    Reader::now().language == Language::English
}

/// The terms of [`berth_core::placement::Scored`] and the keys of their names.
const TERMS: [(&str, &str); 11] = [
    ("emptied while it may live", "term-drains"),
    ("preferred by a rule", "term-preferred"),
    ("image present", "term-image"),
    ("wasted by placing there", "term-waste"),
    ("worth that is lost", "term-worth"),
    ("GPU that becomes unusable", "term-unusable"),
    ("scarcity", "term-scarcity"),
    ("place in the filling order", "term-filling"),
    ("memory already reserved", "term-reserved"),
    ("was there last", "term-last"),
    ("place in the order of hosts", "term-order"),
];

fn looked_at(looked: &Looked) -> Said {
    match looked {
        Looked::Account => say::t("rule-account"),
        Looked::HostsTold => say::t("rule-hosts-told"),
        Looked::Profile { name } => say::t("rule-profile").with("name", name),
        Looked::Denied { person } => say::t("rule-denied").with("person", person.as_str()),
        Looked::Open { profile } => say::t("rule-open").with("profile", profile),
        Looked::Whitelist { profile, by } => match by {
            None => say::t("rule-whitelist").with("profile", profile),
            Some(By::Name) => say::t("rule-whitelist-name").with("profile", profile),
            Some(By::Group(group)) => {
                say::t("rule-whitelist-group").with("profile", profile).with("group", group)
            }
        },
        Looked::Pool { name } => say::t("rule-pool").with("name", name),
        Looked::TakesPart { title } => say::t("rule-takes-part").with("title", title),
        Looked::Teaches => say::t("rule-teaches"),
        Looked::Training { title, until: None } => say::t("rule-training").with("title", title),
        Looked::Training { title, until: Some(until) } => {
            let until = Moment::from(*until).text;
            say::t("rule-training-until").with("title", title).with("until", &until)
        }
        Looked::Memory { asked, most } => {
            say::t("rule-memory").with("asked", asked).with("most", most)
        }
        Looked::Gpus { asked, most } => say::t("rule-gpus").with("asked", asked).with("most", most),
        Looked::GpuModel { name } => say::t("rule-gpu-model").with("name", name),
        Looked::Image { name } => say::t("rule-image").with("name", name),
        Looked::QuotaServers { held, limit } => {
            say::t("rule-quota-servers").with("held", held).with("limit", limit)
        }
        Looked::QuotaMemory { held, asked, limit } => {
            let said = say::t("rule-quota-memory").with("held", held);
            said.with("asked", asked).with("limit", limit)
        }
        Looked::QuotaGpus { held, asked, limit } => {
            let said = say::t("rule-quota-gpus").with("held", held);
            said.with("asked", asked).with("limit", limit)
        }
        Looked::Budget { used, limit, of, window, last } => {
            let said = say::t(match (of, last) {
                (Metered::GpuHours, false) => "rule-gpu-hours",
                (Metered::GpuHours, true) => "rule-gpu-hours-last",
                (Metered::GibHours, false) => "rule-gib-hours",
                (Metered::GibHours, true) => "rule-gib-hours-last",
            });
            let window = words::long(*window);
            said.with("used", used).with("limit", limit).with("window", &window)
        }
        Looked::Turn { after } => say::t("rule-turn").with("after", words::long(*after)),
    }
}

#[cfg(test)]
mod tests {
    use berth_common::{ByteCount, Seconds, Timestamp};
    use berth_core::packing::Cost;
    use berth_core::placement::{Fill, Score};

    use super::*;

    fn all() -> Vec<Looked> {
        let (name, title) = (|| "gpu".to_owned(), || "ROOT".to_owned());
        let memory = ByteCount(1 << 30);
        let budget = |of, last| Looked::Budget { used: 3, limit: 9, of, window: Seconds(60), last };
        let whitelist = |by| Looked::Whitelist { profile: name(), by };
        vec![
            Looked::Account,
            Looked::HostsTold,
            Looked::Profile { name: name() },
            Looked::Denied { person: "bob".parse().unwrap() },
            Looked::Open { profile: name() },
            whitelist(None),
            whitelist(Some(By::Name)),
            whitelist(Some(By::Group("lsst".into()))),
            Looked::Pool { name: name() },
            Looked::TakesPart { title: title() },
            Looked::Teaches,
            Looked::Training { title: title(), until: None },
            Looked::Training { title: title(), until: Some(Timestamp(0)) },
            Looked::Memory { asked: memory, most: memory },
            Looked::Gpus { asked: 1, most: 2 },
            Looked::Image { name: "py".into() },
            Looked::QuotaServers { held: 1, limit: 5 },
            Looked::QuotaMemory { held: memory, asked: memory, limit: memory },
            Looked::QuotaGpus { held: 0, asked: 1, limit: 1 },
            budget(Metered::GpuHours, false),
            budget(Metered::GpuHours, true),
            budget(Metered::GibHours, false),
            budget(Metered::GibHours, true),
            Looked::Turn { after: Seconds(60) },
        ]
    }

    fn in_french<T>(ask: impl FnOnce() -> T) -> T {
        Reader { language: Language::French, ..Reader::default() }.shown(ask)
    }

    #[test]
    fn every_rule_is_said_in_french() {
        for looked in all() {
            let one = Rule::new(looked, None, None);
            let french = in_french(|| rule(&one));
            assert!(!french.contains("rule-") && french != one.text, "{french}");
        }
    }

    #[test]
    fn every_term_is_said_in_french() {
        for (name, _) in TERMS {
            let one = Term { name: name.into(), value: "1".into() };
            let (said, _) = in_french(|| term(&one));
            assert!(!said.contains("term-") && said != name, "{said}");
        }
        for fill in [Fill::ReservedPart(135), Fill::Waste(Cost(0))] {
            let (drains, position) = (false, 0);
            let score = Score {
                drains,
                not_preferred: drains,
                image_absent: drains,
                fill,
                not_last: drains,
                position,
            };
            for one in score.terms() {
                let (name, value) = in_french(|| term(&one));
                assert!(!name.contains("term-") && name != one.name, "{name}");
                assert!(value != "yes" && value != "no", "{value}");
            }
        }
    }

    #[test]
    fn a_record_without_data_is_shown_as_it_was_written() {
        let old: Rule =
            serde_json::from_str(r#"{"text":"the rule","passed":true,"cite":null}"#).unwrap();
        assert_eq!(in_french(|| rule(&old)), "the rule");
    }
}
