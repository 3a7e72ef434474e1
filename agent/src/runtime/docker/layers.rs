//! How far a fetch is, reckoned from what the engine says of each layer.
//!
//! A layer is downloaded and then unpacked, which takes about as long: each counts half. The engine
//! tells a layer's size when its download begins, a few at a time; until then it is taken to be as
//! large as the others.

use std::collections::BTreeMap;

use bollard::models::CreateImageInfo;

/// The layers of an image that is being fetched.
#[derive(Debug, Default)]
pub(super) struct Layers {
    layers: BTreeMap<String, Layer>,
    /// What was told last. A layer that turns out large takes nothing of it back.
    told: u32,
}

/// In bytes.
#[derive(Debug, Default)]
struct Layer {
    /// `None`: not known yet.
    size: Option<u64>,
    downloaded: u64,
    unpacked: u64,
    complete: bool,
}

impl Layers {
    /// Takes in what the engine says. Returns how far all is, in percent, if that is news.
    pub(super) fn hear(&mut self, said: &CreateImageInfo) -> Option<u32> {
        let (id, status) = (said.id.as_ref()?, said.status.as_deref()?);
        let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        let detail = said.progress_detail.as_ref();
        let size = detail.and_then(|detail| bytes(detail.total)).filter(|size| *size > 0);
        let current = detail.and_then(|detail| bytes(detail.current)).unwrap_or(0);
        match status {
            "Already exists" => {
                self.layers.remove(id);
            }
            "Pulling fs layer" | "Waiting" => {
                self.layers.entry(id.clone()).or_default();
            }
            "Downloading" => {
                let layer = self.layers.entry(id.clone()).or_default();
                layer.size = size.or(layer.size);
                layer.downloaded = current;
            }
            "Extracting" => {
                let layer = self.layers.entry(id.clone()).or_default();
                layer.size = layer.size.or(size);
                layer.downloaded = layer.size.unwrap_or(0);
                // Some engines tell seconds here, and no total.
                layer.unpacked = size.map_or(0, |_| current);
            }
            "Verifying Checksum" | "Download complete" => {
                let layer = self.layers.entry(id.clone()).or_default();
                layer.downloaded = layer.size.unwrap_or(0);
            }
            "Pull complete" => self.layers.entry(id.clone()).or_default().complete = true,
            _ => return None,
        }
        let percent = self.percent()?;
        let is_news = percent > self.told;
        self.told = self.told.max(percent);
        is_news.then_some(percent)
    }

    /// All of it only once the image is there. `None`: nothing is known of any layer's size.
    fn percent(&self) -> Option<u32> {
        let sizes = || self.layers.values().filter_map(|layer| layer.size);
        // A registry may say what it likes.
        let sum = sizes().fold(0_u64, u64::saturating_add);
        let usual = sum.checked_div(sizes().count().try_into().ok()?)?;
        let (mut all, mut done) = (0_u64, 0_u64);
        for layer in self.layers.values() {
            let size = layer.size.unwrap_or(usual);
            let (downloaded, unpacked) = match layer.complete {
                true => (size, size),
                false => (layer.downloaded.min(size), layer.unpacked.min(size)),
            };
            all = all.saturating_add(size).saturating_add(size);
            done = done.saturating_add(downloaded).saturating_add(unpacked);
        }
        let percent = done.saturating_mul(100).checked_div(all)?;
        u32::try_from(percent.min(99)).ok()
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    /// What an engine says, and what is told then.
    fn told(layers: &mut Layers, id: &str, status: &str, (at, of): (i64, i64)) -> Option<u32> {
        let detail = ProgressDetail {
            current: Some(at).filter(|_| at > 0),
            total: Some(of).filter(|_| of > 0),
        };
        layers.hear(&CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: Some(detail),
            error_detail: None,
        })
    }

    #[test]
    fn downloads_and_unpacking_count_half_each_and_it_never_goes_back() {
        let mut layers = Layers::default();
        let mut hear = |id, status, of| told(&mut layers, id, status, of);
        assert_eq!(hear("6.34", "Pulling from nb", (0, 0)), None);
        assert_eq!(hear("base", "Already exists", (0, 0)), None);
        assert_eq!(hear("a", "Pulling fs layer", (0, 0)), None);
        assert_eq!(hear("b", "Pulling fs layer", (0, 0)), None);
        assert_eq!(hear("b", "Waiting", (0, 0)), None, "no size is known");
        // The other one is taken to be as large.
        assert_eq!(hear("a", "Downloading", (40, 100)), Some(10));
        assert_eq!(hear("a", "Downloading", (41, 100)), None, "the same in whole percent");
        assert_eq!(hear("a", "Download complete", (0, 0)), Some(25));
        // It is not.
        assert_eq!(hear("b", "Downloading", (1, 300)), None);
        assert_eq!(hear("a", "Extracting", (100, 100)), None);
        assert_eq!(hear("a", "Pull complete", (0, 0)), None);
        assert_eq!(hear("b", "Downloading", (300, 300)), Some(62));
        assert_eq!(hear("b", "Extracting", (150, 300)), Some(81));
        assert_eq!(
            hear("b", "Pull complete", (0, 0)),
            Some(99),
            "the image itself proves the rest"
        );
    }

    #[test]
    fn engines_that_tell_little_make_no_trouble() {
        let mut layers = Layers::default();
        let mut hear = |id, status, of| told(&mut layers, id, status, of);
        for status in
            ["Waiting", "Downloading", "Extracting", "Verifying Checksum", "Pull complete"]
        {
            assert_eq!(hear("a", status, (0, 0)), None, "{status}");
        }
        assert_eq!(hear("b", "Downloading", (-1, -5)), None);
        // Seconds, without a total.
        assert_eq!(hear("b", "Downloading", (100, 100)), Some(75), "a is complete");
        assert_eq!(hear("b", "Extracting", (7, 0)), None);
        assert_eq!(Layers::default().hear(&CreateImageInfo::default()), None);
    }
}
