//! Arm's MPS2 and MPS3 boards: the UART of the Cortex-M System Design Kit, and SysTick.

use crate::memory::stack_used_bytes;
use crate::register::Register;
use crate::semihosting::Debugger;
use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m_rt::exception;
use firmware::Board;

const TRANSMIT_FULL: u32 = 1;
const RECEIVE_FULL: u32 = 2;
const ENABLE_BOTH: u32 = 3;
/// The smallest divisor of the clock: the fastest link.
const DIVISOR_MIN: u32 = 16;

/// SysTick counts down 24 bits.
const RELOAD: u32 = 0x00FF_FFFF;
const SYSTICK_ADDRESS: usize = 0xE000_E010;
/// On, with an exception at zero, at the processor's clock.
const SYSTICK_ENABLE: u32 = 0b111;

/// How often SysTick has reached zero.
static WRAPS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    // Nobody else writes it. Cortex-M0 has no atomic addition.
    WRAPS.store(
        WRAPS.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// The board.
#[derive(Debug)]
pub struct Device {
    data: Register,
    state: Register,
    count: Register,
    stack_bytes: usize,
    debugger: Option<Debugger>,
}

impl Device {
    /// Starts the UART and the counter.
    ///
    /// # Safety
    ///
    /// `uart_address` is that of a CMSDK UART. It and SysTick are used by nobody else.
    pub unsafe fn new(uart_address: usize, stack_bytes: usize) -> Self {
        // SAFETY: offsets 0, 4, 8 and 16 are the UART's data, state, control and divisor.
        let [data, state, control, divisor] =
            [0, 4, 8, 16].map(|offset| unsafe { Register::at(uart_address + offset) });
        divisor.write(DIVISOR_MIN);
        control.write(ENABLE_BOTH);
        // SAFETY: control, reload and count of SysTick, which every one of these processors has.
        let [systick, reload, count] =
            [0, 4, 8].map(|offset| unsafe { Register::at(SYSTICK_ADDRESS + offset) });
        reload.write(RELOAD);
        count.write(0);
        systick.write(SYSTICK_ENABLE);
        Device {
            data,
            state,
            count,
            stack_bytes,
            debugger: None,
        }
    }
}

impl Board for Device {
    #[inline]
    fn receive(&mut self) -> Option<u8> {
        if let Some(debugger) = &mut self.debugger {
            return debugger.receive();
        }
        while self.state.read() & RECEIVE_FULL == 0 {}
        Some(self.data.read() as u8)
    }

    fn send(&mut self, bytes: &[u8]) {
        if let Some(debugger) = &mut self.debugger {
            return debugger.send(bytes);
        }
        for &byte in bytes {
            while self.state.read() & TRANSMIT_FULL != 0 {}
            self.data.write(u32::from(byte));
        }
    }

    fn ticks(&mut self) -> u64 {
        loop {
            let wraps = WRAPS.load(Ordering::Relaxed);
            let count = self.count.read();
            // The exception may come between the two: then read both again.
            if wraps == WRAPS.load(Ordering::Relaxed) {
                return u64::from(wraps) * (u64::from(RELOAD) + 1) + u64::from(RELOAD - count);
            }
        }
    }

    fn switch_to_debugger(&mut self) {
        self.debugger = Debugger::open();
    }

    fn stack_used_bytes(&mut self) -> u32 {
        stack_used_bytes(self.stack_bytes)
    }
}
