//! The texts of the pages, one catalogue a language in `texts/`, in the form of Project Fluent.
//! Templates say `{{ say::t("nav-home") }}`, with values `{{ say::t("ago").with("span", span) }}`.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::sync::LazyLock;

use berth_common::{ByteCount, Reason};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

use crate::web::reader::{Language, Reader};

type Catalogue = FluentBundle<FluentResource>;

/// The texts in English; those of reason codes are [`Reason::text`] and [`Reason::remedy`].
const ENGLISH: &str = include_str!("../../texts/en.ftl");
/// The texts in French, those of reason codes included.
const FRENCH: &str = include_str!("../../texts/fr.ftl");

static CATALOGUES: LazyLock<[Catalogue; 2]> =
    LazyLock::new(|| [(Language::English, ENGLISH), (Language::French, FRENCH)].map(catalogue));

fn catalogue((language, source): (Language, &str)) -> Catalogue {
    // What is wrong with a message is found by the tests; the others are there all the same.
    let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(it, _)| it);
    let locale = language.tag().parse().into_iter().collect();
    let mut bundle = FluentBundle::new_concurrent(locale);
    // Marks around each value would only disturb in HTML, where the direction is known.
    bundle.set_use_isolating(false);
    bundle.add_resource_overriding(resource);
    bundle
}

fn of(language: Language) -> &'static Catalogue {
    let [english, french] = &*CATALOGUES;
    match language {
        Language::English => english,
        Language::French => french,
    }
}

/// A text in the reader's language.
pub fn t(key: impl Into<Cow<'static, str>>) -> Said {
    Said { key: key.into(), args: FluentArgs::new() }
}

/// A text that still may get values.
#[derive(Debug)]
pub struct Said {
    key: Cow<'static, str>,
    args: FluentArgs<'static>,
}

impl Said {
    /// With a value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Value) -> Self {
        self.args.set(name, value.value());
        self
    }
}

impl Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key that is nowhere is shown itself: better than nothing, and the tests find it.
        let text = find(Reader::now().language, self).or_else(|| find(Language::English, self));
        f.write_str(text.as_deref().unwrap_or(&self.key))
    }
}

/// All texts of a language that hold no values.
#[cfg(test)]
pub fn plain(language: Language) -> std::collections::BTreeSet<String> {
    let source = if language == Language::English { ENGLISH } else { FRENCH };
    let texts = source.lines().filter_map(|line| Some(line.split_once(" = ")?.1.trim().to_owned()));
    texts.filter(|text| !text.contains('{')).collect()
}

fn find(language: Language, said: &Said) -> Option<String> {
    let catalogue = of(language);
    let pattern = catalogue.get_message(&said.key)?.value()?;
    let mut errors = Vec::new();
    let text = catalogue.format_pattern(pattern, Some(&said.args), &mut errors);
    debug_assert!(errors.is_empty(), "{} in {language:?}: {errors:?}", said.key);
    Some(text.into_owned())
}

/// What a text can hold.
pub trait Value {
    /// As Fluent takes it: numbers choose plurals, everything else is text.
    fn value(self) -> FluentValue<'static>;
}

macro_rules! numbers {
    ($($kind:ty)*) => {$(
        impl Value for $kind {
            fn value(self) -> FluentValue<'static> {
                FluentValue::from(self)
            }
        }
        impl Value for &$kind {
            fn value(self) -> FluentValue<'static> {
                FluentValue::from(*self)
            }
        }
        impl Value for &&$kind {
            fn value(self) -> FluentValue<'static> {
                FluentValue::from(**self)
            }
        }
    )*};
}
numbers!(u32 u64 usize i64);

macro_rules! texts {
    ($($kind:ty)*) => {$(
        impl Value for $kind {
            fn value(self) -> FluentValue<'static> {
                FluentValue::String(Cow::Owned(self.to_string()))
            }
        }
    )*};
}
texts!(&str &&str String &String &&String ByteCount &ByteCount &&ByteCount Said &Cow<'_, str>);

/// A reason's sentence, without the numbers of the case.
pub fn reason(reason: Reason) -> String {
    of_reason(reason, "").unwrap_or_else(|| reason.text().to_owned())
}

/// What the reader can do about it; empty when there is nothing to do.
pub fn remedy(reason: Reason) -> String {
    if reason.remedy().is_empty() {
        return String::new();
    }
    of_reason(reason, "remedy").unwrap_or_else(|| reason.remedy().to_owned())
}

/// English is with the codes, where API and command line have it too.
fn of_reason(reason: Reason, attribute: &str) -> Option<String> {
    let language = Reader::now().language;
    if language == Language::English {
        return None;
    }
    let catalogue = of(language);
    let message = catalogue.get_message(&reason_key(reason))?;
    let pattern = match attribute {
        "" => message.value()?,
        attribute => message.get_attribute(attribute)?.value(),
    };
    Some(catalogue.format_pattern(pattern, None, &mut Vec::new()).into_owned())
}

fn reason_key(reason: Reason) -> String {
    format!("reason-{}", reason.code().replace(['.', '_'], "-"))
}

#[cfg(test)]
mod tests;
