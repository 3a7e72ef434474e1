//! Names and addresses of hosts, as the files write them.

use berth_common::HostId;

/// Most names one entry may stand for.
const MOST: u32 = 10_000;

/// Expands `ccjn0[1-5]` to five names; a plain name stands for itself. Leading zeros of the lower
/// bound are kept: `n[01-12]`.
pub fn expand(pattern: &str) -> Result<Vec<HostId>, String> {
    let Some((before, rest)) = pattern.split_once('[') else { return Ok(vec![name(pattern)?]) };
    let wrong = || format!("\"{pattern}\" is no range of hosts, write e.g. \"ccjn0[1-5]\"");
    let (range, after) = rest.split_once(']').ok_or_else(wrong)?;
    let (low, high) = range.split_once('-').ok_or_else(wrong)?;
    let (first, last): (u32, u32) =
        (low.parse().map_err(|_| wrong())?, high.parse().map_err(|_| wrong())?);
    if first > last || last - first >= MOST {
        return Err(wrong());
    }
    (first..=last)
        .map(|n| name(&format!("{before}{n:0width$}{after}", width = low.len())))
        .collect()
}

/// Where a host's tunnel listens: the given address, or the host's own name; with the default
/// port where none is given.
pub fn address(given: Option<&str>, host: &HostId, port: u16) -> String {
    let given = given.unwrap_or(host.as_str());
    let has_port = given.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { given.to_owned() } else { format!("{given}:{port}") }
}

fn name(text: &str) -> Result<HostId, String> {
    text.parse().map_err(|error| format!("\"{text}\": {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> String {
        match expand(pattern) {
            Ok(names) => names.iter().map(HostId::as_str).collect::<Vec<_>>().join(" "),
            Err(why) => why,
        }
    }

    #[test]
    fn ranges_expand_and_keep_leading_zeros() {
        assert_eq!(names("wn1"), "wn1");
        assert_eq!(names("ccjn0[1-3]"), "ccjn01 ccjn02 ccjn03");
        assert_eq!(names("n[08-10].x"), "n08.x n09.x n10.x");
        for bad in ["n[3-1]", "n[1-", "n[a-b]", "n[1]", "n[0-99999]"] {
            assert!(names(bad).contains("no range of hosts"), "{bad}: {}", names(bad));
        }
    }

    #[test]
    fn addresses_get_the_default_port() {
        let host: HostId = "wn1".parse().unwrap();
        assert_eq!(address(None, &host, 8444), "wn1:8444");
        assert_eq!(address(Some("10.0.0.1"), &host, 8444), "10.0.0.1:8444");
        assert_eq!(address(Some("10.0.0.1:9"), &host, 8444), "10.0.0.1:9");
    }
}
