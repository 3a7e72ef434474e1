//! XID errors from before the agent began: the kernel's log has them, NVML does not.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use berth_common::BootId;
use berth_process::file;

use super::xid;

/// One record is never longer (`CONSOLE_EXT_LOG_MAX` of the kernel).
const RECORD_MAX: usize = 8192;

/// Reads the kernel's log from where it was read up to the last time, in this boot.
#[derive(Debug)]
pub struct KernelLog {
    log: PathBuf,
    /// Holds the boot and the number of the last record.
    cursor: PathBuf,
    boot: BootId,
}

impl KernelLog {
    /// With the cursor below the agent's state folder.
    pub fn new(state: &Path, boot: BootId) -> Self {
        Self { log: "/dev/kmsg".into(), cursor: state.join("gpus").join("kernel-log"), boot }
    }

    /// Places on the bus and XIDs, oldest first, of all records that were not read before. A log
    /// that cannot be read has none: it is only a second source.
    pub fn news(&self) -> Vec<(String, u64)> {
        let before = self.last();
        let mut newest = before;
        let mut found = Vec::new();
        for record in self.records() {
            let Some(number) = number(&record) else { continue };
            newest = newest.max(Some(number));
            if before.is_some_and(|before| number <= before) {
                continue;
            }
            if let Some((bus, xid)) = xid::in_kernel_log(&record) {
                found.push((bus.to_owned(), xid));
            }
        }
        if newest != before
            && let Some(newest) = newest
            && let Some(folder) = self.cursor.parent()
        {
            let text = format!("{} {newest}", self.boot);
            let written = file::make_folder(folder, 0o700)
                .and_then(|()| file::replace(&self.cursor, text.as_bytes(), 0o600));
            if let Err(error) = written {
                tracing::warn!("the kernel's log will be read again: {error}");
            }
        }
        found
    }

    /// The last record that was read in this boot.
    fn last(&self) -> Option<u64> {
        let text = file::read_if_there(&self.cursor).ok()??;
        let (boot, number) = text.trim().split_once(' ')?;
        if boot == self.boot.as_str() { number.parse().ok() } else { None }
    }

    /// Each read gives one record; at the end it would wait, and answers so instead.
    fn records(&self) -> Vec<String> {
        let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
        let opened = OpenOptions::new().read(true).custom_flags(nonblock).open(&self.log);
        let Ok(mut log) = opened else { return Vec::new() };
        let mut buffer = vec![0; RECORD_MAX];
        let mut records = Vec::new();
        loop {
            match log.read(&mut buffer) {
                Ok(0) => return records,
                Ok(length) => {
                    let record = buffer.get(..length).unwrap_or_default();
                    let text = String::from_utf8_lossy(record);
                    records.extend(text.lines().map(str::to_owned));
                }
                // Overwritten meanwhile: the next read goes on with the oldest there is.
                Err(error)
                    if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
                Err(_) => return records,
            }
        }
    }
}

/// The number in `level,number,microseconds,flags;text`.
fn number(record: &str) -> Option<u64> {
    record.split(';').next()?.split(',').nth(1)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_told_once_a_boot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kmsg");
        let log = |boot: &str| KernelLog {
            log: path.clone(),
            ..KernelLog::new(folder.path(), boot.parse().unwrap())
        };
        let first = "6,1,10,-;Linux version 5\n4,7,20,-;NVRM: Xid (PCI:0000:05:00): 79, pid=1\n \
                     SUBSYSTEM=pci\n";
        std::fs::write(&path, first).unwrap();
        assert_eq!(log("a").news(), [("0000:05:00".to_owned(), 79)]);
        assert_eq!(log("a").news(), []);
        let more = format!("{first}4,8,30,-;NVRM: Xid (PCI:0000:06:00): 48, x\n");
        std::fs::write(&path, more).unwrap();
        assert_eq!(log("a").news(), [("0000:06:00".to_owned(), 48)]);
        assert_eq!(log("b").news().len(), 2, "numbers begin anew with each boot");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(log("b").news(), []);
    }

    #[test]
    fn the_real_log_is_read_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let log = KernelLog::new(folder.path(), "b".parse().unwrap());
        assert!(!log.records().is_empty(), "/dev/kmsg cannot be read: run this as root");
    }
}
