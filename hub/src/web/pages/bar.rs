//! A bar of what is used, and of what is reserved, of an amount. Drawn as SVG: widths are
//! attributes, so the pages need no inline style.

use askama::Template;
use berth_common::ByteCount;

/// A drawn bar. Its numbers stand beside it as text, so it says nothing to a screen reader.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "bar.html")]
pub struct Bar {
    /// Reserved part, 0 to 1000.
    reserved: u64,
    /// Used part, 0 to 1000.
    used: u64,
    /// The colour of a part that is nearly all.
    class: &'static str,
    /// The highest that was ever used, 0 to 1000.
    peak: Option<u64>,
}

impl Bar {
    /// What is used of a limit.
    pub fn used(used: ByteCount, limit: ByteCount) -> Self {
        let part = part(used, limit);
        let class = match part {
            0..850 => "",
            850..950 => "is-tight",
            _ => "is-full",
        };
        Self { reserved: 0, used: part, class, peak: None }
    }

    /// The same with a mark at the highest use so far.
    pub fn with_peak(self, peak: ByteCount, limit: ByteCount) -> Self {
        Self { peak: Some(part(peak, limit).min(996)), ..self }
    }

    /// A share in percent.
    pub fn percent(share: u32) -> Self {
        Self { reserved: 0, used: u64::from(share.min(100)) * 10, class: "", peak: None }
    }

    /// What is promised and what is really used of a host.
    pub fn of_host(reserved: ByteCount, used: ByteCount, total: ByteCount) -> Self {
        Self { reserved: part(reserved, total), ..Self::used(used, total) }
    }
}

/// A part in thousandths, at most all of it.
fn part(some: ByteCount, all: ByteCount) -> u64 {
    (some.0.saturating_mul(1000) / all.0.max(1)).min(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_in_their_frame() {
        let gb = |n: u64| ByteCount(n << 30);
        let draw = |bar: Bar| bar.render().unwrap();
        assert!(draw(Bar::used(gb(1), gb(8))).contains("width=\"125\""));
        assert!(draw(Bar::used(gb(9), gb(8))).contains("is-full"));
        assert!(draw(Bar::used(gb(9), gb(8))).contains("width=\"1000\""));
        assert!(draw(Bar::of_host(gb(5), gb(1), ByteCount::ZERO)).contains("width=\"1000\""));
    }
}
