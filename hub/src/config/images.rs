//! `images.toml`: what people can run.

use std::collections::BTreeMap;

use berth_core::settings::Image;
use serde::Deserialize;
use toml::Spanned;

use super::draft::Draft;
use super::sources::Version;
use super::value::Text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImagesToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    image: BTreeMap<Spanned<String>, ImageToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageToml {
    #[serde(rename = "ref")]
    reference: String,
    title: Option<Text>,
    /// Pools whose hosts fetch it before anybody needs it.
    #[serde(default)]
    prepull: Vec<Spanned<String>>,
}

/// Reads all images.
pub fn take(draft: &mut Draft) {
    for (file, toml) in draft.sources.all::<ImagesToml>("images") {
        for (name, ImageToml { reference, title, prepull }) in toml.image {
            let place = file.at(&name);
            let name = name.into_inner();
            if let Some(first) = draft.settings.images.get(&name) {
                draft.sources.duplicate(&place, &format!("image \"{name}\""), &first.cite);
                continue;
            }
            for pool in prepull {
                draft.sources.expect_name("pool", pool.get_ref(), file.at(&pool));
                let of_pool = draft.settings.prepull.entry(pool.into_inner()).or_default();
                of_pool.insert(reference.clone());
            }
            let title = title.map_or_else(|| name.clone(), |title| title.0);
            let image = Image { reference, title, cite: draft.sources.cite(&place) };
            draft.settings.images.insert(name, image);
        }
    }
}
