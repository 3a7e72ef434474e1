//! Folders of hosts: what a server is given, what is watched, and how that is.

use std::time::Duration;

use berth_common::Timestamp;
use berth_common::link::{Ending, Space, SpaceHealth, Watch};

use super::{BadMessage, text, wire};

/// More spaces than this are a mistake, or worse.
pub(super) const SPACES_MAX: usize = 256;

/// More images than this are a mistake, too.
pub(super) const IMAGES_MAX: usize = 256;

impl From<Space> for wire::Space {
    fn from(space: Space) -> Self {
        let Space { name, source, target, read_only, follows, required, only_if_exists } = space;
        Self { name, source, target, read_only, follows, required, only_if_exists }
    }
}

impl From<wire::Space> for Space {
    fn from(message: wire::Space) -> Self {
        let wire::Space { name, source, target, read_only, follows, required, only_if_exists } =
            message;
        Self { name, source, target, read_only, follows, required, only_if_exists }
    }
}

impl From<Watch> for wire::Watch {
    fn from(watch: Watch) -> Self {
        let Watch { every_s, timeout_s, sick_after, paths, images, unknown } = watch;
        let (paths, images) = (paths.into_iter().collect(), images.into_iter().collect());
        let unknown = unknown.into_iter().collect();
        Self { every_s, timeout_s, sick_after, paths, images, unknown }
    }
}

impl From<wire::Watch> for Watch {
    fn from(message: wire::Watch) -> Self {
        let wire::Watch { every_s, timeout_s, sick_after, paths, images, unknown } = message;
        let paths = paths.into_iter().take(SPACES_MAX).collect();
        let images = images.into_iter().take(IMAGES_MAX).map(text).collect();
        let unknown = unknown.into_iter().take(IMAGES_MAX).map(text).collect();
        Self { every_s, timeout_s, sick_after, paths, images, unknown }
    }
}

impl From<SpaceHealth> for wire::SpaceHealth {
    fn from(health: SpaceHealth) -> Self {
        let (reason, detail) = health.trouble.map_or_else(Default::default, |trouble| {
            (trouble.reason.code().to_owned(), trouble.detail)
        });
        // Nothing takes less than a microsecond, so 0 says that nobody has said it.
        let took_us = health.took.map_or(0, |took| u64::try_from(took.as_micros()).unwrap_or(0));
        Self { name: health.name, reason, detail, since_ms: health.since.as_millis(), took_us }
    }
}

impl TryFrom<wire::SpaceHealth> for SpaceHealth {
    type Error = BadMessage;

    fn try_from(message: wire::SpaceHealth) -> Result<Self, BadMessage> {
        let trouble = match message.reason.as_str() {
            "" => None,
            code => Some(Ending {
                reason: code.parse().map_err(|_| BadMessage::Unknown("reason"))?,
                detail: text(message.detail),
            }),
        };
        let since = Timestamp::from_millis(message.since_ms);
        let took = (message.took_us > 0).then(|| Duration::from_micros(message.took_us));
        Ok(Self { name: text(message.name), trouble, since, took })
    }
}
