//! The memory that the linker leaves free, and the depth of the stack.
//!
//! RAM holds, from its start: variables, the arena, the stack, which grows down from its end.

use core::ptr::{addr_of, addr_of_mut};
use firmware::Store;

/// What the stack is filled with before it is used.
const UNUSED: u32 = 0xA5C3_5A3C;
/// Bytes below the stack pointer that are not filled: the filling function's own.
const MARGIN_BYTES: usize = 256;
const ALIGNMENT: usize = 16;

unsafe extern "C" {
    /// The first address behind the variables, from cortex-m-rt's linker script.
    static mut __sheap: u32;
    /// The end of the stack, where it starts: the end of RAM.
    static _stack_start: u32;
}

/// The regions of memory that a program may use for models.
#[derive(Debug)]
pub struct Regions {
    /// For the model.
    pub store: Store<'static>,
    /// For the session.
    pub arena: &'static mut [u8],
}

impl Regions {
    /// Claims the memory between variables and stack for the arena and `model` (address and
    /// length in bytes) for models, and prepares [`stack_used_bytes`].
    ///
    /// # Safety
    ///
    /// Called once. `model` is memory that the linker script does not use, aligned to 16, and
    /// writable if `is_writable`.
    pub unsafe fn claim(stack_bytes: usize, model: (usize, usize), is_writable: bool) -> Self {
        let (address, bytes) = model;
        let store = if is_writable {
            // SAFETY: the caller promises that nothing else uses this memory, and calls once.
            Store::Ram(unsafe { core::slice::from_raw_parts_mut(address as *mut u8, bytes) })
        } else {
            // SAFETY: as above; it is never written.
            Store::Flash(unsafe { core::slice::from_raw_parts(address as *const u8, bytes) })
        };
        fill_stack(stack_bytes);
        let first = addr_of_mut!(__sheap).cast::<u8>();
        let start = first.align_offset(ALIGNMENT);
        let bytes = stack_bottom(stack_bytes).saturating_sub(first.addr() + start);
        // SAFETY: from the variables' end to the stack's lower end there is only free RAM, which
        // is claimed here and once.
        let arena = unsafe { core::slice::from_raw_parts_mut(first.add(start), bytes) };
        Regions { store, arena }
    }
}

fn stack_bottom(stack_bytes: usize) -> usize {
    addr_of!(_stack_start).addr().saturating_sub(stack_bytes) & !(ALIGNMENT - 1)
}

fn fill_stack(stack_bytes: usize) {
    let here = cortex_m::register::msp::read() as usize;
    let end = here.saturating_sub(MARGIN_BYTES);
    let mut address = stack_bottom(stack_bytes);
    while address < end {
        // SAFETY: below the stack pointer and above the arena is RAM that nothing uses now.
        unsafe { (address as *mut u32).write_volatile(UNUSED) };
        address += size_of::<u32>();
    }
}

/// The deepest that the stack has been since [`Regions::claim`], in bytes.
pub(crate) fn stack_used_bytes(stack_bytes: usize) -> u32 {
    let end = addr_of!(_stack_start).addr();
    let mut address = stack_bottom(stack_bytes);
    // SAFETY: the stack's own memory, read as plain words.
    while address < end && unsafe { (address as *const u32).read_volatile() } == UNUSED {
        address += size_of::<u32>();
    }
    end.saturating_sub(address) as u32
}
