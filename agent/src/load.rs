//! How much the host has to do.

use std::fs;

/// The kernel's load average of the last minute, in hundredths. `None`: it does not tell.
pub fn average() -> Option<u32> {
    last_minute(&fs::read_to_string("/proc/loadavg").ok()?)
}

fn last_minute(text: &str) -> Option<u32> {
    let (whole, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    // The kernel always writes two digits.
    let (whole, hundredths): (u32, u32) = (whole.parse().ok()?, hundredths.parse().ok()?);
    whole.checked_mul(100)?.checked_add(hundredths)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_the_last_minutes() {
        assert_eq!(last_minute("12.05 1.00 0.50 3/812 4711\n"), Some(1205));
        assert_eq!(last_minute("0.07 1.00 0.50 3/812 4711\n"), Some(7));
        assert_eq!(last_minute("nonsense"), None);
        assert!(average().is_some());
    }
}
