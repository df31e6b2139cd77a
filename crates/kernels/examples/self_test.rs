//! A module that compares its own kernels with plain Rust. The caller loops over seeds, so that
//! it can tell which one failed.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Once;

/// The last panic's message; it stays where it is.
static MESSAGE: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static HOOK: Once = Once::new();

/// Traps when a kernel's results for this random case differ from those of plain Rust.
#[unsafe(no_mangle)]
pub extern "C" fn check_random_case(seed: u32) {
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let text: &'static str = info.to_string().leak();
            MESSAGE[0].store(text.as_ptr().addr(), Ordering::Relaxed);
            MESSAGE[1].store(text.len(), Ordering::Relaxed);
        }));
    });
    kernels::self_test::check_random_case(u64::from(seed));
}

/// Where the message of the trap is, in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn message_address() -> usize {
    MESSAGE[0].load(Ordering::Relaxed)
}

/// How many bytes it has.
#[unsafe(no_mangle)]
pub extern "C" fn message_bytes() -> usize {
    MESSAGE[1].load(Ordering::Relaxed)
}

/// Whether the kernels are those for 128-bit SIMD.
#[unsafe(no_mangle)]
pub extern "C" fn has_simd128() -> bool {
    kernels::Architecture::current() == kernels::Architecture::Simd128
}
