//! What all calls share: return codes, handles, text and numbers for the caller.

use std::ffi::{c_char, c_uint};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::state::{Gpu, Instance, State};

/// `nvmlReturn_t`.
pub type Code = c_uint;

pub const OK: Code = 0;
pub const UNINITIALIZED: Code = 1;
pub const INVALID: Code = 2;
pub const NOT_SUPPORTED: Code = 3;
pub const NOT_FOUND: Code = 6;
pub const TOO_SMALL: Code = 7;
pub const NO_DRIVER: Code = 9;
pub const TIMEOUT: Code = 10;
pub const LOST: Code = 15;
pub const MISMATCH: Code = 18;
pub const OTHER_VERSION: Code = 25;
pub const UNKNOWN: Code = 999;

/// `nvmlDevice_t`: a number in place of an address.
pub type Device = usize;

const TAG: usize = 0x4e56_0000;
const INSTANCE_TAG: usize = 0x4d49_0000;

/// Whether `nvmlInit` was called more often than `nvmlShutdown`.
pub static OPENED: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);

/// What a handle stands for.
pub enum Target {
    Whole(u32),
    Part(u32, usize),
}

pub fn whole(index: u32) -> Device {
    TAG | index as usize
}

pub fn part(index: u32, instance: usize) -> Device {
    INSTANCE_TAG | (index as usize) << 8 | instance
}

/// Reads a handle; only ones that this library gave are known.
pub fn target(state: &State, device: Device) -> Result<Target, Code> {
    let low = device & 0xffff;
    match device & !0xffff {
        TAG if low < state.count() as usize => Ok(Target::Whole(low as u32)),
        INSTANCE_TAG => Ok(Target::Part((low >> 8) as u32, low & 0xff)),
        _ => Err(INVALID),
    }
}

/// Runs a call: the library must be open, the driver there, and nothing may unwind into C.
pub fn call(body: impl FnOnce(&State) -> Result<(), Code>) -> Code {
    let run = || {
        if OPENED.load(std::sync::atomic::Ordering::SeqCst) <= 0 {
            return Err(UNINITIALIZED);
        }
        let state = State::read().ok_or(NO_DRIVER)?;
        if state.is_set("mismatch") {
            return Err(MISMATCH);
        }
        body(&state)
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => OK,
        Ok(Err(code)) => code,
        Err(_) => UNKNOWN,
    }
}

/// A call about a whole GPU; an instance answers "not supported".
pub fn on_gpu(device: Device, body: impl FnOnce(Gpu<'_>) -> Result<(), Code>) -> Code {
    on_any(device, |gpu, instance| if instance.is_some() { Err(NOT_SUPPORTED) } else { body(gpu) })
}

/// A call about a GPU or an instance of it. A lost GPU answers nothing else.
pub fn on_any(
    device: Device,
    body: impl FnOnce(Gpu<'_>, Option<&Instance>) -> Result<(), Code>,
) -> Code {
    call(|state| {
        let (index, instance) = match target(state, device)? {
            Target::Whole(index) => (index, None),
            Target::Part(index, instance) => (index, Some(instance)),
        };
        let gpu = state.gpu(index);
        if gpu.is_set("lost") {
            return Err(LOST);
        }
        let instances = gpu.instances();
        match instance {
            Some(at) => body(gpu, Some(instances.get(at).ok_or(INVALID)?)),
            None => body(gpu, None),
        }
    })
}

/// Writes a value where the caller wants it.
pub fn put<T>(to: *mut T, value: T) -> Result<(), Code> {
    if to.is_null() {
        return Err(INVALID);
    }
    // SAFETY: the caller of a C function gives a valid address of the type in the header.
    unsafe { to.write(value) };
    Ok(())
}

/// Writes a text with its zero into a buffer of the caller.
pub fn put_text(to: *mut c_char, room: c_uint, text: &str) -> Result<(), Code> {
    if to.is_null() {
        return Err(INVALID);
    }
    if text.len() >= room as usize {
        return Err(TOO_SMALL);
    }
    // SAFETY: the caller says how much room there is, and the text with its zero fits.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), to, text.len());
        to.add(text.len()).write(0);
    }
    Ok(())
}

/// A list: room in, real count out.
pub fn put_list<T: Copy>(count: *mut c_uint, to: *mut T, list: &[T]) -> Result<(), Code> {
    if count.is_null() {
        return Err(INVALID);
    }
    // SAFETY: as for `put`.
    let room = unsafe { count.read() } as usize;
    put(count, list.len() as c_uint)?;
    if list.len() > room {
        return Err(TOO_SMALL);
    }
    if !list.is_empty() {
        if to.is_null() {
            return Err(INVALID);
        }
        // SAFETY: the caller says how many entries there is room for.
        unsafe { std::ptr::copy_nonoverlapping(list.as_ptr(), to, list.len()) };
    }
    Ok(())
}
