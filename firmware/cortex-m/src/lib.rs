//! What images for Cortex-M boards share: memory, counters, UARTs, faults.
//!
//! An image is one line, [`image!`], with the family of its board: [`cmsdk`] or [`nrf51`].
//! Unsafe code here is start-up code, peripheral registers and semihosting, each with its proof.
#![no_std]

pub mod cmsdk;
mod fault;
mod line;
mod memory;
pub mod nrf51;
mod register;
mod semihosting;

pub use line::Line;
pub use memory::Regions;
pub use semihosting::{Debugger, print};

#[doc(hidden)]
pub use {cortex_m_rt, firmware};

/// The end of a program whose link has closed, which only a debugger's does.
pub fn end() -> ! {
    semihosting::exit(semihosting::Exit::Done)
}

/// A whole image for a board of the family given. The build script has made `board.rs`.
#[macro_export]
macro_rules! image {
    ($family:ident) => {
        mod board {
            include!(concat!(env!("OUT_DIR"), "/board.rs"));
        }

        #[$crate::cortex_m_rt::entry]
        fn main() -> ! {
            // The attribute `entry` hands out each of these once.
            static mut RECEIVED: [u8; board::FRAME_BYTES] = [0; board::FRAME_BYTES];
            static mut PLAIN: [u8; board::FRAME_BYTES] = [0; board::FRAME_BYTES];
            static mut FRAME: [u8; board::FRAME_BYTES] = [0; board::FRAME_BYTES];
            // SAFETY: called once, first of all, with the regions of this board's description,
            // which is where the linker script comes from.
            let regions = unsafe {
                $crate::Regions::claim(
                    board::STACK_BYTES,
                    (board::MODEL_ADDRESS, board::MODEL_BYTES),
                    board::IS_MODEL_WRITABLE,
                )
            };
            // SAFETY: the addresses are those of this board's description, and the peripherals
            // are used nowhere else.
            let mut device =
                unsafe { $crate::$family::Device::new(board::UART_ADDRESS, board::STACK_BYTES) };
            let profile = $crate::firmware::Profile {
                name: board::NAME,
                clock_hz: board::CLOCK_HZ,
                stack_bytes: board::STACK_BYTES as u32,
            };
            let memory = $crate::firmware::Memory {
                received: RECEIVED,
                plain: PLAIN,
                frame: FRAME,
                store: regions.store,
                arena: regions.arena,
            };
            $crate::firmware::serve(&mut device, profile, memory);
            $crate::end()
        }
    };
}
