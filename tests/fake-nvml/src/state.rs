//! The state: a file of `key = value` lines that is read anew at every call. See the README.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The flavour of driver 580 sets this when it is loaded.
pub static MODERN: AtomicBool = AtomicBool::new(false);

/// Between two looks at the file while a call waits.
pub const LOOK: Duration = Duration::from_millis(5);

/// What the file says, with the flavour's own values where it says nothing.
#[derive(Debug, Clone, Default)]
pub struct State(BTreeMap<String, String>);

/// Where the file is: `FAKE_NVML_STATE`, else beside the library, so that copies of one library in
/// one process have states of their own.
fn path() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os("FAKE_NVML_STATE") {
        Some(path) => path.into(),
        None => {
            let mut path = own_path();
            path.push(".state");
            path.into()
        }
    })
}

fn own_path() -> std::ffi::OsString {
    // SAFETY: dladdr writes the struct; the address is of this library.
    let name = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(own_path as *const () as *const _, &mut info) == 0 {
            return "libnvidia-ml.so.1".into();
        }
        CStr::from_ptr(info.dli_fname)
    };
    name.to_string_lossy().into_owned().into()
}

/// Text of the file, also for the events, which are appended to it.
pub fn text() -> Option<String> {
    std::fs::read_to_string(path()).ok()
}

impl State {
    /// `None`: the driver is not loaded. A call waits here for as long as the state says `hang`.
    pub fn read() -> Option<Self> {
        loop {
            let text = text()?;
            let lines = text.lines().filter_map(|line| {
                let line = line.split('#').next().unwrap_or_default();
                let (key, value) = line.split_once('=')?;
                Some((key.trim().to_owned(), value.trim().to_owned()))
            });
            let state = Self(lines.collect());
            if !state.is_set("hang") {
                return Some(state);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// A value that the file says.
    pub fn said(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A flag.
    pub fn is_set(&self, key: &str) -> bool {
        self.said(key).is_some_and(|value| value != "0")
    }

    /// A number, or the given one.
    pub fn number(&self, key: &str, otherwise: u64) -> u64 {
        self.said(key).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    }

    /// The driver's version.
    pub fn driver(&self) -> String {
        let own = if is_modern() { "580.159.04" } else { "470.256.02" };
        self.said("driver").unwrap_or(own).to_owned()
    }

    /// How many GPUs there are.
    pub fn count(&self) -> u32 {
        number(self.number("count", if is_modern() { 1 } else { 4 }))
    }

    /// One GPU.
    pub fn gpu(&self, index: u32) -> Gpu<'_> {
        Gpu { state: self, index }
    }
}

/// Whether this library is the flavour of driver 580.
pub fn is_modern() -> bool {
    MODERN.load(Ordering::Relaxed)
}

/// A small number from the file.
pub fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A process as the file says it: `pid:MiB`, on a split GPU `pid:MiB:GI:CI`.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    pub pid: u32,
    pub memory: u64,
    pub instance: Option<(u32, u32)>,
}

/// An instance of a split GPU: `uuid:GI:CI:MiB`.
#[derive(Debug, Clone)]
pub struct Instance {
    pub uuid: String,
    pub place: (u32, u32),
    pub total: u64,
}

/// One GPU of the state.
#[derive(Debug, Clone, Copy)]
pub struct Gpu<'a> {
    state: &'a State,
    pub index: u32,
}

impl Gpu<'_> {
    fn key(&self, name: &str) -> String {
        format!("gpu{}.{name}", self.index)
    }

    pub fn number(&self, name: &str, otherwise: u64) -> u64 {
        self.state.number(&self.key(name), otherwise)
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.state.is_set(&self.key(name))
    }

    fn word(&self, name: &str, otherwise: impl FnOnce() -> String) -> String {
        self.state.said(&self.key(name)).map_or_else(otherwise, str::to_owned)
    }

    pub fn name(&self) -> String {
        self.word("name", || if is_modern() { "NVIDIA H200" } else { "Tesla K80" }.to_owned())
    }

    pub fn uuid(&self) -> String {
        let model = if is_modern() { "f6fb3145" } else { "5a1d3b7e" };
        self.word("uuid", || format!("GPU-{model}-0000-4000-8000-{:012x}", self.index))
    }

    /// Boards pair 0 with 1 and 2 with 3, as public output of `nvidia-smi -q` shows them.
    pub fn board(&self) -> u32 {
        number(
            self.number(
                "board",
                if is_modern() { 6 } else { u64::from(0x300 * (1 + self.index / 2)) },
            ),
        )
    }

    pub fn serial(&self) -> String {
        self.word("serial", || format!("03250{:08}", self.board()))
    }

    /// Bus and device on it: a K80 board has a switch with two buses, the H200 was seen in a
    /// virtual machine.
    pub fn place(&self) -> (u32, u32) {
        let own = if is_modern() { 0 } else { 5 + self.index };
        (number(self.number("bus", own.into())), if is_modern() { 6 + self.index } else { 0 })
    }

    pub fn total(&self) -> u64 {
        self.number("total", if is_modern() { 150_754_820_096 } else { 11_996_954_624 })
    }

    /// What the driver keeps for itself. Only the second version of the call tells it apart.
    pub fn reserved(&self) -> u64 {
        self.number("reserved", if is_modern() { 644_939_776 } else { 0 })
    }

    /// At least what the processes hold.
    pub fn used(&self) -> u64 {
        let held = self.processes().iter().map(|process| process.memory).sum();
        self.number("used", 0).max(held)
    }

    pub fn free(&self) -> u64 {
        self.total().saturating_sub(self.reserved()).saturating_sub(self.used())
    }

    pub fn processes(&self) -> Vec<Process> {
        let words = self.word("procs", String::new);
        let process = |word: &str| {
            let mut parts = word.split(':').map(str::trim);
            let pid = parts.next()?.parse().ok()?;
            let mib: u64 = parts.next()?.parse().ok()?;
            let instance = parts.next().zip(parts.next());
            let instance = instance.and_then(|(gi, ci)| Some((gi.parse().ok()?, ci.parse().ok()?)));
            Some(Process { pid, memory: mib << 20, instance })
        };
        words.split(',').filter_map(process).collect()
    }

    pub fn instances(&self) -> Vec<Instance> {
        let words = self.word("instances", String::new);
        let instance = |word: &str| {
            let mut parts = word.split(':').map(str::trim);
            let uuid = parts.next().filter(|uuid| !uuid.is_empty())?.to_owned();
            let place = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let mib: u64 = parts.next()?.parse().ok()?;
            Some(Instance { uuid, place, total: mib << 20 })
        };
        words.split(',').filter_map(instance).collect()
    }
}
