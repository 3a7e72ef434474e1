//! What an XID error means for the GPU: NVIDIA's catalogue, as far as it decides whether somebody
//! else may still be given that GPU.
//!
//! Source: <https://docs.nvidia.com/deploy/xid-errors>, "immediate action"; the numbers that mean
//! only an application's own fault are, among others, those that NVIDIA's device plugin for
//! Kubernetes ignores.

/// What an XID error asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A program on the GPU did something wrong, or the driver has dealt with it: the GPU is well.
    Application,
    /// The GPU must be reset, or the host rebooted, before it works again.
    Failed,
    /// Not known to be harmless.
    Suspect,
}

/// Classifies an XID error.
pub fn class(xid: u64) -> Class {
    match xid {
        // 43, 45: the end of a channel, after another XID. 63: a page retired or a row remapped;
        // what is pending is read from the device. 94: an error that was contained in one program.
        13 | 31 | 32 | 43 | 45 | 63 | 68 | 69 | 92 | 93 | 94 | 121 | 137 => Class::Application,
        46 | 48 | 62 | 64 | 79 | 95 | 109 | 110 | 119 | 120 | 136 | 140 | 143 => Class::Failed,
        _ => Class::Suspect,
    }
}

/// An XID error in words, for people.
pub fn words(xid: u64) -> &'static str {
    match xid {
        13 => "a program's error on the graphics engine",
        31 => "a program's page fault",
        32 | 69 => "a program's invalid command",
        43 => "a program's error; the GPU goes on",
        45 => "a program was cut off",
        48 => "a double bit memory error",
        61 | 62 => "its microcontroller halted",
        63 => "a memory page was retired or a row remapped",
        64 => "a memory page could not be retired",
        74 => "an NVLink error",
        79 => "it fell off the bus",
        92 => "many single bit memory errors",
        94 => "a memory error contained in one program",
        95 => "a memory error that was not contained",
        119 | 120 => "its system processor does not answer",
        154 => "the driver asks for a recovery action",
        _ => "see NVIDIA's XID catalogue",
    }
}

/// The GPU's place on the bus and the XID in a line of the kernel's log:
/// `NVRM: Xid (PCI:0000:05:00): 79, pid=1234, …`.
pub fn in_kernel_log(line: &str) -> Option<(&str, u64)> {
    let (_, rest) = line.split_once("NVRM: Xid (PCI:")?;
    let (bus, rest) = rest.split_once("): ")?;
    let number: &str = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((bus, number.parse().ok()?))
}

/// Whether a place in the kernel's log, `0000:05:00`, is NVML's `00000000:05:00.0`.
pub fn same_place(kernel: &str, nvml: &str) -> bool {
    let plain = |place: &str| {
        let place = place.split('.').next().unwrap_or_default().to_ascii_lowercase();
        place.trim_start_matches('0').to_owned()
    };
    !kernel.is_empty() && plain(kernel) == plain(nvml)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_faults_are_no_fault_of_the_gpu() {
        for xid in [13, 31, 43, 45, 63, 68, 94] {
            assert_eq!(class(xid), Class::Application, "{xid}");
        }
        for xid in [48, 62, 64, 79, 95, 119, 120] {
            assert_eq!(class(xid), Class::Failed, "{xid}");
        }
        for xid in [38, 57, 58, 61, 74, 144, 154, 999, 7777] {
            assert_eq!(class(xid), Class::Suspect, "{xid}");
        }
    }

    #[test]
    fn lines_of_the_kernels_log() {
        let line =
            "4,1234,567890,-;NVRM: Xid (PCI:0000:05:00): 79, pid='<unknown>', GPU has fallen";
        assert_eq!(in_kernel_log(line), Some(("0000:05:00", 79)));
        assert_eq!(in_kernel_log("NVRM: Xid (PCI:0000:C1:00): 31"), Some(("0000:C1:00", 31)));
        for other in ["", "NVRM: loading", "NVRM: Xid (PCI:0000:05:00): x", "Xid 79"] {
            assert_eq!(in_kernel_log(other), None, "{other}");
        }
        assert!(same_place("0000:05:00", "00000000:05:00.0"));
        assert!(same_place("0000:C1:00", "00000000:c1:00.0"));
        assert!(!same_place("0000:05:00", "00000000:06:00.0"));
        assert!(!same_place("", "00000000:00:00.0"));
    }
}
