//! The host's own memory, as the kernel sees it.

use std::fs;

use berth_common::ByteCount;

/// The host's memory as the kernel sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// All there is.
    pub total: ByteCount,
    /// What could be given out without swapping.
    pub available: ByteCount,
}

/// Asks the kernel. What it does not tell is zero: then nothing is placed here.
pub fn host() -> HostMemory {
    meminfo(&fs::read_to_string("/proc/meminfo").unwrap_or_default())
}

fn meminfo(text: &str) -> HostMemory {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib: Option<u64> = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        ByteCount(kib.unwrap_or_default().saturating_mul(1024))
    };
    HostMemory { total: field("MemTotal"), available: field("MemAvailable") }
}

/// The part of the last ten seconds in which something on the host stood still for want of memory,
/// in hundredths of a percent. `None`: this kernel does not tell.
pub fn pressure() -> Option<u32> {
    some_avg10(&fs::read_to_string("/proc/pressure/memory").ok()?)
}

fn some_avg10(text: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let percent = line.split(' ').find_map(|word| word.strip_prefix("avg10="))?;
    let (whole, hundredths) = percent.split_once('.')?;
    // The kernel always writes two digits.
    let (whole, hundredths): (u32, u32) = (whole.parse().ok()?, hundredths.parse().ok()?);
    whole.checked_mul(100)?.checked_add(hundredths)
}

/// The memory that placement may count on: the claimed amount less what the servers use, but
/// never more than the kernel could really give.
pub fn free(
    claimed: ByteCount,
    used: impl IntoIterator<Item = ByteCount>,
    host: HostMemory,
) -> ByteCount {
    let own = used.into_iter().fold(ByteCount::ZERO, ByteCount::plus);
    claimed.minus(own).min(host.available)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let text = "MemTotal:       32768 kB\nMemFree:         1 kB\nMemAvailable:    2048 kB\n";
        let found = meminfo(text);
        assert_eq!(found, HostMemory { total: ByteCount(32 << 20), available: ByteCount(2 << 20) });
        assert_eq!(meminfo("nonsense"), HostMemory::default());
        assert!(host().total > ByteCount(1 << 20));
    }

    #[test]
    fn pressure_is_read_where_there_is_some() {
        let text = "some avg10=12.05 avg60=1.00 avg300=0.00 total=5\nfull avg10=3.00 total=1\n";
        assert_eq!(some_avg10(text), Some(1205));
        assert_eq!(some_avg10("full avg10=3.00\n"), None);
        assert_eq!(some_avg10("some avg10=x\n"), None);
    }

    #[test]
    fn free_memory_is_the_smaller_of_promise_and_reality() {
        let used = [ByteCount(300), ByteCount(300)];
        let host =
            |available| HostMemory { total: ByteCount(2000), available: ByteCount(available) };
        assert_eq!(free(ByteCount(1000), used, host(2000)), ByteCount(400));
        assert_eq!(free(ByteCount(1000), used, host(100)), ByteCount(100));
        assert_eq!(free(ByteCount(500), used, host(2000)), ByteCount(0));
    }
}
